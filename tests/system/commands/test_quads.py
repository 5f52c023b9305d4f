"""connspread quads: the same figures as the kernel's and ss's own, and what it makes of them."""

import collections
import json
import os
import re
import socket
import subprocess

import kernel
from fixture import HERE, PYTHON, TOOL, equal, limit, needs

COUNTS = ("established", "time_wait", "fin_wait", "other")
KEYS = ["source", "destination", *COUNTS, "capacity", "percent", "outside", "reusable", "next_free_s", "per_second", "time_wait_bytes", "direction", "time"]

# What people use instead of quads; both read the same sockets, and must tell the same.
PIPELINE = f"ss -Htan | awk -f {HERE}/quads.awk"


def quads(t, *arguments, **options):
    return [json.loads(line) for line in t.tool("quads", "-o", "json", *arguments, check=0, **options).stdout.splitlines()]


def counts(rows):
    return {(r["source"], r["destination"]): tuple(r[k] for k in COUNTS) for r in rows}


def text_endpoint(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def as_counted(inbound=False):
    """The referee's count: from its own dump."""
    sockets = kernel.sockets()
    listening = {s.local_port for s in sockets if s.state == "LISTEN"}
    place = {"ESTABLISHED": 0, "TIME_WAIT": 1, "FIN_WAIT1": 2, "FIN_WAIT2": 2}
    found = collections.defaultdict(lambda: [0, 0, 0, 0])
    for s in sockets:
        if s.state in ("LISTEN", "CLOSE") or (s.local_port in listening) != inbound:
            continue
        pair = (s.peer, text_endpoint(s.local, s.local_port)) if inbound else (s.local, text_endpoint(s.peer, s.peer_port))
        found[pair][place.get(s.state, 3)] += 1
    return {pair: tuple(n) for pair, n in found.items()}


def crowd(t, address, port, kinds, sources):
    """Starts a crowd; its connections are there when this returns."""
    argv = [t.program("crowd"), address, str(port)] + [str(n) for n in kinds] + list(sources)
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    equal(process.stdout.readline(), "ready\n", "crowd")
    return process


def fifty_thousand(t):
    """50,000 sockets of all kinds, of both families, to six destinations; 26,000 of them outbound."""
    kernel.sysctl("net.ipv4.tcp_max_tw_buckets", 65536)
    sources, sources6 = t.sources(11, 14), t.sources6(11, 12)
    kernel.add_addresses("10.1.0.2")
    for address, port, kinds, some in (
            ("10.1.0.1", 80, (5000, 1000, 100, 50), sources), ("10.1.0.1", 81, (3000, 500, 400, 300), sources[:1]),
            ("10.1.0.2", 80, (4000, 500, 0, 1000), sources[:2]), ("fd00:2::1", 80, (3000, 1000, 300, 200), sources6),
            ("fd00:2::1", 81, (3000, 500, 0, 0), sources6[1:]), ("10.1.0.2", 443, (3075, 0, 50, 50), sources[2:])):
        crowd(t, address, port, kinds, some)
    equal(len([s for s in kernel.sockets() if s.state != "LISTEN"]) >= 50000, True, "50,000 sockets")


@limit(120)
@needs("ss", "awk")
def test_equals_ss_and_awk(t):
    """50,000 mixed sockets: the same counts as `ss -tan | awk`, and as the referee's own, outbound and inbound."""
    fifty_thousand(t)
    done = subprocess.run(PIPELINE, shell=True, stdout=subprocess.PIPE, text=True, check=True)
    piped = {tuple(line.split()[:2]): tuple(int(n) for n in line.split()[2:]) for line in done.stdout.splitlines()}
    rows = quads(t)
    equal(counts(rows), piped, "pairs by quads and by ss")
    equal(counts(rows), as_counted(), "pairs by quads and by the referee")
    equal(counts(quads(t, "--inbound")), as_counted(inbound=True), "accepted ones")
    equal([list(r) for r in rows], [KEYS] * len(rows), "keys")
    equal(sorted(rows, key=lambda r: -r["percent"]), rows, "order: fullest first")


def test_capacity(t):
    """The range less the reserved ports in it; what lies outside the range takes none; 60 s each."""
    kernel.port_range(40000, 40099)
    kernel.sysctl("net.ipv4.ip_local_reserved_ports", "80,40010-40019,41000")
    t.sources()
    crowd(t, "10.1.0.1", 80, (30, 15, 0, 0), ["10.0.0.11"])
    outside = socket.socket()
    outside.bind(("10.0.0.11", 30000))
    outside.connect(("10.1.0.1", 80))
    row, = quads(t)
    wanted = {"source": "10.0.0.11", "destination": "10.1.0.1:80", "established": 31, "time_wait": 15, "fin_wait": 0, "other": 0,
              "capacity": 90, "percent": 50.0, "outside": 1, "per_second": 1.5, "direction": "outbound"}
    equal({k: row[k] for k in wanted}, wanted, "row")
    text = t.tool("quads", check=0).stdout
    for pattern in (r"^10\.0\.0\.11 +10\.1\.0\.1:80 +31 +15 +0 +0 +1 +50\.0 % +\d+\.\d s$", r"the ports 40000-40099 less 10 reserved:$",
                    r"^capacity of each: 90 quadruplets", r"^1\.5 new connections a second"):
        assert re.search(pattern, text, re.M), f"{pattern} is not in:\n{text}"
    kernel.sysctl("net.ipv4.ip_local_reserved_ports", "40000-40099")
    equal([(r["capacity"], r["percent"]) for r in quads(t)], [(0, 100)], "capacity and percent with every port reserved")


def test_next_free(t):
    """Seconds until the first TIME-WAIT of the pair ends: less than 60 and falling; none without a TIME-WAIT."""
    t.sources()
    crowd(t, "10.1.0.1", 80, (1, 1, 0, 0), ["10.0.0.11"])
    crowd(t, "10.1.0.1", 81, (1, 0, 1, 1), ["10.0.0.11"])
    by_port = {r["destination"]: r["next_free_s"] for r in quads(t)}
    equal(by_port["10.1.0.1:81"], None, "next free without a TIME-WAIT")
    assert 50 < by_port["10.1.0.1:80"] < 63, by_port
    first = by_port["10.1.0.1:80"]
    kernel.wait_until(lambda: quads(t, "--to", "10.1.0.1:80")[0]["next_free_s"] < first - 0.2, what="next free does not fall")


def test_filter(t):
    """--to: address, prefix, port, port range, any address, IPv6, a v4-mapped connection of an AF_INET6 socket."""
    t.sources()
    t.sources6()
    kernel.add_addresses("10.1.0.2", "10.1.1.1")
    everywhere = [("10.1.0.1", 80), ("10.1.0.1", 81), ("10.1.0.2", 80), ("10.1.1.1", 82), ("fd00:2::1", 80), ("fd00:2::1", 90)]
    for address, port in everywhere:
        crowd(t, address, port, (2, 1, 1, 1), ["fd00:1::11" if ":" in address else "10.0.0.11"])
    mapped = socket.socket(socket.AF_INET6)
    mapped.connect(("::ffff:10.1.0.2", 80))
    all_of_them = counts(quads(t))
    equal(all_of_them, as_counted(), "without --to")
    for to, wanted in (("10.1.0.1", everywhere[:2]), ("10.1.0.1:81", everywhere[1:2]), ("10.1.0.0/24:80", [everywhere[0], everywhere[2]]),
                       ("10.1.0.0/16", everywhere[:4]), ("*:80", [everywhere[0], everywhere[2], everywhere[4]]), ("*", everywhere),
                       ("*:81-90", [everywhere[1], everywhere[3], everywhere[5]]), ("fd00:2::1", everywhere[4:]),
                       ("[fd00:2::1]:90", everywhere[5:]), ("fd00::/16", everywhere[4:]), ("10.9.9.9", []), ("10.1.0.1:79", [])):
        want = {text_endpoint(*e) for e in wanted}
        equal(counts(quads(t, "--to", to)), {k: v for k, v in all_of_them.items() if k[1] in want}, f"--to {to}")
        equal(counts(quads(t, "--to", to, LD_PRELOAD=t.program("no_compat.so"))), counts(quads(t, "--to", to)), f"--to {to}, kernel without TCPDIAG_GETSOCK")
    equal(counts(quads(t, LD_PRELOAD=t.program("no_compat.so"))), all_of_them, "without TCPDIAG_GETSOCK")
    accepted = counts(quads(t, "--inbound", "--to", "10.1.0.0/24:80"))
    equal(accepted, {k: v for k, v in as_counted(True).items() if k[1] in ("10.1.0.1:80", "10.1.0.2:80")}, "inbound")


def test_inbound(t):
    """As on a web server: per client address, whatever address the listener has; a port that only IPv6 listens on is still an
    outbound one over IPv4."""
    clients = t.sources(11, 13)
    t.server("", "hold", 80)
    for client in clients * 2:
        socket.create_connection(("10.1.0.1", 80), source_address=(client, 0)).detach()
    kernel.wait_until(lambda: len([s for s in kernel.sockets("ESTABLISHED") if s.local_port == 80]) == 6)
    rows = quads(t, "--inbound")
    equal(counts(rows), {(c, "10.1.0.1:80"): (2, 0, 0, 0) for c in clients}, "by client")
    equal({(r["direction"], r["capacity"], r["outside"]) for r in rows}, {("inbound", 28232, 0)}, "direction and capacity")
    assert re.search(r"^10\.0\.0\.11 +10\.1\.0\.1:80 +2 +0", t.tool("quads", "--inbound", check=0).stdout, re.M)
    only6 = socket.create_server(("::", 5000), family=socket.AF_INET6)
    outbound = socket.socket()
    outbound.bind(("10.0.0.11", 5000))
    outbound.connect(("10.1.0.1", 80))
    equal(counts(quads(t))[("10.0.0.11", "10.1.0.1:80")], (3, 0, 0, 0), "outbound from a port that IPv6 listens on")
    only6.close()


def test_ordinary_user_without_ss(t):
    """Nothing of iproute2, no privileges: all but kernel memory; root has that too."""
    t.sources()
    crowd(t, "10.1.0.1", 80, (3, 2, 1, 1), ["10.0.0.11"])
    code = ("import os, sys; os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534);"
            "os.execv(sys.argv[1], sys.argv[1:])")
    if os.geteuid() == 0 and os.access("/proc/slabinfo", os.R_OK):
        row, = quads(t, PATH="/nonexistent")
        equal(row["time_wait_bytes"], 2 * slab_bytes("tw_sock_TCP"), "kernel memory")
        assert "kernel memory of the TIME-WAITs: 1 KiB" in t.tool("quads", check=0).stdout
        prefix = ["/usr/bin/python3", "-S", "-c", code]
    else:
        prefix = []
    for options in ([], ["-o", "json"]):
        done = subprocess.run(prefix + [TOOL, "quads"] + options, env={"PATH": "/nonexistent"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True)
        equal((done.returncode, done.stderr), (0, ""), "as an ordinary user")
        if options:
            row = json.loads(done.stdout)
            equal(tuple(row[k] for k in COUNTS), (3, 2, 1, 1), "counts as an ordinary user")
            equal(row["time_wait_bytes"], None, "kernel memory as an ordinary user")
        else:
            assert "not readable" in done.stdout, done.stdout


def slab_bytes(cache):
    with open("/proc/slabinfo") as f:
        return next(int(line.split()[3]) for line in f if line.split()[0] == cache)


def test_top(t):
    """--top N: the fullest; text says how many are left out; 0: all."""
    t.sources()
    for port in range(80, 105):
        crowd(t, "10.1.0.1", port, (port - 70, 0, 0, 0), ["10.0.0.11"])
    everything = quads(t)
    equal([r["destination"] for r in quads(t, "--top", "3")], [r["destination"] for r in everything[:3]], "--top 3")
    equal(everything[0]["destination"], "10.1.0.1:104", "fullest")
    text = t.tool("quads", check=0).stdout
    assert "and 5 more, which are emptier: --top 0 shows all" in text, text
    equal(len(re.findall(r"^10\.0\.0\.11 ", text, re.M)), 20, "rows of text")
    equal(len(re.findall(r"^10\.0\.0\.11 ", t.tool("quads", "--top", "0", check=0).stdout, re.M)), 25, "rows of --top 0")


def holder(t, source, port, n):
    """A process that has n connections open; it ends with its stdin."""
    code = (f"import socket, sys\nheld = [socket.create_connection(('10.1.0.1', {port}), source_address=('{source}', 0)) for _ in range({n})]\n"
            "print('ready', flush=True)\nsys.stdin.read()")
    process = subprocess.Popen([PYTHON, "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    equal(process.stdout.readline(), "ready\n", "holder")
    return process


def test_processes(t):
    """Who has the sockets open; nobody knows whose a TIME-WAIT was."""
    t.sources()
    port = t.server()
    holders = [holder(t, "10.0.0.11", port, n) for n in (7, 3)]
    for _ in range(5):
        socket.create_connection(("10.1.0.1", port), source_address=("10.0.0.11", 0)).close()
    kernel.settle(port)
    equal(len(kernel.time_waits(port)), 5, "TIME-WAITs")
    row, = quads(t, "-p", "--to", f"10.1.0.1:{port}")
    equal([(p["pid"], p["sockets"]) for p in row["processes"]], [(p.pid, n) for p, n in zip(holders, (7, 3))], "processes")
    assert all(p["program"].startswith("python") for p in row["processes"]), row
    equal(row["unowned"], 5, "sockets without a process")
    text = t.tool("quads", "--processes", "--to", f"10.1.0.1:{port}", check=0).stdout
    for p, n in zip(holders, (7, 3)):
        assert f"(pid {p.pid}): {n} open" in text, text
    assert "owner unknowable: 5" in text, text
    # Another user's are named by the user.
    code = f"import os; os.setuid(65534); os.execv({TOOL!r}, [{TOOL!r}, 'quads', '-o', 'json', '-p', '--to', '10.1.0.1:{port}'])"
    other = subprocess.run([PYTHON, "-S", "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    row, = map(json.loads, other.stdout.splitlines())
    equal([(p["pid"], p["uid"], p["program"], p["sockets"]) for p in row["processes"]], [(None, os.getuid(), None, 10)], "to another user")
    # Accepted ones are the server's.
    rows = quads(t, "-p", "--inbound", "--to", f"10.1.0.1:{port}")
    equal(sum(p["sockets"] for r in rows for p in r["processes"]), 10, "accepted ones")
    assert "processes" not in quads(t)[0], "only when asked"
    found = next(f for f in map(json.loads, t.tool("doctor", "-o", "json").stdout.splitlines()) if f["finding"] == "occupancy")
    assert f"Whose they are: python" in found["reason"] and f"(pid {holders[0].pid}): 7 open" in found["reason"], found
    for p in holders:
        p.communicate()


def test_watch(t):
    """-w: again and again, with what has changed; ends with its reader."""
    t.sources()
    crowd(t, "10.1.0.1", 80, (1, 0, 0, 0), ["10.0.0.11"])
    watch = subprocess.Popen([TOOL, "quads", "-w", "--every", "50ms", "-o", "json", "--to", "10.1.0.1"], stdout=subprocess.PIPE, text=True)
    first = json.loads(watch.stdout.readline())
    equal(first["established"], 1, "established")
    later = socket.create_connection(("10.1.0.1", 80), source_address=("10.0.0.11", 0))
    kernel.wait_until(lambda: json.loads(watch.stdout.readline())["established"] == 2, what="-w does not see a new connection")
    assert json.loads(watch.stdout.readline())["time"] > first["time"]
    later.close()
    watch.stdout.close()
    equal(watch.wait(timeout=10) in (0, -13), True, "ends when nobody reads")


def test_nothing(t):
    """No connections: no rows, the capacity all the same, exit 0."""
    equal(quads(t), [], "rows")
    text = t.tool("quads", check=0).stdout
    assert text.startswith("all 0: ") and "28,232 quadruplets, the ports 32768-60999:" in text, text


def test_usage(t):
    for arguments, said in ((["--to", "10.0.0.256"], "--to 10.0.0.256 is not valid"), (["--to", "fd00::1:x]"], "--to"), (["-o", "xml"], "text, json or prometheus"),
                            (["--top", "many"], "--top many is not a number"), (["--top", "-1"], "not a number"), (["10.0.0.1"], "takes no argument; try: --to"),
                            (["--every", "1s"], "try: add -w"), (["-w", "--every", "0"], "more than 0"), (["-w", "--every", "1"], "--every 1 is not a duration; try:"),
                            (["--nonsense"], "try: connspread quads --help")):
        done = t.tool("quads", *arguments, check=2)
        assert said in done.stderr and not done.stdout, (arguments, done)
    assert t.tool("quads", "--help", check=0).stdout.startswith("usage: connspread quads ")
    with open("/dev/full", "w") as full_disk:
        done = subprocess.run([TOOL, "quads"], stdout=full_disk, stderr=subprocess.PIPE, text=True)
    equal(done.returncode, 1, "exit status when the answer cannot be written")


def test_as_metrics(t):
    """-o prometheus has the same pairs and counts; the sums and the number of pairs are of all, also with --top 1."""
    t.sources()
    ports = [t.server(), t.server()]
    t.run([t.program("burst"), "10.1.0.1", str(ports[0]), "30"], bare=True)
    t.run([t.program("burst"), "10.1.0.1", str(ports[1]), "5"], bare=True)
    for port in ports:
        kernel.settle(port)
    metric = re.compile(r'^connspread_(\w+)\{version="[^"]+",direction="outbound"(?:,source="([^"]*)",destination="([^"]*)")?(?:,state="(\w+)")?\} (\d+)$')

    def read(*arguments):
        found = {}
        for line in t.tool("quads", "-o", "prometheus", *arguments, check=0).stdout.splitlines():
            if not line.startswith("#"):
                name, source, destination, state, value = metric.match(line).groups()
                found[name, source, destination, state] = int(value)
        return found
    rows, found = quads(t), read()
    equal({k: v for k, v in found.items() if k[0] == "quadruplets"},
          {("quadruplets", r["source"], r["destination"], state): r[state] for r in rows for state in COUNTS}, "pairs")
    equal(found["quadruplets_all", None, None, "time_wait"], 35, "TIME-WAITs of all")
    equal((found["quadruplets_pairs", None, None, None], found["quadruplets_capacity", None, None, None]), (2, rows[0]["capacity"]), "pairs, and the capacity of one")
    one = read("--top", "1")
    equal({k[2] for k in one if k[0] == "quadruplets"}, {f"10.1.0.1:{ports[0]}"}, "the fullest")
    equal((one["quadruplets_all", None, None, "time_wait"], one["quadruplets_pairs", None, None, None]), (35, 2), "sum and number with --top 1")
    done = t.tool("quads", "-o", "prometheus", "-w", check=2)
    equal(done.stderr, "connspread: quads: -o prometheus is one look, at pairs; try: without -w and -p\n", "with -w")
