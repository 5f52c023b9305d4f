"""The 24-hour history in the state file against what the kernel shows, minute by minute."""

import history
import kernel
from fixture import SHIM, equal

LOW, HIGH = 40000, 40015


def flows_of(t, clock=None):
    flows, rest = history.read(t, now=clock.now() if clock else None)
    equal(rest, 0, "counts in the rest")
    return flows


def test_minutes_have_the_kernels_numbers(t):
    """Six minutes of traffic of one client to two destinations: every minute's TIME-WAITs and closes are those that the
    kernel was left with in it."""
    sources = t.sources(11, 12)
    hold, closing = t.server(kind="hold"), t.server(kind="close")
    t.spread(sources)
    clock = history.Clock(t)
    agent = t.agent(**clock.options(SHIM))
    expected = []
    for n in range(1, 7):
        clock.next_minute()
        minute = int(clock.now()) // 60
        before = len(kernel.time_waits(hold))
        equal(agent(f"burst({10 * n}, '10.1.0.1', {hold})"), 0, "failures")
        agent(f"[(s := connect('10.1.0.1', {closing}), s.recv(9), s.close()) for _ in range({n})]; None")
        kernel.settle(hold)
        expected.append((minute, len(kernel.time_waits(hold)) - before, n))
    flows = flows_of(t, clock)
    for minute, waits, others in expected:
        got = [history.total(flows, c, minute=minute, port=p) for p, c in
               ((hold, "connects"), (hold, "time_waits"), (closing, "connects"), (closing, "closes"))]
        equal(got, [waits, waits, others, others], f"connects, TIME-WAITs, connects, closes of minute {minute}")
    equal(sorted({f.minute for f in flows}), [m for m, _, _ in expected], "minutes")
    equal({f.source for f in flows}, set(sources), "sources")
    equal({f.program for f in flows}, {"python3"}, "programs")
    equal({f.destination for f in flows}, {"10.1.0.1"}, "destinations")
    equal(kernel.by_source(hold), {s: history.total(flows, "time_waits", source=s, port=hold) for s in sources}, "TIME-WAITs by source")
    # 105 connects of the closing server leave nothing here; in each minute the hundredth of a second at most was spent.
    assert 0 < history.total(flows, "connect_us") < 10_000_000, history.total(flows, "connect_us")


def test_peak_is_what_was_taken_at_one_time(t):
    """40 open and 60 in TIME-WAIT: the peak is looked at with each 16th connect of a flow."""
    t.sources(11, 11)
    port = t.server()
    t.spread(["10.0.0.11"])
    clock = history.Clock(t)
    agent = t.agent(**clock.options(SHIM))
    clock.next_minute()
    agent(f"hold(40, '10.1.0.1', {port}), burst(60, '10.1.0.1', {port})")
    kernel.settle(port)
    taken = sum(kernel.by_source(port).values())
    equal(taken, 100, "quadruplets that the kernel has")
    peak, = [f.counts["peak"] for f in flows_of(t, clock)]
    assert taken - 16 < peak <= taken, f"peak {peak} of {taken}"


def test_failures_by_cause(t):
    """Two sources of 16 ports each: 32 connect, the next three fail; each is counted once, with its cause and outcome."""
    sources = t.sources(11, 12)
    port = t.server()
    kernel.port_range(LOW, HIGH)
    t.spread(sources, rule='on-exhausted = "error"')
    agent = t.agent()
    agent(f"hold(32, '10.1.0.1', {port})")
    for _ in range(3):
        agent(f"socket.socket().connect_ex(('10.1.0.1', {port}))")
    equal(agent("attempt(socket.socket().bind, ('10.0.0.99', 0))"), 99, "errno of a bind to a foreign address")
    flows = flows_of(t)
    equal(history.total(flows, "connects", port=port), 35, "connects")
    equal(history.total(flows, "failed", port=port), 3, "failed")
    recovered = history.total(flows, "recovered", port=port)
    equal(history.total(flows, "range-full", port=port), 3 + recovered, "range-full")
    peak = max(f.counts["peak"] for f in flows)
    equal(peak, 16, "peak of a full source")
    bound = [f for f in flows if f.source == "10.0.0.99"]
    equal([(f.destination, f.port, f.counts["failed"], f.counts["address-not-local"]) for f in bound], [("::", 0, 1, 1)], "the bind")


def test_fallback_is_counted(t):
    """The one source is full, the kernel's own choice is not."""
    t.sources(11, 11)
    port = t.server()
    kernel.port_range(LOW, HIGH)
    t.spread(["10.0.0.11"])
    agent = t.agent()
    equal(agent(f"hold(20, '10.1.0.1', {port})"), [0, 20], "errno and connections")
    flows = flows_of(t)
    equal([history.total(flows, c) for c in ("connects", "fallback", "range-full", "failed")], [20, 4, 4, 0], "connects, fallback, range-full, failed")
    equal({s: history.total(flows, "connects", source=s) for s in ("10.0.0.11", "::")}, {"10.0.0.11": 16, "::": 4}, "connects by source; :: is the kernel's choice")


def test_without_a_rule_it_counts_all_the_same(t):
    """Nothing is spread, in no mode: the history says who connected and closed."""
    port = t.server("127.0.0.1")
    t.config('mode = "observe"\npool "p" { addresses = { "10.9.9.9" } }\nrule "r" { to = { "10.9.9.8" }\n pool = "p" }\n')
    t.agent()(f"burst(25, '127.0.0.1', {port})")
    kernel.settle(port)
    flows = flows_of(t)  # of one minute, or of two
    waits = len(kernel.time_waits(port))
    equal((history.total(flows, "connects"), history.total(flows, "time_waits")), (25, waits), "connects, TIME-WAITs")
    equal({f.source for f in flows}, {"::"}, "sources")
    assert 25 - 16 < max(f.counts["peak"] for f in flows) <= 25, flows


def test_many_processes_and_programs(t):
    """Processes that know nothing of each other, of three programs: their numbers add up."""
    sources = t.sources()
    port = t.server(kind="http")
    t.spread(sources)
    agents = [t.agent() for _ in range(6)]
    for a in agents:
        a(f"burst(20, '10.1.0.1', {port})")
    for _ in range(5):
        t.run(["curl", "-s", "-o", "/dev/null", f"http://10.1.0.1:{port}/"])
    for _ in range(4):
        t.run(["bash", "-c", f"exec 3<>/dev/tcp/10.1.0.1/{port}"])
    flows = flows_of(t)
    equal({p: history.total(flows, "connects", program=p) for p in ("python3", "curl", "bash")}, {"python3": 120, "curl": 5, "bash": 4}, "connects by program")
    equal(history.total(flows, "time_waits"), len(t.events("time-wait")), "TIME-WAITs and events")


def test_more_flows_than_a_page_has_places(t):
    """300 flows of each of two processes, as a crawler's: each has its own numbers, as the file and as `stat` has them."""
    sources = t.sources(11, 110)
    port = t.server()
    t.spread(sources, pool='    policy = "round-robin"')
    clock = history.Clock(t)
    agents = [t.agent(**clock.options(SHIM)) for _ in range(2)]
    others = [t.server() for _ in range(2)]
    clock.next_minute()
    for agent in agents:
        for to in [port] + others:
            agent(f"burst(100, '10.1.0.1', {to})")
    flows, rest = history.read(t, now=clock.now())
    equal(rest, 0, "counts of the rest")
    equal(sorted(f.counts["connects"] for f in flows), [2] * 300, "connects of each flow")
    kernel.settle(port)
    equal(history.total(flows, "time_waits"), 600, "TIME-WAITs")
    equal({(f.source, f.port) for f in flows}, {(s, p) for s in sources for p in [port] + others}, "flows")


def test_a_day_later_it_starts_over(t):
    """25 hours of one connect an hour: the last 24 are there, and a stopped clock's minute is that of yesterday no more."""
    sources = t.sources(11, 11)
    port = t.server()
    t.spread(sources)
    clock = history.Clock(t)
    agent = t.agent(**clock.options(SHIM))
    clock.next_minute()
    for hour in range(25):
        agent(f"burst({hour + 1}, '10.1.0.1', {port})")
        clock.advance(3600)
    clock.advance(-3600)
    equal([f.counts["connects"] for f in flows_of(t, clock)], list(range(2, 26)), "connects by hour")


def test_killed_writers_leave_numbers_that_add_up(t):
    """Clients killed at any moment: no close without its connect, and what the others did is all there."""
    sources = t.sources()
    port = t.server()
    t.spread(sources)
    agent = t.agent()
    for _ in range(10):
        storm = t.start([t.program("burst"), "10.1.0.1", str(port), "0"])
        equal(agent(f"burst(20, '10.1.0.1', {port})"), 0, "failures")
        storm.kill()
        storm.wait()
    flows, rest = history.read(t)
    equal(history.total(flows, "connects", program="python3"), 200, "connects of the one that lives")
    connects, closes = (history.total(flows, c, program="burst") for c in ("connects", "time_waits"))
    assert connects - 20 <= closes <= connects and connects > 20, (connects, closes)
    equal(rest, 0, "counts in the rest")


def test_what_killed_clients_left_is_counted(t):
    """12 connections open when their client is killed, 5 when one execs: each TIME-WAIT that is told (all of them: see
    test_killed.py) is counted too, for the flow that its connect was counted for."""
    sources = t.sources()
    port = t.server()
    t.spread(sources)
    agent, other = t.agent(), t.agent()
    agent(f"hold(12, '10.1.0.1', {port})")
    agent.process.kill()
    agent.process.wait()
    other(f"hold(5, '10.1.0.1', {port})")
    other.send("os.execv('/bin/true', ['true'])")
    other.process.wait()
    kernel.settle(port)
    t.tool("reap", "-c", t.conf, check=0)
    told = t.events("time-wait")
    assert len(told) >= 5, len(told)
    flows = flows_of(t)
    equal((history.total(flows, "connects"), history.total(flows, "time_waits")), (17, len(told)), "connects and TIME-WAITs in the history")
    equal({f.source for f in flows}, set(sources), "sources")


def test_what_killed_clients_without_a_rule_left_is_counted(t):
    """The same where no rule matches, and the kernel chose the source: the flow is that of the connects."""
    port = t.server("127.0.0.1")
    t.config('pool "p" { addresses = { "10.9.9.9" } }\nrule "r" { to = { "10.9.9.8" }\n pool = "p" }\n')
    agent = t.agent()
    agent(f"hold(40, '127.0.0.1', {port})")
    agent.process.kill()
    agent.process.wait()
    kernel.settle(port)
    t.tool("reap", "-c", t.conf, check=0)
    told = len(t.events("time-wait"))
    t.agent()(f"hold(1, '127.0.0.1', {port})")
    flows = flows_of(t)
    equal((history.total(flows, "connects"), history.total(flows, "time_waits")), (41, told), "connects and TIME-WAITs")
    equal({f.source for f in flows}, {"::"}, "sources")
