"""What cannot be known at a close, made on purpose, each its own row: under verify = "auto" a logged TIME-WAIT that never
was is expected of most; verify = "always" finds what the kernel knows right after the close."""

import collections
import socket
import struct

import kernel
from fixture import equal, quadruplet_of
from test_referee import Matrix

EACH = 60
AT_ONCE = 3000


def abort(peer):
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def at_rest(port):
    """The clients' ends have come to theirs."""
    kernel.wait_until(lambda: all(s.state in kernel.SETTLED for s in kernel.sockets(to_port=port)), 20, f"closed connections to {port} go on")


def nothing(*_):
    pass


class Row:
    """before and after are called with the peers' ends (before: and the client) around the client's closes. false: events
    to be expected of a shim that does not ask, for TIME-WAITs that never are."""

    def __init__(self, name, before=nothing, after=nothing, waits=0, false=EACH):
        self.name, self.before, self.after, self.waits, self.false = name, before, after, waits, false


def drop_data(peers, _):
    """The peer's data is sent, and lost: it comes a second time when the client has closed."""
    port = peers[0].getsockname()[1]
    kernel.nft(f"table inet lossy {{ chain input {{ type filter hook input priority 0; tcp sport {port} tcp flags & psh == psh drop; }}; }}")
    for p in peers:
        p.send(b"data on its way")


def undrop(peers):
    kernel.nft("delete table inet lossy")
    at_rest(peers[0].getsockname()[1])


def fin_timeout(*_):
    kernel.sysctl("net.ipv4.tcp_fin_timeout", 1)


def wait_for_fin_timeout(peers):
    """Nobody answers our FIN by one of its own: the kernel gives up after tcp_fin_timeout."""
    at_rest(peers[0].getsockname()[1])
    kernel.sysctl("net.ipv4.tcp_fin_timeout", 60)


def no_buckets(*_):
    kernel.sysctl("net.ipv4.tcp_max_tw_buckets", 0)


def overflow_first(peers, agent):
    """Both FINs are sent, and no TIME-WAIT came of them, when the client closes."""
    no_buckets()
    agent("[s.shutdown(1) for s in kept] and None")
    close_all(peers)


def close_all(peers):
    for p in peers:
        p.close()


def buckets_again(peers):
    close_all(peers)
    kernel.wait_until(lambda: all(s.state in kernel.SETTLED for s in kernel.sockets()), 20, "closed connections go on")
    kernel.sysctl("net.ipv4.tcp_max_tw_buckets", 262144)


ROWS = (
    Row("as expected", after=close_all, waits=EACH, false=0),
    Row("peer data after our close", after=lambda peers: [p.send(b"late") for p in peers]),
    Row("peer data in flight", before=drop_data, after=undrop),
    Row("peer reset after our close", after=lambda peers: [abort(p) for p in peers]),
    Row("peer silent", before=fin_timeout, after=wait_for_fin_timeout),
    Row("bucket overflow", before=no_buckets, after=buckets_again),
    Row("bucket overflow before our close", before=overflow_first, after=buckets_again, false=0),
)


def make(t, row, matrix):
    """EACH connections that end in this way; the cells of their matrix."""
    listener = socket.create_server(("10.1.0.1", 0), backlog=EACH)
    port = listener.getsockname()[1]
    agent = t.agent()
    equal(agent(f"hold({EACH}, '10.1.0.1', {port})"), [0, EACH], "connections")
    peers = [listener.accept()[0] for _ in range(EACH)]
    quads = [kernel.Quadruplet(*p.getpeername(), *p.getsockname()) for p in peers]
    row.before(peers, agent)
    agent("[s.close() for s in kept] and kept.clear()")
    row.after(peers)
    at_rest(port)
    tally(t, row.name, quads, port, matrix)
    equal(sum(matrix.rows[row.name][c] for c in ("TIME-WAIT+event", "missed")), row.waits, f"TIME-WAITs of {row.name}")
    close_all(peers)
    agent.end()


def tally(t, name, quads, port, matrix):
    waits = collections.Counter(kernel.time_waits(port))
    told = collections.Counter(quadruplet_of(e) for e in t.events("time-wait", peer_port=port))
    for quad in quads:
        matrix.add(name, waits[quad], told[quad])


def make_at_once(t, port, matrix):
    """Both ends, in two processes, are closed in the same microseconds: a FIN may come between our look and our close."""
    t.run([t.program("both_close"), "10.1.0.1", str(port), str(AT_ONCE)], timeout=60)
    kernel.settle(port)
    for name, from_port, to_port in (("both at once, outbound", 0, port), ("both at once, inbound", port, 0)):
        def ours(local, peer):
            return peer == to_port if to_port else local == from_port
        events = collections.Counter(quadruplet_of(e) for e in t.events("time-wait") if ours(e["local_port"], e["peer_port"]))
        waits = collections.Counter(kernel.quadruplet(s) for s in kernel.sockets("TIME_WAIT") if ours(s.local_port, s.peer_port))
        for quad in set(events) | set(waits):
            matrix.add(name, waits[quad], events[quad])


def all_rows(t, verify):
    matrix = Matrix()
    kernel.port_range(2000, 65000)
    t.spread(t.sources(), top=f'log {{ size = "32m" verify = "{verify}" }}')
    for row in ROWS:
        make(t, row, matrix)
    make_at_once(t, 1000, matrix)
    matrix.show(f'verify = "{verify}"')
    for name, row in matrix.rows.items():
        equal((row["missed"], row["twice"]), (0, 0), f"missed and doubled ends of {name}")
    return {name: row["false"] for name, row in matrix.rows.items()}


def test_what_auto_cannot_know(t):
    false = all_rows(t, "auto")
    at_once = false.pop("both at once, outbound") + false.pop("both at once, inbound")
    assert at_once < AT_ONCE / 10, f"{at_once} of {2 * AT_ONCE} ends that closed at once"
    equal(false, {row.name: row.false for row in ROWS}, "TIME-WAITs that were told and did not come")


def test_what_always_finds(t):
    false = all_rows(t, "always")
    known = ("as expected", "bucket overflow before our close", "both at once, outbound", "both at once, inbound")
    equal({name: false[name] for name in known}, dict.fromkeys(known, 0), "false ends that the kernel knows")
