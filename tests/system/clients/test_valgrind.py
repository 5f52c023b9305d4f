"""Preloaded clients under valgrind: no read of what was never written, no access out of bounds, no system call with bad memory."""

import kernel
from fixture import PACKAGES, equal, full, limit, needs

PACKAGES["valgrind"] = "valgrind"
VALGRIND = ["valgrind", "-q", "--error-exitcode=99", "--track-fds=no", "--leak-check=full", "--errors-for-leak-kinds=definite"]


def clean(t, sources, port, *argv):
    """The client ends as it does without valgrind, which has nothing to say (stderr stays empty)."""
    t.run(VALGRIND + [t.program(argv[0]), *map(str, argv[1:])], timeout=100)
    kernel.settle(port)
    waits = kernel.time_waits(port)
    equal(t.time_wait_events(port), waits, "quadruplets of time-wait events")
    assert waits and {q.local for q in waits} <= set(sources), f"sources: {sorted({q.local for q in waits})}"


@full
@limit(150)
@needs("valgrind")
def test_connects_and_closes(t):
    """The first client compiles the config inside itself; the others find it done."""
    kernel.sysctl("net.ipv4.tcp_fastopen", 1)
    sources = t.sources()
    t.spread(sources)
    port = t.server()
    for argv in (("burst", "10.1.0.1", port, 20), ("hard_places", "constant", "10.1.0.1", port), ("hard_places", "spawns", "10.1.0.1", port),
                 ("odd_places", "late", "10.1.0.1", port), ("odd_places", "thread", "10.1.0.1", port)):
        clean(t, sources, port, *argv)


@full
@limit(150)
@needs("valgrind")
def test_every_source_full(t):
    """All sources tried, ports outside the range bound, failures explained."""
    sources = t.sources()
    t.spread(sources, pool='ports = { "40000-40003", "20000-20001" }', rule='on-exhausted = "error"\nattempts = 64')
    kernel.port_range(40000, 40003)
    port = t.server()
    clean(t, sources, port, "hard_places", "full", "10.1.0.1", port, 20)
    equal(len(kernel.time_waits(port)), 24, "TIME-WAITs: every quadruplet")
    assert t.events("exhausted"), "no exhausted event"
