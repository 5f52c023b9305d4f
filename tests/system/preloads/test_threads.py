"""Threads of one client that do for the first time at once whatever is kept for the process (threads.c). tests/full.sh has them run
under TSan."""

import collections

import kernel
from fixture import equal, quoted

CONNECTIONS = 8 * 12 + 2 * 24


def run(t, conf):
    """All TIME-WAITs that it leaves are told, each once, also where a close came before another thread's connect had quite returned."""
    ports = [t.server(), t.server()]
    t.config(conf(ports))
    t.run([t.program("preloads/threads"), "10.1.0.1"] + [str(p) for p in ports], WHERE="here")
    waits, told = collections.Counter(), collections.Counter()
    for port in ports:
        kernel.settle(port)
        waits.update(kernel.time_waits(port))
        told.update(t.time_wait_events(port))
    equal(sum(waits.values()), CONNECTIONS, "TIME-WAITs")
    equal((waits - told, told - waits), (collections.Counter(), collections.Counter()), "TIME-WAITs that were not told; those told too often")


def test_first_things_at_once(t):
    """A canary of one process, a pool by a variable of the environment, one with ports of its own, and none."""
    sources = t.sources()
    for canary in 100, 50, 0:
        run(t, lambda ports: f"""mode = "enforce"
canary = {canary}
pool "one" {{ addresses = {{ {quoted(sources)} }}
    policy = "hash"
    hash-by = {{ "env:WHERE" }} }}
pool "two" {{ addresses = {{ {quoted(sources)} }}
    ports = {{ "20000-29999" }} }}
rule "one" {{ to = {{ "10.1.0.1:{ports[0]}" }}
    pool = "one" }}
rule "two" {{ to = {{ "10.1.0.1:{ports[1]}" }}
    pool = "two" }}
""")


def test_another_endpoint_is_shown_as_the_one_asked_for(t):
    sources = t.sources()
    run(t, lambda ports: f"""pool "p" {{ addresses = {{ {quoted(sources)} }} }}
rule "r" {{ to = {{ "10.1.0.1" }}
    pool = "p"
    also-to = {{ {quoted(f"10.1.0.1:{p}" for p in ports)} }}
    to-policy = "round-robin"
    show-peer = "asked" }}
""")
