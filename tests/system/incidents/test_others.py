"""Others take the ports, or the host's settings do: expected.py."""

import subprocess

import kernel
import stage
from fixture import equal, needs
from follower import Recorder
from stage import LOW, PORTS, curls, host, other, perl, tells


def fills(t, name, what, n, address="10.1.0.1"):
    """Another program takes some of the ports, curl's TIME-WAITs the rest."""
    port = host(t)
    with other(what, address, LOW if what == "bind" else port, n) as process:
        if what == "spend":
            kernel.settle(port)
        equal(curls(t, PORTS - n + 4, f"http://10.1.0.1:{port}/"), 4, "failures")
        worst = tells(t, name, f"10.1.0.1:{port}")
        of_others = {"bind": "explicit-binds", "hold": "other-processes"}.get(what)
        if of_others:
            share = next(s for s in worst["shares"] if s["kind"] == of_others)
            equal((share["program"], share["quadruplets"]), ("python3", n), "who has what others have")
            assert any(f"python3 (pid {process.pid}) has {n} of" in b for b in worst["because"]), worst["because"]
        return worst


def test_binds_of_others(t):
    fills(t, "binds_of_others", "bind", PORTS)


def test_binds_and_time_waits(t):
    fills(t, "binds_and_time_waits", "bind", PORTS * 2 // 5)


def test_others_on_the_source(t):
    fills(t, "others_on_the_source", "hold", PORTS)


def test_others_time_waits(t):
    worst = fills(t, "others_time_waits", "spend", PORTS)
    assert "no owner" in " ".join(worst["because"]), worst


def test_others_and_time_waits(t):
    fills(t, "others_and_time_waits", "hold", PORTS // 4)


def test_who_had_the_ports_when_they_are_gone(t):
    """The recorder looked when the connect failed; by the time of the report the program has ended, and another one began."""
    recorder = Recorder(t)
    port = t.server(kind="http")
    kernel.port_range(LOW, LOW + PORTS - 1)
    recorder.create()
    recorder.start("--keep")
    try:
        with other("bind", "10.1.0.1", LOW, 8) as binder, other("hold", "10.1.0.1", port, 4) as holder:
            curls(t, PORTS - 12 + 4, f"http://10.1.0.1:{port}/", CONNSPREAD_MODE="observe")
            found = kernel.wait_until(lambda: t.events("holders"), 10, "no event says who had the ports")
    finally:
        recorder.stop()
    equal(len(found), 1, "looks in half a minute")
    equal((found[0]["peer_address"], found[0]["peer_port"]), ("10.1.0.1", port), "where to")
    worst, = (c for c in stage.report(t, 1)["conclusions"] if c["failed"])
    equal({s["kind"]: s["program"] for s in worst["shares"]}, {"explicit-binds": None, "other-processes": None, "time-wait": "curl"}, "shares")
    because = " ".join(worst["because"])
    for words in (f"python3 (pid {binder.pid}) had 8 ports bound: {LOW}-{LOW + 7}", f"python3 (pid {holder.pid}) had 4 connections open to there"):
        assert words in because, because
    assert f"python3 (pid {binder.pid}) has" not in because, because


def test_all_ports_reserved(t):
    port = host(t)
    kernel.sysctl("net.ipv4.ip_local_reserved_ports", f"{LOW}-{LOW + PORTS - 1}")
    equal(stage.repeated(t, 3, f"nc -w 2 -N 10.1.0.1 {port}"), 3, "failures")
    tells(t, "all_ports_reserved", f"10.1.0.1:{port}")


def test_reserved_and_time_waits(t):
    port = host(t)
    kernel.sysctl("net.ipv4.ip_local_reserved_ports", f"{LOW}-{LOW + PORTS * 3 // 4 - 1}")
    equal(curls(t, PORTS // 4 + 3, f"http://10.1.0.1:{port}/"), 3, "failures")
    tells(t, "reserved_and_time_waits", f"10.1.0.1:{port}")


@needs("perl")
def test_descriptors(t):
    port = host(t)
    script = f"ulimit -n 12; exec perl -e '{stage.PERL_KEEP}' 10.1.0.1:{port} 16 16 0"
    done = subprocess.run(["sh", "-c", script], env=t.environment(), input="\n", stdout=subprocess.PIPE, text=True, check=True)
    failed = int(done.stdout.split()[1])
    assert 0 < failed < 16, done.stdout
    worst = tells(t, "descriptors")
    equal(worst["failed"], failed, "failures")


def test_tw_buckets(t):
    port = host(t)
    kernel.sysctl("net.ipv4.tcp_max_tw_buckets", 4)
    equal(curls(t, 12, f"http://10.1.0.1:{port}/"), 0, "failures")
    kernel.settle(port)
    equal(len(kernel.time_waits(port)), 4, "TIME-WAITs")
    worst = tells(t, "tw_buckets")
    assert "tcp_max_tw_buckets" in worst["summary"], worst


def test_ipv6_disabled(t):
    host(t)
    kernel.add_addresses("fd00:2::1")
    port = t.server("fd00:2::1", kind="http")
    page = f"http://[fd00:2::1]:{port}/"
    equal(curls(t, 1, page), 0, "failures before")
    kernel.sysctl("net.ipv6.conf.all.disable_ipv6", 1)
    kernel.sysctl("net.ipv6.conf.lo.disable_ipv6", 1)
    equal(curls(t, 2, page), 2, "failures")
    tells(t, "ipv6_disabled", f"[fd00:2::1]:{port}")


@needs("perl")
def test_slow_search(t):
    """Of 6,000 ports two thirds are taken: from the half on every connect() looks at all of them."""
    port = host(t, kind="hold", ports=6000)
    with perl(t, port, 4000, 0, CONNSPREAD_MODE="observe") as failed:
        equal(failed, 0, "failures")
        worst = tells(t, "slow_search", f"10.1.0.1:{port}")
        assert "half" in worst["summary"], worst


def test_tw_reuse(t):
    port = host(t)
    kernel.sysctl("net.ipv4.tcp_tw_reuse", 1)
    kernel.sysctl("net.ipv4.tcp_tw_reuse_delay", 1)
    equal(curls(t, 3 * PORTS, f"http://10.1.0.1:{port}/"), 0, "failures")
    tells(t, "tw_reuse")


def test_inbound_server(t):
    """python3 -m http.server closes first: HTTP/1.0."""
    host(t, ports=200)
    server = t.start([stage.PYTHON, "-m", "http.server", "8099", "--bind", "10.1.0.1"])
    try:
        kernel.wait_until(lambda: any(s.local_port == 8099 for s in kernel.sockets("LISTEN")), 20, "the server does not listen")
        equal(curls(t, 2 * PORTS, "http://10.1.0.1:8099/", bare=True), 0, "failures")
        kernel.settle(8099)
        waits = len([s for s in kernel.sockets("TIME_WAIT") if s.local_port == 8099])
        assert waits > 0, "the server has no TIME-WAIT"
        tells(t, "inbound_server")
        found = stage.report(t, 0)
        equal(found["closed_first"][0]["direction"], "inbound", "who closed first")
        assert found["closed_first"][0]["time_wait"] >= waits, (found["closed_first"], waits)
        text = t.tool("report", *stage.instance(t), check=0).stdout
        assert "fullest" not in text, text
    finally:
        server.kill()
        server.wait()


def test_healthy(t):
    port = host(t)
    equal(curls(t, 5, f"http://10.1.0.1:{port}/"), 0, "failures")
    tells(t, "healthy")
