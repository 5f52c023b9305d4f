"""Staged hosts: each a process with a network namespace, a host name, addresses, a server and real clients of its own."""

import os
import signal
import socket
import traceback

import kernel
import servers
from fixture import PYTHON

CLONE_NEWUTS = 0x4000000
CLONE_NEWNET = 0x40000000
PEER, PORT = "10.1.0.1", 9001
LOW, HIGH = 40000, 40031  # the ephemeral ports of a host that runs out of them

# Connects N times, each closed before the next; prints how many failed for lack of a quadruplet, and how many otherwise. Gives one up after so many
# seconds, if a fourth argument says so.
CLIENT = """
import errno, socket, sys
none = other = 0
for i in range(int(sys.argv[3])):
    s = socket.socket()
    if len(sys.argv) > 4:
        s.settimeout(float(sys.argv[4]))
    e = s.connect_ex((sys.argv[1], int(sys.argv[2])))
    none += e == errno.EADDRNOTAVAIL
    other += e not in (0, errno.EADDRNOTAVAIL)
    s.close()
print(none, other)
"""


class Host:
    """What a job works with, inside the host."""

    def __init__(self, t, name, canary, narrow, top, pool):
        self.t, self.name = t, name
        self.state = os.path.join(t.folder, name)
        os.mkdir(self.state, 0o700)
        self.log = os.path.join(t.folder, name + ".jsonl")
        self.sources = kernel.addresses("10.0.0.", 11, 14)
        kernel.add_addresses(PEER, *self.sources)
        servers.start(PEER, "hold", PORT)
        if narrow:
            kernel.port_range(LOW, HIGH)
        self.conf = os.path.join(t.folder, name + ".conf")
        addresses = ", ".join(f'"{s}"' for s in self.sources)
        kernel.write(self.conf, f'canary = {canary}\n{top}\nlog {{ file = "{self.log}" }}\npool "p" {{ addresses = {{ {addresses} }}\n{pool} }}\n'
                                'rule "r" { to = { "10.1.0.0/16" } pool = "p" on-exhausted = "error" }\n')

    def connects(self, n, port=PORT, patience=None):
        """n connects of an unmodified python3: (failed for lack of a quadruplet, failed otherwise)."""
        done = self.t.run([PYTHON, "-S", "-c", CLIENT, PEER, str(port), str(n), *([str(patience)] if patience else [])], conf=self.conf, CONNSPREAD_DIR=self.state,
                          CONNSPREAD_INSTANCE="web")
        return [int(word) for word in done.stdout.split()]

    def tool(self, *arguments, check=0, **environment):
        return self.t.tool(*arguments, check=check, CONNSPREAD_DIR=self.state, CONNSPREAD_INSTANCE="web", **environment)

    def record(self):
        """What there is goes to the log, as the recorder writes it."""
        self.tool("record", "-c", self.conf)


def start(t, name, job, canary=100, narrow=False, top="", pool=""):
    """Runs job(Host) on a host of its own, in a child whose pid is returned."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        if kernel.libc.unshare(CLONE_NEWNET | CLONE_NEWUTS) != 0:
            raise OSError("unshare")
        socket.sethostname(name)
        kernel.ip("link set lo up")
        kernel.sysctl("net.ipv4.tcp_tw_reuse", 0)
        kernel.sysctl("net.ipv4.tcp_rfc1337", 1)
        job(Host(t, name, canary, narrow, top, pool))
        status = 0
    except BaseException:
        kernel.write(os.path.join(t.folder, name + ".why"), traceback.format_exc())
    finally:
        for child in kernel.children():
            os.kill(child, signal.SIGKILL)
        os._exit(status)


def finished(t, name, status):
    why = os.path.join(t.folder, name + ".why")
    assert status == 0, f"host {name}: " + (open(why).read() if os.path.exists(why) else f"status {status}")


def on(t, name, job, **options):
    """Runs job(Host) on a host of its own; the host is gone when it returns."""
    finished(t, name, os.waitpid(start(t, name, job, **options), 0)[1])


def all_of(t, job, options, at_once=20):
    """on() for each {name: options}, some at a time."""
    waiting, running = list(options), {}
    while waiting or running:
        while waiting and len(running) < at_once:
            name = waiting.pop()
            running[start(t, name, job, **options[name])] = name
        pid, status = os.waitpid(-1, 0)
        if pid in running:
            finished(t, running.pop(pid), status)
