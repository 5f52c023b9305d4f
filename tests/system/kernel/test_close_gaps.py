"""What the peer does between any two system calls of a close, a connect or a shutdown: what the kernel has in the end is told, once, and nothing else."""

import os
import select
import signal
import subprocess

import kernel
from fixture import equal, full, limit, needs, quadruplet_of
from test_close import LINGER2, Peer, Stage

CALLS = "%network,ioctl,close,fcntl,poll"
SHUT, LATE = "s.shutdown(SHUT_WR)", "peer: p.send(b'late')"

# What is done before the client's close.
WAYS = {
    "shut down": [SHUT],
    "unread data": [SHUT, LATE],
    "linger {1, 0}": [SHUT, "linger(s, 1, 0)"],
    "linger {1, 0}, unread data": [SHUT, LATE, "linger(s, 1, 0)"],
    "TCP_LINGER2 < 0": [LINGER2, SHUT],
    "TCP_LINGER2 < 0, unread data": [LINGER2, SHUT, LATE],
    "data after the first call": [SHUT],
    "another process has had it": [SHUT, "forked(lambda: None)"],
    "another process has had it, unread data": [SHUT, LATE, "forked(lambda: None)"],
}


class Stops:
    """An agent that stops after each system call of these kinds."""

    def __init__(self, agent):
        self.agent, self.pid = agent, agent.process.pid
        self.strace = subprocess.Popen(["strace", "-qq", "-o", "/dev/null", "-p", str(self.pid), "-e", f"trace={CALLS}", "-e", f"inject={CALLS}:signal=SIGSTOP"])
        kernel.wait_until(self.is_traced, 15, "strace does not come")

    def is_traced(self):
        with open(f"/proc/{self.pid}/status") as f:
            return "TracerPid:\t0\n" not in f.read()

    def next(self):
        """Waits for the next stop. False: it has answered instead."""
        while not select.select([self.agent.process.stdout], [], [], 0.001)[0]:
            if os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOHANG):
                return True
        return False

    def go_on(self):
        os.kill(self.pid, signal.SIGCONT)

    def end(self):
        self.strace.send_signal(signal.SIGTERM)
        self.strace.wait(10)
        kernel.wait_until(lambda: not self.is_traced(), 15, "strace does not go")


def stopping(agent, code, each):
    """The agent does this; each(n) is called after its nth system call. The number of calls."""
    stops, calls = Stops(agent), 0
    agent.send(code)
    while stops.next():
        calls += 1
        each(calls)
        stops.go_on()
    equal(agent.answered(code), {"value": None}, f"answer of {code}")
    stops.end()
    return calls


def ended(quad):
    """Both FINs, or a reset, have come. What the kernel has left."""
    kernel.wait_until(lambda: kernel.state_of(quad) in ("TIME_WAIT", None), 15, "the end of a connection")
    return kernel.state_of(quad)


class Gaps:
    """Rounds of a client that does something, in which the peer does something else after the first system call, the second, and so on."""

    def __init__(self, t):
        self.stage, self.t = Stage(t, "4"), t
        self.agent = self.stage.client()
        self.wrong, self.waits = [], 0

    def connected(self):
        self.agent(f"s = connect('10.1.0.1', {self.stage.port})")
        return self.accepted()

    def accepted(self):
        p, name = self.stage.listener.accept()
        return Peer(p), kernel.Quadruplet(*name, "10.1.0.1", self.stage.port)

    def all(self, name, play, least):
        """play(after) is one round. It returns the number of calls, and the quadruplet."""
        calls, after = 1, 0
        while after < calls:
            after += 1
            told = len(self.t.events("time-wait"))
            calls, quad = play(after)
            left = ended(quad)
            events = [(quadruplet_of(e) == quad, e["state"]) for e in self.t.events("time-wait")[told:]]
            self.waits += left is not None
            if [ours for ours, _ in events] != [True] * (left == "TIME_WAIT"):
                self.wrong.append(f"{name}, after call {after}: {events} told, the kernel has {left}")
        assert after >= least, f"{name}: {after} calls"
        print(f"{name}: {after} places")

    def verdict(self):
        assert not self.wrong, f"{len(self.wrong)}:\n    " + "\n    ".join(self.wrong)
        equal(self.agent.errors(), "", "the client's stderr")


@full
@needs("strace")
@limit(240)
def test_a_fin_between_any_two_calls(t):
    """Of a close of what was shut down."""
    gaps = Gaps(t)

    def play(way, after):
        peer, quad = gaps.connected()
        for line in WAYS[way]:
            peer.do(line[len("peer: "):]) if line.startswith("peer: ") else gaps.agent(line)
        kernel.wait_until(lambda: kernel.state_of(quad) == "FIN_WAIT2", 15, "the shutdown is not answered")

        def each(calls):
            if calls == 1 and way == "data after the first call":
                peer.do("p.send(b'late')")
            if calls == after:
                peer.finish()
                ended(quad)
        calls = stopping(gaps.agent, "s.close()", each)
        peer.finish()
        return calls, quad

    for way in WAYS:
        gaps.all(way, lambda after: play(way, after), 3)
    gaps.verdict()
    assert gaps.waits > len(WAYS), f"{gaps.waits} TIME-WAITs"


@full
@needs("strace")
@limit(240)
def test_an_end_between_any_two_calls_of_a_connect_or_a_shutdown(t):
    """The peer's FIN, its reset, or data that is not read before a FIN; then the client closes."""
    gaps = Gaps(t)
    ends = {"a FIN": ["finish()"], "a reset": ["abort()"], "data and a FIN": ["p.send(b'late')", "finish()"]}

    def act(end, peer):
        for line in ends[end]:
            peer.do(line)

    def connect(end, after):
        found = []

        def each(calls):
            if calls >= after and not found and select.select([gaps.stage.listener], [], [], 0)[0]:
                found.append(gaps.accepted())
                act(end, found[0][0])
        gaps.agent("s = socket.socket()")
        # A stop inside the connect makes the kernel begin the call anew, and it may answer that the peer has reset.
        calls = stopping(gaps.agent, f"[attempt(s.connect, ('10.1.0.1', {gaps.stage.port}))] and None", each)
        if not found:
            found.append(gaps.accepted())
            act(end, found[0][0])
        gaps.agent("s.close()")
        return calls, found[0][1]

    def shutdown(end, after):
        peer, quad = gaps.connected()
        calls = stopping(gaps.agent, "[attempt(s.shutdown, SHUT_WR)] and None", lambda calls: act(end, peer) if calls == after else None)
        if calls < after:
            act(end, peer)
        gaps.agent("s.close()")
        return calls, quad

    for end in ends:
        gaps.all(f"connect, {end}", lambda after: connect(end, after), 4)
        gaps.all(f"shutdown, {end}", lambda after: shutdown(end, after), 2)
    gaps.verdict()
