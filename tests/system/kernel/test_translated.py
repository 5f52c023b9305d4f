"""Destinations that are translated at connect: the log has the connection that the kernel has, and the name that was asked for."""

import os

import connect4
import kernel
from fixture import Skip, equal, limit, quadruplet_of
from follower import Recorder
from test_aftermath import account

SERVICE = "10.96.0.1"


def in_cgroup(t, body):
    """body(agent) with an agent whose connects to SERVICE come to 10.1.0.1."""
    path = connect4.cgroup()
    if not path:
        raise Skip("no cgroup2 is mounted here")
    agent = t.agent()
    try:
        connect4.translate(path, SERVICE, "10.1.0.1")
        pid = agent("os.getpid()")
        with open(os.path.join(path, "cgroup.procs"), "w") as f:
            f.write(str(pid))
        body(agent)
    finally:
        agent.end()
        kernel.wait_until(lambda: not open(os.path.join(path, "cgroup.procs")).read(), 5, "processes in the cgroup")
        os.rmdir(path)


def check(t, verify):
    t.spread(t.sources(), to=[SERVICE], top=f'log {{ verify = "{verify}" }}')
    port = t.server()

    def body(agent):
        equal(agent(f"burst(20, '{SERVICE}', {port})"), 0, "failures")
        equal(agent(f"burst(3, '10.1.0.1', {port})"), 0, "failures")
    in_cgroup(t, body)
    kernel.settle(port)
    events = t.events("time-wait")
    equal(sorted(map(quadruplet_of, events)), sorted(kernel.time_waits(port)), "quadruplets of events, and the kernel's")
    asked = [(e.get("asked_address"), e.get("asked_port"), e["rule"]) for e in events]
    equal(sorted(asked, key=str), sorted([(SERVICE, port, "r")] * 20 + [(None, None, "")] * 3, key=str), "what was asked for, by which rule")
    equal({e["verified"] for e in events}, {True}, "verified")
    equal(t.events("time-wait-gone"), [], "events of what is gone")
    assert f" asked for {SERVICE} port {port}, rule r" in t.tool("log", "-c", t.conf, check=0).stdout, "the text"


@limit(60)
def test_what_was_asked_for_and_what_is_connected(t):
    check(t, "auto")


@limit(60)
def test_what_a_verified_close_left(t):
    """The kernel is asked for the peer that the socket has: under the other name it knows nothing."""
    check(t, "always")


@limit(60)
def test_a_recorders_file(t):
    recorder = Recorder(t)
    recorder.create()
    recorder.start("--keep")
    port = t.server()
    in_cgroup(t, lambda agent: equal(agent(f"burst(20, '{SERVICE}', {port})"), 0, "failures"))
    kernel.settle(port)
    kernel.wait_until(lambda: sum(account(recorder.lines_so_far(), port)[0].values()) == 20, 10, "20 time-waits in the file")
    rest, gone = account(recorder.lines_so_far(), port)
    equal((sorted(rest), gone), (sorted(kernel.time_waits(port)), []), "time-waits, and what is gone")
    equal({e["asked_address"] for e in recorder.lines_so_far() if e["event"] == "time-wait"}, {SERVICE}, "what was asked for")
    recorder.stop()
