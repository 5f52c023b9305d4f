"""Four ways to EADDRNOTAVAIL, each staged for an unmodified client, and what its `exhausted` event must say.

The conclusions were written down first:

| staged | call | cause | proof | occupied_by | what tells |
|---|---|---|---|---|---|
| a client's own short-lived connections | connect | range-full | search | instance | its TIME-WAITs are all there can be |
| another process's connections | connect | range-full | search | others | the kernel has them, the instance has not |
| another process binds the ports explicitly | connect | range-full | search | bound-ports | no connections, but bound sockets |
| the source address is gone: of the pool | connect | address-not-local | bind, then hold-down | unknown | |
| the same: of the client's own bind | bind | address-not-local | bind | unknown | |
| IPv6 is disabled | connect | family-disabled | route | unknown | |
| the client's own port is taken | connect | port-busy | bound-port | unknown | the quadruplet's state |
"""

import errno
import json

import history
import kernel
from fixture import equal, seconds

LOW, HIGH = 40000, 40031
PORTS = HIGH - LOW + 1


def narrow(t, address="10.1.0.1", low=LOW, high=HIGH):
    """A server outside the range that clients are then left with."""
    port = t.server(address)
    kernel.port_range(low, high)
    return port


def one_event(t, **match):
    """The only exhausted event that reached the client or its own call."""
    found = [e for e in t.events("exhausted", **match) if e["outcome"] != "recovered"]
    equal(len(found), 1, "exhausted events")
    return found[0]


def says(event, **want):
    got = {k: event[k] for k in want}
    equal(got, want, f"of {json.dumps(event)}")


def verdict(event):
    return event["call"], event["cause"], event["outcome"], event["proof"], event["occupied_by"]


def fail(t, port, address="10.1.0.1", bare=False, **options):
    """An unmodified client that tries once: bash, to its own exit status."""
    return t.run(["bash", "-c", f"exec 3<>/dev/tcp/{address}/{port}"], check=False, bare=bare, **options)


def test_own_short_lived_connections(t):
    """burst connects and closes until nothing is left: 32 ports, of which 4 are reserved."""
    t.sources(11, 11)
    port = narrow(t)
    kernel.sysctl("net.ipv4.ip_local_reserved_ports", f"{LOW}-{LOW + 1},{HIGH - 1}-{HIGH},9999")
    done = t.run([t.program("burst"), "10.1.0.1", str(port), "100"], check=False)
    equal((done.returncode, done.stderr), (1, "connect: Cannot assign requested address\n"), "burst")
    event = one_event(t)
    equal(verdict(event), ("connect", "range-full", "failed", "search", "instance"), "verdict")
    says(event, program="burst", peer_address="10.1.0.1", peer_port=port, capacity=28, reserved_ports=4, bound_ports=0)
    equal((event["recent"]["connects"], event["recent"]["time_waits"]), (28, 28), "recent connects and TIME-WAITs")
    source, = event["sources"]
    held = kernel.by_source(port)
    equal({source["address"]: 28}, held, "the source, and what the kernel has from it")
    equal((source["open"], source["time_wait"]), (0, 28), "open and in TIME-WAIT through this instance")
    count = source["kernel"]  # the last one's server may not have closed its side yet
    equal((count["time_wait"] + count["fin_wait"], count["established"], count["other"], count["complete"]), (28, 0, 0, True), "the kernel's count")
    flows, _ = history.read(t, "default")
    equal(history.total(flows, "range-full"), 1, "range-full in the history")


def test_own_connections_of_a_pool(t):
    """Two sources, both full: half of it open, half in TIME-WAIT; each source with its own numbers."""
    sources = t.sources(11, 12)
    port = narrow(t)
    t.spread(sources, rule='on-exhausted = "error"')
    agent = t.agent()
    agent(f"hold({PORTS}, '10.1.0.1', {port}), burst({PORTS}, '10.1.0.1', {port})")
    kernel.settle(port)
    fail(t, port)
    event = one_event(t)
    assert verdict(event)[:3] == ("connect", "range-full", "failed") and event["occupied_by"] == "instance", event
    says(event, program="bash", rule="r", capacity=PORTS)
    for s in event["sources"]:
        of = [x for x in kernel.sockets(to_port=port) if x.local == s["address"]]
        count = {"established": sum(x.state == "ESTABLISHED" for x in of), "time_wait": sum(x.state == "TIME_WAIT" for x in of)}
        equal({k: s["kernel"][k] for k in count}, count, f"the kernel's count of {s['address']}")
        equal(s["open"] + s["time_wait"], PORTS, f"quadruplets of {s['address']} through this instance")
    equal(event["recent"]["connects"], 0, "recent connects of bash, which made none before")


def test_other_processes_connections(t):
    """A client that is not watched holds all quadruplets."""
    t.sources(11, 11)
    port = narrow(t)
    t.spread(["10.0.0.11"], rule='on-exhausted = "error"')
    hoarder = t.agent(bare=True)
    hoarder(f"[(s := socket.socket(), s.setsockopt(SOL_IP, 24, 1), s.bind(('10.0.0.11', 0)), s.connect(('10.1.0.1', {port})), kept.append(s)) for _ in range({PORTS})]; None")
    fail(t, port)
    event = one_event(t)
    equal(verdict(event), ("connect", "range-full", "failed", "search", "others"), "verdict")
    source, = event["sources"]
    equal((source["open"], source["time_wait"], source["kernel"]["established"]), (0, 0, PORTS), "ours, ours, the kernel's")


def hoard(t):
    """Another process binds every port of the range, and does nothing with them."""
    hoarder = t.agent(bare=True)
    hoarder(f"[(s := socket.socket(), s.bind(('10.0.0.12', p)), kept.append(s)) for p in range({LOW}, {HIGH + 1})]; None")
    return hoarder


def test_explicit_binds_without_a_rule(t):
    t.sources(11, 12)
    port = narrow(t)
    t.config('pool "p" { addresses = { "10.9.9.9" } }\nrule "r" { to = { "10.9.9.8" }\n pool = "p" }\n')
    hoarder = hoard(t)
    done = fail(t, port)
    assert "Cannot assign requested address" in done.stderr, done.stderr
    event = one_event(t)
    equal(verdict(event), ("connect", "range-full", "failed", "search", "bound-ports"), "verdict")
    says(event, program="bash", capacity=PORTS, reserved_ports=0, bound_ports=PORTS)
    equal(sum(v for k, v in event["sources"][0]["kernel"].items() if k != "complete"), 0, "connections that the kernel has")
    hoarder.end()


def test_explicit_binds_with_a_pool(t):
    """The same with two sources: neither has room, and the fallback has none either."""
    sources = t.sources(11, 12)
    port = narrow(t)
    t.spread(sources)
    hoard(t)
    fail(t, port)
    event = one_event(t)
    equal(verdict(event), ("connect", "range-full", "failed", "search", "bound-ports"), "verdict")
    says(event, bound_ports=PORTS)
    equal(sorted(s["address"] for s in event["sources"]), sources, "sources")


def test_source_address_removed(t):
    """The pool's only address is taken from the host: the client connects by its own call, and each time an event says why."""
    t.sources(11, 12)
    port = t.server()
    t.spread(["10.0.0.12"])
    agent = t.agent()
    equal(agent(f"burst(1, '10.1.0.1', {port})"), 0, "failures before")
    kernel.ip("addr del 10.0.0.12/32 dev lo")
    equal(agent(f"burst(2, '10.1.0.1', {port})"), 0, "failures after")
    events = t.events("exhausted")
    equal([verdict(e) for e in events],
          [("connect", "address-not-local", "fallback", proof, "unknown") for proof in ("bind", "hold-down")], "verdicts")
    for e in events:
        says(e, program="python3", peer_address="10.1.0.1", peer_port=port)
        equal([(s["address"], s["cause"]) for s in e["sources"]], [("10.0.0.12", "address-not-local")], "sources")
    flows, _ = history.read(t)
    equal((history.total(flows, "address-not-local"), history.total(flows, "fallback")), (2, 2), "in the history")


def test_one_of_two_source_addresses_removed(t):
    """The other one carries on: nothing failed, so there is no exhausted event, only source-down."""
    sources = t.sources(11, 12)
    port = t.server()
    t.spread(sources)
    kernel.ip("addr del 10.0.0.12/32 dev lo")
    equal(t.agent()(f"burst(6, '10.1.0.1', {port})"), 0, "failures")
    equal((t.events("exhausted"), len(t.events("source-down", local_address="10.0.0.12"))), ([], 1), "exhausted and source-down events")


def test_own_bind_to_an_address_that_is_gone(t):
    """curl --interface, as an operator configured it when the address was still there."""
    t.sources(11, 11)
    port = t.server()
    done = t.run(["curl", "-s", "--interface", "host!10.0.0.99", f"http://10.1.0.1:{port}/"], check=False)
    equal(done.returncode, 45, "curl: interface failed")
    event = t.events("exhausted")[0]
    equal(verdict(event), ("bind", "address-not-local", "failed", "bind", "unknown"), "verdict")
    says(event, program="curl", local_address="10.0.0.99")


def test_ipv6_disabled(t):
    port = t.server("::1")
    kernel.sysctl("net.ipv6.conf.all.disable_ipv6", 1)
    done = t.run(["curl", "-s", "-S", f"http://[::1]:{port}/"], check=False)
    equal(done.returncode, 7, "curl: could not connect")
    event = one_event(t)
    equal(verdict(event), ("connect", "family-disabled", "failed", "route", "unknown"), "verdict")
    says(event, program="curl", peer_address="::1", peer_port=port)
    flows, _ = history.read(t, "default")
    equal(history.total(flows, "family-disabled"), 1, "in the history")


def test_ipv6_disabled_under_a_pool(t):
    """The pool's own IPv6 addresses have gone with the family; the last try, the client's own call, tells why."""
    sources = t.sources6(11, 12)
    port = t.server("::1")
    t.spread(sources + ["::1"], to=("[::1]",))
    kernel.sysctl("net.ipv6.conf.all.disable_ipv6", 1)
    done = t.run(["curl", "-s", f"http://[::1]:{port}/"], check=False)
    equal(done.returncode, 7, "curl: could not connect")
    event = one_event(t)
    equal(verdict(event), ("connect", "family-disabled", "failed", "route", "unknown"), "verdict")
    equal([(s["address"], s["cause"]) for s in event["sources"]], [("::1", "address-not-local"), ("::", "family-disabled")], "sources")


def test_own_port_is_taken(t):
    """A client that always binds the same port: its last connection is still in TIME-WAIT."""
    t.sources(11, 11)
    port = t.server()
    agent = t.agent()
    again = f"(s := socket.socket(), s.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1), s.bind(('10.0.0.11', 50000)), s.connect_ex(('10.1.0.1', {port})), s.close())[3]"
    kernel.sysctl("net.ipv4.tcp_timestamps", 0)  # with them the kernel reuses the TIME-WAIT
    equal(agent(again), 0, "errno of the first")
    kernel.settle(port)
    equal(agent(again), errno.EADDRNOTAVAIL, "errno of the second")
    event = one_event(t)
    equal(verdict(event), ("connect", "port-busy", "failed", "bound-port", "unknown"), "verdict")
    says(event, local_address="10.0.0.11", local_port=50000, capacity=1)
    source, = event["sources"]
    equal((source["address"], source["ports"], source["kernel"]["time_wait"]), ("10.0.0.11", "50000-50000", 1), "the quadruplet")


def test_the_kernel_is_counted_once_in_5_seconds_by_all_processes(t):
    """Ten clients fail at once: all have their event, one of them counted; the next count comes 5 s after (a slow machine
    may get there)."""
    t.sources(11, 11)
    port = narrow(t)
    t.spread(["10.0.0.11"], rule='on-exhausted = "error"')
    t.agent()(f"hold({PORTS}, '10.1.0.1', {port})")
    clients = [t.start(["bash", "-c", f"exec 3<>/dev/tcp/10.1.0.1/{port}"]) for _ in range(10)]
    for c in clients:
        c.wait()
    events = t.events("exhausted", outcome="failed")
    counted = [e for e in events if e["sources"][0]["kernel"]]
    equal(len(events), 10, "exhausted events")
    times = sorted(seconds(e["time"]) for e in counted)
    assert counted and len(counted) < 10, f"{len(counted)} of 10 events have a kernel count"
    assert all(b - a > 4.9 for a, b in zip(times, times[1:])), f"two counts within 5 s: {times}"
    late = [e["time"] for e in events if min(abs(seconds(e["time"]) - at) for at in times) > 5.1]
    assert not late, f"no count although the last was 5 s before: {late}"
    assert all(e["occupied_by"] == "instance" for e in events), [e["occupied_by"] for e in events]


def test_a_large_range_is_estimated(t):
    """10,000 ports, 6,000 of them in TIME-WAIT, the others bound by somebody: more than are looked at one by one. The
    estimate is within 6 %; the connect that fails leaves no descriptor open and takes no longer than its own search does
    by much."""
    t.sources(11, 12)
    port = t.server()
    kernel.port_range(20000, 29999)
    t.spread(["10.0.0.11"], rule='on-exhausted = "error"')
    agent = t.agent()
    equal(agent(f"burst(6000, '10.1.0.1', {port})"), 0, "failures")
    kernel.settle(port)
    taken = {s.local_port for s in kernel.sockets(to_port=port)}
    equal(len(taken), 6000, "quadruplets that the kernel has")
    hoarder = t.agent(bare=True)
    hoarder("import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (10000, 10000))")
    hoarder(f"[(s := socket.socket(), kept.append(s), s.bind(('10.0.0.12', p))) for p in {sorted(set(range(20000, 30000)) - taken)}]; None")
    agent("before = os.listdir('/proc/self/fd')")
    took = agent("time.process_time()")  # of a processor: others may have it meanwhile
    equal(agent(f"socket.socket().connect_ex(('10.1.0.1', {port}))"), errno.EADDRNOTAVAIL, "errno")
    took = agent("time.process_time()") - took
    equal(agent("os.listdir('/proc/self/fd') == before"), True, "the same descriptors as before")
    event = one_event(t)
    count = event["sources"][0]["kernel"]
    assert not count["complete"] and abs(count["time_wait"] - 6000) < 600, count
    assert abs(event["bound_ports"] - 4000) < 600, event["bound_ports"]
    equal((event["capacity"], event["occupied_by"]), (10000, "bound-ports"), "capacity and who has it")
    assert took < 0.25, f"{took * 1000:.0f} ms"


def test_a_client_without_free_descriptors_gets_its_event_all_the_same(t):
    """There is no descriptor left for looking: what the shim knows by itself is told, and the client's errno is its own."""
    t.sources(11, 11)
    port = narrow(t)
    t.spread(["10.0.0.11"], rule='on-exhausted = "error"')
    agent = t.agent()
    agent(f"hold({PORTS}, '10.1.0.1', {port})")
    agent("s = socket.socket(); import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (s.fileno() + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))")
    equal(agent("attempt(socket.socket)"), errno.EMFILE, "errno of a further socket")
    equal(agent(f"attempt(s.connect, ('10.1.0.1', {port}))"), errno.EADDRNOTAVAIL, "errno of the connect")
    event = one_event(t, call="connect")
    equal(verdict(event)[:3], ("connect", "range-full", "failed"), "verdict")
    source, = event["sources"]
    equal((source["open"], source["kernel"], event["capacity"], event["bound_ports"]), (PORTS, None, 0, None), "open, the kernel's count, capacity, bound ports")
    equal(event["recent"]["connects"], PORTS, "recent connects")
    further = one_event(t, call="socket")
    equal((further["cause"], further["error"], further["program"]), ("descriptors", "EMFILE", "python3"), "the event of the socket that could not be made")
