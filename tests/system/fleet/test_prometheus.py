"""contrib/prometheus in a real Prometheus that has what real hosts say: rules, alerts, console page, the dashboard's queries, canary decisions."""

import json
import os
import re
import subprocess
import time
import urllib.parse
import urllib.request

import hosts
import kernel
from fixture import PACKAGES, ROOT, TOOL, equal, full, limit, needs

PACKAGES.update({"prometheus": "prometheus", "prometheus-alertmanager": "prometheus-alertmanager", "prometheus-node-exporter": "prometheus-node-exporter"})
CONTRIB = os.path.join(ROOT, "contrib/prometheus")
ROUNDS, EACH = 13, 60  # a minute apart, as the samples say
ONE_BY_ONE = 'canary-by = "connection"'
FEW_PORTS = 'ports = { "50000-50009" }'  # 4 x 10 quadruplets for the canary arm

# name: what the host is
FLEET = {
    "good": {"canary": 50, "top": ONE_BY_ONE},
    "fine": {"canary": 50, "top": ONE_BY_ONE},
    "worse": {"canary": 50, "top": ONE_BY_ONE, "pool": FEW_PORTS},
    "full": {"canary": 0, "narrow": True},
}
INSTANCE = {"good": "web", "fine": "web", "worse": "shop", "full": "mail"}


def snapshots(t):
    """What each host's clients did, and its metrics after each round: {name: [text]}, {name: [failed]}."""
    def job(h):
        for i in range(ROUNDS):
            failed = h.connects(EACH)[0]
            text = h.tool("stat", "-c", h.conf, "-o", "prometheus").stdout + h.tool("quads", "-o", "prometheus").stdout
            kernel.write(f"{t.folder}/{h.name}.{i}", json.dumps([text.replace('connspread_instance="web"', f'connspread_instance="{INSTANCE[h.name]}"'), failed]))
    hosts.all_of(t, job, FLEET)
    found = {}
    for name in FLEET:
        found[name] = []
        for i in range(ROUNDS):
            with open(f"{t.folder}/{name}.{i}") as f:
                found[name].append(json.load(f))
    return found


def samples_of(found):
    """The snapshots as samples of the last minutes, the newest 5 s old."""
    end = time.time() - 5
    for name, rounds in found.items():
        for i, (text, _) in enumerate(rounds):
            at = f"{end - 60 * (ROUNDS - 1 - i):.3f}"
            for line in text.splitlines():
                m = re.match(r"(\w+)(?:\{(.*)\})? (\S+)$", line)
                if m:
                    yield f'{m[1]}{{{m[2] + "," if m[2] else ""}instance="{name}",job="node"}} {m[3]} {at}'


def backfill(t, samples, data):
    path = os.path.join(t.folder, "samples")
    kernel.write(path, "\n".join(samples) + "\n# EOF\n")
    done = subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", path, data], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    equal(done.returncode, 0, done.stdout + done.stderr)


def get(url, **query):
    with urllib.request.urlopen(f"http://127.0.0.1:{url}" + ("?" + urllib.parse.urlencode(query) if query else ""), timeout=20) as answer:
        return answer.read().decode()


def answers(url):
    try:
        return get(url)
    except OSError:
        return None


def ask(query):
    """{labels: value} of an instant query."""
    result = json.loads(get("9090/api/v1/query", query=query))["data"]["result"]
    return [({k: v for k, v in r["metric"].items() if k != "__name__"}, float(r["value"][1])) for r in result]


class Prometheus:
    """A server with the rules of contrib, whose alerts fire as soon as they are true, and an Alertmanager."""

    def __init__(self, t, samples):
        folder = os.path.join(t.folder, "prometheus")
        os.makedirs(folder + "/rules")
        backfill(t, samples, folder + "/data")
        for name in ("connspread.rules.yml", "connspread.fleet.rules.yml"):
            with open(os.path.join(CONTRIB, name)) as f:
                kernel.write(f"{folder}/rules/{name}", re.sub(r"(for|interval): \w+", r"\1: 1s", f.read()))
        kernel.write(folder + "/prometheus.yml", f'global: {{ evaluation_interval: 1s }}\nrule_files: [ "{folder}/rules/*.yml" ]\n'
                                                 'alerting: { alertmanagers: [ { static_configs: [ { targets: [ "127.0.0.1:9093" ] } ] } ] }\n')
        kernel.write(folder + "/alertmanager.yml", "route: { receiver: none, group_wait: 1s }\nreceivers: [ { name: none } ]\n")
        self.alertmanager = t.start(["prometheus-alertmanager", f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/am", "--cluster.listen-address=",
                                     "--web.listen-address=127.0.0.1:9093"], bare=True)
        self.process = t.start(["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data", "--web.listen-address=127.0.0.1:9090",
                                "--rules.alert.resend-delay=1s",  # what fires before it knows of the Alertmanager, it tells again after a minute
                                f"--web.console.templates={CONTRIB}", f"--web.console.libraries={folder}"], bare=True)
        kernel.wait_until(lambda: answers("9090/-/ready") and answers("9093/-/ready"), 30, "Prometheus or Alertmanager does not answer")
        kernel.wait_until(lambda: ask("connspread:fleet_canary_verdict"), 30, "no verdict")


def the_alerts():
    """Each staged fault, and nothing else, at Alertmanager."""
    want = {("ConnspreadConnectsFailing", "full"), ("ConnspreadConnectsFailing", "worse"), ("ConnspreadCanaryWorse", "worse"), ("ConnspreadFleetCanaryWorse", None)}

    def fired():
        return {(a["labels"]["alertname"], a["labels"].get("instance")) for a in json.loads(get("9093/api/v2/alerts"))} - {("ConnspreadOccupancy", "full"),
                ("ConnspreadOccupancy", "worse"), ("ConnspreadCanaryFailing", "worse")}
    until = time.monotonic() + 30
    while fired() != want and time.monotonic() < until:
        time.sleep(0.5)
    equal(fired(), want, "alerts")


def the_console():
    page = get("9090/consoles/connspread.console.html")
    rows = {name: re.findall(r"<tr>(?!<th>)(.*?)</tr>", re.search(rf'<table id="{name}">(.*?)</table>', page, re.S)[1], re.S) for name in ("canary", "failed", "occupancy", "down", "versions")}
    words = {name: [re.sub(r"<[^>]*>", " ", row).split() for row in of] for name, of in rows.items()}
    equal([row[:2] for row in words["canary"]], [["shop", "worse"], ["web", "same"]], "canary on the page")
    equal(sorted((row[0], row[1]) for row in words["failed"]), [("full", "mail"), ("worse", "shop")], "failures on the page")
    equal([row[-1] for row in words["versions"]], ["4"], "hosts by version")
    assert words["down"] == [["none"]] and words["occupancy"], words
    return page


def the_dashboard():
    """Every query of every panel yields something, alone and over the hour that it shows."""
    with open(os.path.join(CONTRIB, "connspread.grafana.json")) as f:
        board = json.load(f)
    assert len(board["panels"]) >= 10
    empty_by_right = {"unreachable", "denied"}
    for panel in board["panels"]:
        for target in panel["targets"]:
            query = target["expr"].replace("$connspread_instance", ".*").replace("$host", ".*")
            assert "$" not in query, query
            result = json.loads(get("9090/api/v1/query_range", query=query, start=time.time() - 3600, end=time.time() + 5, step=15))
            equal(result["status"], "success", query)
            assert result["data"]["result"] or target["legendFormat"] in empty_by_right, f"{panel['title']}: {query} yields nothing"


def the_counts(found):
    """What the clients saw is what the fleet's queries add up to."""
    failed = {name: sum(f for _, f in rounds) for name, rounds in found.items()}
    got = {labels["instance"]: value for labels, value in ask("sum by (instance) (connspread_connects_failed_total)")}
    equal(got, failed, "failures by host")
    connects = {labels["instance"]: value for labels, value in ask("sum by (instance) (connspread_connects_total)")}
    equal(connects, {name: EACH * ROUNDS for name in FLEET}, "connects by host")
    equal({labels["connspread_instance"]: value for labels, value in ask("connspread:fleet_canary_verdict")}, {"web": 0, "shop": 1}, "verdicts; mail has no canary")


@full
@limit(150)
@needs("prometheus", "promtool", "prometheus-alertmanager")
def test_real_hosts_in_a_real_prometheus(t):
    found = snapshots(t)
    assert found["worse"][-1][1] > 0 and found["full"][-1][1] > 0, "the staged hosts do not fail"
    Prometheus(t, samples_of(found))
    the_counts(found)
    the_alerts()
    the_dashboard()
    page = the_console()
    if os.environ.get("PAGE"):
        kernel.write(os.environ["PAGE"], page)


@needs("promtool")
def test_a_file_of_another_version_is_named(t):
    """The writer keeps the old file, names the other one, and says what to do."""
    script, folder = os.path.join(CONTRIB, "connspread-textfile"), os.path.join(t.folder, "textfile")
    os.mkdir(folder)
    mine, other = folder + "/connspread.prom", folder + "/old.prom"
    env = t.environment(bare=True, CONNSPREAD=TOOL)

    def write():
        done = subprocess.run([script, mine], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr
    kernel.write(other, "# HELP node_other Something else.\n# TYPE node_other gauge\nnode_other 1\n")
    equal(write(), (0, "", ""), "beside a file with other metrics")
    before = os.stat(mine).st_ino
    kernel.write(other, "# HELP connspread_mode What is in force.\n# TYPE connspread_mode gauge\nconnspread_mode 1\n")
    equal(write(), (1, "", f'connspread-textfile: {other} has connspread_mode of another version: "# HELP connspread_mode What is in force."; try: remove that file\n'),
          "beside a file of another version")
    equal((os.stat(mine).st_ino, sorted(os.listdir(folder))), (before, ["connspread.prom", "old.prom"]), "files")
