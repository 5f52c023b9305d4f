"""Descriptors that other threads close, reopen and dup2 under a connect: nothing is done to what the number stands for now."""

import errno
import os
import re
import socket
import struct

import kernel
from fixture import equal, full, limit

DEAD = "192.0.2.8"  # the first of eight, behind a device that drops everything: the client's other thread sends the ICMP error itself


def stage(t):
    """Four sources, a host that lives and one that does not."""
    kernel.ip("link add dead0 type veth peer name dead1")
    kernel.ip("link set dead0 arp off up")
    kernel.ip("link set dead1 arp off up")
    kernel.ip(f"route add {DEAD}/29 dev dead0")
    t.spread(t.sources(), rule="    attempts = 16")
    return t.server()


def race(t, port, rounds, pairs, timeout, bare=False):
    """Runs the pairs; returns how many connections their owners have made."""
    argv = [t.program("harm/fd_race"), "icmp", rounds, pairs, DEAD, "dead0", "10.1.0.1", port]
    done = t.run([str(a) for a in argv], bare=bare, check=False, timeout=timeout)
    equal((done.returncode, done.stderr), (0, ""), f"exit status and stderr ({done.stdout.strip()})")
    got = re.fullmatch(r"(\d+) rounds, (\d+) connections, 0 discarded\n", done.stdout)
    assert got and int(got[1]) == rounds, done.stdout
    return int(got[2])


def changed_under_icmp(t, rounds, pairs, timeout):
    port = stage(t)
    made = race(t, port, rounds, pairs, timeout)
    assert made >= rounds // 16 - pairs, f"{made} connections by the owners of the numbers"
    t.same_time_waits(port, made)
    equal([e for e in t.events("exhausted") + t.events("source-down")], [], "exhausted and source-down events")
    unreachable = sum(e["peer_address"].startswith("192.0.2.") for e in t.events("time-wait") + t.events("close"))
    equal(unreachable, 0, "closes told of connections to the host that is not there")


@limit(100)
def test_changed_under_a_connect(t):
    """4,000 connects that fail while their number is closed and reopened, dup2'ed over, or changed behind libc's back."""
    changed_under_icmp(t, 4000, 4, 90)


@full
@limit(170)
def test_changed_under_100000_connects(t):
    changed_under_icmp(t, 100000, 8, 160)


def test_changed_under_a_connect_bare(t):
    """The race itself, without the shim: nothing of what is checked comes from the client."""
    port = stage(t)
    race(t, port, 400, 4, 50, bare=True)


@limit(100)
def test_changed_under_a_wait(t):
    """The same while a rule's wait goes on: the number that changed hands within one sleep is not touched after it."""
    kernel.port_range(40000, 40001)
    sources = t.sources(11, 11)
    t.spread(sources, rule='    wait = "1s"')
    port = t.server()
    holder = t.agent()
    equal(holder(f"hold(3, '10.1.0.1', {port})")[1], 3, "connections that hold the source's ports, and one more by fallback")
    argv = [t.program("harm/fd_race"), "wait", "400", "2", "10.1.0.1", str(port)]
    done = t.run(argv, check=False, timeout=90)
    equal((done.returncode, done.stderr), (0, ""), f"exit status and stderr ({done.stdout.strip()})")
    discarded = int(re.search(r"(\d+) discarded", done.stdout)[1])
    assert discarded < 200, f"{discarded} of 400 rounds discarded: too few left"


def test_changed_under_an_accept(t):
    """A listener's number becomes a UDP socket while accept sleeps: what comes in is TCP all the same, and its close is told."""
    t.spread(t.sources())
    agent, peer = t.agent(), t.agent(bare=True)
    agent("s = socket.create_server(('10.1.0.1', 9500)); u = socket.socket(AF_INET, SOCK_DGRAM)")
    agent("threading.Thread(target=lambda: kept.append(socket.socket(fileno=s._accept()[0]))).start()")
    kernel.wait_until(lambda: asleep_in_accept(agent.pid), what="accept does not sleep")
    agent("os.dup2(u.fileno(), s.fileno())")
    peer("s = connect('10.1.0.1', 9500)")
    kernel.wait_until(lambda: agent("len(kept)") == 1, what="nothing was accepted")
    agent("kept.pop().close()")
    peer("s.close()")
    kernel.wait_until(lambda: [s for s in kernel.sockets("TIME_WAIT") if s.local_port == 9500], what="no TIME-WAIT")
    equal([(e["direction"], e["local_port"]) for e in t.events("time-wait")], [("inbound", 9500)], "time-wait events")


def test_a_close_that_does_not_come_takes_no_error(t):
    """A dup2 or an exec that fails leaves the socket open, with the error that its client has not read yet."""
    t.spread(t.sources())
    listener = socket.create_server(("10.1.0.1", 0))
    agent = t.agent()
    failing = {"os.dup2, 999, s.fileno()": errno.EBADF, "os.execv, '/nonexistent', ['x']": errno.ENOENT}
    for call, error in failing.items():
        agent(f"s = connect('10.1.0.1', {listener.getsockname()[1]})")
        end, _ = listener.accept()
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.close()
        agent("any(select.select([s], [], [], 5))")
        equal((agent(f"attempt({call})"), agent("attempt(s.recv, 1)")), (error, errno.ECONNRESET), f"{call}, then recv")
        agent("s.close()")
        agent("s = socket.socket()")
        agent("s.setblocking(False)")
        agent("s.connect_ex(('10.1.0.1', 1))")
        agent("any(select.select([], [s], [], 5))")
        equal((agent(f"attempt({call})"), agent("s.getsockopt(SOL_SOCKET, SO_ERROR)")), (error, errno.ECONNREFUSED), f"{call}, then SO_ERROR")
        agent("s.close()")


def asleep_in_accept(pid):
    """Some thread waits in accept or accept4."""
    calls = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/wchan") as f:
            calls.append(f.read())
    return "inet_csk_accept" in calls
