"""When quadruplets run out: every one of them is used, and what then happens is what the rule and the bare call say.

The namespace has 16 ephemeral ports; four sources make 64 quadruplets to one destination.
"""

import errno
import json
import time

import kernel
from fixture import equal

LOW, HIGH = 40000, 40015
FULL = errno.EADDRNOTAVAIL


def host(t, v6=False):
    """Sources, server address, server port; the range is narrowed only now, so that the server is outside it."""
    sources = t.sources6() if v6 else t.sources()
    address = "fd00:2::1" if v6 else "10.1.0.1"
    port, elsewhere = t.server(address), t.server(address)
    kernel.port_range(LOW, HIGH)
    return sources, address, port, elsewhere


def exhausted(t, **match):
    return t.events("exhausted", **match)


def names_all_full(event, sources):
    """The event lists each source once, as full."""
    listed = event["sources"]
    equal(sorted(s["address"] for s in listed), sorted(sources), "sources of the exhausted event")
    assert all(s["cause"] == "range-full" for s in listed), f"causes per source: {json.dumps(listed)}"
    equal((event["call"], event["cause"]), ("connect", "range-full"), "call and cause")


def test_bare_fails_at_the_17th(t):
    """What this is all about, and the referee's own check: 16 ports, one source, 16 connections."""
    _, address, port, _ = host(t)
    equal(t.agent(bare=True)(f"hold(17, '{address}', {port})"), [FULL, 16], "bare: errno and connections")


def all_64(t, family, v6):
    sources, address, port, _ = host(t, v6)
    t.spread(sources, rule='on-exhausted = "error"')
    agent = t.agent()
    equal(agent(f"hold(64, '{address}', {port}, {family})"), [0, 64], "errno and connections")
    held = [s for s in kernel.sockets("ESTABLISHED", port)]
    equal({(s.local, s.local_port) for s in held}, {(a, p) for a in sources for p in range(LOW, HIGH + 1)}, "quadruplets in use")
    equal(exhausted(t, outcome="failed") + exhausted(t, outcome="fallback"), [], "exhausted events after 64")
    return sources, address, port, agent


def test_64_connections_ipv4(t):
    all_64(t, "AF_INET", False)


def test_64_connections_ipv6(t):
    all_64(t, "AF_INET6", True)


def test_64_connections_by_16_processes(t):
    """The same by processes that know nothing of each other but the state file."""
    sources, address, port, _ = host(t)
    t.spread(sources, rule='on-exhausted = "error"')
    agents = [t.agent() for _ in range(16)]
    equal([a(f"hold(4, '{address}', {port})") for a in agents], [[0, 4]] * 16, "errno and connections")
    equal(kernel.by_source(port), {s: 16 for s in sources}, "connections per source")


def fails(t, family, v6):
    sources, address, port, agent = all_64(t, family, v6)
    agent(f"s = socket.socket({family}); before = traits(s)")
    equal(agent(f"attempt(s.connect, ('{address}', {port}))"), FULL, "errno of the 65th")
    events = exhausted(t, outcome="failed")
    equal(len(events), 1, "failed events")
    names_all_full(events[0], sources)
    equal((events[0]["peer_address"], events[0]["peer_port"], events[0]["rule"]), (address, port, "r"), "the event's destination and rule")


def test_error_ipv4(t):
    """The 65th under on-exhausted = "error": EADDRNOTAVAIL, and one event that names all four sources as full."""
    fails(t, "AF_INET", False)


def test_error_ipv6(t):
    fails(t, "AF_INET6", True)


def failed_socket(t, family, v6, options):
    """What a socket looks like after EADDRNOTAVAIL, and what it can do then; bare, then with the shim."""
    sources, address, port, elsewhere = host(t, v6)
    other = sources[0]  # a server that is not the full one, at an address that a v4 and a v6 socket can reach
    third = t.server(other, port=30000)
    t.spread(sources, to=[f"[{address}]:{port}" if v6 else f"{address}:{port}"], rule='on-exhausted = "error"')
    results = []
    for bare, held in (True, 16), (False, 64):
        agent = t.agent(bare=bare)
        equal(agent(f"hold(64, '{address}', {port}, {family})")[1], held, "connections")
        agent(f"s = socket.socket({family}); {options}")
        result = {"fresh": agent("traits(s)")}
        result["errno"] = agent(f"attempt(s.connect, ('{address}', {port}))")
        result["after"] = agent("traits(s)")
        result["again"] = agent(f"attempt(s.connect, ('{address}', {port})), traits(s)")
        result["elsewhere"] = agent(f"attempt(s.connect, ('{other}', {third})), s.getsockname()[0], s.getpeername()[1], traits(s)['NO_PORT'], traits(s)['RANGE'], traits(s)['V6ONLY']")
        result["listen"] = agent(f"u = socket.socket({family}); attempt(u.connect, ('{address}', {port})), attempt(u.listen), u.getsockname()[0]")
        result["bind"] = agent(f"w = socket.socket({family}); attempt(w.connect, ('{address}', {port})), attempt(w.bind, ('{other}', 30001)), w.getsockname()[:2]")
        if v6:
            result["mapped"] = agent(f"x = socket.socket({family}); attempt(x.connect, ('{address}', {port})), attempt(x.connect, ('::ffff:127.0.0.1', 9)), x.getsockname()[0]")
        results.append(result)
        agent("[reset(s) for s in kept + [s, u, w]]; kept.clear()")
        agent.end()
        kernel.wait_until(lambda: not [s for s in kernel.sockets() if s.peer_port == port], what="quadruplets are still in use")
    bare, shim = results
    equal(bare["errno"], FULL, "bare: errno")
    for key in bare:
        equal(shim[key], bare[key], f"shim against bare: {key}")


def test_failed_socket_is_as_bare_ipv4(t):
    failed_socket(t, "AF_INET", False, "pass")


def test_failed_socket_is_as_bare_ipv6(t):
    failed_socket(t, "AF_INET6", True, "pass")


def test_failed_socket_keeps_the_clients_options(t):
    """NO_PORT and REUSEADDR that the client itself had set survive."""
    failed_socket(t, "AF_INET", False, "s.setsockopt(SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1); s.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)")


def test_failed_socket_keeps_v6only(t):
    failed_socket(t, "AF_INET6", True, "s.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1)")


def falls_back(t, family, v6):
    sources, address, port, _ = host(t, v6)
    t.spread(sources, rule='on-exhausted = "fallback"')
    agent = t.agent()
    equal(agent(f"hold(65, '{address}', {port}, {family})"), [0, 65], "errno and connections")
    equal(agent("kept[-1].getsockname()[0]"), address, "local address of the 65th")
    events = exhausted(t, outcome="fallback")
    equal(len(events), 1, "fallback events")
    names_all_full(events[0], sources)
    equal(agent(f"hold(15, '{address}', {port}, {family})"), [0, 80], "errno and connections over the client's own address, too")
    time.sleep(1.1)  # more than 10 a second are told as one event with repeats
    equal(agent(f"attempt(connect, '{address}', {port}, {family})"), FULL, "errno once the client's own address is full as well")
    equal(len(exhausted(t, outcome="failed")), 1, "failed events")
    told = exhausted(t, peer_port=port)
    told = sum(1 + e.get("repeats", 0) for e in told if e["outcome"] != "recovered")
    equal(told, 17, "calls that fell back or failed, events and their repeats together")


def test_fallback_ipv4(t):
    """The 65th under on-exhausted = "fallback" leaves from the client's own address; one event; the 81st fails."""
    falls_back(t, "AF_INET", False)


def test_fallback_ipv6(t):
    falls_back(t, "AF_INET6", True)


REGISTERED = """def registered():
    global s, e
    s = socket.socket()
    s.setblocking(False)
    e = select.epoll()
    e.register(s, select.EPOLLOUT | select.EPOLLERR | select.EPOLLET)
def writable():
    for _ in range(20):
        for fd, bits in e.poll(0.2):
            if fd == s.fileno() and bits == select.EPOLLOUT:
                return True
    return False"""


def test_error_on_a_socket_in_epoll(t):
    """Non-blocking and registered: EADDRNOTAVAIL comes back at once, and the same descriptor connects elsewhere."""
    sources, address, port, elsewhere = host(t)
    t.spread(sources, to=[f"*:{port}"], rule='on-exhausted = "error"')
    agent = t.agent()
    equal(agent(f"hold(64, '{address}', {port})"), [0, 64], "errno and connections")
    agent(REGISTERED)
    agent("registered()")
    equal(agent(f"s.connect_ex(('{address}', {port}))"), FULL, "errno of the 65th")
    names_all_full(exhausted(t, outcome="failed")[0], sources)
    equal(agent("s.getsockopt(SOL_SOCKET, SO_ERROR)"), 0, "SO_ERROR")
    assert agent(f"s.connect_ex(('{address}', {elsewhere}))") in (0, errno.EINPROGRESS), "connect elsewhere failed"
    equal(agent("writable() and s.getpeername()[1]"), elsewhere, "epoll says writable; peer")
    equal(len(exhausted(t, outcome="failed")), 1, "failed events")


def test_fallback_on_a_socket_in_epoll(t):
    sources, address, port, _ = host(t)
    t.spread(sources, rule='on-exhausted = "fallback"')
    agent = t.agent()
    equal(agent(f"hold(64, '{address}', {port})"), [0, 64], "errno and connections")
    agent(REGISTERED)
    agent("registered()")
    assert agent(f"s.connect_ex(('{address}', {port}))") in (0, errno.EINPROGRESS), "the 65th failed"
    equal(agent("writable() and s.getsockname()[0]"), address, "epoll says writable; local address")
    names_all_full(exhausted(t, outcome="fallback")[0], sources)


def test_last_quadruplet_on_a_socket_in_epoll(t):
    """The 64th, found on the fourth source, on a registered socket: the retries leave its registration intact."""
    sources, address, port, _ = host(t)
    t.spread(sources, rule='on-exhausted = "error"')
    agent = t.agent()
    equal(agent(f"hold(63, '{address}', {port})"), [0, 63], "errno and connections")
    agent(REGISTERED)
    agent("registered()")
    assert agent(f"s.connect_ex(('{address}', {port}))") in (0, errno.EINPROGRESS), "the 64th failed"
    assert agent("writable()"), "epoll does not say writable"
    equal(kernel.by_source(port), {s: 16 for s in sources}, "connections per source")


def freed(t, free):
    sources, address, port, _ = host(t)
    t.spread(sources, rule='on-exhausted = "error"')
    agent = t.agent()
    equal(agent(f"hold(64, '{address}', {port})"), [0, 64], "errno and connections")
    for _ in range(3):
        equal(agent(f"attempt(connect, '{address}', {port})"), FULL, "errno while all are in use")
    wanted = agent("kept[37].getsockname()[:2]")
    free(agent, wanted, port)
    freed_at = time.monotonic()
    agent(f"""
c, last = None, 0
def until(end):
    global c, last
    while c is None and time.monotonic() < end:
        began = time.monotonic()
        try:
            c = connect('{address}', {port})
        except OSError:
            last = began
            time.sleep(0.001)
until(time.monotonic() + 2)""")
    equal(agent("c and c.getsockname()[:2]"), wanted, "quadruplet of the new connection")
    return max(0, agent("last") - freed_at)


def test_freed_by_this_instance_is_used_at_once(t):
    """A close that frees a quadruplet drops the hold-down of its source."""
    failed = freed(t, lambda agent, *_: agent("reset(kept[37])"))
    equal(failed, 0, "seconds from the close to the last connect that still failed")


def test_freed_by_others_is_used_within_100_ms(t):
    """Freed behind our back (the kernel destroys the socket): found within 100 ms."""
    def destroy(agent, wanted, port):
        kernel.destroy(wanted[0], wanted[1], "10.1.0.1", port)
    failed = freed(t, destroy)
    assert failed < 0.15, f"a connect still failed {failed * 1000:.0f} ms after the quadruplet was freed, want 100"


def test_recovered_is_logged(t):
    """A connect that met a full source and left through another is not an error; it is told once per hold-down."""
    sources, address, port, _ = host(t)
    t.spread(sources, pool='policy = "hash"', rule='on-exhausted = "error"')
    agent = t.agent()
    equal(agent(f"hold(40, '{address}', {port})"), [0, 40], "errno and connections")
    recovered = exhausted(t, outcome="recovered")
    assert 1 <= len(recovered) <= 10, f"{len(recovered)} recovered events for two sources that filled up"
    equal({e["cause"] for e in recovered}, {"range-full"}, "causes")
    equal(exhausted(t, outcome="failed"), [], "failed events")


def test_explained_where_no_rule_matches(t):
    """EADDRNOTAVAIL of a connect that no rule covers is an event, too."""
    _, address, port, _ = host(t)
    t.spread(["10.0.0.11"], to=["192.0.2.1"])
    agent = t.agent()
    equal(agent(f"hold(17, '{address}', {port})"), [FULL, 16], "errno and connections")
    events = exhausted(t)
    equal([(e["call"], e["cause"], e["outcome"], e["peer_port"]) for e in events], [("connect", "range-full", "failed", port)], "exhausted events")


def test_explained_bind(t):
    """So is that of a bind to an address that this host has not."""
    host(t)
    t.spread(["10.0.0.11"], to=["192.0.2.1"])
    agent = t.agent()
    equal(agent("attempt(socket.socket().bind, ('192.0.2.9', 0))"), FULL, "errno")
    equal([(e["call"], e["cause"], e["outcome"]) for e in exhausted(t)], [("bind", "address-not-local", "failed")], "exhausted events")


def test_explained_ipv6_disabled(t):
    """EADDRNOTAVAIL because the host has no IPv6 is not a full range."""
    host(t)
    kernel.sysctl("net.ipv6.conf.all.disable_ipv6", 1)
    kernel.sysctl("net.ipv6.conf.lo.disable_ipv6", 1)
    t.spread(["fd00:1::11"])
    agent, bare = t.agent(), t.agent(bare=True)
    connect = "attempt(connect, 'fd00:2::1', 9, AF_INET6)"
    equal(bare(connect), FULL, "bare: errno")
    equal(agent(connect), FULL, "errno")
    equal([(e["call"], e["cause"], e["outcome"]) for e in exhausted(t)], [("connect", "family-disabled", "failed")], "exhausted events")


def test_explained_explicit_port(t):
    """A quadruplet that an explicit bind repeats is busy, not full."""
    _, address, port, _ = host(t)
    t.spread(["10.0.0.11"], to=["192.0.2.1"])
    agent = t.agent()
    agent("def bound():\n s = socket.socket(); kept.append(s); s.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1); s.bind(('10.0.0.12', 23456)); return s")
    agent(f"bound().connect(('{address}', {port}))")
    equal(agent(f"attempt(bound().connect, ('{address}', {port}))"), FULL, "errno of the second")
    equal([(e["call"], e["cause"], e["outcome"]) for e in exhausted(t)], [("connect", "port-busy", "failed")], "exhausted events")
