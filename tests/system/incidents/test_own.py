"""The client's own connections take its ports: expected.py."""

import errno
import time

import stage
from fixture import equal, needs
from kernel import settle, sockets, wait_until
from stage import PORTS, curls, host, perl, tells

A_MOMENT = 1.1  # seconds, after which a server that has not closed is not about to


def test_own_time_waits(t):
    port = host(t)
    equal(curls(t, PORTS + 5, f"http://10.1.0.1:{port}/", CONNSPREAD_MODE="observe"), 5, "failures")
    worst = tells(t, "own_time_waits", f"10.1.0.1:{port}")
    equal((worst["failed"], worst["numbers"]["capacity"]), (5, PORTS), "failures, capacity")


def test_own_time_waits_of_a_pool(t):
    port = host(t, ports=10)
    t.spread(["10.0.0.11", "10.0.0.12"], rule='on-exhausted = "error"')
    equal(curls(t, 24, f"http://10.1.0.1:{port}/"), 4, "failures")
    worst = tells(t, "own_time_waits_of_a_pool", f"10.1.0.1:{port}")
    equal((worst["failed"], worst["numbers"]["sources"], worst["numbers"]["capacity"]), (4, 2, 20), "failures, sources, capacity")


def test_a_pool_of_which_a_connect_tries_half(t):
    """The connect that fails first has tried two of four sources: the numbers are those of all, as soon as another tried more."""
    port = host(t, sources=(11, 14), ports=10)
    t.spread(["10.0.0.11", "10.0.0.12", "10.0.0.13", "10.0.0.14"], rule='attempts = 2\non-exhausted = "error"')
    equal(curls(t, 41, f"http://10.1.0.1:{port}/"), 1, "failures")
    first = tells(t, "own_time_waits_of_a_pool", f"10.1.0.1:{port}")
    assert any("2 more sources of the pool" in b for b in first["because"]), first["because"]
    equal(first["numbers"]["sources_needed"], 5, "sources needed: 41 connections, a tenth more, 10 ports")
    # One process: a source that was full a second ago is tried again, instead of one more.
    equal(curls(t, 1, *[f"http://10.1.0.1:{port}/"] * 4), 1, "failures")
    worst = tells(t, "own_time_waits_of_a_pool", f"10.1.0.1:{port}")
    equal((worst["numbers"]["sources"], worst["numbers"]["capacity"], worst["numbers"]["time_wait"]), (4, 40, 40), "sources, capacity, TIME-WAITs")


def test_own_time_waits_of_wget(t):
    port = host(t)
    equal(stage.repeated(t, PORTS + 5, 'wget -q -t 1 -O /dev/null "$@"', f"http://10.1.0.1:{port}/"), 5, "failures")
    tells(t, "own_time_waits_of_wget", f"10.1.0.1:{port}")


BIND_FIRST = """
import socket, sys
for i in range(25):
    try:
        socket.create_connection(("10.1.0.1", int(sys.argv[1])), source_address=("10.0.0.11", 0)).close()
    except OSError as e:
        print(e.errno)
"""


def test_bind_then_connect(t):
    port = host(t)
    equal(t.python(BIND_FIRST, port, CONNSPREAD_MODE="observe").stdout, f"{errno.EADDRINUSE}\n" * 5, "errno of the failures")
    worst = tells(t, "bind_then_connect", f"10.1.0.1:{port}")
    assert "EADDRINUSE" in worst["summary"] and any(r["id"] == "late-port" for r in worst["remedies"]), worst


def test_bind_then_connect_with_the_port_put_off(t):
    """The same under enforce: the bind takes no port, and it is connect that fails."""
    port = host(t)
    equal(t.python(BIND_FIRST, port).stdout, f"{errno.EADDRNOTAVAIL}\n" * 5, "errno of the failures")
    worst = tells(t, "bind_then_connect", f"10.1.0.1:{port}")
    assert "EADDRNOTAVAIL" in worst["summary"], worst


def leak(t, port, n, **options):
    with perl(t, port, n + 4, **options) as failed:
        equal(failed, 4, "failures")
        worst = tells(t, "leak", f"10.1.0.1:{port}")
        equal((worst["numbers"]["open"], worst["numbers"]["capacity"]), (n, n), "open, capacity")


@needs("perl")
def test_leak(t):
    leak(t, host(t), PORTS)


@needs("perl")
def test_leak_that_is_only_watched(t):
    leak(t, host(t), PORTS, CONNSPREAD_MODE="observe")


@needs("perl")
def test_leak_over_a_pool(t):
    port = host(t)
    t.spread(["10.0.0.11", "10.0.0.12"], rule='on-exhausted = "error"')
    leak(t, port, 2 * PORTS)


@needs("perl")
def test_leak_and_time_waits(t):
    port = host(t)
    with perl(t, port, PORTS + 4, PORTS // 2) as failed:
        equal(failed, 4, "failures")
        settle(port)
        tells(t, "leak_and_time_waits", f"10.1.0.1:{port}")


def test_server_never_closes(t):
    port = host(t, kind="never")
    equal(curls(t, PORTS + 4, f"http://10.1.0.1:{port}/"), 4, "failures")
    time.sleep(A_MOMENT)
    worst = tells(t, "server_never_closes", f"10.1.0.1:{port}")
    assert any("tcp_fin_timeout" in r["text"] for r in worst["remedies"]), worst


def test_half_closed_and_time_waits(t):
    port = host(t, kind="seldom")
    equal(curls(t, PORTS + 4, f"http://10.1.0.1:{port}/"), 4, "failures")
    wait_until(lambda: {s.state for s in sockets(to_port=port) if s.local_port % 4} == {"TIME_WAIT"}, what="the server has not closed what it closes")
    time.sleep(A_MOMENT)
    tells(t, "half_closed_and_time_waits", f"10.1.0.1:{port}")


@needs("perl")
def test_client_never_closes(t):
    port = host(t, kind="close")
    with perl(t, port, PORTS + 4, last=True) as failed:
        equal(failed, 4, "failures")
        tells(t, "client_never_closes", f"10.1.0.1:{port}")


def test_another_watched_program(t):
    port = host(t)
    equal(curls(t, PORTS, f"http://10.1.0.1:{port}/"), 0, "failures of curl")
    equal(stage.repeated(t, 3, "nc -w 2 -N 10.1.0.1 " + str(port)), 3, "failures of nc")
    worst = tells(t, "another_watched_program", f"10.1.0.1:{port}")
    equal(worst["culprit"], "curl", "culprit")


def test_time_waits_of_several_programs(t):
    """None has more than half of them: nobody is called the cause alone."""
    port = host(t)
    equal(curls(t, PORTS // 2, f"http://10.1.0.1:{port}/"), 0, "failures of curl")
    equal(stage.repeated(t, PORTS // 2, 'wget -q -t 1 -O /dev/null "$@"', f"http://10.1.0.1:{port}/"), 0, "failures of wget")
    equal(stage.repeated(t, 3, "nc -w 2 -N 10.1.0.1 " + str(port)), 3, "failures of nc")
    worst = tells(t, "another_watched_program", f"10.1.0.1:{port}")
    equal(worst["culprit"], None, "culprit")
    assert "several programs make short-lived connections" in worst["summary"], worst["summary"]
    assert any("10 were by curl, 10 by wget" in b or "10 were by wget, 10 by curl" in b for b in worst["because"]), worst["because"]


@needs("perl")
def test_two_incidents(t):
    port = host(t)
    kept = t.server(kind="hold")
    equal(curls(t, PORTS + 6, f"http://10.1.0.1:{port}/"), 6, "failures of curl")
    with perl(t, kept, PORTS + 3) as failed:
        equal(failed, 3, "failures of perl")
        tells(t, "two_incidents", f"10.1.0.1:{port}", among=lambda c: c["programs"][0]["program"] == "curl")
        tells(t, "leak", f"10.1.0.1:{kept}", among=lambda c: c["programs"][0]["program"] == "perl")
