"""A pool with port-sharing = "never": the kernel's own table shows no source address and port twice."""

import errno

import kernel
from fixture import equal, full, limit

LOW, HIGH = 40000, 40015
FULL = errno.EADDRNOTAVAIL
NEVER = '    port-sharing = "never"\n'
ERROR = 'on-exhausted = "error"'


def host(t, low=LOW, high=HIGH, pool=NEVER, rule=ERROR):
    """Two servers, four sources."""
    sources = t.sources()
    ports = [t.server() for _ in range(2)]
    kernel.port_range(low, high)
    t.spread(sources, pool=pool, rule=rule)
    return sources, ports


def ends(port=None):
    """The local ends that are in use towards a port, open or in TIME-WAIT, each as often as it is."""
    return sorted((s.local, s.local_port) for s in kernel.sockets(None, port) if s.local.startswith("10.0.0.") and s.peer_port)


def not_shared():
    used = ends()
    assert len(used) == len(set(used)), f"ends that are used twice: {sorted(e for e in set(used) if used.count(e) > 1)}"
    return len(used)


def test_shared_without_it(t):
    """The referee's own check: 64 ends serve 128 connections to two destinations."""
    _, ports = host(t, pool="")
    agent = t.agent()
    equal([agent(f"hold(64, '10.1.0.1', {p})") for p in ports], [[0, 64], [0, 128]], "errno and connections")
    equal(ends(ports[0]), ends(ports[1]), "local ends to either")


def test_64_connections_to_all_destinations(t):
    sources, ports = host(t)
    agents = [t.agent() for _ in range(2)]
    equal([a(f"hold(16, '10.1.0.1', {p})") for a in agents for p in ports], [[0, 16], [0, 32]] * 2, "errno and connections")
    equal(not_shared(), 64, "local ends in use")
    equal(set(ends()), {(s, p) for s in sources for p in range(LOW, HIGH + 1)}, "local ends")
    equal([agents[0](f"hold(1, '10.1.0.1', {p})") for p in ports], [[FULL, 32]] * 2, "one more: errno and connections")
    event = t.events("exhausted", outcome="failed")[-1]
    equal(({s["address"] for s in event["sources"]}, {s["cause"] for s in event["sources"]}), (set(sources), {"range-full"}), "the event")
    agents[0]("reset(kept[0])")
    equal(agents[1](f"hold(2, '10.1.0.1', {ports[1]})"), [FULL, 33], "once one is free: errno and connections")


def test_not_beside_a_time_wait(t):
    _, ports = host(t)
    agent = t.agent()
    equal(agent(f"burst(40, '10.1.0.1', {ports[0]})"), 0, "failures")
    t.same_time_waits(ports[0], 40)
    equal(agent(f"hold(25, '10.1.0.1', {ports[1]})"), [FULL, 24], "errno and connections beside 40 TIME-WAITs")
    equal(not_shared(), 64, "local ends in use")


def test_a_client_that_shares_its_ports(t):
    """SO_REUSEADDR and SO_REUSEPORT, and IP_BIND_ADDRESS_NO_PORT: off for our bind, the client's again afterwards."""
    _, ports = host(t)
    agent = t.agent()
    for n, p in ((40, ports[0]), (24, ports[1])):
        equal(agent(f"""[(lambda s: (s.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1), s.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1),
s.setsockopt(SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1), attempt(s.connect, ('10.1.0.1', {p})), kept.append(s))[3])(socket.socket()) for _ in range({n})]"""),
              [0] * n, "errnos")
    equal(agent("""sorted({(number(s, SOL_SOCKET, SO_REUSEADDR), number(s, SOL_SOCKET, SO_REUSEPORT), number(s, SOL_IP, IP_BIND_ADDRESS_NO_PORT))
for s in kept})"""), [[1, 1, 1]], "options")
    equal(not_shared(), 64, "local ends in use")


def test_ports_outside_of_the_ephemeral_range(t):
    _, ports = host(t, 50000, 50015, pool=NEVER + '    ports = { "41000-41007" }\n')
    agent = t.agent()
    equal([agent(f"hold(16, '10.1.0.1', {p})") for p in ports], [[0, 16], [0, 32]], "errno and connections")
    equal(not_shared(), 32, "local ends in use")
    equal(agent(f"hold(1, '10.1.0.1', {ports[0]})"), [FULL, 32], "one more: errno and connections")


def test_ipv6_and_a_source_that_is_not_here(t):
    sources = t.sources6()
    port = t.server("fd00:2::1")
    kernel.port_range(LOW, HIGH)
    t.spread(["fd00:1::99"] + sources, pool=NEVER, rule=ERROR)
    agent = t.agent()
    equal(agent(f"hold(65, 'fd00:2::1', {port}, AF_INET6)"), [FULL, 64], "errno and connections")
    assert t.events("source-down", local_address="fd00:1::99", cause="address-not-local"), "no event of the source that is not here"


def test_a_source_without_a_way(t):
    """A bind to a port is for good: so a source is asked for its route before. The client's own connect would succeed."""
    sources, ports = host(t, rule="")
    kernel.ip("rule add pref 100 table local")
    kernel.ip("rule del pref 0")
    kernel.ip(f"rule add pref 50 from {sources[0]} prohibit")
    agent = t.agent()
    equal(agent(f"hold(20, '10.1.0.1', {ports[0]})"), [0, 20], "errno and connections")
    assert sources[0] not in {a for a, _ in ends()}, "connections from the source without a way"


def test_a_client_that_binds_its_own_address(t):
    """late-port would share the port: so it has one at once, as without us."""
    _, ports = host(t)
    agent = t.agent()
    tries = "[(lambda s: (s.bind(('10.0.0.11', 0)), attempt(s.connect, ('10.1.0.1', {p})), kept.append(s))[1])(socket.socket()) for _ in range(8)]"
    equal([agent(tries.replace("{p}", str(p))) for p in ports], [[0] * 8] * 2, "errnos")
    equal(not_shared(), 16, "local ends in use")


def test_another_endpoint_refuses(t):
    """With also-to: the port stays, and the next endpoint is asked from it."""
    sources, ports = host(t)
    t.spread(sources, to=["10.1.0.1"], pool=NEVER, rule=ERROR + '\nalso-to = { "10.1.0.1:7" }\nto-policy = "round-robin"\nto-hold-down = "100ms"')
    agent = t.agent()
    equal([agent(f"hold(32, '10.1.0.1', {p})") for p in ports], [[0, 32], [0, 64]], "errno and connections")
    equal(not_shared(), 64, "local ends in use")


def test_another_endpoint_refuses_a_source_without_a_way_to_the_own(t):
    """The port stays, so it is of a source that has a way to both."""
    sources, ports = host(t)
    kernel.add_addresses("10.1.0.2")
    kernel.ip("rule add pref 100 table local")
    kernel.ip("rule del pref 0")
    for source in sources[:3]:
        kernel.ip(f"rule add pref 50 from {source} to 10.1.0.1 prohibit")
    t.spread(sources, to=["10.1.0.1"], pool=NEVER, rule='also-to = { "10.1.0.2:7" }\nto-policy = "round-robin"\nto-hold-down = "100ms"')
    agent = t.agent()
    equal(agent(f"[(hold(1, '10.1.0.1', {ports[0]}), time.sleep(0.06))[0][0] for _ in range(16)]"), [0] * 16, "errnos")


@limit(60)
def test_a_pool_of_many_ports_is_used_up(t):
    """More than are tried in turn: what is left is searched for."""
    _, ports = host(t, 20000, 20499)
    agent = t.agent()
    equal([agent(f"hold(1000, '10.1.0.1', {p})") for p in ports], [[0, 1000], [0, 2000]], "errno and connections")
    equal(not_shared(), 2000, "local ends in use")
    equal(agent(f"hold(1, '10.1.0.1', {ports[0]})"), [FULL, 2000], "one more: errno and connections")


@limit(150)
@full
def test_many_at_once(t):
    """Eight processes and two destinations, connections that come and go: the kernel's table is looked at all the time."""
    _, ports = host(t, 20000, 20999)
    agents = [t.agent() for _ in range(8)]
    for a in agents:
        a(f"""stop = threading.Event()
def work():
    while not stop.is_set():
        for port in {ports}:
            s = connect('10.1.0.1', port)
            s.settimeout(1)
            reset(s)
worker = threading.Thread(target=work)
worker.start()""")
    assert max(not_shared() for _ in range(50)) > 0, "no connection was ever seen"
    for a in agents:
        equal(a("worker.is_alive()"), True, "it still connects")
    for a in agents:
        a("stop.set() or worker.join()")
        a.end()
    equal(t.events("exhausted", outcome="failed"), [], "failures")
