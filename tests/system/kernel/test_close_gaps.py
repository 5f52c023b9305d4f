"""A FIN of the peer between any two system calls of a close: what the kernel has in the end is told, once, and nothing else."""

import os
import select
import signal
import subprocess

import kernel
from fixture import equal, full, limit, needs, quadruplet_of
from test_close import LINGER2, Peer, Stage

CALLS = "%network,ioctl,close"
SHUT, LATE = "s.shutdown(SHUT_WR)", "peer: p.send(b'late')"

# What is done before the client's close; then each is closed by the peer after the close's first system call, its second, and so on.
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


def close_with_fin(stage, agent, way, after):
    """One connection whose peer closes after so many calls of the client's close. Whether there were so many; its quadruplet."""
    agent(f"s = connect('10.1.0.1', {stage.port})")
    p, name = stage.listener.accept()
    quad, peer = kernel.Quadruplet(*name, "10.1.0.1", stage.port), Peer(p)
    for line in WAYS[way]:
        peer.do(line[len("peer: "):]) if line.startswith("peer: ") else agent(line)
    kernel.wait_until(lambda: kernel.state_of(quad) == "FIN_WAIT2", 15, "the shutdown is not answered")
    stops, calls = Stops(agent), 0
    agent.send("s.close()")
    while stops.next():
        calls += 1
        if calls == 1 and way == "data after the first call":
            peer.do("p.send(b'late')")
        if calls == after:
            peer.finish()
            kernel.wait_until(lambda: kernel.state_of(quad) in ("TIME_WAIT", None), 15, "the peer's FIN is not answered")
        stops.go_on()
    equal(agent.answered("s.close()"), {"value": None}, "answer of the close")
    stops.end()
    peer.finish()
    return calls >= after, quad


@full
@needs("strace")
@limit(240)
def test_a_fin_between_any_two_calls(t):
    stage, wrong, waits = Stage(t, "4"), [], 0
    agent = stage.client()
    for way in WAYS:
        enough, after = True, 0
        while enough:
            after += 1
            told = len(t.events("time-wait"))
            enough, quad = close_with_fin(stage, agent, way, after)
            kernel.wait_until(lambda: kernel.state_of(quad) in ("TIME_WAIT", None), 15, "the peer's FIN is not answered")
            left = kernel.state_of(quad)
            events = [(quadruplet_of(e) == quad, e["state"]) for e in t.events("time-wait")[told:]]
            waits += left is not None
            if [ours for ours, _ in events] != [True] * (left == "TIME_WAIT"):
                wrong.append(f"{way}, FIN after call {after}: {events} told, the kernel has {left}")
        assert after > 3, f"{way}: {after} calls at a close"
        print(f"{way}: {after - 1} places for a FIN")
    assert not wrong, f"{len(wrong)}:\n    " + "\n    ".join(wrong)
    assert waits > len(WAYS), f"{waits} TIME-WAITs"
