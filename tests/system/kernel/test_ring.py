"""The log under fire: clients killed in the middle of a burst, many writers at once, more events than the ring holds."""

import collections
import json
import random
import re
import signal
import time

import kernel
from fixture import TOOL, equal, limit, quadruplet_of

LOST = re.compile(r"(\d+) events lost")


def counted_lost(t):
    """What `connspread log` says on stderr that it could not show."""
    return sum(int(n) for n in LOST.findall(t.log_stderr))


@limit(120)
def test_sigkill_in_a_burst(t):
    """Three clients, and beside them three that are killed in turn, at random: the others finish, all their events are there, no event is false."""
    sources = t.sources()
    t.spread(sources)
    ports = [t.server() for _ in range(5)]  # the last three: one for each victim
    n = 1500
    burst = t.program("burst")
    survivors = [t.start([burst, "10.1.0.1", str(ports[i % 2]), str(n)]) for i in range(3)]
    victims, rng = [], random.Random(1)
    for port in ports[2:]:
        victim = t.start([burst, "10.1.0.1", str(port), "0"])
        victims.append(victim)
        kernel.wait_until(lambda: len(kernel.time_waits(port)) > 20, 15, "a victim does not begin its burst")
        time.sleep(rng.uniform(0.02, 0.1))
        victim.send_signal(signal.SIGKILL)
        equal(victim.wait(), -9, "a victim's status")
    equal([s.wait(timeout=60) for s in survivors], [0] * 3, "the survivors' exit status")
    kernel.wait_until(lambda: all(s.state in kernel.SETTLED for s in kernel.sockets()), 20, "connections go on")
    waits = {wait for wait in kernel.time_waits() if wait.peer_port in ports}
    events = t.events()
    closes = [e for e in events if e["event"] == "time-wait" and e["via"] != "killed"]
    lost = counted_lost(t)
    equal(len({(e["epoch"], e["seq"]) for e in events}), len(events), "distinct (epoch, seq)")
    per_pid = collections.Counter(e["pid"] for e in closes)
    told = {quadruplet_of(e) for e in closes}
    equal(len(told), len(closes), "distinct quadruplets of closes")
    false = told - waits
    equal(sorted(false)[:5], [], f"events without a TIME-WAIT, of {len(false)}")
    told_of = [per_pid[s.pid] for s in survivors]
    assert sum(n - m for m in told_of) <= lost, f"events of survivors {told_of} of {n} each, {lost} counted as lost"
    # A victim can have died between its close and its event, or with its connection open: at most one each.
    missing = len(waits - told)
    assert missing <= len(victims) + lost, f"{missing} TIME-WAITs without an event: {len(victims)} victims, {lost} counted as lost"
    assert lost <= len(victims), f"{lost} events lost, of {len(victims)} victims"
    assert all(per_pid[v.pid] > 10 for v in victims), "a victim was killed before its burst"
    written = [e["seq"] for e in events if e["seq"] < 1 << 51]  # what log computes of the dead has numbers beyond
    gaps = max(written) - min(written) + 1 - len(written)
    assert gaps <= len(victims) + lost, f"{gaps} sequence numbers are missing, {lost} events are counted as lost"


@limit(120)
def test_many_writers(t):
    """32 processes at once: every event once."""
    t.spread(t.sources())
    ports = [t.server() for _ in range(2)]
    clients = [t.start([t.program("burst"), "10.1.0.1", str(ports[i % 2]), "100"]) for i in range(32)]
    equal([c.wait(timeout=90) for c in clients], [0] * 32, "exit status")
    for port in ports:
        kernel.settle(port, 20)
    waits = sorted(kernel.time_waits(ports[0]) + kernel.time_waits(ports[1]))
    equal(t.time_wait_events(), waits, "quadruplets of time-wait events")
    equal(t.log_stderr, "", "what `connspread log` complains of")
    equal(len(waits), 3200, "connections")


def test_more_than_the_ring_holds(t):
    """The newest events are there; the number of the others is told."""
    t.spread(t.sources(), top='log { size = "128k" }')
    port = t.server()
    t.run([t.program("burst"), "10.1.0.1", str(port), "3000"])
    events = t.events("time-wait")
    lost = counted_lost(t)
    assert 100 <= len(events) < 3000, f"{len(events)} of 3000 events in a ring of 128k"
    assert lost in (0, 3000 - len(events)), f"{len(events)} events, {lost} lost"  # nobody was reading when they went
    seqs = [e["seq"] for e in events]
    equal(seqs, list(range(seqs[0], seqs[0] + len(seqs))), "sequence numbers")
    kernel.settle(port)
    ages = [e["time"] for e in events]
    equal(ages, sorted(ages), "times")
    before = t.events("attach")[0]["seq"]
    equal(seqs[-1] - before, 3000, "the last event's distance from the attach event")


def test_closes_do_not_evict_incidents(t):
    """An exhausted event outlives any number of closes."""
    t.spread(t.sources(), to=["192.0.2.1"], top='log { size = "128k" }')
    port = t.server()
    agent = t.agent()
    agent("attempt(socket.socket().bind, ('192.0.2.9', 0))")
    t.run([t.program("burst"), "10.1.0.1", str(port), "3000"])
    equal(len(t.events("exhausted")), 1, "exhausted events")
    assert t.events("attach", pid=agent.pid), "the agent's attach event is gone"


def test_follow(t):
    """log -f shows what comes, while it comes."""
    t.spread(t.sources())
    port = t.server()
    agent = t.agent()
    agent(f"burst(5, '10.1.0.1', {port})")
    follower = t.start([TOOL, "log", "-f", "-o", "json", "-c", t.conf], bare=True)
    path = f"{t.folder}/out{t.count}"

    def lines():
        with open(path) as f:
            return [json.loads(line) for line in f if line.endswith("\n")]  # the last one may be on its way

    kernel.wait_until(lambda: len([e for e in lines() if e["event"] == "time-wait"]) == 5, 15, "the five events that were there")
    agent(f"burst(7, '10.1.0.1', {port})")
    kernel.wait_until(lambda: len([e for e in lines() if e["event"] == "time-wait"]) == 12, 15, "the seven that came")
    equal(sorted(e["seq"] for e in lines()), [e["seq"] for e in lines()], "order")
    follower.terminate()
    follower.wait(timeout=5)


def test_attach_and_detach(t):
    """attach at a process's first connect, none without one; detach when it ends."""
    t.spread(t.sources())
    port = t.server()
    idle, busy = t.agent(), t.agent()
    idle("socket.socket().close()")
    busy(f"burst(3, '10.1.0.1', {port})")
    equal([e["pid"] for e in t.events("attach")], [busy.pid], "attach events")
    idle.end()
    busy.end()
    equal([e["pid"] for e in t.events("detach")], [busy.pid], "detach events")
    equal([e["pid"] for e in t.events("attach")], [busy.pid], "attach events")
