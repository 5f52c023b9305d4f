"""Never worse than without it, under `connspread run --supervise`: tests of the other topics, whose clients are started so."""

import os
import subprocess

import kernel
import test_dead_destination
import test_network
import test_sources
from fixture import PYTHON, equal, full, needs, waits
from test_supervise import command, supervisor_of


def supervised(test):
    """The same test; the library is in none of its clients."""
    def run(t):
        t.via = "supervise"
        test(t)
    run.__dict__.update(vars(test))
    run.__doc__ = test.__doc__
    return full(run)


def take(module, *names):
    for name in names:
        globals()[f"test_{name}"] = supervised(getattr(module, f"test_{name}"))


take(test_dead_destination, "silent_neighbour_4", "silent_neighbour_ipv6", "silent_neighbour_mptcp", "silent_neighbour_and_so_sndtimeo", "icmp_errors",
     "refused_without_a_packet", "wait_and_connect_share_so_sndtimeo")
take(test_network, "some")
take(test_sources, "bound_to_device", "marked", "unicast_interface", "unanswered_source")
waits(globals()["test_unanswered_source"])


SWAP = """if 1:
    import ctypes, os, socket, threading
    def connect():
        result.append(s.connect_ex(("10.1.0.1", 900)))
    result, s = [], socket.socket()
    input()
    thread = threading.Thread(target=connect)
    thread.start()
    while s.getsockname()[1] == 0:
        pass
    other = socket.socket()
    os.dup2(other.fileno(), s.fileno())
    print("swapped", flush=True)
    thread.join()
    try:
        now = s.getpeername()
    except OSError as e:
        now = e.errno
    print(result[0], now, s.getsockname()[1], flush=True)"""


@full
@needs("nft", "strace")
def test_number_changed_under_a_connect(t):
    """Its number becomes another socket's after the SYN has left and before the supervisor has answered: that one is not connected."""
    t.spread(t.sources())
    t.server(port=900)
    kernel.nft("add table inet t; add chain inet t o { type filter hook output priority 0; }; add rule inet t o tcp dport 900 drop")
    client = subprocess.Popen(command(t, PYTHON, "-S", "-c", SWAP), env=t.environment(bare=True), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    supervisor, _ = supervisor_of(client)
    slow = subprocess.Popen(["strace", "-f", "-qq", "-p", str(supervisor), "-o", "/dev/null", "-e", "trace=connect", "-e", "inject=connect:delay_exit=500000"])
    kernel.wait_until(lambda: all("TracerPid:\t0" not in open(f"/proc/{supervisor}/task/{x}/status").read() for x in os.listdir(f"/proc/{supervisor}/task")),
                      what="not traced")
    client.stdin.write("go\n")
    client.stdin.flush()
    equal(client.stdout.readline(), "swapped\n", "the client")
    kernel.nft("delete table inet t")
    equal(client.stdout.readline(), "0 107 0\n", "result of the connect; peer and port of the socket that has the number now")
    equal(client.wait(timeout=20), 0, "status")
    slow.terminate()
    slow.wait()
