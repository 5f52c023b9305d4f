"""connspread report over files: of several hosts, damaged, hostile, long; and as whoever may not see everything."""

import json
import os
import pty
import shutil
import subprocess
import time

import kernel
import terminal
from fixture import PROGRAMS, PYTHON, SHIM, TOOL, equal
from test_report import HIGH, LOW, SHORT_LIVED, an_hour_later, as_expected, report, staged

def lines(count, host="web1"):
    """JSON Lines as a busy host writes them; the hog's failures come every 5,000 lines."""
    done = subprocess.run([os.path.join(PROGRAMS, "many_events"), str(count), host], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.splitlines()


def write(t, name, content):
    path = os.path.join(t.folder, name)
    with open(path, "w") as f:
        f.write("".join(line + "\n" for line in content))
    return path


def sums(found):
    """Everything that is counted by program and destination, the rest included."""
    rows = found["closed_first"] + [found["closed_first_rest"]]
    return {key: sum(row[key] for row in rows) for key in ("time_wait", "otherwise", "failed")}


def counted(*parts):
    events = [json.loads(line) for part in parts for line in part]
    return {"time_wait": sum(e["event"] == "time-wait" for e in events), "otherwise": sum(e["event"] == "close" for e in events),
            "failed": sum(e["event"] == "exhausted" for e in events)}


def test_files_of_several_hosts_are_merged_by_time(t):
    """Two hosts whose logs overlap, one of them in two files that were named the wrong way round."""
    one, two = lines(12000, "web1"), [line.replace('"epoch":"0', '"epoch":"1') for line in lines(6000, "web2")]
    files = [write(t, "b", one[6000:]), write(t, "a", one[:6000]), write(t, "c", two)]
    found = report(t, *files)
    equal((found["events"], found["hosts"]), (18000, ["web1", "web2"]), "events and hosts")
    equal(sums(found), counted(one, two), "counts")
    equal([(c["host"], c["failed"], c["kind"]) for c in found["conclusions"]], [("web1", 2, "time-wait"), ("web2", 1, "time-wait")], "conclusions")
    first = min(json.loads(line)["time"] for part in (one, two) for line in part if '"exhausted"' in line)
    equal(found["first_failure"]["time"], first, "time of the first failure")


def test_an_event_in_two_files_counts_once(t):
    """As in a state file and the log that its recorder wrote."""
    destination = staged(t, "short-lived")
    log = t.tool("log", "-o", "json", "-i", "default", check=0).stdout.splitlines()
    path, state = write(t, "log", log), f"{t.state}/default.state"
    found = report(t, path, state)
    equal((found["events"], found["failed"]), (len(log), 6), "events and failures")
    as_expected(t, "short-lived", destination, path)


def test_the_log_file_of_the_instance_is_read_too(t):
    """It has what the rings have lost."""
    log = os.path.join(t.folder, "log.jsonl")
    t.config(f'log {{ size = "64k" file = "{log}" }}')
    staged(t, "short-lived")
    told = t.tool("log", "-o", "json", "-c", t.conf, check=0).stdout.splitlines()
    write(t, "log.jsonl", told)
    later = an_hour_later(t)
    found = report(t, environment=later)
    equal([(i["name"], i["events"] >= len(told)) for i in found["inputs"]], [(f"{t.state}/test.state", True), (log, True)], "inputs")
    equal(sum(row["time_wait"] for row in found["closed_first"] if row["program"] == "python3"), 64, "closes of the incident")
    incidents = sum('"event":"time-wait"' not in line for line in told)
    equal(found["events"], sum(i["events"] for i in found["inputs"]) - incidents, "events, each once")


def test_damaged_lines_are_counted_and_named(t):
    good = lines(6000)
    path = write(t, "log", good[:4] + ["{oops"] + good[4:5990] + ['{"time":1}', ""] + good[5990:] + [good[0][:100]])
    done = t.tool("report", "-o", "json", path, check=1)
    found = json.loads(done.stdout)
    equal(found["inputs"][0]["damaged_lines"], [5, 5992, 5993, 6004], "damaged lines")
    equal(sums(found), counted(good), "counts")
    equal((found["incomplete"], found["inputs"][0]["incomplete"]), (False, False), "incomplete, for some damaged lines")
    assert f"{path}: 4 damaged lines passed over: 5 (" in done.stderr, done.stderr


def test_unreadable_input_is_named(t):
    """Exit 2; what else there is, is reported all the same."""
    good = write(t, "good", lines(5000))
    bad = write(t, "bad", ["nothing here", "is an event"])
    done = t.tool("report", "-o", "json", good, bad, check=2)
    assert f"{bad}:1: not a JSON object" in done.stderr, done.stderr
    found = json.loads(done.stdout)
    equal(found["failed"], 1, "failures in the good one")
    equal((found["incomplete"], [i["incomplete"] for i in found["inputs"]]), (True, [False, True]), "incomplete: all, each")
    done = t.tool("report", "-o", "json", t.folder + "/missing", check=2)
    found = json.loads(done.stdout)
    equal((found["incomplete"], found["inputs"][0]["incomplete"]), (True, True), "incomplete: without its only input")
    done = t.tool("report", t.folder + "/missing", check=2)
    assert f"{t.folder}/missing: No such file" in done.stderr, done.stderr
    done = t.tool("report", t.folder, check=2)
    assert f"{t.folder}:1: Is a directory" in done.stderr, done.stderr
    done = t.tool("report", "-i", "nobody", check=2)
    assert "nobody.state" in done.stderr, done.stderr


def test_nothing_wrong(t):
    """Exit 0, and what there was is shown."""
    good = [line for line in lines(3000) if '"exhausted"' not in line]
    path = write(t, "log", good)
    found = report(t, path, check=0)
    equal((found["failed"], found["first_failure"], found["conclusions"]), (0, None, []), "failures")
    text = t.tool("report", path, check=0).stdout
    assert "No call failed with EADDRNOTAVAIL" in text and "Which programs closed first" in text, text
    assert "There was no event to read" in t.tool("report", write(t, "empty", []), check=0).stdout


def test_sources_are_counted_apart(t):
    """Fifty sources towards one destination, which differ in nothing but their last byte: each is kept."""
    sources = t.sources(11, 60)
    port = t.server()
    t.spread(sources)
    t.run([t.program("burst"), "10.1.0.1", str(port), "100"])
    kernel.settle(port)
    found = json.loads(t.tool("report", "-o", "json", "-c", t.conf, check=0).stdout)["sources"]
    equal([(s["time_wait"], s["peak"]) for s in found], [(2, 2)] * 50, "TIME-WAITs of each")
    text = t.tool("report", "-c", t.conf, check=0).stdout
    equal([line for line in text.splitlines() if line.endswith(" more")], ["  and 40 more"], "what is said of those that are not shown")


def test_since_and_until(t):
    all_lines = lines(20000)
    path = write(t, "log", all_lines)
    since, until = json.loads(all_lines[5000])["time"], json.loads(all_lines[12000])["time"]
    equal(sums(report(t, "--since", since, "--until", until, path)), counted(all_lines[5000:12001]), "counts between the two")
    equal(report(t, "--since", "2026-11-21T03:27:59Z", "--until", "2026-11-21T03:27:59.5Z", path, check=0)["failed"], 0, "failures in the first half second")


def test_usage(t):
    for arguments, words in ((["--since", "yesterday"], "--since yesterday is not a time"), (["-o", "xml"], "-o xml is not a format"),
                             (["--since", "now", "--until", "1h"], "--since is later than --until"), (["-i", "x", "file"], "exclude each other; try: one of them"), (["-x"], "--help")):
        done = t.tool("report", *arguments, check=2)
        assert words in done.stderr and not done.stdout, f"{arguments}: {done.stderr}"
    assert "usage: connspread report" in t.tool("report", "--help", check=0).stdout


def test_hostile_text_reaches_no_terminal(t):
    """Escape sequences in names are not printed; JSON stays JSON."""
    evil = [line.replace('"hog"', r'"\u001b[2J\u0007"').replace('"web1"', r'"w\u001b]0;x"') for line in lines(5000)]
    path = write(t, "log", evil)
    done = t.tool("report", path, check=1)
    assert "\x1b" not in done.stdout and "\x07" not in done.stdout, repr(done.stdout)
    equal(report(t, path)["failed"], 1, "failures")


def test_as_an_ordinary_user_without_ss(t):
    """An unprivileged user with no other program in reach gets the same report of his own instance."""
    uid = 65534 if os.geteuid() == 0 else os.geteuid()
    t.sources()
    kernel.port_range(LOW, HIGH)
    os.chmod(t.folder, 0o755)
    own = os.path.join(t.folder, "own")
    os.mkdir(own, 0o700)
    os.chown(own, uid, uid)
    lib = os.path.join(t.folder, "lib")
    os.mkdir(lib, 0o755)
    for path in (SHIM, os.path.join(os.path.dirname(SHIM), "connspread-config.so"), TOOL):
        shutil.copy(path, lib)
    as_user = {"user": uid, "group": uid, "extra_groups": []} if os.geteuid() == 0 else {}
    port = t.server()
    environment = {"PATH": "/nonexistent", "CONNSPREAD_DIR": own}
    subprocess.run([PYTHON, "-S", "-c", SHORT_LIVED, "10.1.0.1", str(port), "70"], env=dict(environment, LD_PRELOAD=os.path.join(lib, "libconnspread.so")),
                   check=True, **as_user)
    done = subprocess.run([os.path.join(lib, "connspread"), "report", "-i", "default", "-o", "json"], env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, **as_user)
    equal((done.returncode, done.stderr), (1, ""), "exit status and stderr")
    worst = json.loads(done.stdout)["conclusions"][0]
    equal((worst["kind"], worst["failed"], worst["numbers"]["capacity"]), ("time-wait", 6, 64), "conclusion")


def reported_on_a_terminal(path, seconds, events):
    """Runs report with its stderr on a terminal, fed events in that time; returns what the terminal saw, and how many seconds it took."""
    count = len(events)
    os.mkfifo(path)
    leader, follower = pty.openpty()
    began = time.monotonic()
    process = subprocess.Popen([TOOL, "report", path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=follower)
    with open(path, "w") as f:
        for i in range(30):
            f.write("".join(line + "\n" for line in events[count // 30 * i:count // 30 * (i + 1)]))
            f.flush()
            time.sleep(seconds / 30)
    seen = terminal.read_all(leader, process)
    equal(process.wait(timeout=20), 1, "exit status")
    took = time.monotonic() - began
    os.close(follower)
    os.close(leader)
    return seen.decode(), took


def test_progress_on_a_terminal(t):
    """Shown after a second, and wiped at the end; not for what is done at once, and never into a file."""
    seen, _ = reported_on_a_terminal(os.path.join(t.folder, "slow"), 2.5, lines(60000))
    assert "\rconnspread: report: " in seen and " events" in seen and seen.endswith(" \r") and "\x1b" not in seen, repr(seen)
    seen, took = reported_on_a_terminal(os.path.join(t.folder, "fast"), 0.0, lines(6000))
    assert seen == "" or took >= 1, f"what a terminal sees of one that took {took:.2f} s: {seen!r}"
