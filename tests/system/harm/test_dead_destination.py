"""A destination that is dead costs a client under the shim what it costs bare: one wait, one SYN, the same errno."""

import errno

import history
import kernel
from fixture import equal, full, limit, needs, waits

SILENT, SILENT6 = "10.5.0.99", "fd00:5::99"  # on a link where nobody has them
LIMIT = "s.setsockopt(SOL_SOCKET, SO_SNDTIMEO, struct.pack('ll', {0} // 1000, {0} % 1000 * 1000))"
REJECT = {  # what the network says -> errno of a blocking connect, both families
    "icmp host-unreachable": errno.EHOSTUNREACH, "icmp net-unreachable": errno.ENETUNREACH, "icmp admin-prohibited": errno.EHOSTUNREACH,
    "icmpv6 no-route": errno.ENETUNREACH, "icmpv6 addr-unreachable": errno.EHOSTUNREACH, "icmpv6 admin-prohibited": errno.EACCES,
}


def host(t, last, rule=""):
    """Sources of both families, and a link on which a neighbour does not answer."""
    kernel.ip("link add v0 type veth peer name v1")
    kernel.ip("addr add 10.5.0.1/24 dev v0")
    kernel.ip("addr add fd00:5::1/64 dev v0 nodad")
    kernel.ip("link set v0 up")
    kernel.ip("link set v1 up")
    sources = t.sources(11, last) + t.sources6(11, last)
    t.spread(sources, rule=rule)
    return sources


def one(agent, address, port, options="None", family="AF_INET", protocol=0):
    """One blocking connect: errno, seconds, SYNs that were not sent again by the kernel itself."""
    agent(f"s = socket.socket({family}, SOCK_STREAM, {protocol})")
    agent(options)
    before = kernel.counter("TcpActiveOpens")
    found, seconds = agent(f"(lambda b: (attempt(s.connect, ('{address}', {port})), time.monotonic() - b))(time.monotonic())")
    return found, seconds, kernel.counter("TcpActiveOpens") - before


def as_bare(bare, connect, what, more=0.5):
    """connect() has the result of bare, and takes no longer; it may be made three times, for a machine with other work can only add to that."""
    most = bare[1] * 1.05 + more  # a second source would cost a second at least; other work, tenths of one
    for _ in range(3):
        shim = connect()
        equal((shim[0], shim[2]), (bare[0], bare[2]), f"{what}: errno and active opens")
        if shim[1] <= most:
            return
    raise AssertionError(f"{what}: {shim[1]:.2f} s, bare {bare[1]:.2f} s, want at most {most:.2f} s")


def nothing_told(t):
    """No EADDRNOTAVAIL was met and no source is to blame: no event, counter or history says so."""
    equal(t.events("exhausted") + t.events("source-down"), [], "exhausted and source-down events")
    flows = history.read(t)[0]
    equal([history.total(flows, name) for name in ("recovered", "fallback", "failed", "unreachable", "unknown")], [0] * 5, "in the history")
    t.attached()


def silent(t, sources, address, family, protocol=0):
    host(t, 10 + sources)
    bare = one(t.agent(bare=True), address, 7003, family=family, protocol=protocol)
    equal((bare[0], bare[2]), (errno.EHOSTUNREACH, 1), "bare: errno and active opens")
    agent = t.agent()
    for what in "first connect", "second connect":
        as_bare(bare, lambda: one(agent, address, 7003, family=family, protocol=protocol), what)
    nothing_told(t)


@waits
def test_silent_neighbour_1(t):
    silent(t, 1, SILENT, "AF_INET")


@waits
def test_silent_neighbour_4(t):
    silent(t, 4, SILENT, "AF_INET")


@waits
def test_silent_neighbour_16(t):
    silent(t, 16, SILENT, "AF_INET")


@waits
def test_silent_neighbour_ipv6(t):
    silent(t, 4, SILENT6, "AF_INET6")


@waits
def test_silent_neighbour_mptcp(t):
    silent(t, 4, SILENT, "AF_INET", 262)


@waits
def test_silent_neighbour_and_so_sndtimeo(t):
    """A client's own limit, longer than one wait and shorter than two, is kept; so is a shorter one."""
    host(t, 14)
    for limit_ms in 5000, 500:
        options = LIMIT.format(limit_ms)
        bare = one(t.agent(bare=True), SILENT, 7003, options)
        agent = t.agent()
        as_bare(bare, lambda: one(agent, SILENT, 7003, options), f"SO_SNDTIMEO of {limit_ms} ms", more=limit_ms / 2000)
    nothing_told(t)


@full
@limit(90)
@needs("nft")
def test_icmp_errors(t):
    """The kernel hands the error to a sleeping connect after a second; each kind is met once, and the sources stay in use."""
    sources = host(t, 18)
    kernel.nft("table inet f {\nchain o {\ntype filter hook output priority 0;\n}\n}")
    bare, shim = t.agent(bare=True), t.agent()
    for kind, error in REJECT.items():
        six = "icmpv6" in kind
        address, family = ("fd00:2::1", "AF_INET6") if six else ("10.1.0.1", "AF_INET")
        port = t.server(address)
        kernel.nft(f"add rule inet f o tcp dport {port} reject with {kind}")
        first = one(bare, address, port, family=family)
        equal((first[0], first[2]), (error, 1), f"bare, {kind}: errno and active opens")
        as_bare(first, lambda: one(shim, address, port, family=family), kind)
        kernel.nft("flush chain inet f o")
        equal(shim(f"burst(16, '{address}', {port}, {family})"), 0, f"failures once {kind} is over")
        kernel.settle(port)
        equal(set(kernel.by_source(port)), {s for s in sources if (":" in s) == six}, f"sources used once {kind} is over")
    nothing_told(t)


def test_refused_without_a_packet(t):
    """What the host itself refuses, at once, from every source: no SYN but those that bare sends, none; no history of exhaustion."""
    host(t, 14)
    kernel.ip("route add prohibit 192.0.2.1")
    kernel.ip("route add blackhole 192.0.2.2")
    kernel.ip("route add unreachable 192.0.2.3")
    bare, shim = t.agent(bare=True), t.agent()
    for last, error in (1, errno.EACCES), (2, errno.EINVAL), (3, errno.EHOSTUNREACH), (4, errno.ENETUNREACH):
        first = one(bare, f"192.0.2.{last}", 9)
        equal((first[0], first[2]), (error, 0), "bare: errno and active opens")
        as_bare(first, lambda: one(shim, f"192.0.2.{last}", 9), f"192.0.2.{last}")
    nothing_told(t)


@needs("nft")
def test_wait_and_connect_share_so_sndtimeo(t):
    """A rule's wait ends with a quadruplet, but the SYN is lost: the client's limit is for both; the option is as it was."""
    host(t, 11, rule='    wait = "20s"')
    port = t.server()
    kernel.port_range(40000, 40015)
    holder, agent = t.agent(), t.agent()
    equal(holder(f"hold(16, '10.1.0.1', {port})"), [0, 16], "errno and connections")
    kernel.nft(f"table inet f {{\nchain o {{\ntype filter hook output priority 0;\ntcp dport {port} tcp flags & (syn | ack) == syn drop\n}}\n}}")
    holder("threading.Timer(2.5, lambda: reset(kept.pop())).start()")
    found, seconds, _ = one(agent, "10.1.0.1", port, LIMIT.format(5000))
    equal(found, errno.EINPROGRESS, "errno")
    assert 4.9 < seconds < 7, f"{seconds:.2f} s, SO_SNDTIMEO says 5"  # one after the other they would take 7.5
    equal(agent("struct.unpack('ll', s.getsockopt(SOL_SOCKET, SO_SNDTIMEO, 16))"), [5, 0], "SO_SNDTIMEO afterwards")
