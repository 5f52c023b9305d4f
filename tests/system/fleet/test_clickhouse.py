"""contrib/clickhouse on both engines: what the views say of staged hosts is what report, the clients and the kernel say."""

import json
import os
import re
import time

import engines
import hosts
import kernel
import prometheus
from fixture import ROOT, equal, full, limit, needs

HOSTS = [f"web{i:02}" for i in range(20)]
NARROW = ["web03", "web08", "web13"]  # one incident on three of them
DESTINATION = f"{hosts.PEER}:{hosts.PORT}"
ENGINES = ("node", "clickhouse-server", "clickhouse-client")
SERVERS = ("prometheus", "promtool", "prometheus-alertmanager")


def stage(t):
    """20 hosts, the even ones wholly canary; those in NARROW have 32 ports, and nothing but the kernel's choice of a source. Each leaves its log
    and what its client and its kernel say."""
    def job(h):
        h.failed, h.other = h.connects(40)
        h.waits = sum(s.state in ("TIME_WAIT", "FIN_WAIT2", "FIN_WAIT1") for s in kernel.sockets(to_port=hosts.PORT))
        h.record()
        kernel.write(f"{t.folder}/{h.name}.metrics", h.tool("stat", "-c", h.conf, "-o", "prometheus").stdout)
        kernel.write(f"{t.folder}/{h.name}.facts", json.dumps([h.failed, h.other, h.waits]))
    hosts.all_of(t, job, {name: {"canary": 0 if name in NARROW or int(name[3:]) % 2 else 100, "narrow": name in NARROW} for name in HOSTS})
    facts = {}
    for name in HOSTS:
        with open(f"{t.folder}/{name}.facts") as f:
            facts[name] = json.load(f)
    return facts


def logs(t):
    return [f"{t.folder}/{name}.jsonl" for name in HOSTS]


def incidents_agree(rows, report, facts):
    equal([(r["host"], r["cause"], r["failed"], r["programs"], r["destination"], r["first_us"], r["last_us"]) for r in rows],
          [(c["host"], c["cause"], c["failed"], [p["program"] for p in c["programs"]], c["destinations"][0]["destination"], us(c["first"]), us(c["last"]))
           for c in sorted(report["conclusions"], key=lambda c: c["host"])], "incidents, and the report's")
    equal({r["host"]: r["failed"] for r in rows}, {name: failed for name, (failed, _, _) in facts.items() if failed}, "failures, and the clients'")


def us(text):
    """Microseconds of an RFC 3339 time."""
    return int(time.mktime(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone) * 1000000 + int(text[20:26])


def closed_first_agrees(rows, report, facts):
    keys = ("host", "program", "direction", "destination", "port", "time_wait", "otherwise", "failed", "fallback", "recovered")
    equal(sorted([r[k] for k in keys] for r in rows), sorted([r[k] for k in keys] for r in report["closed_first"]), "who closed first")
    equal({r["host"]: r["time_wait"] for r in rows}, {name: waits for name, (_, _, waits) in facts.items()}, "TIME-WAITs, and the kernels'")


def occupancy_agrees(rows, report):
    waits = {(r["host"], r["source"], r["destination"]): 0 for r in rows}
    for r in rows:
        waits[r["host"], r["source"], r["destination"]] += r["time_waits"]
        equal(r["capacity"], 32 if r["host"] in NARROW else 28232, f"capacity of {r['host']}")
    equal(waits, {(r["host"], r["source"], r["destination"]): r["time_wait"] for r in report["sources"]}, "TIME-WAITs of each source and destination")


def agree(engine, report, facts):
    rows = engine("SELECT * FROM connspread.incidents ORDER BY host")
    equal([r["host"] for r in rows], NARROW, "hosts of the incident")
    incidents_agree(rows, report, facts)
    closed_first_agrees(engine("SELECT * FROM connspread.closed_first"), report, facts)
    occupancy_agrees(engine("SELECT * FROM connspread.occupancy"), report)
    differ = engine("SELECT * FROM connspread.hosts_that_differ ORDER BY host")
    equal([(r["host"], r["program"], r["destination"], r["n"], r["failed"], r["rest_n"], r["rest_failed"]) for r in differ],
          [(name, "python3", DESTINATION, 40, 8, 760, 16) for name in NARROW], "hosts that differ")
    canary, = engine("SELECT * FROM connspread.canary")
    enforced = sum(40 for name in HOSTS if name not in NARROW and int(name[3:]) % 2 == 0)
    equal([canary[k] for k in ("instance", "canary_n", "canary_failed", "control_n", "control_failed", "verdict")],
          ["web", enforced, 0, 800 - enforced, 24, "better"], "canary")
    return canary


def promql_agrees(t, report, facts):
    """What metrics can say of it, they say: which hosts failed and how often, and what each source of each host has left; programs and destinations
    are no labels."""
    found = {}
    for name in HOSTS:
        with open(f"{t.folder}/{name}.metrics") as f:
            found[name] = [f.read()]
    prometheus.Prometheus(t, prometheus.samples_of(found), has="connspread_connects_total")

    def ask(query, *labels):
        return {tuple(of[name] for name in labels): value for of, value in prometheus.ask(query)}
    equal(ask("sum by (instance) (connspread_connects_failed_total) > 0", "instance"), {(c["host"],): c["failed"] for c in report["conclusions"]}, "hosts that failed")
    waits = {}
    for r in report["sources"]:
        waits[r["host"],] = waits.get((r["host"],), 0) + r["time_wait"]
    equal(ask("sum by (instance) (connspread_closes_time_wait_total)", "instance"), waits, "TIME-WAITs of each host")
    equal(ask('sum by (instance, source) (connspread_closes_time_wait_total{source!="any"}) > 0', "instance", "source"),
          {(r["host"], r["source"]): r["time_wait"] for r in report["sources"] if r["source"] != hosts.PEER}, "TIME-WAITs of each source of a pool")
    enforced = sum(40 for name in HOSTS if name not in NARROW and int(name[3:]) % 2 == 0)
    equal(ask("sum by (arm) (connspread_connects_total)", "arm"), {("enforce",): enforced, ("control",): 800 - enforced}, "connects by arm")
    equal(ask("sum by (arm) (connspread_connects_failed_total)", "arm"), {("enforce",): 0, ("control",): sum(f for f, _, _ in facts.values())}, "failures by arm")
    equal(ask("sum by (connspread_instance) (connspread_connects_failed_total)", "connspread_instance"), {("web",): sum(c["failed"] for c in report["conclusions"])}, "all")


@full
@limit(300)
@needs(*ENGINES, *SERVERS)
def test_the_views_say_what_report_says(t):
    """And PromQL. Also after every file was loaded a second time, whole and in part, with a line that is being written at its end."""
    facts = stage(t)
    report = json.loads(t.tool("report", "-o", "json", *logs(t), check=1).stdout)
    events = sum(1 for path in logs(t) for _ in open(path))
    equal(report["events"], events, "events that report has read")
    incident, = report["fleet"]["incidents"]
    equal((incident["cause"], incident["destination"], [(h["host"], h["failed"], h["apart_s"]) for h in incident["hosts"]], incident["spared"]),
          ("range-full", DESTINATION, [(name, facts[name][0], 0) for name in NARROW], [h for h in HOSTS if h not in NARROW]), "what report says of the fleet")
    promql_agrees(t, report, facts)
    both, canaries = (engines.Chdb(t), engines.Server(t)), []
    for engine in both:
        whole = os.path.join(t.folder, "all.jsonl")
        for attempt in range(3):
            with open(whole, "w") as out:
                lines = [line for path in logs(t) for line in open(path)]
                out.write("".join(lines[:len(lines) // 2] if attempt == 1 else lines))
                out.write(lines[0][:150] if attempt else "")
            engine.load(whole)
            equal(engine("SELECT count() AS n FROM connspread.events_once"), [{"n": events}], "events")
            canaries.append(agree(engine, report, facts))
    for c in canaries[1:]:
        equal([round(c[k], 9) for k in ("low", "high")], [round(canaries[0][k], 9) for k in ("low", "high")], "interval on both engines")


# canary connects, of them failed; the same of the control arm; what connspread stat --compare would say.
ARMS = [(1000, 30, 1000, 0, "worse"), (1000, 0, 1000, 30, "better"), (1000, 0, 1000, 0, "same"), (49, 40, 1000, 0, "not enough data"), (60, 1, 60, 1, "not enough data"),
        (0, 0, 0, 0, None), (500, 0, 0, 0, "not enough data"), (100000, 300, 100000, 0, "same")]


def event(seq, arm, failed, epoch, count=1):
    one = {"time": "2026-11-21T03:27:59.000001Z", "epoch": epoch, "seq": seq, "event": "exhausted" if failed else "time-wait", "host": "h", "instance": epoch, "arm": arm,
           "program": "p", "direction": "outbound", "peer_address": "fd00::1", "peer_port": 443, "local_address": "::", "rule": "r"}
    return {**one, "outcome": "failed", "cause": "range-full", "repeats": count - 1} if failed else one


@full
@needs(*ENGINES)
def test_the_canary_is_judged_as_by_stat_compare(t):
    """Better, same, worse and no data, with repeats; and numbers as large as any that an event has."""
    path, n = os.path.join(t.folder, "arms.jsonl"), 0
    with open(path, "w") as f:
        for i, (canary, canary_failed, control, control_failed, _) in enumerate(ARMS):
            for arm, connects, failed in (("enforce", canary, canary_failed), ("control", control, control_failed)):
                events = [event(n, arm, True, f"{i:016}", failed)] if failed else []
                events += [event(n + 1 + k, arm, False, f"{i:016}") for k in range(connects - failed)]
                n += connects + 2
                f.write("".join(json.dumps(e) + "\n" for e in events))
        huge = {**event(2**52 + 12345, "observe", True, "f" * 16), "netns": 2**64 - 1, "pid": 2**32 - 1, "peer_port": 65535, "repeats": 2**32 - 1, "age_us": 2**64 - 1}
        f.write(json.dumps(huge) + "\n")
    for engine in (engines.Chdb(t), engines.Server(t)):
        engine.load(path)
        verdicts = {r["instance"]: r["verdict"] for r in engine("SELECT * FROM connspread.canary WHERE canary_n + control_n > 0")}
        equal(verdicts, {f"{i:016}": row[4] for i, row in enumerate(ARMS) if row[4]}, "verdicts")
        equal(engine("SELECT failed, netns, destination FROM connspread.incidents WHERE netns > 0"),
              [{"failed": 2**32, "netns": 2**64 - 1, "destination": "[fd00::1]:65535"}], "the largest numbers")
        kept, = engine("SELECT seq, pid, age_us, toString(time) AS time, time_us FROM connspread.events_once WHERE netns > 0")
        equal((kept["seq"], kept["pid"], kept["age_us"], kept["time_us"]), (2**52 + 12345, 2**32 - 1, 2**64 - 1, us("2026-11-21T03:27:59.000001Z")), "of the event")


def test_every_field_has_a_column(t):
    with open(os.path.join(ROOT, "src/tool/events/fields.def")) as f:
        fields = list(dict.fromkeys(re.findall(r"^FIELD\((\w+),", f.read(), re.M)))
    for name, without in (("schema.sql", set()), ("schema-18.16.sql", {"sources", "asked", "also", "recent"})):
        with open(os.path.join(engines.SQL, name)) as f:
            table = f.read().split("connspread.events\n(\n")[1].split("\n)")[0]
        columns = re.findall(r"^    (\w+) ", table, re.M)
        equal(columns, [f for f in fields if f not in without] + ["time_us", "minute"], f"columns of {name}")
