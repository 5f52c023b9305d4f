"""Very many flows, processes and addresses: nothing overflows, and all ends are told."""

import errno
import json
import os
import re
import subprocess
import time

import kernel
from fixture import equal, full, limit, quadruplet_of
from measured import measured

MANY = 100000  # destinations


def flows(t, *arguments, **options):
    return t.run([t.program("kernel/flows")] + [str(a) for a in arguments], timeout=140, **options)


def counters(t):
    """The counters of `connspread stat`, all arms together, by name."""
    text = t.tool("stat", "-c", t.conf, check=0).stdout
    rows = re.findall(r"^(\w+) +([\d,]+) +([\d,]+) +([\d,]+)$", text, re.MULTILINE)
    return {name: sum(int(n.replace(",", "")) for n in numbers) for name, *numbers in rows}


@full
@limit(150)
def test_random_suffixes(t):
    """100,000 connects from random addresses of one /64 to random ones of another: room for all pairs, one row of statistics, which says so."""
    for place in ("fd00:1::/64", "fd00:2::/64"):
        kernel.ip(f"-6 route add local {place} dev lo")
    t.spread(["fd00:1::/64"], to=["fd00:2::/64"], pool='freebind = true\npolicy = "random"')
    flows(t, "to", "fd00:2::", 1, MANY)
    found = counters(t)
    equal({name: found[name] for name in ("pairs_full", "open_table_full", "connections_untracked")},
          {"pairs_full": 0, "open_table_full": 0, "connections_untracked": 0}, "counters of what overflowed")
    rows = json.loads(t.tool("stat", "-o", "json", "-c", t.conf, check=0).stdout)["stats"]
    equal([(r["source"], r["rule"], r["connects"], r["connects_spread"]) for r in rows], [("fd00:1::/64", "r", MANY, MANY)], "rows of stat")
    text = t.tool("stat", "-c", t.conf, check=0).stdout
    assert "counted by prefix" in text, "stat does not say that it counts by prefix"
    assert "left out" not in text and "marked down" not in text, f"no source and no endpoint is down: {text[-600:]}"


def turn(agent, n, to, port):
    """Source and port of n connections, each reset before the next is made."""
    return [tuple(pair) for pair in agent(f"[(lambda s: (list(s.getsockname()), reset(s)))(connect('{to}', {port}))[0] for _ in range({n})]")]


@full
@limit(150)
def test_a_full_destination_among_many(t):
    """Ports take turns, a full destination is held down and explained, with 100,000 other destinations known."""
    low, high, to = 40000, 40049, "127.0.0.1"
    sources = kernel.addresses("127.0.1.", 1, 4)
    size, port = len(sources) * (high - low + 1), t.server("127.0.0.1")
    kernel.port_range(low, high)
    t.spread(sources, rule='on-exhausted = "error"')
    flows(t, "to", "127.16.0.0", 1, MANY // 2)
    agent = t.agent()
    found = turn(agent, size // 2, to, port)
    flows(t, "to", "127.16.195.80", 1, MANY // 2)  # the next
    found += turn(agent, size // 2, to, port)
    equal(sorted(found), [(source, p) for source in sources for p in range(low, high + 1)], "sources and ports, each once")
    equal(agent(f"hold({size + 1}, '{to}', {port})"), [errno.EADDRNOTAVAIL, size], "errno and connections held")
    event, = t.events("exhausted", peer_port=port)
    equal([(s["address"], s["open"]) for s in event["sources"]], [(source, high - low + 1) for source in sources], "sources that it names, and what they have open")
    before, began = counters(t), time.monotonic()
    equal(agent(f"[hold(1, '{to}', {port})[0] for _ in range(200)]"), [errno.EADDRNOTAVAIL] * 200, "what 200 more connects say")
    after = counters(t)
    assert after["sources_held_down"] - before["sources_held_down"] > 400, f"of 800, held down: {before['sources_held_down']} to {after['sources_held_down']}"
    equal(after["pairs_full"], 0, "pairs_full")
    told, seconds = t.events("exhausted", peer_port=port), time.monotonic() - began
    assert len(told) <= 10 * (seconds + 2), f"{len(told)} events in {seconds:.1f} s"


# --- killed ---

EACH_PORT = 15000  # connections: of 20,000 descriptors that a server's process may have


def as_many(quads, n):
    return set(quads) if len(quads) == n else None


def tw():
    """TIME-WAITs of this namespace, and what is still in FIN_WAIT2 without a process."""
    with open("/proc/net/sockstat") as f:
        return int(re.search(r"^TCP:.* tw (\d+)", f.read(), re.MULTILINE)[1])


def killed(t, processes, each, seconds):
    n = processes * each
    ports = -(-n // EACH_PORT)
    kernel.sysctl("net.ipv4.tcp_max_tw_buckets", 1000000)
    kernel.port_range(10000, 65000)
    t.spread(t.sources(), top='log { size = "64M" }')
    for port in range(700, 700 + ports):
        t.start([t.program("storm"), "serve", "10.1.0.1", str(port)], bare=True)
        kernel.wait_until(lambda port=port: any(s.state == "LISTEN" and s.local_port == port for s in kernel.sockets()), 20, f"no server on port {port}")
    began = time.monotonic()
    t.run([t.program("kernel/flows"), "killed", "10.1.0.1", "700"] + [str(a) for a in (ports, processes, each)], timeout=seconds)
    kernel.wait_until(lambda: tw() >= n, 50, f"{n} TIME-WAITs")
    print(f"{processes} processes with {each} connections each: begun and killed in {time.monotonic() - began:.1f} s")
    waits = kernel.wait_until(lambda: as_many(kernel.time_waits(), n), 50, f"{n} TIME-WAITs in a dump")
    preview = measured(t, "log", "-o", "json", "--event", "time-wait")[0].count("\n")
    print(measured(t, "reap")[0].strip())
    told = [quadruplet_of(json.loads(line)) for line in measured(t, "log", "-o", "json", "--event", "time-wait")[0].splitlines()]
    equal(preview, len(told), "events that log had before they were written")
    for command in ("stat", "report"):
        measured(t, command)
    found = counters(t)
    lost = found["open_table_full"] + found["connections_untracked"] + found["events_dropped"]
    print(f"{len(told)} ends told, {lost} counted as lost: {found}" if lost else f"{len(told)} ends told, none lost")
    equal((len(told) - len(set(told)), len(set(told) - waits)), (0, 0), "told twice; told falsely")
    equal((len(told) + lost, lost), (n, 0), "ends that were told or counted as lost; of these lost, though there was room")


@full
@limit(900 if "KILLED" in os.environ else 60)
def test_killed_at_once(t):
    """2,000 processes with two connections each, or as many as KILLED says: KILLED=10000x20."""
    processes, each = map(int, os.environ.get("KILLED", "2000x2").split("x"))
    killed(t, processes, each, 600 if "KILLED" in os.environ else 40)


# --- idle ones ---

def idle(t, port, bare):
    """A client that has connected once and waits."""
    env = t.environment(bare=bare, CONNSPREAD_DIR="/dev/shm/idle")  # where state files lie: in memory
    client = subprocess.Popen([t.program("kernel/flows"), "idle", "10.1.0.1", str(port)], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    equal(client.stdout.readline(), "ready\n", "what it says")
    return client


def memory(client):
    """kB: its share of what it has resident (Pss, proc_pid_smaps(5)) with its page tables; all that it has resident."""
    with open(f"/proc/{client.pid}/smaps_rollup") as rollup, open(f"/proc/{client.pid}/status") as status:
        found = dict(re.findall(r"^(\w+):\s+(\d+) kB", rollup.read() + status.read(), re.MULTILINE))
    return int(found["Pss"]) + int(found["VmPTE"]), int(found["Rss"])


@full
def test_memory_of_idle_clients(t):
    """What each of 20 clients takes more of the host's memory than bare, state file and all: at most 200 kB."""
    os.mkdir("/dev/shm/idle", 0o700)
    t.spread(t.sources())
    port = t.server()
    clients = {bare: [idle(t, port, bare) for _ in range(20)] for bare in (True, False)}
    bare, shim = ([sorted(m[i] for m in map(memory, clients[kind]))[10] for i in (0, 1)] for kind in (True, False))
    print(f"{shim[0] - bare[0]} kB more; resident, with what all share: {shim[1] - bare[1]} kB more")
    assert shim[0] - bare[0] <= 200, f"{shim[0]} kB, bare {bare[0]} kB"
    for client in clients[True] + clients[False]:
        client.stdin.close()
        equal(client.wait(), 0, "exit status of an idle client")
    t.state = "/dev/shm/idle"
    equal(counters(t)["connects_seen"], 20, "connects that the shim has seen")
