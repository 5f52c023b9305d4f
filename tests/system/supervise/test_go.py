"""An ordinary Go client (net/http) under `connspread run --supervise`: no preload reaches it."""

import collections
import os
import shutil
import subprocess

import kernel
from fixture import HERE, equal, full, limit, needs
from test_supervise import RANGE, command, scene


def build(t):
    path = os.path.join(t.folder, "client")
    env = {"PATH": os.environ["PATH"], "HOME": t.folder, "GOCACHE": os.path.join(t.folder, "cache"), "CGO_ENABLED": "0", "GOFLAGS": "-p=2"}
    subprocess.run(["go", "build", "-o", path, os.path.join(HERE, "supervise/programs/client.go")], env=env, check=True, timeout=200)
    shutil.rmtree(os.path.join(t.folder, "cache"), ignore_errors=True)
    return path


def results(done):
    lines = [line.split(" ", 1) for line in done.stdout.splitlines() if line.split()[0].isdigit()]
    return collections.Counter({said: int(n) for n, said in lines})


def slowest(done):
    return int(done.stdout.splitlines()[-1].split()[1])


@full
@needs("go")
@limit(300)
def test_go_client(t):
    """Every quadruplet of four sources; then 5,000 requests of 200 goroutines: each works, and TIME-WAIT events = kernel."""
    client = build(t)
    sources, port = scene(t)
    bare = t.run([client, f"10.1.0.1:{port}", "66", "8", "hold"], bare=True)
    equal(results(bare)["worked"], RANGE, "connections, bare")
    kernel.settle(port)
    port = t.server()
    done = t.run(command(t, client, f"10.1.0.1:{port}", "66", "8", "hold"), bare=True)
    equal(results(done)["worked"], 4 * RANGE, f"connections: {done.stdout}")
    events = t.events("exhausted", peer_port=port)
    equal(sorted(s["address"] for s in events[0]["sources"]), sources, "sources of the exhausted event")
    kernel.port_range(20000, 29999)
    port = t.server(kind="http")
    done = t.run(command(t, client, f"10.1.0.1:{port}", "5000", "200"), bare=True, timeout=60)
    equal(results(done), {"worked": 5000}, "requests")
    assert slowest(done) < 1000, f"slowest: {slowest(done)} ms"
    kernel.settle(port)
    waits = kernel.time_waits(port)
    events = t.time_wait_events(port)
    assert len(waits) > 0 and events == waits, f"{len(waits)} TIME-WAITs, {len(events)} events"
    port = t.server()
    done = t.run(command(t, client, f"10.1.0.1:{port}", "400", "200", "hold"), bare=True)
    equal(results(done), {"worked": 400}, "connections")
    kernel.settle(port)
    counts = collections.Counter(q.local for q in kernel.time_waits(port))
    assert sorted(counts) == sources and all(abs(n - 100) <= 2 for n in counts.values()), f"spread: {counts}"
