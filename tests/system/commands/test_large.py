"""Commands that read a state file that is as large as one gets."""

import os

from fixture import equal, full, limit
from measured import measured

OPEN = 1048576     # connections
PAIRS = 500000
LIVING, DEAD = 60, 200  # MB: a connection that is told takes room until it is, no other does
SECONDS = 60       # a hang would be longer on any machine; the figures that hold are in tests/README.md


def stage(t, n, whose):
    t.spread(["127.0.1.1"], top='log { size = "32M" closes = "all" }')
    t.run(["/bin/true"], via="run")
    t.run([t.program("commands/large"), os.path.join(t.state, "test.state"), str(n), str(PAIRS), whose], bare=True, timeout=100)


def bounded(t, most, *command):
    printed, took, peak = measured(t, *command)
    assert took < SECONDS and peak < most, f"{command[0]}: {took:.1f} s, {peak:.0f} MB"
    return printed


@full
def test_living(t):
    """1,048,576 connections open, 500,000 pairs, rings and statistics and history full: log, stat, report are bounded."""
    stage(t, OPEN, "living")
    assert bounded(t, LIVING, "log").count("\n") > 50000, "log has not printed the ring"
    for command in ("stat", "report", "ls"):
        assert bounded(t, LIVING, command), f"{command} printed nothing"


@full
@limit(240)
def test_killed(t):
    """The same, and the processes of all of them were killed: those that only read tell each end, too."""
    stage(t, OPEN, "dead")
    ends = bounded(t, DEAD, "log", "-o", "json", "--event", "time-wait,close").count('"via":"killed"')
    equal(ends, OPEN, "ends that log told")
    for command in ("stat", "report", "ls"):
        assert bounded(t, DEAD, command), f"{command} printed nothing"
