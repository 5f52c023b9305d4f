"""Outbound connections are spread over the sources that the matching rule's pool names."""

import collections

import kernel
from fixture import PYTHON, equal

ONE_PROCESS = """
import socket, sys
for _ in range(int(sys.argv[3])):
    s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
    s.close()
"""


def evenly(port, sources, each, slack=2):
    kernel.settle(port)
    used = kernel.by_source(port)
    assert set(used) == set(sources) and all(abs(n - each) <= slack for n in used.values()), \
        f"connections per source by the kernel: {dict(used)}, want {each} +- {slack} of each of {sources}"


def all_in(port, allowed):
    """Every connection to this port left from one of these addresses, and each of these was used."""
    equal(set(kernel.by_source(port)), set(allowed), "source addresses by the kernel")


# --- policies ---

def test_round_robin_in_one_process(t):
    """400 connections of one unmodified client over 4 sources, under connspread run: 100 +- 2 each."""
    sources = t.sources()
    port = t.server()
    t.spread(sources)
    t.python(ONE_PROCESS, "10.1.0.1", port, 400, via="run")
    evenly(port, sources, 100)


def test_round_robin_over_many_processes(t):
    """40 short-lived processes of 10 connections share the counter: 100 +- 2 each."""
    sources = t.sources()
    port = t.server()
    t.spread(sources)
    for _ in range(20):  # two at a time, so that processes overlap
        pair = [t.start([PYTHON, "-S", "-c", ONE_PROCESS, "10.1.0.1", str(port), "10"]) for _ in range(2)]
        equal([p.wait(timeout=20) for p in pair], [0, 0], "exit status")
    evenly(port, sources, 100)


def test_random(t):
    """random: every source gets its share, and not in turn."""
    sources = t.sources()
    port = t.server()
    t.spread(sources, pool='policy = "random"')
    agent = t.agent()
    order = agent(f"[connect('10.1.0.1', {port}).getsockname()[0] for _ in range(400)]")
    evenly(port, sources, 100, slack=40)  # 4.6 standard deviations
    repeats = sum(a == b for a, b in zip(order, order[1:]))
    assert 60 <= repeats <= 140, f"{repeats} of 399 connections left from the source of the one before, want about 100"
    agent.end()


def test_random_leaves_rand_alone(t):
    """The client's own rand() sequence is not touched."""
    t.spread(t.sources(), pool='policy = "random"')
    port = t.server()
    code = f"libc.srand(7), [(libc.rand(), connect('10.1.0.1', {port}).close())[0] for _ in range(20)]"
    shim, bare = t.agent(), t.agent(bare=True)
    equal(shim(code)[1], bare(code)[1], "rand() after srand(7)")
    t.attached(pid=shim.pid)


def test_hash(t):
    """hash: one destination always has one source, in every process; many destinations use all sources."""
    sources = t.sources()
    destinations = kernel.addresses("10.1.1.", 1, 40)
    kernel.add_addresses(*destinations)
    port = t.server("")
    t.spread(sources, pool='policy = "hash"')
    code = f"[[connect('10.1.1.%d' % n, {port}).getsockname()[0] for n in range(1, 41)] for _ in range(3)]"
    first, second = t.agent(), t.agent()
    rows = first(code) + second(code)
    assert all(row == rows[0] for row in rows), "a destination changed its source"
    used = collections.Counter(rows[0])
    assert set(used) == set(sources) and max(used.values()) <= 24, f"40 destinations over 4 sources: {dict(used)}"


# --- kinds of socket ---

def test_ipv6(t):
    sources = t.sources6()
    port = t.server("fd00:2::1")
    t.spread(sources)
    equal(t.agent()(f"burst(40, 'fd00:2::1', {port}, AF_INET6)"), 0, "failures")
    evenly(port, sources, 10, 0)


def test_v4_mapped(t):
    """An AF_INET6 socket to ::ffff:10.1.0.1 uses IPv4 sources and IPv4 rules."""
    sources = t.sources()
    port = t.server()
    t.spread(sources, to=["10.1.0.0/24"])
    equal(t.agent()(f"burst(40, '::ffff:10.1.0.1', {port}, AF_INET6)"), 0, "failures")
    evenly(port, sources, 10, 0)


def test_mixed_families(t):
    """A pool of both families: each destination gets the sources of its own."""
    four, six = t.sources(), t.sources6()
    port = t.server("")
    t.spread(four + six)
    agent = t.agent()
    equal(agent(f"burst(20, '10.1.0.1', {port}) + burst(20, 'fd00:2::1', {port}, AF_INET6)"), 0, "failures")
    evenly(port, four + six, 5, 0)


def test_mptcp(t):
    sources = t.sources()
    port = t.server()
    t.spread(sources)
    equal(t.agent()(f"burst(40, '10.1.0.1', {port}, AF_INET, MPTCP)"), 0, "failures")
    evenly(port, sources, 10, 0)


def test_fast_open(t):
    """sendto(MSG_FASTOPEN) connects, too."""
    kernel.sysctl("net.ipv4.tcp_fastopen", 3)
    sources = t.sources()
    port = t.server("10.1.0.1", "echo")
    t.spread(sources)
    agent = t.agent()
    agent("def fast(port):\n s = socket.socket(); s.sendto(b'x', MSG_FASTOPEN, ('10.1.0.1', port)); s.recv(1); s.close()")
    agent(f"[fast({port}) for _ in range(20)]")
    evenly(port, sources, 5, 0)


def test_nonblocking_with_epoll(t):
    """A non-blocking socket registered in epoll before its connect is spread and becomes writable."""
    sources = t.sources()
    port = t.server()
    t.spread(sources)
    agent = t.agent()
    agent("""def one(port):
    s = socket.socket()
    s.setblocking(False)
    e = select.epoll()
    e.register(s, select.EPOLLOUT | select.EPOLLET)
    result = s.connect_ex(('10.1.0.1', port))
    events = e.poll(2)
    while events and events[0][1] & select.EPOLLHUP:
        events = e.poll(2)
    kept.append(s)
    return result in (0, errno.EINPROGRESS) and events == [(s.fileno(), select.EPOLLOUT)] and s.getsockopt(SOL_SOCKET, SO_ERROR) == 0 and s.getpeername()[1] == port""")
    equal(agent(f"[one({port}) for _ in range(40)]"), [True] * 40, "connected through epoll")
    evenly(port, sources, 10, 0)


# --- what the client bound itself ---

def test_own_port_is_left_alone(t):
    """bind(address, port) decides: the connection leaves from there."""
    kernel.add_addresses("10.0.0.99")
    t.spread(t.sources())
    port = t.server()
    agent = t.agent()
    agent("def bound(address, own, port):\n s = socket.socket(); s.bind((address, own)); s.connect(('10.1.0.1', port)); kept.append(s); return s.getsockname()")
    equal(agent(f"bound('10.0.0.99', 23456, {port})"), ["10.0.0.99", 23456], "getsockname")
    equal(agent(f"bound('', 23457, {port})"), ["10.1.0.1", 23457], "getsockname, wildcard address")
    t.attached(pid=agent.pid)


def test_own_address_gets_a_late_port(t):
    """bind(address, 0) keeps its address, but its port is chosen at connect: 16 ports serve two destinations at once."""
    kernel.add_addresses("10.0.0.99")
    t.spread(t.sources())
    one, two = t.server(), t.server()
    results = []
    for agent, low in (t.agent(bare=True), 40000), (t.agent(), 40020):
        kernel.port_range(low, low + 15)
        agent("""def bound(port):
    s = socket.socket()
    kept.append(s)
    try:
        s.bind(('10.0.0.99', 0))
        s.connect(('10.1.0.1', port))
    except OSError as e:
        return errno.errorcode[e.errno]
    return s.getsockname()[0]""")
        results.append(agent(f"[bound(port) for port in ({one}, {two}) for _ in range(16)]"))
    equal(results[0], ["10.0.0.99"] * 16 + ["EADDRINUSE"] * 16, "bare: addresses of connections to two destinations")
    equal(results[1], ["10.0.0.99"] * 32, "shim: addresses of connections to two destinations")


def test_own_address_shows_a_port_before_connect(t):
    """bind(address, 0), getsockname: a port, as in the bare call; the connect keeps it."""
    kernel.add_addresses("10.0.0.99")
    t.spread(t.sources())
    port = t.server()
    agent = t.agent()
    agent("s = socket.socket(); s.bind(('10.0.0.99', 0))")
    name = agent("s.getsockname()")
    assert name[0] == "10.0.0.99" and name[1] > 0, f"getsockname after bind(address, 0): {name}"
    equal(agent("s.getsockname()"), name, "getsockname again")
    equal(agent(f"s.connect(('10.1.0.1', {port})) or s.getsockname()"), name, "getsockname after connect")
    t.attached(pid=agent.pid)


def test_own_address_can_listen(t):
    """bind(address, 0), listen, with and without getsockname between: a server that can be reached where it says."""
    t.spread(["127.0.0.2", "127.0.0.3"])
    agent = t.agent()
    for look in "", "s.getsockname();":
        for reuse in "", "s.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1);":
            name = agent(f"s = socket.socket(); {reuse} s.bind(('127.0.0.1', 0)); {look} s.listen(); kept.append(s)") or agent("s.getsockname()")
            assert name[0] == "127.0.0.1" and name[1] > 0, f"getsockname of the listener: {name}"
            agent(f"c = connect('127.0.0.1', {name[1]}); a = s.accept()[0]; a.send(b'x'); c.recv(1)")
    t.attached(pid=agent.pid)


def test_client_bind_keep(t):
    """client-bind = "keep": the client's bind(address, 0) is its own call, port and all."""
    kernel.add_addresses("10.0.0.99")
    t.spread(t.sources(), rule='client-bind = "keep"')
    port = t.server()
    agent = t.agent()
    agent(f"s = socket.socket(); s.bind(('10.0.0.99', 0)); n = number(s, SOL_IP, IP_BIND_ADDRESS_NO_PORT); s.connect(('10.1.0.1', {port}))")
    equal(agent("s.getsockname()[0], n"), ["10.0.0.99", 0], "local address, IP_BIND_ADDRESS_NO_PORT")
    t.attached(pid=agent.pid)


def test_client_bind_override(t):
    """client-bind = "override": the pool's sources replace the address that the client bound, here or not."""
    sources = t.sources()
    kernel.add_addresses("10.0.0.99")
    t.spread(sources, rule='client-bind = "override"')
    port = t.server()
    agent = t.agent()
    agent("def bound(address, port):\n s = socket.socket(); s.bind((address, 0)); s.connect(('10.1.0.1', port)); kept.append(s)")
    agent(f"[bound('10.0.0.99', {port}) for _ in range(20)]; 0")
    evenly(port, sources, 5, 0)
    agent(f"[bound('192.0.2.9', {port}) for _ in range(20)]; 0")
    evenly(port, sources, 10, 0)
    events = t.events("exhausted")
    equal({(e["call"], e["cause"], e["outcome"]) for e in events}, {("bind", "address-not-local", "recovered")}, "exhausted events")


# --- scope and rules ---

def test_loopback_stays_on_loopback(t):
    """A 127.x destination only gets 127.x sources, any other destination none of them."""
    inside, outside = kernel.addresses("127.0.0.", 2, 5), t.sources()
    t.spread(inside + outside)
    port, other = t.server("127.0.0.1"), t.server("10.1.0.1")
    agent = t.agent()
    equal(agent(f"burst(20, '127.0.0.1', {port}) + burst(20, '10.1.0.1', {other})"), 0, "failures")
    evenly(port, inside, 5, 0)
    evenly(other, outside, 5, 0)


def test_no_source_in_scope_means_the_clients_own_call(t):
    """A pool without any source of the destination's scope changes nothing."""
    t.spread(t.sources())
    port = t.server("127.0.0.1")
    equal(t.agent()(f"burst(8, '127.0.0.1', {port})"), 0, "failures")
    all_in(port, ["127.0.0.1"])
    t.attached()


def test_ranges_prefixes_and_interfaces(t):
    """addresses: one, a range, a CIDR prefix, an interface's name; together they are one pool."""
    kernel.ip("link add v0 type veth peer name v1")
    kernel.ip("addr add 10.3.0.1/24 dev v0")
    kernel.ip("addr add 10.3.0.2/24 dev v0")
    kernel.ip("link set v0 up")
    kernel.ip("link set v1 up")
    sources = t.sources(11, 19)
    t.spread(["10.0.0.11", "10.0.0.12-10.0.0.15", "10.0.0.16/30", "v0"])
    port = t.server()
    equal(t.agent()(f"burst(55, '10.1.0.1', {port})"), 0, "failures")
    evenly(port, sources + ["10.3.0.1", "10.3.0.2"], 5, 0)


def test_ports(t):
    """ports and exclude-ports: connections use what is left, all of it."""
    sources = t.sources(11, 12)
    port = t.server()  # before the range is narrow: its own port shall not be one of the pool's
    kernel.port_range(40000, 40099)
    t.spread(sources, pool='ports = { "40010-40019", "40050" }\nexclude-ports = { "40012", "40015-40017" }')
    equal(t.agent()(f"hold(14, '10.1.0.1', {port})"), [0, 14], "errno and connections")
    equal(kernel.by_source(port), {s: 7 for s in sources}, "connections per source")
    equal({s.local_port for s in kernel.sockets(to_port=port)}, {40010, 40011, 40013, 40014, 40018, 40019, 40050}, "ports")


def test_rules(t):
    """The first rule that matches address, port and program wins; exceptions and `ignore` leave the connection alone."""
    t.sources(11, 16)
    kernel.add_addresses("10.1.0.2", "10.1.0.3", "10.2.0.1")
    one, two = t.server("0.0.0.0"), t.server("0.0.0.0")

    def pool(name, n):
        return f'pool "{name}" {{ addresses = {{ "10.0.0.{n}" }} }}\n'

    def rule(name, to, more):
        return f'rule "{name}" {{\n to = {{ "{to}" }}\n {more}\n}}\n'

    t.config(pool("a", 11) + pool("b", 12) + pool("c", 13) + pool("d", 14)
             + rule("ignored", "10.1.0.3", 'action = "ignore"')
             + rule("others", "*", 'program = { "nobody", "no?hing*" }\n pool = "d"')
             + rule("port", f"10.1.0.0/24:{one}", 'except = { "10.1.0.2" }\n pool = "a"')
             + rule("program", f"10.1.0.0/24:{two}-{two}", 'program = { "pyth*" }\n pool = "b"')
             + rule("rest", "10.1.0.0/24", 'pool = "c"'))
    agent = t.agent()
    got = agent(f"{{'%s %d' % (a, i): connect(a, p).getsockname()[0] for i, p in enumerate(({one}, {two}))"
                " for a in ('10.1.0.1', '10.1.0.2', '10.1.0.3', '10.2.0.1')}")
    equal(got, {"10.1.0.1 0": "10.0.0.11", "10.1.0.2 0": "10.0.0.13", "10.1.0.3 0": "10.1.0.3", "10.2.0.1 0": "10.2.0.1",
                "10.1.0.1 1": "10.0.0.12", "10.1.0.2 1": "10.0.0.12", "10.1.0.3 1": "10.1.0.3", "10.2.0.1 1": "10.2.0.1"},
          "local address by destination and port")
    agent.end()
    kernel.settle(one)
    titles = {f"{e['peer_address']} {int(e['peer_port'] == two)}": (e["rule"], e["pool"]) for e in t.events("time-wait")}
    equal((titles.get("10.1.0.1 0"), titles.get("10.1.0.2 0"), titles.get("10.1.0.1 1")),
          (("port", "a"), ("rest", "c"), ("program", "b")), "rule and pool in the events")


def test_built_in_default(t):
    """Without a config: no source of ours, but a whole range of even and odd ports, and the log is on."""
    kernel.add_addresses("10.1.0.1")
    port = t.server()
    kernel.port_range(40000, 40015)
    agent = t.agent()
    equal(agent(f"hold(16, '10.1.0.1', {port})"), [0, 16], "errno and connections")
    all_in(port, ["10.1.0.1"])
    agent.end()
    kernel.settle(port)
    t.same_time_waits(port, 16)
    equal({e["instance"] for e in t.events()}, {"default"}, "instances")
