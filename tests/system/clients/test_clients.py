"""Unmodified programs: each is spread, and each TIME-WAIT that the kernel shows has exactly one event, by quadruplet."""

import os

import kernel
from fixture import HERE, PYTHON, equal, limit, needs

JAVA = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", os.path.join(HERE, "Client.java")]
N = 8  # connections a test makes over 4 sources: two each


def check(t, port, sources, n=N):
    """n connections to this port, evenly over the sources, all in TIME-WAIT at the client, all told once."""
    t.same_time_waits(port, n)
    used = kernel.by_source(port)
    equal(dict(used), {s: n // len(sources) for s in sources}, "connections per source by the kernel")
    events = t.events("time-wait")
    equal({e["direction"] for e in events}, {"outbound"}, "directions")
    return {e["via"] for e in events}


def scene(t, kind):
    sources = t.sources()
    port = t.server(kind=kind)
    t.spread(sources)
    return sources, port


@needs("curl")
def test_curl(t):
    sources, port = scene(t, "http")
    for i in range(N):
        done = t.run(["curl", "-sS", f"http://10.1.0.1:{port}/"], via="run" if i % 2 else "preload")
        equal(done.stdout, "hello\n", "what curl printed")
    check(t, port, sources)


@needs("curl")
def test_curl_parallel(t):
    """One curl, many connections at once (non-blocking, threads for names)."""
    sources, port = scene(t, "http")
    urls = [f"http://10.1.0.1:{port}/{i}" for i in range(N)]
    done = t.run(["curl", "-sS", "-Z", "--parallel-immediate", "--parallel-max", str(N)] + urls, check=False)
    equal((done.returncode, done.stdout), (0, "hello\n" * N), "exit status and output of curl")
    kernel.settle(port)
    n = len(kernel.time_waits(port))
    assert len(sources) <= n <= N, f"{n} TIME-WAITs for {N} downloads"
    t.same_time_waits(port, n)
    assert len(kernel.by_source(port)) == len(sources), f"sources used: {dict(kernel.by_source(port))}"


@needs("wget")
def test_wget(t):
    """wget just exits."""
    sources, port = scene(t, "http")
    for _ in range(N):
        equal(t.run(["wget", "-q", "-O", "-", f"http://10.1.0.1:{port}/"]).stdout, "hello\n", "what wget printed")
    check(t, port, sources)


def test_python3(t):
    sources, port = scene(t, "http")
    code = """
import http.client, sys
for i in range(8):
    c = http.client.HTTPConnection('10.1.0.1', int(sys.argv[1]))
    c.request('GET', '/')
    assert c.getresponse().read() == b'hello\\n'
    c.close()
"""
    t.run([PYTHON, "-c", code, str(port)])
    check(t, port, sources)


@needs("nc")
def test_nc(t):
    """nc -N shuts down after its input, waits for the server's end, and closes."""
    sources, port = scene(t, "echo")
    for _ in range(N):
        equal(t.run(["nc", "-N", "10.1.0.1", str(port)], input="echo\n").stdout, "echo\n", "what nc printed")
    check(t, port, sources)


@needs("nc")
def test_nc_without_shutdown(t):
    sources, port = scene(t, "hold")
    for _ in range(N):
        t.run(["nc", "-z", "10.1.0.1", str(port)])
    check(t, port, sources)


@needs("bash")
def test_bash(t):
    """/dev/tcp: connect, dup2, close of the original, later close of the copy."""
    sources, port = scene(t, "echo")
    script = f'for i in 1 2 3 4 5 6 7 8; do exec 3<>/dev/tcp/10.1.0.1/{port}; echo hi >&3; read -r line <&3; echo "$line"; exec 3>&-; done'
    equal(t.run(["bash", "-c", script]).stdout, "hi\n" * N, "what bash printed")
    check(t, port, sources)


@needs("bash")
def test_bash_exits(t):
    """/dev/tcp left open at exit, after commands that inherited it."""
    sources, port = scene(t, "echo")
    for _ in range(N):
        script = f"exec 3<>/dev/tcp/10.1.0.1/{port}; echo hi >&3; head -c 3 <&3; true"
        equal(t.run(["bash", "-c", script]).stdout, "hi\n", "what bash printed")
    check(t, port, sources)


@needs("node")
def test_node(t):
    """node closes by syscall(SYS_close)."""
    sources, port = scene(t, "http")
    script = """
const http = require('http');
const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
let left = 8;
for (let i = 0; i < 8; i++)
  http.get({ host: '10.1.0.1', port: process.argv[1], agent }, (r) => {
    r.resume();
    r.on('end', () => { if (--left === 0) setTimeout(() => agent.destroy(), 50); });
  });
"""
    t.run(["node", "-e", script, str(port)])
    check(t, port, sources)


@needs("node")
def test_node_exits(t):
    sources, port = scene(t, "hold")
    script = """
let n = 0;
for (let i = 0; i < 8; i++)
  require('net').connect(process.argv[1], '10.1.0.1', () => { if (++n === 8) process.exit(0); });
"""
    t.run(["node", "-e", script, str(port)])
    check(t, port, sources)


@needs("redis-server", "redis-cli")
def test_redis_cli(t):
    """redis-cli just exits."""
    sources = t.sources()
    t.spread(sources)
    t.start(["redis-server", "--port", "6379", "--bind", "10.1.0.1", "--protected-mode", "no", "--save", "",
             "--appendonly", "no", "--dir", t.folder], bare=True)
    kernel.wait_until(lambda: any(s.local_port == 6379 for s in kernel.sockets("LISTEN")), 10, "redis-server does not listen")
    for _ in range(N):
        equal(t.run(["redis-cli", "-h", "10.1.0.1", "ping"]).stdout, "PONG\n", "what redis-cli printed")
    check(t, 6379, sources)


@needs("socat")
def test_socat(t):
    sources, port = scene(t, "echo")
    for _ in range(N):
        equal(t.run(["socat", "-", f"TCP:10.1.0.1:{port}"], input="echo\n").stdout, "echo\n", "what socat printed")
    check(t, port, sources)


@limit(120)
@needs("java")
def test_java(t):
    """Java 17 uses AF_INET6 sockets with a v4-mapped peer."""
    sources, port = scene(t, "http")
    t.run(JAVA + ["10.1.0.1", str(port), str(N), "plain"], timeout=100)
    check(t, port, sources)


@limit(120)
@needs("java")
def test_java_asynchronous_close(t):
    """A close while another thread reads is a dup2 over the socket."""
    sources, port = scene(t, "hold")
    t.run(JAVA + ["10.1.0.1", str(port), str(N), "async"], timeout=100)
    vias = check(t, port, sources)
    assert "dup2" in vias, f"via {vias}: not what this test is for"
