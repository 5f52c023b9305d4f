"""How it is when the table fills: cost by occupancy, exhaustion, the ceiling, the rate that TIME-WAIT allows."""

import collections
import os
import statistics
import subprocess
import time

import host
from lab import DESCRIPTORS, PORT, SOURCES, Process, PROGRAMS, at_least, at_most, fill, percentile, turns


def occupancy(lab, low, high):
    """One source, one destination, filled by bare clients; four clients take turns with the next connections. In the same turn each is
    timed at a second destination that stays at 5 %."""
    total, rounds = high - low + 1, 10
    case = f"occupancy-{total}"
    host.port_range(low, high)
    lab.server(ports=2)
    conf_any, conf_one = lab.config(sources=[]), lab.config(sources=["127.0.0.1"])
    fillers, warmer = lab.fillers(total, "bare"), lab.client("hold", "bare")
    clients = {"bare": lab.client("hold", "bare"), "any": lab.client("hold", "enforce", conf_any),
               "one": lab.client("hold", "enforce", conf_one), "hand": lab.client("hold", "hand", sources=[])}
    words = {"bare": "bare", "any": "shim, pool without addresses", "one": "shim, pool of this one address", "hand": "by hand, range only"}
    warmer("hold", int(total * 0.05) - 300, PORT + 1)
    used = 0
    for point in [5, 25, 45, 55, 95, 99.9] if lab.quick else [5, 15, 25, 35, 45, 55, 65, 75, 85, 95, 99, 99.9]:
        each = {"bare": 4, "any": 24, "one": 16, "hand": 8} if point < 99 else {"bare": 3, "any": 10, "one": 6, "hand": 4}
        batch = rounds * sum(n + 1 for n in each.values())
        start = int(total * point / 100) - batch
        assert fill(fillers, start - used, PORT) == 0
        used = start
        # Sockets come and go: memory that the machine has never used before costs 75 us with every 13th of them.
        warmer("hold", 3 * batch, PORT + 1)
        warmer("drop", 3 * batch)
        time.sleep(0.1)
        wall, busy = ({(name, port): [] for name in clients for port in (PORT, PORT + 1)} for _ in range(2))
        for i in range(rounds):
            for name in turns(clients, i):
                for port in (PORT + 1, PORT):
                    # One more, not counted: bare clients sweep the caches, whoever comes next pays for it.
                    n = each[name] + 1
                    times = clients[name]("probe", n, port)
                    assert all(times), f"{name}: connect failed at {point} %"
                    wall[name, port].append(statistics.median(times[1:n]))
                    busy[name, port] += times[n + 1:]
        for client in clients.values():
            client("drop", 2 * batch)  # the next bare ones fill the gaps: the table stays as they alone would have it
        judged = point >= 55 and total == 64512
        for name in clients:
            ours = judged and name in ("any", "one")
            label = f"{point} %: {words[name]}"
            lab.ratio(case, f"{label}: median / own at 5 %", wall[name, PORT], wall[name, PORT + 1], target=at_most(1.3) if ours else None)
            if name == "bare":
                continue
            tail, own = percentile(busy[name, PORT], 99), percentile(busy[name, PORT + 1], 99)
            lab.ratio(case, f"{label}: p99 / own p99 at 5 %", [tail], [own], target=at_most(3) if ours else None)
            if name != "hand":
                lab.ratio(case, f"{point} %: bare / {words[name]}", wall["bare", PORT], wall[name, PORT], target=at_least(50) if ours else None)


def occupancy_default(lab):
    """28,232 ports, the kernel's default."""
    occupancy(lab, 32768, 60999)


def occupancy_wide(lab):
    """64,512 ports."""
    occupancy(lab, 1024, 65535)


def exhausted(lab):
    """Every port of four sources held by others; on-exhausted = error. Bare fails for want of the first of them."""
    low, high = (32768, 36767) if lab.quick else (32768, 60999)
    sources = ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"]
    total = (high - low + 1) * len(sources)
    host.port_range(low, high)
    lab.server(ports=1)
    conf = lab.config(sources=sources, rule='on-exhausted = "error"')
    fillers = lab.fillers(total, "hand", sources=sources)
    bare, shim = lab.client("hold", "bare"), lab.client("hold", "enforce", conf)
    fill(fillers, total, PORT)
    fill(fillers[-1:], len(sources) * 2, PORT)  # in turn: where one source failed, the next may have had one left
    found = collections.defaultdict(list)
    for i in range(lab.rounds(30, 15)):
        for name, client, n in (("bare", bare, 5), ("shim", shim, 40)):
            times = client("refused", n, PORT)
            assert all(times), f"{name}: a connect on a full table worked"
            found[name].append(statistics.median(times))
            found[name + " mean"].append(statistics.mean(times))
    ports = f"{len(sources)} x {high - low + 1} ports"
    lab.row("exhausted", f"{ports}: a further connect, median", [t / 1000 for t in found["shim"]], unit="us", target=at_most(30))
    lab.row("exhausted", f"{ports}: a further connect, mean with probes", [t / 1000 for t in found["shim mean"]], unit="us")
    lab.ratio("exhausted", f"{ports}: bare / shim, median", found["bare"], found["shim"])
    lab.ratio("exhausted", f"{ports}: bare / shim, mean", found["bare mean"], found["shim mean"])
    by_other, by_own = [], []
    for i in range(lab.rounds(30, 15)):
        shim("refused", 20, PORT)
        assert fillers[0]("drop", 1) == [1]
        by_other.append(shim("until", PORT)[0] / 1e6)
        shim("refused", 20, PORT)
        assert shim("drop", 1) == [1]
        by_own.append(shim("until", PORT)[0] / 1e6)
    worst = percentile(by_other, 100)
    lab.row("exhausted", "quadruplet freed by a stranger: used after", by_other, unit="ms")
    lab.row("exhausted", "quadruplet freed by a stranger: used after, worst", [worst], unit="ms", target=at_most(100))
    lab.row("exhausted", "quadruplet freed by the client: used after, worst", [max(by_own)], unit="ms", target=at_most(100))


def ceiling(lab):
    """All quadruplets of four sources to one destination, accepted and held."""
    host.port_range(1024, 65535)
    total = 64512 * len(SOURCES)
    server = lab.server(ports=1)
    conf = lab.config(rule='on-exhausted = "error"\nattempts = 64')
    clients = lab.fillers(total, "enforce", conf=conf)
    for _ in clients:
        server("keep", DESCRIPTORS)
    part = -(-total // len(clients))
    before, began = host.tcp_sockets(), time.monotonic()
    for i, client in enumerate(clients):
        client.send("hold", min(part, total - i * part), PORT)
    answers = [client.answer() for client in clients]
    errors = sum(a[0] for a in answers)
    took = time.monotonic() - began
    host.wait_until(lambda: host.tcp_sockets() - before >= 2 * (total - errors), 30, "connections did not settle")
    lab.row("ceiling", f"4 x 64,512 quadruplets, {len(clients)} processes: connections held", [total - errors], unit="", target=at_least(total),
            against={"kernel's sockets of both sides": host.tcp_sockets() - before, "seconds": took})
    lab.row("ceiling", "4 x 64,512 quadruplets: errors", [errors], unit="", target=at_most(0))
    for client in clients:
        client.end()
    server.end()


def ceiling_explicit(lab):
    """8,000 ports of one source, half of them outside the ephemeral range."""
    host.port_range(20000, 23999)
    lab.server(ports=1)
    conf = lab.config(sources=SOURCES[:1], pool='ports = { "20000-27999" }', rule='on-exhausted = "error"')
    client = lab.client("hold", "enforce", conf)
    inside = client("probe", 4000, PORT)[:4000]
    outside = client("probe", 4000, PORT)[:4000]
    held = sum(1 for t in inside + outside if t)
    lab.row("ceiling", "8,000 ports, half outside the ephemeral range: held", [held], unit="", target=at_least(8000))
    if all(inside) and all(outside):
        lab.row("ceiling", "connect outside / inside the range, median", [statistics.median(outside) / statistics.median(inside)])


def connect_by_veth(lab):
    """A server in a namespace of its own, behind a veth pair; 10.9.0.1 here, 10.9.0.2 there."""
    script = 'read go; exec "$0" 10.9.0.2 "$1" 1'
    server = Process(["sh", "-c", script, os.path.join(PROGRAMS, "server"), str(PORT)], lab.environment("bare", None),
                     preexec_fn=lambda: host.unshare(host.CLONE_NEWNET))
    pid = server.process.pid
    host.wait_until(lambda: os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net"), 5, "no namespace")
    host.ip(f"link add veth0 type veth peer name veth1 netns {pid}")
    host.ip("addr add 10.9.0.1/24 dev veth0")
    host.ip("link set veth0 up")
    for words in ("addr add 10.9.0.2/24 dev veth1", "link set veth1 up", "link set lo up"):
        subprocess.run(["nsenter", "-t", str(pid), "-n", "ip"] + words.split(), check=True)
    server.send("go")
    server.answer()
    server("echo")
    return server


def sustained(lab):
    """98 % of sources x ports / 60 s, across a veth pair, tcp_tw_reuse = 0. The kernel ends TIME-WAITs in bursts, up to 2 s late: before a
    burst a connect may have to wait for it, for at most 62.05 s - 60 s / 0.98 = 0.83 s, and then
    for its turn among those who came meanwhile."""
    low, high = 40000, 40499
    host.port_range(low, high)
    connect_by_veth(lab)
    sources = ["10.9.0.11", "10.9.0.12", "10.9.0.13", "10.9.0.14"]
    for source in sources:
        host.ip(f"addr add {source}/24 dev veth0")
    waiting = lab.config(sources=sources, to="10.9.0.2", rule='on-exhausted = "error"\nwait = "2s"')
    conf = waiting if lab.accepts(waiting) else lab.config(sources=sources, to="10.9.0.2", rule='on-exhausted = "error"')
    client = lab.client("hold", "enforce", conf, address="10.9.0.2")
    seconds = 180 if lab.sustained else 90
    quadruplets = (high - low + 1) * len(sources)
    rate = quadruplets / 60 * 0.98
    errors, number, late = client("pace", int(rate * seconds), int(rate * 1000), PORT)
    how = "waiting up to 2 s" if conf == waiting else "without waiting"
    lab.row("sustained", f"{rate:.1f} a second of {quadruplets} quadruplets, {seconds} s, {how}: errors", [errors], unit="", target=at_most(0),
            against={"connections": int(rate * seconds), "ms late at most": late / 1e6, "last errno": number})
