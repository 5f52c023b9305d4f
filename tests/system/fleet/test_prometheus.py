"""contrib/prometheus in a real Prometheus that has what real hosts say: rules, alerts, console page, the dashboard's queries, canary decisions."""

import json
import os
import re
import struct
import subprocess
import time

import hosts
import kernel
from fixture import TOOL, equal, full, limit, needs
from prometheus import CONTRIB, Prometheus, ask, get, samples_of

ROUNDS, EACH = 13, 120  # a minute apart, as the samples say
STOPPED = 9             # the round before which the recorder of "behind" is killed, and a source of "down" becomes a black hole
ONE_BY_ONE = 'canary-by = "connection"'
FEW_PORTS = 'ports = { "50000-50009" }'  # 4 x 10 quadruplets for the canary arm

# name: what the host is; the first two are as well as the others, but for their fault.
FLEET = {
    "good": {"canary": 50, "top": ONE_BY_ONE},
    "fine": {"canary": 50, "top": ONE_BY_ONE},
    "worse": {"canary": 50, "top": ONE_BY_ONE, "pool": FEW_PORTS},
    "full": {"canary": 0, "narrow": True},
    "down": {},
    "behind": {},
}
INSTANCE = {"good": "web", "fine": "web", "worse": "shop", "full": "mail", "down": "api", "behind": "queue"}
BLACK_HOLE = "10.0.0.14"
ALERTS = {("ConnspreadConnectsFailing", "mail"), ("ConnspreadConnectsFailing", "shop"), ("ConnspreadOccupancy", "shop"), ("ConnspreadCanaryWorse", "shop"),
          ("ConnspreadCanaryFailing", "shop"), ("ConnspreadFleetCanaryWorse", "shop"), ("ConnspreadSourceUnanswered", "api"), ("ConnspreadRecorderBehind", "queue")}


def recorder(h):
    return h.t.start([TOOL, "record", "--keep", "-c", h.conf], bare=True, CONNSPREAD_DIR=h.state, CONNSPREAD_INSTANCE="web")


def fault(h, process):
    """What is wrong with this host from now on."""
    if h.name == "behind":
        process.kill()
        process.wait()
    elif h.name == "down":
        kernel.nft(f"table inet f {{ chain i {{ type filter hook input priority 0; ip daddr {BLACK_HOLE} tcp sport {hosts.PORT} drop; }}; }}")


def metrics(h, ahead):
    """By a clock that is so many seconds ahead: the rounds are a minute apart."""
    with open(h.state + ".ahead", "wb") as f:
        f.write(struct.pack("=q", ahead))
    clock = {"LD_PRELOAD": h.t.program("clock_ahead.so"), "CLOCK_AHEAD": h.state + ".ahead"} if ahead else {}
    text = h.tool("stat", "-c", h.conf, "-o", "prometheus", **clock).stdout + h.tool("quads", "-o", "prometheus").stdout
    return text.replace('connspread_instance="web"', f'connspread_instance="{INSTANCE[h.name]}"')


def has_all(h):
    return json.loads(h.tool("stat", "-c", h.conf, "-o", "json").stdout)["recorder"]["pending"] == 0


def snapshots(t):
    """What each host's clients did, and its metrics after each round: {name: [text]}, {name: [failed]}."""
    def job(h):
        h.connects(0)
        process = recorder(h)
        for i in range(ROUNDS):
            if i == STOPPED:
                fault(h, process)
            failed, other = h.connects(EACH, patience=1.2 if h.name == "down" else None)
            assert (other >= 3) == (h.name == "down" and i == STOPPED), f"{other} connects failed otherwise in round {i}"
            if h.name != "behind" or i < STOPPED:
                kernel.wait_until(lambda: has_all(h), 15, "the recorder does not write")
            kernel.write(f"{t.folder}/{h.name}.{i}", json.dumps([metrics(h, 60 * max(0, i - STOPPED)), failed]))
    hosts.all_of(t, job, FLEET)
    found = {}
    for name in FLEET:
        found[name] = []
        for i in range(ROUNDS):
            with open(f"{t.folder}/{name}.{i}") as f:
                found[name].append(json.load(f))
    return found


def fired():
    """Each alert that Alertmanager has, and its instance of connspread."""
    return {(a["labels"]["alertname"], a["labels"]["connspread_instance"]) for a in json.loads(get("9093/api/v2/alerts"))}


def the_alerts():
    """Each staged fault, and nothing else, at Alertmanager: the two hosts that are well have none."""
    until = time.monotonic() + 30
    while fired() != ALERTS and time.monotonic() < until:
        time.sleep(0.5)
    equal(fired(), ALERTS, "alerts")
    labels, = (a["labels"] for a in json.loads(get("9093/api/v2/alerts")) if a["labels"]["alertname"] == "ConnspreadSourceUnanswered")
    equal((labels["source"], labels["instance"], labels.get("version")), (BLACK_HOLE, "down", None), "the source that is not answered")


def the_console():
    page = get("9090/consoles/connspread.console.html")
    rows = {name: re.findall(r"<tr>(?!<th>)(.*?)</tr>", re.search(rf'<table id="{name}">(.*?)</table>', page, re.S)[1], re.S) for name in ("canary", "failed", "occupancy", "down", "behind", "versions")}
    words = {name: [re.sub(r"<[^>]*>", " ", row).split() for row in of] for name, of in rows.items()}
    equal([row[:2] for row in words["canary"]], [["shop", "worse"], ["web", "same"]], "canary on the page")
    equal([row[:3] for row in words["behind"]], [["behind", "queue", "3m"]], "recorders on the page")
    equal(sorted((row[0], row[1]) for row in words["failed"]), [("full", "mail"), ("worse", "shop")], "failures on the page")
    equal([row[-1] for row in words["versions"]], ["6"], "hosts by version")
    equal(words["down"], [["down", "api", "r", BLACK_HOLE, "1"]], "sources that are not answered, on the page")
    assert words["occupancy"], words


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
    Prometheus(t, samples_of({name: [text for text, _ in rounds] for name, rounds in found.items()}))
    the_counts(found)
    the_alerts()
    the_dashboard()
    the_console()
    if os.environ.get("SHOT"):  # by hand, to be looked at
        subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={t.folder}/chromium", "--window-size=1100,1000",
                        f"--screenshot={os.environ['SHOT']}", "http://127.0.0.1:9090/consoles/connspread.console.html"], check=True, timeout=60)


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
