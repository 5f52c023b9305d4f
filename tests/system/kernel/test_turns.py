"""Ports inside the ephemeral range take turns: the one that was left longest ago comes first. Where one is taken, the range is searched."""

import errno

import kernel
from fixture import equal

LOW, HIGH = 40000, 40099
SIZE = HIGH - LOW + 1


def host(t, last=11, pool=""):
    sources, port = t.sources(11, last), t.server()
    kernel.port_range(LOW, HIGH)
    t.spread(sources, pool=pool, rule='on-exhausted = "error"')
    return sources, port


def ports(agent, n, port):
    """The local ports of n connections, each reset before the next is made."""
    return agent(f"[(lambda s: (s.getsockname()[1], reset(s)))(connect('10.1.0.1', {port}))[0] for _ in range({n})]")


def begins(t):
    """Where the turns of a new instance begin, and that each port is used once before the first is again."""
    _, port = host(t)
    found = ports(t.agent(), 2 * SIZE, port)
    equal(sorted(found[:SIZE]), list(range(LOW, HIGH + 1)), "the first hundred ports, sorted")
    equal(found[SIZE:], found[:SIZE], "the second hundred")
    return found[0]


def test_every_port_once(t):
    begins(t)


def test_they_begin_where_nobody_can_guess(t):
    """Two destinations, and a third under another instance: three in a row at the same of 100 ports would be odd."""
    sources, one = host(t)
    two = t.server()
    agent = t.agent()
    first = [ports(agent, 1, one)[0], ports(agent, 1, two)[0]]
    for name in "abcdef":
        t.spread(sources, rule='on-exhausted = "error"', name=name)
        first.append(ports(t.agent(), 1, one)[0])
    assert len(set(first)) > 4, f"turns begin at {first}"


def test_sources_in_turn_have_the_same_port(t):
    _, port = host(t, 14)
    found = ports(t.agent(), 40, port)
    equal([found[i:i + 4] for i in range(0, 40, 4)], [[found[i]] * 4 for i in range(0, 40, 4)], "ports of four sources each")


def test_processes_share_the_turns(t):
    _, port = host(t)
    agents = [t.agent() for _ in range(4)]
    found = [ports(agent, 1, port)[0] for _ in range(SIZE // 4) for agent in agents]
    equal(sorted(found), list(range(LOW, HIGH + 1)), "ports, sorted")


def test_taken_ports_cost_a_search(t):
    """Every other port is somebody else's: none of 50 connects fails, the next one does."""
    _, port = host(t)
    stranger, agent = t.agent(bare=True), t.agent()
    stranger("kept = []")
    for p in range(LOW, HIGH + 1, 2):
        stranger(f"s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(('10.0.0.11', {p})); "
                 f"s.connect(('10.1.0.1', {port})); kept.append(s)")
    equal(agent(f"hold({SIZE // 2 + 1}, '10.1.0.1', {port})"), [errno.EADDRNOTAVAIL, SIZE // 2], "errno and connections")
    equal([e["outcome"] for e in t.events("exhausted")], ["failed"], "outcomes of exhausted events")


def test_reserved_ports_are_not_used(t):
    """Every other port is: the search takes them at random, and in 300 connects one of 50 may well be left out."""
    _, port = host(t)
    kernel.sysctl("net.ipv4.ip_local_reserved_ports", f"{LOW}-{LOW + 49}")
    found = ports(t.agent(), 10 * SIZE, port)
    equal(set(found), set(range(LOW + 50, HIGH + 1)), "ports used")


def test_a_range_narrowed_under_a_running_client(t):
    """The kernel ignores a port outside its range and takes another one: events have the true one."""
    _, port = host(t)
    agent = t.agent()
    agent(f"burst(3, '10.1.0.1', {port})")
    kernel.port_range(41000, 41099)
    equal(agent(f"burst(20, '10.1.0.1', {port})"), 0, "failures")
    t.same_time_waits(port, 23)
    assert sum(q.local_port >= 41000 for q in kernel.time_waits(port)) == 20


def test_listening_after_a_refused_connect(t):
    """What was prepared for the connect is not left to the listener: it can have every port."""
    host(t)
    agent = t.agent()
    agent("s = socket.socket()")
    agent("attempt(s.connect, ('10.1.0.1', 9))")
    agent("s.listen()")
    assert LOW <= agent("s.getsockname()[1]") <= HIGH
    equal(agent("number(s, socket.SOL_IP, 51)"), 0, "port range of the listener")
