"""seccomp: what a filter forbids the client's own calls it does not forbid ours alone. Each system call that the shim can make
is forbidden in turn, in each way, to a client (seal.c) that does not make it or makes it too; bare and with the shim it must end
the same way and print the same. And processes that live behind filters: those of the cases, of systemd, of bubblewrap, of sshd."""

import functools
import os
import re
import struct
import subprocess

import kernel
import test_syscalls
from fixture import ROOT, SHIM, TOOL, equal, full, limit, needs

SOURCE = os.path.join(ROOT, "src")


def text_of(path):
    with open(os.path.join(SOURCE, path)) as f:
        return f.read()


@functools.cache
def numbers():
    """{name: number} of this machine's system calls."""
    out = subprocess.run(["gcc", "-dM", "-E", "-include", "sys/syscall.h", "-"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True).stdout
    return {m[0]: int(m[1]) for m in re.findall(r"#define __NR_(\w+) (\d+)", out)}


def shim_text():
    """The shim's source. raw.c makes the client's own calls."""
    with open(os.path.join(ROOT, "Makefile")) as f:
        folders = re.search(r"^SHIM_FOLDERS = (.*)$", f.read(), re.M)[1].split()
    paths = [f"{folder}/{name}" for folder in folders for name in os.listdir(os.path.join(SOURCE, folder)) if name != "raw.c"]
    return "\n".join(text_of(path) for path in paths)


def shim_calls():
    """The system calls that the shim may make, as its source has them."""
    found = set(re.findall(r"(?:sys_call\d|look_name)\(SYS_(\w+)", shim_text()))
    known = numbers()
    calls = {name: known[name] for name in sorted(found) if name in known}
    assert len(calls) > 35, calls
    return calls


def test_each_option_is_tried(t):
    """A filter may look at the option, too: `connspread run` tries each that the shim asks for or sets."""
    del t
    calls = r"(?:\b(?:get_option|set_option|ask)\(|SYS_[gs]etsockopt, )[\w>.-]+, \w+, ([A-Z][A-Z0-9_]+)"
    used = {name.removesuffix("_OPTION") for name in re.findall(calls, shim_text())}
    assert len(used) > 15, used
    tried = set(re.findall(r"\w+", text_of("tool/filters.c")))
    equal(sorted(used - tried), [], "options that are not tried")


def outcome(done):
    """Without what the dynamic linker says of libraries that it may not open: there is one more to open."""
    said = [line for line in done.stderr.splitlines() if "ld.so: object" not in line and "loading shared libraries" not in line]
    return done.returncode, done.stdout[-200:], said


def compare(t, action):
    """The client behind each filter, bare and with the shim: how many of the latter end as the former."""
    t.sources()
    port = t.server(kind="close")
    t.spread(["10.0.0.11-10.0.0.14"], rule='    client-bind = "late-port"\n')
    worse, cells, survived = [], 0, 0
    for name, number in shim_calls().items():
        for when in "now", "exec":
            argv = [t.program("harm/seal"), action, str(number), when, "10.1.0.1", str(port)]
            want = t.run(argv, bare=True, check=False)
            survived += want.returncode == 0
            for mode in "enforce", "off":
                got = t.run(argv, check=False, CONNSPREAD_MODE=mode)
                cells += 1
                if outcome(got) != outcome(want):
                    worse.append((name, when, mode, outcome(want), outcome(got)))
    print(f"{action}: {cells} cells, {len(worse)} worse than bare; {survived} bare clients lived to the end")
    equal(worse, [], "cells worse than bare")
    assert survived > 30, f"only {survived} bare clients lived to the end"
    t.attached(program="seal")


@full
@limit(300)
def test_errno(t):
    compare(t, "errno")


@limit(180)
def test_kill(t):
    compare(t, "kill")


@limit(180)
def test_trap(t):
    compare(t, "trap")


@full
@limit(300)
def test_user_notification(t):
    compare(t, "notify")


def test_calls_that_run_tries(t):
    """`connspread run` tries each call that the shim may make."""
    tried = set(re.findall(r"TRY\((\w+)", text_of("tool/filters.c")))
    equal(sorted(set(shim_calls()) - tried), [], "calls of the shim that filters.c does not try")


# A wrapper: installs a filter that lets through the calls named, and answers all others; then executes the rest.
WRAPPER = r"""
import ctypes, os, struct, sys
allowed, answer = [int(n) for n in sys.argv[1].split(",")], int(sys.argv[2])
code = [(0x20, 0, 0, 0)] + [c for n in allowed for c in ((0x15, 0, 1, n), (0x06, 0, 0, 0x7fff0000))] + [(0x06, 0, 0, answer)]
bytes_ = b"".join(struct.pack("HBBI", *c) for c in code)
program = ctypes.create_string_buffer(bytes_)
prog = struct.pack("HxxxxxxP", len(code), ctypes.addressof(program))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, prog, 0, 0) == 0, ctypes.get_errno()
os.execve(sys.argv[3], sys.argv[3:], {**os.environ, "LD_PRELOAD": os.environ.get("PRELOAD", "")})
"""
KILL, EPERM = 0x80000000, 0x00050001


def system_service():
    """The system calls of systemd's SystemCallFilter=@system-service, as systemd itself lists them."""
    out = subprocess.run(["systemd-analyze", "syscall-filter"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout
    groups, name = {}, None
    for line in out.splitlines():
        if line.startswith("@"):
            name = line.strip()
            groups[name] = []
        elif name and re.match(r"    [@\w]", line):
            groups[name].append(line.strip())
    calls, todo = set(), ["@system-service"]
    while todo:
        for entry in groups[todo.pop()]:
            todo.append(entry) if entry.startswith("@") else calls.add(entry)
    known = numbers()
    return [known[c] for c in sorted(calls) if c in known]


def behind(t, allowed, answer, argv, **env):
    """argv with the shim, or whatever PRELOAD says, behind such a filter."""
    return t.run(["/usr/bin/python3", "-S", "-c", WRAPPER, ",".join(map(str, allowed)), str(answer)] + argv, bare=True, check=False,
                 CONNSPREAD_CONF=t.conf, **env)


def stage(t):
    sources = t.sources()
    port = t.server()
    t.spread(sources)
    return sources, port, [t.program("burst"), "10.1.0.1", str(port), "20"]


def counts(port):
    kernel.settle(port)
    return sorted(kernel.by_source(port).values())


@needs("systemd-analyze")
def test_systemd_filter(t):
    """SystemCallFilter=@system-service, which kills: preloaded, the client is left alone until it is said that the filter may be
    trusted; `run` tries it, and spreads."""
    _, port, client = stage(t)
    allowed = system_service()
    assert len(allowed) > 200, allowed
    t.tool("run", "-c", t.conf, "--", "true", check=0)  # makes the state file
    for extra, spread in ({}, 0), ({"PRELOAD": SHIM}, 0), ({"PRELOAD": SHIM, "CONNSPREAD_SECCOMP": "trust"}, 20), ({"PRELOAD": SHIM, "CONNSPREAD_SECCOMP": "1"}, 20), \
            ({"PRELOAD": SHIM, "CONNSPREAD_SECCOMP": "0"}, 0):
        before = len(t.events("time-wait"))
        done = behind(t, allowed, KILL, client, **extra)
        equal((done.returncode, done.stdout, done.stderr), (0, "", ""), f"client with {extra}")
        equal(len(t.events("time-wait")) - before, spread, f"events with {extra}")
    done = behind(t, allowed, KILL, [TOOL, "run", "-c", t.conf, "--"] + client)
    equal((done.returncode, done.stderr), (0, ""), "run behind the filter")
    equal(len(t.events("time-wait")), 60, "events")
    equal(counts(port), [15, 15, 15, 15, 60], "connections by source")


@needs("systemd-analyze")
def test_run_behind_a_filter_that_kills(t):
    """Without one of the calls that the shim makes, the command is told, and is as bare; where the call is answered with an error
    it is spread as far as that goes. Another filter on top of those that were tried, and the number does not suffice."""
    _, port, client = stage(t)
    allowed = system_service()
    for name in "getpeername", "setsockopt", "ppoll":
        some = [n for n in allowed if n != numbers()[name]]
        done = behind(t, some, KILL, [TOOL, "run", "-c", t.conf, "--"] + client)
        equal((done.returncode, done.stdout), (0, ""), f"client without {name}: {done.stderr}")
        assert f"does not let {name} through" in done.stderr, done.stderr
        equal(t.events("attach"), [], f"events without {name}")
    done = behind(t, [n for n in allowed if n != numbers()["getpeername"]], EPERM, [TOOL, "run", "-c", t.conf, "--"] + client)
    equal((done.returncode, done.stdout, done.stderr), (0, "", ""), "behind a filter that answers")
    equal(len(t.events("time-wait")), 20, "events")
    nested = ["/usr/bin/python3", "-S", "-c", WRAPPER.replace('"PRELOAD", ""', '"LD_PRELOAD"'), ",".join(map(str, allowed)), str(KILL)] + client
    done = behind(t, allowed + [numbers()["prctl"], numbers()["seccomp"]], KILL, [TOOL, "run", "-c", t.conf, "--"] + nested)
    equal((done.returncode, done.stderr), (0, ""), "one more filter")
    equal(len(t.events("time-wait")), 20, "events behind one more filter")


@needs("strace")
def test_off_asks_nothing(t):
    """Mode off: not one system call is added to the client's own, from its first round on."""
    t.spread(t.sources(), top='mode = "off"')
    port = test_syscalls.peer()
    bare, shim = test_syscalls.trace(t, port, True), test_syscalls.trace(t, port, False)
    added = [(i, word, s[word]) for i, (b, s) in enumerate(zip(bare, shim)) for word in b if sorted(s[word]) != sorted(b[word])]
    equal(added, [], "calls added in mode off")
    path = os.path.join(t.folder, "trace")
    for preload in "", SHIM:
        t.run(["strace", "-f", "-o", path + str(bool(preload)), "-E", "LD_PRELOAD=" + preload, "/usr/bin/python3", "-S", "-c", FORKS], bare=True,
              CONNSPREAD_CONF=t.conf)
    equal(after_mark(path + "True"), after_mark(path + "False"), "calls of a client that forks, spawns, ranges and ends")


FORKS = """
import os, socket, subprocess
s = [socket.socket() for _ in range(4)]
l = socket.create_server(('127.0.0.1', 0))
try: os.write(99, b'mark')
except OSError: pass
c = socket.create_connection(l.getsockname()); a, _ = l.accept()
if os.fork() == 0:
    a.close(); os._exit(0)
os.wait()
a.shutdown(socket.SHUT_WR); os.dup2(c.fileno(), s[0].fileno()); os.closerange(s[1].fileno(), s[3].fileno() + 1)
os.fdopen(os.dup(c.fileno()), 'r').close()
os.execv('/bin/true', ['true']) if os.fork() == 0 else os.wait()
os._exit(0)
"""


def after_mark(path):
    """Names of the system calls after the mark, of all processes, until one executes something else."""
    with open(path) as f:
        lines = f.read().split('"mark"', 1)[1].splitlines()
    ended, names = set(), []
    for line in lines[1:]:
        pid, call = line.split(None, 1)
        name = re.match(r"(\w+)\(", call)
        if name and pid not in ended:
            names.append(name[1])
        if call.startswith("execve("):
            ended.add(pid)
    return sorted(names)


def test_sealed_closes_are_counted(t):
    """What a client had open, or made, behind its own filter is told by no event, but counted: as closed behind a filter, as
    untracked, or by the tool once it is dead."""
    _, port, _ = stage(t)
    number = numbers()["flock"]
    t.run([t.program("harm/seal"), "kill", str(number), "now", "10.1.0.1", str(port)])
    text = t.tool("stat", "-o", "prometheus", "-c", t.conf, check=0).stdout
    count = sum(int(n) for n in re.findall(r"^connspread_closes_sealed_total\{.*\} (\d+)$", text, re.M))
    assert count >= 7, f"{count} closes counted: {text}"
    assert t.events("close", via="killed") + t.events("time-wait", via="killed"), "what was open at the end is not told"


@full
@needs("bwrap")
def test_bubblewrap(t):
    """bwrap with a filter for its command: as bare, under the shim and under run."""
    _, port, client = stage(t)
    path = os.path.join(t.folder, "filter")
    allowed = [n for name, n in numbers().items() if name not in ("getpeername", "ptrace")]
    with open(path, "wb") as f:
        f.write(b"".join(struct.pack("HBBI", *c) for c in
                         [(0x20, 0, 0, 0)] + [c for n in allowed[:1000] for c in ((0x15, 0, 1, n), (0x06, 0, 0, 0x7fff0000))] + [(0x06, 0, 0, KILL)]))
    argv = ["sh", "-c", 'exec 9<"$0"; exec bwrap --dev-bind / / --seccomp 9 -- "$@"', path] + client
    for options in {"bare": True}, {}, {"via": "run"}, {"CONNSPREAD_MODE": "off"}:
        done = t.run(argv, check=False, **options)
        equal((done.returncode, done.stdout, done.stderr), (0, "", ""), f"bwrap, {options}")


@full
@limit(120)
@needs("ssh", "ssh-keygen")
def test_sshd(t):
    """A login through sshd, whose unprivileged child is sandboxed with a filter that kills: as bare in every mode."""
    t.spread(t.sources())
    for name in "host", "user":
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", os.path.join(t.folder, name)], check=True)
    os.makedirs("/run/sshd", exist_ok=True)
    settings = [f"HostKey={t.folder}/host", f"AuthorizedKeysFile={t.folder}/user.pub", "StrictModes=no", "PermitRootLogin=yes", "UsePAM=no",
                f"PidFile={t.folder}/sshd.pid", "ListenAddress=10.1.0.1"]
    for i, options in enumerate([{"bare": True}] + [{"CONNSPREAD_MODE": mode} for mode in ("enforce", "observe", "off")]):
        server = t.start(["/usr/sbin/sshd", "-D", "-e", "-p", str(2200 + i), "-f", "/dev/null"] + [w for s in settings for w in ("-o", s)], **options)
        argv = ["ssh", "-i", f"{t.folder}/user", "-p", str(2200 + i), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o",
                "ConnectionAttempts=20", "-o", "BatchMode=yes", "-q", "root@10.1.0.1", "echo logged in"]
        done = t.run(argv, bare=True, check=False)
        equal((done.returncode, done.stdout), (0, "logged in\n"), f"ssh to sshd {options}: {done.stderr}")
        server.terminate()
        server.wait()
