"""conf/examples: each file as it is shipped, under the program that it is about, with real connections in a namespace that has the
addresses it names."""

import glob
import os
import re
import signal

import kernel
from fixture import ROOT, equal, needs
from matrix import end, is_full_root, put, serve

FOLDER = os.path.join(ROOT, "conf/examples")
POOL = [f"10.0.0.{n}" for n in range(11, 15)]


def stage(t, name, *peers):
    """The namespace of an example: its sources, its peers. Its file fits this host, or check would exit with 1."""
    kernel.add_addresses(*POOL, *peers)
    t.conf = os.path.join(FOLDER, name + ".conf")
    t.tool("check", "-c", t.conf, check=0)


def sources_of(port):
    """Whichever side closed, one end of each connection is still there."""
    kernel.settle(port)
    far = {s.peer for s in kernel.sockets() if s.local_port == port and s.state != "LISTEN"}
    return far | set(kernel.by_source(port))


def test_every_example_is_tested_here(t):
    with open(__file__) as f:
        text = f.read()
    for path in glob.glob(FOLDER + "/*.conf"):
        name = os.path.basename(path)[:-len(".conf")]
        assert f'"{name}"' in text, f"no test uses {name}"
        with open(path) as f:
            first = f.read()
        assert re.match(r"#.*\n#", first), f"{name} does not begin by saying what it is for"


@needs("php")
def test_php_cache(t):
    """php connects, asks, closes: over four addresses, each close an event; another program is left alone."""
    stage(t, "php-cache", "10.2.0.10")
    port = t.server("10.2.0.10", "echo", 6379)
    code = f"for ($i = 0; $i < 20; $i++) {{ $s = stream_socket_client('tcp://10.2.0.10:{port}'); fwrite($s, 'PING'); echo fread($s, 4); fclose($s); }}"
    equal(t.run(["php", "-r", code], via="run").stdout, "PING" * 20, "what php printed")
    kernel.settle(port)
    equal(dict(kernel.by_source(port)), dict.fromkeys(POOL, 5), "sources")
    t.same_time_waits(port, 20)
    t.run([t.program("burst"), "10.2.0.10", str(port), "4"], via="run")
    equal(kernel.by_source(port)["10.2.0.10"], 4, "connections of a program that the rule does not name")


@needs("nginx", "curl", "ab")
def test_reverse_proxy(t):
    stage(t, "reverse-proxy", "10.2.0.20", "10.1.0.1")
    port = t.server("10.2.0.20", "http", 8080)
    conf = put(t, "nginx.conf", f"""
daemon off; pid {t.folder}/pid; error_log {t.folder}/log; worker_processes 2; events {{ worker_connections 64; }}
{'' if is_full_root() else 'user root;'}
http {{ access_log off; client_body_temp_path {t.folder}/a; proxy_temp_path {t.folder}/b; fastcgi_temp_path {t.folder}/c;
uwsgi_temp_path {t.folder}/d; scgi_temp_path {t.folder}/e;
server {{ listen 10.1.0.1:8000; location / {{ proxy_pass http://10.2.0.20:{port}; }} }} }}
""")
    proxy = serve(t, ["nginx", "-e", t.folder + "/log", "-c", conf], 8000, bare=False, via="run")
    done = t.run(["ab", "-q", "-n", "40", "-c", "4", "http://10.1.0.1:8000/"], bare=True)
    assert "Complete requests:      40\nFailed requests:        0\n" in done.stdout, done.stdout
    equal(sources_of(port), set(POOL), "sources that the backend saw")
    end(proxy, signal.SIGQUIT, "nginx")
    equal([e for e in t.events() if e.get("direction") == "inbound"], [], "events of accepted connections")


@needs("ab")
def test_load_generator(t):
    kernel.ip("addr add 10.0.2.0/24 dev lo")
    stage(t, "load-generator", "10.2.0.30")
    port = t.server("10.2.0.30", "http", 8080)
    done = t.run(["ab", "-q", "-n", "750", "-c", "10", f"http://10.2.0.30:{port}/"], via="run")
    assert "Complete requests:      750\nFailed requests:        0\n" in done.stdout, done.stdout
    equal(sources_of(port), {f"10.0.2.{n}" for n in range(1, 251)}, "sources that the tested host saw")


@needs("curl")
def test_ipv6_anyip(t):
    """No interface has any of the addresses that the server sees."""
    kernel.ip("-6 route add local 2001:db8:1::/64 dev lo")
    stage(t, "ipv6-anyip", "2001:db8:2::1")
    port = t.server("2001:db8:2::1", "http", 443)
    for _ in range(8):
        equal(t.run(["curl", "-sS", f"http://[2001:db8:2::1]:{port}/"], via="run").stdout, "hello\n", "what curl printed")
    kernel.settle(port)
    seen = kernel.by_source(port)
    equal((len(seen), {a.startswith("2001:db8:1:") for a in seen}), (8, {True}), f"sources {dict(seen)}")


def test_observe_canary(t):
    """No call is changed, all is counted; the dial in the file's own words turns it on and back without a restart."""
    stage(t, "observe-canary", "10.2.0.10")
    port = t.server("10.2.0.10", "hold", 7000)
    agent = t.agent(via="run")
    equal(agent(f"burst(8, '10.2.0.10', {port})"), 0, "failures")
    equal(dict(kernel.by_source(port)), {"10.2.0.10": 8}, "sources while observing")
    t.same_time_waits(port, 8)
    equal({e["arm"] for e in t.events("time-wait")}, {"observe"}, "arms")
    with open(t.conf) as f:
        text = f.read()
    assert "set -c observe-canary.conf mode=enforce canary=5 " in text and "mode=config canary=config" in text
    t.tool("set", "-c", t.conf, "mode=enforce", "canary=100", check=0)
    equal(agent(f"burst(8, '10.2.0.10', {port})"), 0, "failures")
    equal(set(kernel.by_source(port)), {"10.2.0.10", *POOL}, "sources while enforcing")
    assert t.tool("stat", "-c", t.conf, "--compare", check=0).stdout.splitlines()[-1].endswith("not enough data"), "verdict"
    t.tool("set", "-c", t.conf, "mode=config", "canary=config", check=0)
    before = sum(kernel.by_source(port)[a] for a in POOL)
    equal(agent(f"burst(8, '10.2.0.10', {port})"), 0, "failures")
    equal(sum(kernel.by_source(port)[a] for a in POOL), before, "spread connections after going back")


def test_instances(t):
    """Each has its sources, its events and its dial."""
    port = None
    for name, pool in ("instances-web", POOL[:3]), ("instances-batch", POOL[3:]):
        if not port:
            stage(t, name, "10.2.0.10")
        t.conf = os.path.join(FOLDER, name + ".conf")
        t.tool("check", "-c", t.conf, check=0)
        port = t.server("10.2.0.10")
        t.run([t.program("burst"), "10.2.0.10", str(port), "6"], via="run")
        kernel.settle(port)
        equal(dict(kernel.by_source(port)), dict.fromkeys(pool, 6 // len(pool)), f"sources of {name}")
        equal({(e["instance"], e["local_address"]) for e in t.events("time-wait")}, {(name, a) for a in pool}, f"events of {name}")
    t.tool("set", "--for-later", "-c", os.path.join(FOLDER, "instances-web.conf"), "mode=off", check=0)
    t.run([t.program("burst"), "10.2.0.10", str(port), "2"], via="run")
    equal(kernel.by_source(port)[POOL[3]], 8, "connections of the instance that was not turned off")
    equal(t.files(), ["instances-batch.state", "instances-web.state"], "state files")
