"""closes = "all" and verify = "always": every close is an event, and every verdict is checked."""

import collections
import re
import socket
import struct

import kernel
from fixture import equal, quadruplet_of

EACH = 10


def abort(peer):
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


# What is done before the client closes (p: the peer's socket), and the fate of that close.
CASES = [
    ("time-wait", lambda agent, p: None),
    ("passive", lambda agent, p: p.close()),
    ("reset", lambda agent, p: p.send(b"unread")),
    ("reset", lambda agent, p: abort(p)),
]


def test_every_close_is_told_and_checked(t):
    """All fates, verified; the log's closing line counts them, and no verdict was wrong."""
    t.spread(t.sources(), top='log {\n    closes = "all"\n    verify = "always"\n}')
    listener = socket.create_server(("10.1.0.1", 0), backlog=64)
    port = listener.getsockname()[1]
    agent = t.agent()
    peers, wanted = [], collections.Counter()
    for fate, before in CASES * EACH:
        agent(f"globals().update(s=connect('10.1.0.1', {port}))")
        p = listener.accept()[0]
        before(agent, p)
        agent("time.sleep(0.005); s.close()")
        peers.append(p)
        wanted[fate] += 1
    for p in peers:
        p.close()
    kernel.settle(port)
    events = t.events("time-wait") + t.events("close")
    equal(collections.Counter(e["fate"] for e in events), wanted, "events by fate")
    equal({e["verified"] for e in events}, {True}, "verified")
    equal(sorted(quadruplet_of(e) for e in events if e["event"] == "time-wait"), kernel.time_waits(port), "quadruplets of time-wait events")
    said = re.findall(r"(\d+) closes verified, (\d+) verdicts corrected", t.log_stderr)
    equal(said, [(str(len(CASES) * EACH), "0")], "the log's closing line")


def test_the_text_says_what_was_checked(t):
    """verified, unconfirmed or nothing."""
    t.spread(t.sources(), top='log { verify = "always" }')
    port = t.server()
    agent = t.agent()
    agent(f"burst(1, '10.1.0.1', {port})")
    agent.end()
    text = t.tool("log", "-c", t.conf, check=0).stdout
    assert re.search(r"time-wait .*, verified, rule r$", text, re.M), text
