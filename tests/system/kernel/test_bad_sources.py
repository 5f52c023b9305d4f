"""A source that cannot serve costs no connection: it is put aside, said so, and used again once it can."""

import errno
import time

import kernel
from fixture import equal, full, limit


def downs(t, address):
    return t.events("source-down", local_address=address)


def only(port, sources, n):
    """n connections, all from these sources, each of them used."""
    kernel.settle(port)
    used = kernel.by_source(port)
    equal((set(used), sum(used.values())), (set(sources), n), f"sources and number of connections ({dict(used)})")


def policy_routing():
    """Lets `ip rule` come before the local table, so that rules by source count for local destinations, too."""
    for family in ("", "-6 "):
        kernel.ip(family + "rule add pref 100 table local")
        kernel.ip(family + "rule del pref 0")


@full
@limit(90)
def test_address_that_comes_later(t):
    """An address that is not on the host: no connection lost; when it appears it is used within 10 s and a bit."""
    sources = t.sources(11, 12)
    t.spread(sources + ["10.0.0.99"])
    port = t.server()
    agent = t.agent()
    equal(agent(f"burst(60, '10.1.0.1', {port})"), 0, "failures")
    only(port, sources, 60)
    events = downs(t, "10.0.0.99")
    equal([e["cause"] for e in events], ["address-not-local"], "source-down events")
    kernel.add_addresses("10.0.0.99")
    began = time.monotonic()
    kernel.wait_until(lambda: agent(f"burst(3, '10.1.0.1', {port})") == 0 and kernel.by_source(port)["10.0.0.99"], 25, "10.0.0.99 is still not used")
    took = time.monotonic() - began
    assert took < 18, f"the address was used after {took:.1f} s, want 10"  # a period that passed without it: 20
    again = t.server()
    equal(agent(f"burst(30, '10.1.0.1', {again})"), 0, "failures")
    only(again, sources + ["10.0.0.99"], 30)


def test_address_that_goes(t):
    """An address that leaves the host in between."""
    sources = t.sources()
    t.spread(sources)
    port, later = t.server(), t.server()
    agent = t.agent()
    equal(agent(f"burst(20, '10.1.0.1', {port})"), 0, "failures")
    only(port, sources, 20)
    kernel.ip("addr del 10.0.0.13/32 dev lo")
    equal(agent(f"burst(20, '10.1.0.1', {later})"), 0, "failures")
    only(later, [s for s in sources if s != "10.0.0.13"], 20)
    equal(len(downs(t, "10.0.0.13")), 1, "source-down events")


def test_ipv6_address_not_on_the_host(t):
    sources = t.sources6(11, 12)
    t.spread(sources + ["fd00:1::99"])
    port = t.server("fd00:2::1")
    equal(t.agent()(f"burst(30, 'fd00:2::1', {port}, AF_INET6)"), 0, "failures")
    only(port, sources, 30)
    equal([e["cause"] for e in downs(t, "fd00:1::99")], ["address-not-local"], "source-down events")


def refused(t, action, error, ports=""):
    """One source has no way, as the routing rules say; the others carry on. ports: it has none with such a port, so the kernel finds out when it
    asks again, with the port that it has taken: as when the address leaves the host within a connect, but each time. Nothing was sent."""
    policy_routing()
    sources = t.sources()
    kernel.ip(f"rule add pref 50 from 10.0.0.13 {ports} {action}")
    t.spread(sources)
    port = t.server()
    bare = t.agent(bare=True)
    bare("s = socket.socket(); s.bind(('10.0.0.13', 0))")
    bare("u = socket.socket(); u.setsockopt(SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1); u.bind(('10.0.0.13', 0))")
    equal([bare(f"attempt({s}.connect, ('10.1.0.1', {port}))") for s in "su"], [error] * 2, "bare: errno from the refused source")
    equal(bare("u.getsockname()[1]") != 0, ports != "", "bare: the refused socket shows a port")
    agent = t.agent()
    equal(agent(f"burst(40, '10.1.0.1', {port})"), 0, "failures")
    equal(agent(f"burst(8, '10.1.0.1', {port}, AF_INET, MPTCP)"), 0, "failures over MPTCP")
    only(port, [s for s in sources if s != "10.0.0.13"], 48)
    assert downs(t, "10.0.0.13"), "no source-down event"


def test_prohibit(t):
    refused(t, "prohibit", errno.EACCES)


def test_blackhole(t):
    refused(t, "blackhole", errno.EINVAL)


def test_unreachable(t):
    refused(t, "unreachable", errno.ENETUNREACH)


def test_prohibit_nonblocking(t):
    """The same for a non-blocking client; the connection is made in the same call."""
    policy_routing()
    sources = t.sources()
    kernel.ip("rule add pref 50 from 10.0.0.13 prohibit")
    t.spread(sources)
    port = t.server()
    agent = t.agent()
    agent("def one(port):\n s = socket.socket(); s.setblocking(False); kept.append(s); return s.connect_ex(('10.1.0.1', port))")
    results = agent(f"[one({port}) for _ in range(40)]")
    assert set(results) <= {0, errno.EINPROGRESS}, f"results of connect: {results}"
    only(port, [s for s in sources if s != "10.0.0.13"], 40)


ALL_PORTS = "ipproto tcp sport 1024-65534"


def test_prohibit_with_its_port(t):
    refused(t, "prohibit", errno.EACCES, ALL_PORTS)


def test_blackhole_with_its_port(t):
    refused(t, "blackhole", errno.EINVAL, ALL_PORTS)


def test_unreachable_with_its_port(t):
    refused(t, "unreachable", errno.ENETUNREACH, ALL_PORTS)


def test_all_refused_with_their_ports(t):
    """When every source is refused the client's own call connects."""
    policy_routing()
    t.spread(t.sources())
    kernel.ip(f"rule add pref 50 from 10.0.0.0/24 {ALL_PORTS} unreachable")
    port = t.server()
    equal(t.agent()(f"burst(20, '10.1.0.1', {port})"), 0, "failures")
    only(port, ["10.1.0.1"], 20)


def test_prohibit_ipv6(t):
    policy_routing()
    sources = t.sources6()
    kernel.ip("-6 rule add pref 50 from fd00:1::13 prohibit")
    t.spread(sources)
    port = t.server("fd00:2::1")
    equal(t.agent()(f"burst(40, 'fd00:2::1', {port}, AF_INET6)"), 0, "failures")
    only(port, [s for s in sources if s != "fd00:1::13"], 40)
    assert downs(t, "fd00:1::13"), "no source-down event"


def test_all_prohibited(t):
    """When every source is refused the client's own call connects."""
    policy_routing()
    t.spread(t.sources())
    for n in range(11, 15):
        kernel.ip(f"rule add pref 50 from 10.0.0.{n} prohibit")
    port = t.server()
    equal(t.agent()(f"burst(20, '10.1.0.1', {port})"), 0, "failures")
    only(port, ["10.1.0.1"], 20)
    equal({e["local_address"] for e in t.events("source-down")}, set(kernel.addresses("10.0.0.", 11, 14)), "sources down")


def test_none_on_the_host(t):
    """A pool none of whose addresses is on this host: the client's own call connects."""
    t.sources()
    t.spread(["192.0.2.1-192.0.2.4"])
    port = t.server()
    equal(t.agent()(f"burst(20, '10.1.0.1', {port})"), 0, "failures")
    only(port, ["10.1.0.1"], 20)
    equal({e["local_address"] for e in t.events("source-down")}, set(kernel.addresses("192.0.2.", 1, 4)), "sources down")


def test_errors_of_the_destination_are_the_clients(t):
    """A destination that is refused from every source gives the client the error that it would have had, bare."""
    policy_routing()
    t.spread(t.sources())
    results = []
    kernel.ip("rule add pref 40 to 192.0.2.0/24 prohibit")
    for agent in t.agent(bare=True), t.agent():
        results.append([agent(f"attempt(connect, '{address}', 9)") for address in ("192.0.2.1", "198.51.100.1", "10.1.0.1")])
        results[-1].append(agent("attempt(connect, '2001:db8::1', 9, AF_INET6)"))
    equal(results[0], [errno.EACCES, errno.ENETUNREACH, errno.ECONNREFUSED, errno.ENETUNREACH], "bare: errno by destination")
    equal(results[1], results[0], "shim: errno by destination")
    t.attached()


def test_wrong_scope(t):
    """Sources of another scope or family are not tried at all."""
    sources = t.sources(11, 12)
    six = t.sources6(11, 12)
    kernel.add_addresses("fe80::11")
    t.spread(["127.0.0.5", "fe80::11", "::1"] + sources + six)
    port, v6, loop4 = t.server(), t.server("fd00:2::1"), t.server("127.0.0.1")
    agent = t.agent()
    equal(agent(f"burst(20, '10.1.0.1', {port}) + burst(20, 'fd00:2::1', {v6}, AF_INET6) + burst(20, '127.0.0.1', {loop4})"), 0, "failures")
    only(port, sources, 20)
    only(v6, six, 20)
    only(loop4, ["127.0.0.5"], 20)
    equal(t.events("source-down"), [], "source-down events")


def test_link_local_destination(t):
    """A link-local destination is reached; a global source does not go with it."""
    kernel.ip("link add v0 type veth peer name v1")
    kernel.ip("addr add fe80::21/64 dev v0 nodad")
    kernel.ip("link set v0 up")
    kernel.ip("link set v1 up")
    t.spread(t.sources6())
    listen = t.server("::")
    agent = t.agent()
    agent(f"s = socket.socket(AF_INET6); s.connect(('fe80::21', {listen}, 0, socket.if_nametoindex('v0')))")
    equal(agent("s.getsockname()[0].split('%')[0]"), "fe80::21", "local address")
    t.attached()
