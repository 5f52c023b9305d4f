"""A rule with also-to: the connect goes to the client's own destination first, and over all endpoints once that is full.

16 ephemeral ports, four sources, two server addresses with two ports each: 4 x 16 x 2 x 2 = 256 connections.
"""

import errno
import json
import re

import kernel
from fixture import SHIM, equal, full, limit, quoted

LOW, HIGH = 40000, 40015
FULL = errno.EADDRNOTAVAIL
ADDRESSES = ("10.1.0.1", "10.1.0.2")


def service(t, addresses=ADDRESSES, ports=2, sources=4):
    """A server on each port of each address; the range is narrowed once they listen. The endpoints, as texts, the first of
    them the one that clients ask for."""
    found = t.sources(11, 10 + sources)
    kernel.add_addresses("10.1.0.2")
    made = [t.server(addresses[0]) for _ in range(ports)]
    for address in addresses[1:]:
        for port in made:
            t.server(address, port=port)
    kernel.port_range(LOW, HIGH)
    return found, [(a, p) for a in addresses for p in made]


def also(endpoints, more=""):
    return f"also-to = {{ {quoted(f'{a}:{p}' for a, p in endpoints)} }}\n{more}"


def peers():
    """How many connections the kernel has to each endpoint."""
    found = {}
    for s in kernel.sockets("ESTABLISHED"):
        if s.local.startswith("10.0.0."):
            found[s.peer, s.peer_port] = found.get((s.peer, s.peer_port), 0) + 1
    return found


def four_ways(t, sources, addresses, ports):
    used, endpoints = service(t, addresses, ports, sources)
    t.spread(used, to=["10.1.0.1"], rule=also(endpoints[1:], 'on-exhausted = "error"') if len(endpoints) > 1 else 'on-exhausted = "error"')
    most = sources * 16 * len(endpoints)
    address, port = endpoints[0]
    agent = t.agent()
    equal(agent(f"hold({most}, '{address}', {port})"), [0, most], "errno and connections")
    equal(peers(), {e: sources * 16 for e in endpoints}, "connections to each endpoint")
    equal(t.events("exhausted", outcome="failed"), [], "exhausted events so far")
    equal(agent(f"hold(1, '{address}', {port})"), [FULL, most], "one more: errno and connections")
    return agent, used, endpoints


@full
def test_more_source_addresses(t):
    four_ways(t, 4, ADDRESSES[:1], 1)


@full
def test_more_server_ports(t):
    four_ways(t, 1, ADDRESSES[:1], 2)


@full
def test_more_server_addresses(t):
    four_ways(t, 1, ADDRESSES, 1)


def test_256_connections(t):
    """All of them together; the 257th names what was full."""
    agent, used, endpoints = four_ways(t, 4, ADDRESSES, 2)
    (event,) = t.events("exhausted", outcome="failed")
    equal((event["peer_address"], event["peer_port"]), endpoints[0], "the destination of the event")
    equal(sorted(s["address"] for s in event["sources"]), sorted(used), "its sources")
    equal([(e["address"], e["port"], e["cause"], e["open"]) for e in event["also"]],
          [(a, p, "range-full", 64) for a, p in endpoints[1:]], "its other endpoints")
    text = t.tool("log", "-c", t.conf, check=0).stdout
    assert f"also to {endpoints[1][0]} port {endpoints[1][1]}: range-full, from all sources 64 open" in text, text
    agent("[c.close() for c in kept]")


def evenly(t, more, n, each):
    """n processes that hold so many connections each, of which every endpoint has as many as the next. The agents and the endpoints."""
    used, endpoints = service(t)
    t.spread(used, rule=also(endpoints[1:], more))
    address, port = endpoints[0]
    agents = [t.agent() for _ in range(n)]
    equal([a(f"hold({each}, '{address}', {port})") for a in agents], [[0, each]] * n, "errno and connections")
    equal(peers(), {e: n * each // len(endpoints) for e in endpoints}, "connections to each endpoint")
    return agents, endpoints


def test_four_processes_fill_what_is_there(t):
    evenly(t, 'on-exhausted = "error"', 4, 64)


def test_check_multiplies(t):
    """And says of an endpoint that it is none for the rule's destinations."""
    used, endpoints = service(t)
    t.spread(used, to=[f"10.1.0.1:{endpoints[0][1]}"], rule=also(endpoints + [("[fd00:2::1]", 443)]))
    done = t.tool("check", "-c", t.conf, check=1)
    for line in ("IPv4: 4 sources x 16 ports = 64 quadruplets for each destination", "x 4 endpoints, its own and 3 of also-to = 256 quadruplets for the service",
                 'warning: rule "r": also-to [fd00:2::1]:443 is of another family or kind'):
        assert line in " ".join(done.stdout.split()), done.stdout
    (path,) = json.loads(t.tool("check", "-c", t.conf, "-o", "json", check=1).stdout)["rules"][0]["capacity"]
    equal((path["quadruplets"], path["endpoints"], path["service_quadruplets"], path["port_sharing"]), (64, 4, 256, "allowed"), "JSON")
    asked = json.loads(t.tool("check", "-c", t.conf, "-o", "json", "--to", f"10.1.0.1:{endpoints[0][1]}", check=0).stdout)
    equal((asked["also_to"], asked["to_policy"]), ([f"{a}:{p}" for a, p in endpoints[1:]], "client-first"), "of one connection")
    t.spread(used, pool='port-sharing = "never"', rule=also(endpoints))
    done = t.tool("check", "-c", t.conf, check=1).stdout
    for line in ("= 64 quadruplets for all destinations together (port-sharing never)", "also-to adds none to that", 'shares no ports, but a connect that falls back'):
        assert line in " ".join(done.split()), done


# --- which endpoint ---


def test_the_clients_own_comes_first(t):
    used, endpoints = service(t)
    t.spread(used, rule=also(endpoints[1:]))
    address, port = endpoints[0]
    agent = t.agent()
    agent(f"hold(64, '{address}', {port})")
    equal(peers(), {endpoints[0]: 64}, "connections to each endpoint")
    equal(agent(f"hold(1, '{address}', {port})"), [0, 65], "one more: errno and connections")
    equal(peers(), {endpoints[0]: 64, endpoints[1]: 1}, "connections to each endpoint")
    agent("kept[0].close()")
    kernel.settle(port)
    (event,) = t.events("exhausted", outcome="recovered")
    equal((event["peer_address"], event["peer_port"]), endpoints[0], "the destination that was full")


def test_round_robin(t):
    agents, endpoints = evenly(t, 'to-policy = "round-robin"', 2, 40)
    address, port = endpoints[0]
    equal([a(f"hold(88, '{address}', {port})") for a in agents], [[0, 128]] * 2, "errno and connections")
    equal(peers(), {e: 64 for e in endpoints}, "connections to each endpoint")


def test_least_used(t):
    used, endpoints = service(t)
    t.spread(used, rule=also(endpoints[1:], 'to-policy = "least-used"'))
    address, port = endpoints[0]
    agent = t.agent()
    agent(f"hold(40, '{address}', {port})")
    equal(peers(), {e: 10 for e in endpoints}, "connections to each endpoint")
    agent(f"[c.close() for c in kept if c.getpeername() == {endpoints[2]}]; kept[:] = [c for c in kept if c.fileno() >= 0]")
    agent(f"hold(40, '{address}', {port})")
    kernel.settle(endpoints[2][1])
    counts = peers()
    waits = sum(1 for q in kernel.time_waits() if (q.peer, q.peer_port) == endpoints[2])
    taken = [counts[e] + (waits if e == endpoints[2] else 0) for e in endpoints]
    assert max(taken) - min(taken) <= 1, f"quadruplets of each endpoint: {taken}"


def test_not_of_another_family_and_only_what_is_configured(t):
    """IPv4 endpoints serve a v4-mapped destination on an IPv6 socket, an IPv6 one serves none of both."""
    used, endpoints = service(t, ports=1)
    t.sources6(11, 11)
    t.server("fd00:2::1", port=endpoints[0][1])
    t.spread(used + ["fd00:1::11"], rule=also([("[fd00:2::1]", endpoints[0][1]), endpoints[1]], 'on-exhausted = "error"'))
    address, port = endpoints[0]
    agent = t.agent()
    equal(agent(f"hold(129, '::ffff:{address}', {port}, AF_INET6)"), [FULL, 128], "errno and connections")
    equal(agent("sorted({c.getpeername()[0] for c in kept})"), [f"::ffff:{a}" for a, _ in endpoints], "peers")
    agent("[c.close() for c in kept]; kept.clear()")


def test_a_pool_without_addresses_and_a_socket_that_is_bound(t):
    _, endpoints = service(t)
    t.config(f'pool "p" {{ }}\nrule "r" {{\n    to = {{ "10.1.0.1" }}\n    pool = "p"\n{also(endpoints[1:])}\n}}\n')
    address, port = endpoints[0]
    agent = t.agent()
    equal(agent(f"hold(64, '{address}', {port})"), [0, 64], "unbound: errno and connections")
    agent("[reset(c) for c in kept]; kept.clear()")
    equal(agent(f"""[(lambda s: (s.bind(('10.0.0.13', 0)), attempt(s.connect, ('{address}', {port})), kept.append(s))[1])(socket.socket())
for _ in range(65)]"""), [0] * 64 + [FULL], "bound to an address: errno")
    equal(agent("sorted({c.getsockname()[0] for c in kept[:64]})"), ["10.0.0.13"], "local addresses")


# --- what the client and the log see ---


def json_lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_getpeername_tells_the_truth_and_the_log_both(t):
    used, endpoints = service(t, ports=1)
    t.spread(used, to=["10.1.0.1"], rule=also(endpoints[1:], 'to-policy = "round-robin"'))
    address, port = endpoints[0]
    agent = t.agent()
    equal(sorted(agent(f"hold(8, '{address}', {port}) and [c.getpeername() for c in kept]")),
          sorted([list(e) for e in endpoints] * 4), "getpeername")
    quads = [q["destination"] for q in json_lines(t.tool("quads", "-o", "json", check=0).stdout)]
    assert f"10.1.0.2:{port}" in quads, quads
    agent("[c.close() for c in kept]")
    t.same_time_waits(port, 8)
    events = t.events("time-wait")
    equal(sorted((e["peer_address"], e.get("asked_address"), e.get("asked_port"), e["rule"]) for e in events if "asked_port" in e),
          [("10.1.0.2", "10.1.0.1", port, "r")] * 4, "what was asked for, of those that went elsewhere")
    equal(len(events), 8, "events")
    counted = json.loads(t.tool("stat", "-c", t.conf, "-o", "json", check=0).stdout)
    equal(counted["counters"]["enforce"]["connects_elsewhere"], 4, "connects that went elsewhere")


def test_getpeername_tells_what_was_asked_for(t):
    used, endpoints = service(t, ports=1)
    t.spread(used, rule=also(endpoints[1:], 'to-policy = "round-robin"\nshow-peer = "asked"'))
    address, port = endpoints[0]
    agent = t.agent()
    equal(agent(f"hold(8, '{address}', {port}) and [c.getpeername() for c in kept]"), [[address, port]] * 8, "getpeername")
    equal(peers(), {e: 4 for e in endpoints}, "connections to each endpoint")
    equal(agent("[c.dup().getpeername() for c in kept]"), [[address, port]] * 8, "getpeername of a copy")
    equal(agent("""(lambda room, name, n: (libc.getpeername(kept[0].fileno(), name, ctypes.byref(n)), n.value, name.raw[8:] == b'x' * 24,
libc.getpeername(kept[1].fileno(), name, ctypes.byref(room)), room.value))(ctypes.c_int(8), ctypes.create_string_buffer(b'x' * 32, 32), ctypes.c_int(8))"""),
          [0, 16, True, 0, 16], "a name that has no room")
    equal(agent(f"(lambda s: attempt(s.getpeername))(socket.socket())"), errno.ENOTCONN, "getpeername of a socket that is not connected")
    # The same socket, once it is used anew, is what it is then.
    equal(agent(f"[unspec(c) for c in kept] and [(c.connect(('10.1.0.2', {port})), c.getpeername())[1] for c in kept[:2]]"),
          [["10.1.0.2", port]] * 2, "getpeername after another connect")


# --- endpoints that do not answer ---


def load(t, agent, address, port, n):
    """n connects of a blocking client, each closed at once: the errnos of those that failed."""
    return agent(f"""[e for e in ((lambda s: (attempt(s.connect, ('{address}', {port})), s.close())[0])(socket.socket()) for _ in range({n})) if e]""")


@limit(60)
def test_an_endpoint_dies_under_load_and_comes_back(t):
    used, endpoints = service(t, ports=1)
    kernel.port_range(20000, 39999)
    t.spread(used, rule=also(endpoints[1:], 'to-policy = "round-robin"\nto-hold-down = "500ms"'))
    address, port = endpoints[0]
    agents = [t.agent() for _ in range(2)]
    equal([load(t, a, address, port, 100) for a in agents], [[], []], "errors while both are there")
    kernel.nft(f"add table ip t; add chain ip t in {{ type filter hook input priority 0; }}; "
               f"add rule ip t in ip daddr {endpoints[1][0]} tcp dport {port} reject with tcp reset")
    equal([load(t, a, address, port, 300) for a in agents], [[], []], "errors while one refuses")
    (down,) = t.events("source-down", peer_address=endpoints[1][0])[:1]
    equal((down["peer_port"], down["cause"], down["error"], down["local_address"]), (port, "unanswered", "ECONNREFUSED", "::"), "the event")
    text = t.tool("stat", "-c", t.conf, check=0).stdout
    assert re.search(rf"{endpoints[1][0]}:{port}: tried again (in 1 s|by the next connect)\n", text), text
    kernel.nft("delete table ip t")

    def returned():
        equal(load(t, agents[0], address, port, 4), [], "errors while it returns")
        return "left out" not in t.tool("stat", "-c", t.conf, check=0).stdout
    kernel.wait_until(returned, 15, "the endpoint is left out still")
    equal(agents[1](f"hold(40, '{address}', {port})"), [0, 40], "errno and connections once it is back")
    equal(peers(), {e: 20 for e in endpoints}, "connections to each endpoint")


@limit(60)
def test_an_endpoint_that_is_silent(t):
    """A blocking client waits for it as long as the rule says, and then for its own destination."""
    used, endpoints = service(t, ports=1)
    t.spread(used, rule=also(endpoints[1:], 'to-policy = "round-robin"\nto-timeout = "300ms"\nto-hold-down = "60s"'))
    address, port = endpoints[0]
    kernel.nft(f"add table ip t; add chain ip t in {{ type filter hook input priority 0; }}; "
               f"add rule ip t in ip daddr {endpoints[1][0]} tcp dport {port} drop")
    agent = t.agent()
    agent("s = socket.socket(); s.setsockopt(SOL_SOCKET, SO_SNDTIMEO, struct.pack('ll', 50, 0))")
    equal(agent(f"began = time.monotonic(); attempt(s.connect, ('{address}', {port}))")
          or agent(f"attempt(s.connect, ('{address}', {port})) in (0, {errno.EISCONN}) and 0"), 0, "the connect")
    equal(agent("struct.unpack('ll', s.getsockopt(SOL_SOCKET, SO_SNDTIMEO, 16))"), [50, 0], "SO_SNDTIMEO afterwards")
    equal(load(t, agent, address, port, 10), [], "errors")
    equal(len(t.events("source-down", error="ETIMEDOUT")), 1, "events of the silent one")
    equal(agent("s.getpeername()"), [address, port], "its own destination")


def test_an_error_of_this_host_says_nothing_of_an_endpoint(t):
    """No memory, no buffers, a port that another was given first: the others go on to it. A refusal leaves it out, for all."""
    used, endpoints = service(t, ports=1)
    t.spread(used, rule=also(endpoints[1:], 'to-policy = "round-robin"\nto-hold-down = "60s"'))
    (own, port), other = endpoints[0], endpoints[1]
    library = f"{SHIM}:{t.program('kernel/local_error.so')}"
    for error in errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN:
        agent = t.agent(preload=library, LOCAL_ERROR_AT=other[0], LOCAL_ERROR=str(error))
        equal(agent(f"hold(4, '{own}', {port})"), [0, 4], "errno and connections")
        equal(peers(), {(own, port): 4}, f"connections, {errno.errorcode[error]}")
        equal(t.events("source-down"), [], f"endpoints that were left out, {errno.errorcode[error]}")
        agent.end()
    agent = t.agent()
    equal(agent(f"hold(8, '{own}', {port})"), [0, 8], "errno and connections")
    equal(peers(), {(own, port): 4, other: 4}, "connections without an error")
    unbound = t.agent(preload=library, CONNSPREAD_SECCOMP="trust", LOCAL_ERROR=str(errno.ENOBUFS))
    equal(unbound(f"hold(4, '{own}', {port})"), [0, 4], "errno and connections, no bind")
    equal([e["peer_address"] for e in t.events("source-down") if e["cause"] == "unanswered"], [], "endpoints that were left out, no bind")
    unbound.end()
    refused = t.agent(preload=library, LOCAL_ERROR_AT=other[0], LOCAL_ERROR=str(errno.ECONNREFUSED))
    equal(refused(f"hold(4, '{own}', {port})"), [0, 4], "errno and connections")
    equal([(e["peer_address"], e["error"]) for e in t.events("source-down") if e["cause"] == "unanswered"], [(other[0], "ECONNREFUSED")], "endpoints that were left out")


def test_what_no_endpoint_answers_is_the_clients_own_answer(t):
    """Its own destination refuses, too: that is what the client gets, and what a client without also-to would get."""
    used, endpoints = service(t, ports=1)
    t.spread(used, rule=also([("10.1.0.1", 7), ("10.1.0.2", 7)], 'to-policy = "round-robin"'))
    agent = t.agent()
    equal(agent("[attempt(socket.socket().connect, ('10.1.0.1', 8)) for _ in range(6)]"), [errno.ECONNREFUSED] * 6, "errno")
    equal(agent(f"hold(8, '10.1.0.1', {endpoints[0][1]})"), [0, 8], "a destination that is there")
    equal(agent("[c.getpeername() for c in kept]"), [list(endpoints[0])] * 8, "peers")


def test_connects_that_do_not_wait_fill_all(t):
    used, endpoints = service(t)
    t.spread(used, rule=also(endpoints[1:], 'on-exhausted = "error"'))
    address, port = endpoints[0]
    agent = t.agent()
    equal(agent(f"""[(lambda s: (s.setblocking(False), s.connect_ex(('{address}', {port})), kept.append(s))[1])(socket.socket()) for _ in range(257)]"""),
          [errno.EINPROGRESS] * 256 + [FULL], "errnos")
    kernel.wait_until(lambda: peers() == {e: 64 for e in endpoints}, 15, f"connections to each endpoint: {peers()}")
    equal(t.events("source-down"), [], "endpoints that were left out")


def test_a_connect_that_does_not_wait(t):
    """Its failure comes after the call, so it is the client's; one for each hold-down, and only where to-policy asks for it."""
    used, endpoints = service(t, ports=1)
    kernel.port_range(20000, 39999)
    t.spread(used, rule=also([("10.1.0.2", 7)], 'to-policy = "round-robin"\nto-hold-down = "60s"'))
    address, port = endpoints[0]
    agent = t.agent()
    tries = f"""[(lambda s: (s.setblocking(False), s.connect_ex(('{address}', {port})), select.select([], [s], [], 10), s.getsockopt(SOL_SOCKET, SO_ERROR),
s.close())[3])(socket.socket()) for _ in range(20)]"""
    got = agent(tries)
    equal(sorted(got), [0] * 19 + [errno.ECONNREFUSED], "what the sockets said")
    equal(agent(tries), [0] * 20, "what they say while it is left out")
