"""Children that share their parent's memory, but not its descriptor table: what they close stays open in the parent, and is told when
the parent closes it."""

import re
import subprocess

import kernel
from fixture import equal, needs

N = 20


def closes_change_nothing(t, program, kind):
    sources = t.sources()
    port = t.server()
    t.spread(sources)
    client = subprocess.Popen([t.program(program), kind, "10.1.0.1", str(port), str(N)], env=t.environment(), stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    equal(client.stdout.readline(), "open\n", "first line")
    equal(len(kernel.sockets("ESTABLISHED", port)), N, "open connections after the child's closes")
    equal(t.events("time-wait"), [], "time-wait events by then")
    client.stdin.close()
    equal(client.wait(10), 0, "exit status")
    t.same_time_waits(port, N)


def test_vfork(t):
    closes_change_nothing(t, "sharers", "vfork")


def test_clone(t):
    closes_change_nothing(t, "sharers", "clone")


def test_vfork_in_a_new_fork_child(t):
    closes_change_nothing(t, "sharers", "forked")


def test_a_vfork_that_is_not_ours(t):
    closes_change_nothing(t, "own_vfork", "vfork")


def test_a_dup2_in_a_vfork_child(t):
    """A standard descriptor that is a connection of the parent's is another file in the child: the parent's is told as what it is."""
    t.spread(t.sources())
    port = t.server()
    agent = t.agent()
    agent(f"s = connect('10.1.0.1', {port}); os.dup2(s.fileno(), 2); s.close()")
    agent("subprocess.run(['true'], stderr=subprocess.DEVNULL)")
    equal(len(kernel.sockets("ESTABLISHED", port)), 1, "open connections after the child's dup2")
    agent("os.close(2)")
    t.same_time_waits(port, 1)
    equal([(e["rule"], e["via"]) for e in t.events("time-wait")], [("r", "close")], "rule of the connection, and how it ended")


@needs("strace")
def test_nobody_asks_before_there_can_be_one(t):
    """getpid at the closes of a program that made such a child, and of one whose vfork is its own; none before."""
    sources = t.sources()
    port = t.server()
    t.spread(sources)

    def closes(program, kind):
        out = t.run(["strace", "-f", "-o", "/dev/stdout", "-e", "trace=getpid,vfork,clone", "-E", "LD_PRELOAD=" + t.environment()["LD_PRELOAD"],
                     t.program(program), kind, "10.1.0.1", str(port), str(N)], bare=True, input="\n", CONNSPREAD_CONF=t.conf).stdout
        before, after = re.split(r"\bvfork\(|clone\(", out, maxsplit=1)
        return before.count("getpid"), after.count("getpid")

    before, after = closes("sharers", "vfork")
    assert before <= 2, f"{before} times getpid before the first vfork"
    assert after >= 2 * N, f"{after} times getpid at {2 * N} closes after it"
    assert closes("own_vfork", "vfork")[1] >= 2 * N
