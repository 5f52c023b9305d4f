"""connspread stat: what the arms did, against what the test did and what the kernel shows."""

import errno
import json
import os
import random
import re
import socket
import struct
import subprocess

import exposition
import kernel
from fixture import equal, needs

# A connect that is over, whatever came of it, when begin() returns: on loopback it is at once, but for one of some ten thousand.
BEGIN = """def begin(port):
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex(('10.1.0.1', port))
    select.select([], [s], [])
    return s
def error(s):
    return s.getsockopt(SOL_SOCKET, SO_ERROR)"""

SAMPLE = re.compile(r'^(connspread_[a-z_]+)(?:\{(.*)\})? (\S+)$')


def report(t, *arguments):
    return json.loads(t.tool("stat", "-o", "json", "-c", t.conf, *arguments, check=0).stdout)


def rows(t, **match):
    return [row for row in report(t)["stats"] if all(row[k] == v for k, v in match.items())]


def total(found, name):
    return sum(row[name] for row in found)


def metrics(t, *arguments):
    """(name, labels as text) -> value. Every series has the label version, which is left out here."""
    text = t.tool("stat", "-o", "prometheus", "-c", t.conf, *arguments, check=0).stdout
    exposition.check(text)
    samples = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        found = SAMPLE.match(line)
        assert found, f"not a sample: {line}"
        labels, n = re.subn(r'version="\d[^"]*",?', "", found[2])
        equal(n, 1, f"version in: {line}")
        key = found[1], labels.rstrip(",")
        assert key not in samples, f"twice: {line}"
        samples[key] = float(found[3])
    return samples, text


def promtool(text):
    done = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    equal((done.returncode, done.stdout), (0, ""), "promtool check metrics")


def test_connects_and_closes_by_source(t):
    """Each source has its connects, its TIME-WAITs are the kernel's."""
    pool = t.sources()
    t.spread(pool)
    port = t.server()
    t.run([t.program("burst"), "10.1.0.1", str(port), "40"])
    kernel.settle(port)
    waits = kernel.time_waits(port)
    found = rows(t, rule="r", arm="enforce")
    equal({row["source"]: row["connects"] for row in found}, {s: 10 for s in pool}, "connects by source")
    equal({row["source"]: row["closes_time_wait"] for row in found}, {s: sum(w.local == s for w in waits) for s in pool}, "TIME-WAITs by source")
    for row in found:
        equal((row["connects_immediate"], row["connects_unsuccessful"], sum(row["buckets"])), (10, 0, 10), f"outcomes of {row['source']}")
        assert 0 < row["p50_us"] <= row["p90_us"] <= row["p99_us"] < 1e6, f"times of {row['source']}: {row}"
        assert 0 < row["connect_seconds"] < 1, row["connect_seconds"]


def test_outcomes(t):
    """Refused, unreachable, in progress, given up: each is counted as what it was."""
    t.sources(11, 11)
    kernel.ip("link add v0 type veth peer name v1")
    kernel.ip("addr add 10.3.0.1/24 dev v0")
    kernel.ip("link set v0 up")
    kernel.ip("link set v1 up")
    t.spread(["10.0.0.11"], to=["10.1.0.1", "10.9.0.1", "10.3.0.0/24"])
    port = t.server()
    agent = t.agent()
    agent(f"burst(3, '10.1.0.1', {port})")
    equal(agent("burst(5, '10.1.0.1', 1)"), 5, "refused")
    equal(agent("burst(2, '10.9.0.1', 1)"), 2, "unreachable")
    agent("\n".join((
        "for _ in range(4):",
        "    s = socket.socket()",
        "    s.setblocking(False)",
        "    s.connect_ex(('10.3.0.9', 80))",  # nobody answers ARP there: it stays in SYN_SENT
        "    s.close()")))
    found = rows(t, rule="r")
    want = {"connects": 14, "connects_immediate": 3, "connects_refused": 5, "connects_unreachable": 2, "connects_in_progress": 4,
            "syn_timeouts": 4, "connects_unsuccessful": 11, "connects_timed_out": 0, "connects_failed": 0}
    equal({name: total(found, name) for name in want}, want, "outcomes")


def test_outcomes_of_non_blocking_connects(t):
    """What came of them is seen at their close, SO_ERROR fetched or not, or at the next connect; one that was reset later was
    connected."""
    t.sources(11, 11)
    kernel.sysctl("net.ipv4.tcp_syn_retries", 1)
    kernel.sysctl("net.ipv4.tcp_syn_linear_timeouts", 0)
    kernel.nft("table ip t { chain c { type filter hook input priority 0; tcp dport 7 drop; tcp dport 8 reject with icmp type host-unreachable; }; }")
    t.spread(["10.0.0.11"])
    listener = socket.create_server(("10.1.0.1", 0))
    agent = t.agent()
    agent(BEGIN)
    refused, silent, unreachable = 1, 7, 8
    equal(agent(f"[error(s := begin({refused})), s.close()][0]"), errno.ECONNREFUSED, "SO_ERROR")
    agent(f"begin({refused}).close()")
    equal(agent(f"[s := begin({refused}), s.connect_ex(('10.1.0.1', {refused})), s.close()][1]"), errno.ECONNREFUSED, "the second connect")
    equal(agent(f"[error(s := begin({refused})), s.connect_ex(('10.1.0.1', {refused})), s.close()][:2]"),
          [errno.ECONNREFUSED, errno.ECONNABORTED], "SO_ERROR, and the connect after it")
    equal(agent(f"[error(s := begin({silent})), s.close()][0]"), errno.ETIMEDOUT, "SO_ERROR")
    equal(agent(f"[error(s := begin({unreachable})), s.close()][0]"), errno.EHOSTUNREACH, "SO_ERROR")
    agent(f"kept.append(begin({listener.getsockname()[1]}))")
    reset, _ = listener.accept()
    reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    reset.close()
    agent("kept.pop().close()")
    found = rows(t, rule="r")
    want = {"connects": 7, "connects_in_progress": 7, "connects_refused": 4, "connects_timed_out": 1, "syn_timeouts": 1,
            "connects_unreachable": 1, "connects_unsuccessful": 6, "connects_other_error": 0}
    equal({name: total(found, name) for name in want}, want, "outcomes")


@needs("nft")
def test_errors_by_source_and_errno(t):
    """Each failed connect under its errno and source: at once, after the call with SO_ERROR fetched or not, and by bind."""
    pool = t.sources(11, 12)
    kernel.nft("table ip t { chain c { type filter hook input priority 0; tcp dport 8 reject with icmp type host-unreachable; }; }")
    kernel.ip("route add unreachable 10.9.0.1")
    kernel.ip("route add prohibit 10.9.0.2")
    kernel.ip("route add unreachable 10.9.0.3 metric 1")
    t.spread(pool, to=["10.1.0.1", "10.9.0.0/24"])
    agent = t.agent()
    agent(BEGIN)
    for _ in range(2):  # each of the two sources once
        equal(agent("[error(s := begin(8)), s.close()][0]"), errno.EHOSTUNREACH, "SO_ERROR")
        agent("begin(8).close()")  # its answer is fetched by none
        agent("begin(1).close()")
    equal(agent("[socket.socket().connect_ex(('10.9.0.1', 1)), socket.socket().connect_ex(('10.9.0.2', 1))]"),
          [errno.EHOSTUNREACH, errno.EACCES], "errors of routes")
    kernel.port_range(40000, 40000)
    agent("kept.append(socket.socket())")
    agent("kept[-1].bind(('10.0.0.11', 40000))")
    t.tool("set", "-c", t.conf, "mode=observe", check=0)  # a bind of the client's own gets its port at once
    agent("s = socket.socket()")
    equal(agent("attempt(s.bind, ('10.0.0.11', 0))"), errno.EADDRINUSE, "bind")
    equal(agent("attempt(socket.socket().bind, ('10.77.0.1', 0))"), errno.EADDRNOTAVAIL, "bind")
    found = rows(t, rule="r")
    errors = {row["source"]: row["errors"] for row in found if row["source"] in pool}
    equal({source: {"EHOSTUNREACH": 2, "ECONNREFUSED": 1}.items() <= errors[source].items() for source in pool},
          {source: True for source in pool}, f"errors by source: {errors}")
    sums = {}
    for row in found:
        for name, n in row["errors"].items():
            sums[name] = sums.get(name, 0) + n
    equal(sums, {"EHOSTUNREACH": 5, "ECONNREFUSED": 2, "EACCES": 1}, "errors of all sources")
    binds = {row["source"]: (row["binds_in_use"], row["binds_not_local"]) for row in rows(t, rule="") if row["arm"] == "observe"}
    equal((binds["10.0.0.11"], binds["10.77.0.1"]), ((1, 0), (0, 1)), f"binds by source: {binds}")
    metrics = t.tool("stat", "-o", "prometheus", "-c", t.conf, check=0).stdout
    assert re.search(r'connect_errors_total\{.*rule="r",source="10.0.0.11",errno="ECONNREFUSED"\} 1\n', metrics), metrics
    text = t.tool("stat", "-c", t.conf, check=0).stdout
    assert "bind EADDRINUSE 1" in text and "EACCES 1" in text, text
    [event] = [e for e in t.events("exhausted") if e["error"] == "EADDRINUSE"]
    equal((event["call"], event["cause"], event["outcome"], event["proof"], event["local_address"], event["sources"][0]["address"]),
          ("bind", "range-full", "failed", "search", "10.0.0.11", "10.0.0.11"), "the event of a bind that found no port")


def test_a_server_that_is_started_twice(t):
    """Its bind fails because another one listens, not for want of ports: no event. A port that is bound otherwise is worth one."""
    t.spread(t.sources())
    agent = t.agent()
    agent("kept.append(socket.create_server(('0.0.0.0', 9500)))")
    for address in "0.0.0.0", "10.0.0.11":
        equal(agent(f"attempt(socket.socket().bind, ('{address}', 9500))"), errno.EADDRINUSE, f"bind of {address}")
    equal(t.events("exhausted"), [], "events of servers")
    agent("kept.append(socket.socket())")
    agent("kept[-1].bind(('10.0.0.11', 9501))")
    equal(agent("attempt(socket.socket().bind, ('10.0.0.11', 9501))"), errno.EADDRINUSE, "bind of a port that is bound")
    equal([(e["call"], e["cause"], e["local_port"]) for e in t.events("exhausted")], [("bind", "port-busy", 9501)], "events")


def test_sockets_without_a_descriptor(t):
    """EMFILE and ENFILE of socket() for TCP, by arm; not those of other sockets."""
    t.spread(t.sources(11, 11))
    agent = t.agent()
    agent("resource = __import__('resource')")
    agent("spare = [os.dup(0) for _ in range(64)]")
    agent("low = max(spare) + 1")
    agent("resource.setrlimit(resource.RLIMIT_NOFILE, (low, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))")
    equal(agent("[attempt(socket.socket) for _ in range(3)] + [attempt(socket.socket, socket.AF_UNIX)]"), [errno.EMFILE] * 4, "errors")
    counted = json.loads(t.tool("stat", "-o", "json", "-c", t.conf, check=0).stdout)["counters"]
    equal({arm: (c["sockets_failed_emfile"], c["sockets_failed_enfile"]) for arm, c in counted.items()},
          {"enforce": (3, 0), "observe": (0, 0), "control": (0, 0)}, "counted")


def test_failed_and_fallback(t):
    pool = t.sources(11, 11)
    port = t.server()
    kernel.port_range(40000, 40003)  # an odd number of them the kernel does not search to the last
    t.spread(pool)
    agent = t.agent()
    agent(f"hold(12, '10.1.0.1', {port})")
    found = rows(t, rule="r")
    got = tuple(total(found, name) for name in ("connects_immediate", "connects_fallback", "connects_failed"))
    equal(got, (8, 4, 1), "done, by fallback, failed")


def test_arms_are_apart(t):
    pool = t.sources()
    t.spread(pool, top='canary = 50\ncanary-by = "connection"')
    port = t.server()
    t.run([t.program("burst"), "10.1.0.1", str(port), "200"])
    equal((total(rows(t, arm="enforce"), "connects"), total(rows(t, arm="control"), "connects")), (100, 100), "connects of the arms")
    equal({row["source"] for row in rows(t, arm="control")}, {"any"}, "sources of the control arm")
    t.tool("set", "--for-later", "-c", t.conf, "mode=observe", check=0)
    t.run([t.program("burst"), "10.1.0.1", str(port), "100"])
    equal(total(rows(t, arm="observe"), "connects"), 50, "connects of the observe arm")


def test_text(t):
    """A table; the percentiles have units; the counters are there, those of lost events too."""
    t.spread(t.sources())
    t.run([t.program("burst"), "10.1.0.1", str(t.server()), "8"])
    text = t.tool("stat", "-c", t.conf, check=0).stdout
    for part in (r"^enforce +r +10\.0\.0\.11 +2 +2 ", r"^enforce +r +10\.0\.0\.14 .* [um]s ", r"^events_dropped +0 +0 +0$", r"^open_table_full ", r"^pairs_full ",
                 r"^config_errors ", r"^closes_mismatched ", r"^in config +mode enforce \(config\), canary 100 % \(config\)$"):
        assert re.search(part, text, re.M), f"{part} is missing:\n{text}"


@needs("promtool")
def test_prometheus(t):
    """promtool accepts it; counters are right, the histogram is cumulative and in seconds, labels are the four."""
    pool = t.sources()
    t.spread(pool)
    port = t.server()
    t.run([t.program("burst"), "10.1.0.1", str(port), "40"])
    samples, text = metrics(t)
    promtool(text)
    labels = 'connspread_instance="test",arm="enforce",rule="r",source="10.0.0.11"'
    equal(samples["connspread_connects_total", labels], 10, "connects")
    equal(samples["connspread_closes_time_wait_total", labels], 10, "TIME-WAITs")
    equal(samples["connspread_mode", 'connspread_instance="test"'], 2, "mode")
    equal(samples["connspread_canary_ratio", 'connspread_instance="test"'], 1, "canary")
    buckets = [(k[1].rsplit('le="', 1)[1].rstrip('"'), v) for k, v in samples.items() if k[0] == "connspread_connect_seconds_bucket" and k[1].startswith(labels)]
    bounds = [float(le) for le, _ in buckets]
    equal(bounds, [4 ** i / 1e6 for i in range(12)] + [float("inf")], "le")
    counts = [v for _, v in buckets]
    equal((counts, counts[-1]), (sorted(counts), 10), "cumulative buckets")
    equal(samples["connspread_connect_seconds_count", labels], 10, "count")
    names = {name for key in samples if key[1] for name in re.findall(r'([a-z_]+)="', key[1])}
    equal(names, {"connspread_instance", "arm", "rule", "source", "le"}, "labels besides version")
    equal({key[0].removeprefix("connspread_") for key in samples if "arm=" not in key[1]},
          {"build_info", "mode", "canary_ratio", "override", "created_timestamp_seconds", "occupancy_ratio"}, "metrics of what no arm did")
    assert not re.search(rf'"{port}"', text), "a port is a label"


@needs("promtool")
def test_titles_are_escaped(t):
    t.config('pool "p" { addresses = { "10.0.0.11" } }\nrule "a\\\\b\\"c{}" { to = { "*" } pool = "p" }\n')
    t.sources()
    t.run([t.program("burst"), "10.1.0.1", str(t.server()), "2"])
    samples, text = metrics(t)
    promtool(text)
    assert any('rule="a\\\\b\\"c{}"' in (labels or "") for _, labels in samples), text[:2000]
    equal({row["rule"] for row in report(t)["stats"]}, {'a\\b"c{}'}, "title in JSON")


def test_faults_of_metrics_are_found(t):
    """What promtool passes: a referee that could not find them would say nothing of ours."""
    head = "# HELP a_total A.\n# TYPE a_total counter\n"
    histogram = "# HELP h H.\n# TYPE h histogram\n"
    whole = head + 'a_total{x="1"} 1\na_total{x="2"} 1\n' + histogram
    whole += "".join(f'h_bucket{{le="{le}"}} {n}\n' for le, n in (("0.1", 1), ("+Inf", 2))) + "h_sum 0.3\nh_count 2\n"
    equal(exposition.faults(whole), [], "faults of what is right")
    for wrong, say in ((whole.replace('x="2"', 'x="1"'), "twice"), (whole.replace('"0.1"} 1', '"0.1"} 3'), "fall"), (whole.replace("+Inf", "9"), r"\+Inf"),
                       (whole.replace("h_count 2", "h_count 3"), "last bucket"), (whole + head, "two places"), (whole[:-1], "line feed"),
                       (whole.replace(head, ""), "no HELP"), (whole.replace('x="1"', 'x="1",x="1"'), "label twice"), (whole.replace('x="1"', 'x="\\q"'), "not labels"),
                       (whole.replace("a_total{", "a-total{"), "not a sample"), (whole.replace("} 1\n", "} one\n"), "not a number"),
                       (whole.replace('x="1"} 1', 'x="1"} -1'), "below 0"), (whole.replace(" counter", " count"), "no type")):
        found = exposition.faults(wrong)
        assert any(re.search(say, fault) for fault in found), f"{say} is not found: {found}"


def test_occupancy(t):
    """Of five ports of the fullest destination, three are taken: by whomever."""
    t.sources(11, 12)
    full, empty = t.server(), t.server()
    kernel.port_range(40000, 40004)
    t.spread(["10.0.0.11", "10.0.0.12"])
    agent = t.agent()
    agent(f"hold(6, '10.1.0.1', {full})")
    agent(f"burst(1, '10.1.0.1', {empty})")
    found = {o["source"]: (o["taken"], o["capacity"]) for o in report(t)["occupancy"] if o["rule"] == "r"}
    equal(found, {"10.0.0.11": (3, 5), "10.0.0.12": (3, 5)}, "taken and capacity")
    samples, _ = metrics(t)
    equal(samples["connspread_occupancy_ratio", 'connspread_instance="test",rule="r",source="10.0.0.11"'], 0.6, "ratio")


@needs("promtool")
def test_a_scribbled_state_file_harms_nobody(t):
    """Random bytes over all of the file but its header: stat ends as usual, and promtool accepts what it says."""
    t.sources()
    t.spread(["10.0.0.11"])
    t.run([t.program("burst"), "10.1.0.1", str(t.server()), "5"])
    path = os.path.join(t.state, "test.state")
    rng = random.Random(5)
    size = os.path.getsize(path)
    for _ in range(6):
        with open(path, "r+b") as f:
            for _ in range(400):
                f.seek(rng.randrange(2048, min(size, 1 << 20)))
                f.write(rng.randbytes(rng.choice((1, 8, 64, 2000))))
        for arguments in ((), ("-o", "json"), ("--compare",)):
            done = t.tool("stat", "-c", t.conf, *arguments)
            assert done.returncode in (0, 1), f"{arguments}: {done.returncode} {done.stderr}"
        json.loads(t.tool("stat", "-o", "json", "-c", t.conf).stdout)
        promtool(metrics(t)[1])


def test_without_a_state_file(t):
    t.spread(["10.0.0.11"])
    done = t.tool("stat", "-c", t.conf, check=1)
    assert "nothing has run" in done.stderr, done.stderr
    for bad in (["-o", "xml"], ["--compare", "--all"], ["--compare", "-o", "prometheus"], ["--interval", "x"], ["rest"]):
        t.tool("stat", "-c", t.conf, *bad, check=2)


def test_occupancy_of_each_instance(t):
    """With --all the second instance's sources are its own, though the first had fuller ones."""
    kernel.port_range(40000, 40007)
    t.sources()
    port, agents = t.server(), []
    for name, source, n in ("a", "10.0.0.11", 8), ("b", "10.0.0.12", 3), ("c", "10.0.0.13", 5):
        t.spread([source], name=name)
        agents.append(t.agent())
        equal(agents[-1](f"hold({n}, '10.1.0.1', {port})"), [0, n], "connections")
    found = [json.loads(line) for line in t.tool("stat", "--all", "-o", "json", check=0).stdout.splitlines()]
    found = {one["instance"]: one["occupancy"] for one in found if one.get("state_file", "").startswith(t.state)}
    for name, source, n in ("a", "10.0.0.11", 8), ("b", "10.0.0.12", 3), ("c", "10.0.0.13", 5):
        equal([(o["source"], o["taken"]) for o in found[name]], [(source, n)], f"occupancy of {name}")
