"""A source or a port that cannot serve: expected.py."""

import subprocess

import kernel
import stage
from fixture import equal, full, needs, waits
from stage import LOW, PORTS, curls, host, other, tells


def test_address_removed(t):
    port = host(t)
    page = f"http://10.1.0.1:{port}/"
    equal(curls(t, 1, "--interface", "host!10.0.0.12", page), 0, "failures before")
    kernel.ip("addr del 10.0.0.12/32 dev lo")
    equal(curls(t, 2, "--interface", "host!10.0.0.12", page), 2, "failures")
    worst = tells(t, "address_removed", f"10.1.0.1:{port}")
    equal(worst["source"], "10.0.0.12", "source")


def remove_one(t):
    port = host(t)
    t.spread(["10.0.0.11", "10.0.0.12"], rule='on-exhausted = "error"')
    page = f"http://10.1.0.1:{port}/"
    equal(curls(t, 4, page), 0, "failures before")
    kernel.ip("addr del 10.0.0.12/32 dev lo")
    equal(curls(t, 4, page), 0, "failures")
    return port


def test_pool_address_removed(t):
    port = remove_one(t)
    worst = tells(t, "pool_address_removed", f"10.1.0.1:{port}")
    equal(worst["source"], "10.0.0.12", "source")
    assert "is not an address of this host" in worst["summary"], worst["summary"]


def test_pool_address_returned(t):
    port = remove_one(t)
    kernel.add_addresses("10.0.0.12")
    worst = tells(t, "pool_address_returned", f"10.1.0.1:{port}")
    assert "is an address of this host again" in worst["summary"] and "until" not in worst["summary"], worst["summary"]


@needs("nft")
@waits
def test_no_way_back(t):
    """What is sent to 10.0.0.12 is lost; its connects time out, those of 10.0.0.11 do not. curl tries once more by itself."""
    port = host(t)
    t.spread(["10.0.0.11", "10.0.0.12"])
    subprocess.run(["nft", "-f", "-"], input=f"add table ip f\nadd chain ip f in {{ type filter hook input priority 0; }}\n"
                   f"add rule ip f in ip daddr 10.0.0.12 tcp sport {port} drop\n", text=True, check=True)
    curls(t, 8, "--connect-timeout", "1.2", f"http://10.1.0.1:{port}/")
    worst = tells(t, "no_way_back", f"10.1.0.1:{port}")
    equal(worst["source"], "10.0.0.12", "source")


def test_own_port_bind(t):
    port = host(t, kind="hold")
    command = f"socat -u /dev/null TCP4:10.1.0.1:{port},bind=10.0.0.11:50000"
    equal(stage.repeated(t, 3, command), 2, "failures")
    worst = tells(t, "own_port_bind", f"10.1.0.1:{port}")
    assert "50000" in worst["summary"], worst["summary"]


@needs("perl")
def test_own_port_connect(t):
    port = host(t, kind="hold")
    kernel.sysctl("net.ipv4.tcp_timestamps", 0)
    with stage.perl(t, port, 3, 3, "LocalAddr", "10.0.0.11", "LocalPort", "50000", "ReuseAddr", "1") as failed:
        equal(failed, 2, "failures")
        worst = tells(t, "own_port_connect", f"10.1.0.1:{port}")
        assert "50000" in worst["summary"], worst["summary"]


def test_own_port_range(t):
    port = host(t)
    equal(curls(t, 8, "--local-port", "50000-50004", f"http://10.1.0.1:{port}/"), 3, "failures")
    worst = tells(t, "own_port_range", f"10.1.0.1:{port}")
    assert "5000" in worst["summary"], worst["summary"]


def test_no_source_of_the_family(t):
    """The rule has no source for IPv6: the client connects as it asked to, which is no failure of anything."""
    host(t)
    kernel.add_addresses("fd00:2::1")
    port = t.server("fd00:2::1", kind="http")
    t.spread(["10.0.0.11"])
    equal(curls(t, 3, f"http://[fd00:2::1]:{port}/"), 0, "failures")
    tells(t, "no_source_of_the_family")


def test_no_source_of_the_family_on_this_host(t):
    """The pool's only IPv6 address is missing: that is told of the address, not as an error that a call met."""
    host(t)
    kernel.add_addresses("fd00:2::1")
    port = t.server("fd00:2::1", kind="http")
    t.spread(["10.0.0.11", "fd00:1::77"])
    equal(curls(t, 3, f"http://[fd00:2::1]:{port}/"), 0, "failures")
    worst = tells(t, "pool_address_removed", f"[fd00:2::1]:{port}")
    equal(worst["source"], "fd00:1::77", "source")
    assert "met EADDRNOTAVAIL" not in worst["summary"], worst["summary"]


# --- more clients ---

@full
@needs("php")
def test_php(t):
    port = host(t)
    code = f'for ($i = 0; $i < {PORTS + 5}; $i++) {{ $s = @fsockopen("10.1.0.1", {port}); if ($s) fclose($s); else echo "f"; }}'
    equal(t.run(["php", "-r", code]).stdout, "f" * 5, "failures")
    kernel.settle(port)
    tells(t, "php", f"10.1.0.1:{port}")


@needs("redis-cli", "redis-server")
def test_redis_cli(t):
    host(t)
    server = t.start(["redis-server", "--port", "7000", "--bind", "10.1.0.1", "--save", "", "--protected-mode", "no"], bare=True)
    try:
        kernel.wait_until(lambda: any(s.local_port == 7000 for s in kernel.sockets("LISTEN")), 20, "redis does not listen")
        equal(stage.repeated(t, PORTS + 5, "redis-cli -h 10.1.0.1 -p 7000 ping"), 5, "failures")
        tells(t, "redis_cli", "10.1.0.1:7000")
    finally:
        server.kill()
        server.wait()


@full
@needs("wrk")
def test_wrk_of_others(t):
    port = host(t)
    wrk = t.start(["wrk", "-t", "1", "-c", str(PORTS), "-d", "20", f"http://10.1.0.1:{port}/"], bare=True)
    try:
        kernel.wait_until(lambda: len(kernel.sockets(to_port=port)) >= PORTS, 10, "wrk has not connected")
        equal(curls(t, 3, f"http://10.1.0.1:{port}/"), 3, "failures")
        tells(t, "wrk_of_others", f"10.1.0.1:{port}")
    finally:
        wrk.kill()
        wrk.wait()


HAPROXY = """
global
    nbthread 1
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
    retries 0
    option httpclose
listen proxy
    bind 127.0.0.1:8081
    server s 10.1.0.1:{port} source 10.0.0.11:50000-50004
"""


@full
@needs("haproxy")
def test_haproxy(t):
    port = host(t)
    with open(f"{t.folder}/haproxy.cfg", "w") as f:
        f.write(HAPROXY.format(port=port))
    proxy = t.start(["haproxy", "-db", "-f", f"{t.folder}/haproxy.cfg"])
    try:
        kernel.wait_until(lambda: any(s.local_port == 8081 for s in kernel.sockets("LISTEN")), 20, "haproxy does not listen")
        equal(curls(t, 2, "http://127.0.0.1:8081/", bare=True), 0, "failures before")
        with other("bind", "10.0.0.11", 50000, 5):
            curls(t, 3, "http://127.0.0.1:8081/", bare=True)
            tells(t, "haproxy", f"10.1.0.1:{port}")
    finally:
        proxy.kill()
        proxy.wait()
