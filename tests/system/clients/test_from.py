"""contrib/from: what users of other programs say in their configs, each file as it is, under a program of the name that it is about."""

import glob
import os
import signal

import kernel
from fixture import ROOT, TOOL, equal, full, needs
from matrix import end, is_full_root, put, serve

FOLDER = os.path.join(ROOT, "contrib/from")


def pool(first, last, network="10.0.0."):
    return set(kernel.addresses(network, first, last))


# File: program, addresses of the host, and per destination how many connections and the sources that they promise.
FILES = {
    "haproxy-server-source": ("haproxy", pool(11, 13), [("10.2.0.20", 8080, 9, pool(11, 13))]),
    "haproxy-port-range": ("haproxy", pool(11, 11), [("10.2.0.30", 5432, 9, pool(11, 11))]),
    "nginx-split-clients": ("nginx", pool(11, 14), [("10.2.0.20", 8080, 80, pool(11, 14))]),
    "nginx-proxy-bind": ("nginx", pool(11, 14), [("10.2.0.40", 443, 4, pool(11, 11)), ("10.2.0.41", 443, 4, pool(12, 12)),
                                                 ("10.2.0.42", 8080, 4, pool(13, 14))]),
    "squid-random": ("squid", pool(11, 13), [("10.2.0.20", 443, 9, pool(11, 13))]),
    "squid-destinations": ("squid", pool(11, 12), [("10.2.0.10", 443, 4, pool(11, 11)), ("10.2.0.20", 443, 4, pool(11, 11)),
                                                   ("10.2.0.21", 443, 4, pool(12, 12)), ("10.2.0.9", 443, 4, pool(12, 12))]),
    "3proxy-external": ("3proxy", pool(11, 13), []),
    "wrk-many-addresses": ("wrk", pool(1, 6, "10.0.1."), [("10.2.0.30", 8080, 12, pool(1, 6, "10.0.1."))]),
    "k6-local-ips": ("k6", pool(11, 14) | pool(0, 7, "10.0.1."), [("10.2.0.30", 8080, 36, pool(11, 14) | pool(0, 7, "10.0.1."))]),
    "k6-local-ips-v6": ("k6", set(), []),
}


def stage(t, name, addresses, *peers):
    """As in the file's own surroundings: check has nothing to say."""
    kernel.add_addresses(*sorted(addresses), *peers)
    t.conf = os.path.join(FOLDER, name + ".conf")
    t.tool("check", "-c", t.conf, check=0)


def named(t, program, client):
    """A test program under the name of the real one."""
    path = os.path.join(t.folder, program)
    if not os.path.exists(path):
        os.symlink(t.program(client), path)
    return path


def test_every_file_is_tested_here(t):
    equal({os.path.basename(path)[:-len(".conf")] for path in glob.glob(FOLDER + "/*.conf")}, set(FILES), "files, and those of the table")


def run_file(t, name):
    program, addresses, destinations = FILES[name]
    stage(t, name, addresses, *[d[0] for d in destinations])
    for address, port, count, sources in destinations:
        t.server(address, "hold", port)
        before = kernel.by_source(port)
        t.run([named(t, program, "burst"), address, str(port), str(count)], via="run")
        kernel.settle(port)
        used = {s for s, n in kernel.by_source(port).items() if n > before.get(s, 0)}
        equal(used, sources, f"{name}: sources to {address}:{port}")
    if destinations:
        address, port = destinations[0][:2]
        t.run([t.program("burst"), address, str(port), "3"], via="run")
        kernel.settle(port)
        equal(kernel.by_source(port).get(address), 3, f"{name}: connections of a program that it does not name")


def test_haproxy_servers(t):
    run_file(t, "haproxy-server-source")


def test_haproxy_ports(t):
    run_file(t, "haproxy-port-range")
    equal({s.local_port // 10000 for s in kernel.sockets(to_port=5432) if s.local == "10.0.0.11"}, {4}, "ports of 40000-49999")


def test_nginx_split_clients(t):
    run_file(t, "nginx-split-clients")


def test_nginx_proxy_bind(t):
    run_file(t, "nginx-proxy-bind")


def test_squid_random(t):
    run_file(t, "squid-random")


def test_squid_destinations(t):
    run_file(t, "squid-destinations")


def test_wrk(t):
    run_file(t, "wrk-many-addresses")


def test_k6(t):
    run_file(t, "k6-local-ips")


@full
def test_3proxy(t):
    """One process a customer: each customer has one address, in every process of it; twelve customers use all three."""
    program, addresses, _ = FILES["3proxy-external"]
    stage(t, "3proxy-external", addresses, "10.2.0.20")
    port = t.server("10.2.0.20", "hold", 8080)
    of = {}
    for customer in [f"customer-{n}" for n in range(12)] * 2:
        before = kernel.by_source(port)
        t.run([named(t, program, "burst"), "10.2.0.20", str(port), "4"], via="run", CUSTOMER=customer)
        kernel.settle(port)
        used, = [s for s, n in kernel.by_source(port).items() if n > before.get(s, 0)]
        equal(used, of.setdefault(customer, used), f"address of {customer}")
    equal(set(of.values()), addresses, "addresses of twelve customers")


def test_k6_prefix(t):
    """A static program, as k6 is, under --supervise: sixteen connections from sixteen /64."""
    kernel.ip("-6 route add local fd00:9::/60 dev lo")
    stage(t, "k6-local-ips-v6", set(), "fd00:2::1")
    port = t.server("fd00:2::1", "hold", 8080)
    t.run([TOOL, "run", "--supervise", "-c", t.conf, "--", named(t, "k6", "supervise/client"), "fd00:2::1", str(port), "16"], bare=True)
    kernel.settle(port)
    seen = kernel.by_source(port)
    equal((len(seen), len({a.split("::")[0] for a in seen})), (16, 16), f"addresses, and their /64: {dict(seen)}")


@full
@needs("haproxy", "nginx", "wrk", "ab")
def test_the_programs_themselves(t):
    """HAProxy, nginx and wrk under their files: the backend sees the pool's addresses, and no request fails."""
    stage(t, "haproxy-server-source", pool(11, 14) | pool(1, 6, "10.0.1."), "10.1.0.1", "10.2.0.20", "10.2.0.30")
    t.server("10.2.0.20", "http", 8080)
    conf = put(t, "haproxy.cfg", "defaults\n timeout connect 5s\n timeout client 20s\n timeout server 20s\n"
               "listen a\n mode tcp\n bind 10.1.0.1:8001\n server app 10.2.0.20:8080\n")
    proxy = serve(t, ["haproxy", "-f", conf], 8001, bare=False, via="run")
    asked(t, 8001, pool(11, 13))
    end(proxy, signal.SIGUSR1, "haproxy")
    t.conf = os.path.join(FOLDER, "nginx-split-clients.conf")
    conf = put(t, "nginx.conf", f"""
daemon off; pid {t.folder}/pid; error_log {t.folder}/log; worker_processes 1; events {{ worker_connections 64; }}
{'' if is_full_root() else 'user root;'}
http {{ access_log off; client_body_temp_path {t.folder}/a; proxy_temp_path {t.folder}/b; fastcgi_temp_path {t.folder}/c;
uwsgi_temp_path {t.folder}/d; scgi_temp_path {t.folder}/e;
server {{ listen 10.1.0.1:8002; location / {{ proxy_pass http://10.2.0.20:8080; }} }} }}
""")
    proxy = serve(t, ["nginx", "-e", t.folder + "/log", "-c", conf], 8002, bare=False, via="run")
    asked(t, 8002, pool(11, 14))
    end(proxy, signal.SIGQUIT, "nginx")
    t.conf = os.path.join(FOLDER, "wrk-many-addresses.conf")
    t.server("10.2.0.30", "http", 8080)
    wrk = t.start(["wrk", "-t1", "-c12", "-d3s", "http://10.2.0.30:8080/"], via="run")
    seen = set()  # it resets its connections at the end: nothing is left then
    kernel.wait_until(lambda: seen.update(far_ends("10.0.1.")) or wrk.poll() is not None, timeout=30, what="wrk does not end")
    equal((wrk.returncode, seen), (0, pool(1, 6, "10.0.1.")), "exit and sources of wrk")


def far_ends(network):
    return {s.peer for s in kernel.sockets() if s.local_port == 8080 and s.state != "LISTEN" and s.peer.startswith(network)}


def asked(t, port, sources):
    """80 requests through the proxy at that port: whichever side closed, one end of each connection is still there."""
    done = t.run(["ab", "-q", "-n", "80", "-c", "4", f"http://10.1.0.1:{port}/"], bare=True)
    assert "Complete requests:      80\nFailed requests:        0\n" in done.stdout, done.stdout
    kernel.settle(8080)
    seen = far_ends("10.0.0.") | {s for s in kernel.by_source(8080) if s.startswith("10.0.0.")}
    equal(seen, sources, f"sources that the backend saw of the proxy at port {port}")
