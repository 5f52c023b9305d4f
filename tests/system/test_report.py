"""connspread report: staged incidents, and what the post-mortem must say of each.

What it must conclude is written down in CONCLUSIONS; every incident is met by an unmodified client, and the report is read
as text, as JSON, and once more an hour when the closes are gone from their ring.
"""

import collections
import json
import os
import pty
import shutil
import struct
import subprocess
import time

import kernel
from bench import PROGRAMS, PYTHON, SHIM, TOOL, equal, needs

LOW, HIGH = 40000, 40063  # 64 ephemeral ports

# kind: the true cause. program: whom it hit. first: the remedy to try first. words: what the text must tell somebody who was asleep.
Conclusion = collections.namedtuple("Conclusion", "kind program first words")
CONCLUSIONS = {
    # A client that connects, closes first and connects again: its own TIME-WAITs take every port towards one destination.
    "short-lived": Conclusion("time-wait", "python3", "reuse-connections", ["closes its connections first", "TIME-WAIT", "reuse connections"]),
    # Another process binds nearly all ports explicitly, connected to nothing: the client hardly uses any and has none left.
    "hoarder": Conclusion("explicit-binds", "python3", "release-binds", ["bound explicitly by other", "connspread doctor"]),
    # The client binds a source address that is taken off the host while it runs.
    "address-removed": Conclusion("address-gone", "curl", "restore-address", ["10.0.0.12 is not an address of this host", "ip addr add 10.0.0.12"]),
    # The host's IPv6 is switched off under a client with an IPv6 destination.
    "ipv6-disabled": Conclusion("ipv6-disabled", "curl", "enable-ipv6", ["IPv6 is disabled", "net.ipv6.conf.all.disable_ipv6"]),
}

# n connections to ADDRESS PORT, each closed before the next; 0.1 s between two failures. Ends 0: an unmodified client copes.
SHORT_LIVED = """
import socket, sys, time
for _ in range(int(sys.argv[3])):
    try:
        socket.create_connection((sys.argv[1], int(sys.argv[2]))).close()
    except OSError:
        time.sleep(0.1)
"""


def hoard(first, last):
    """Binds every port of first..last explicitly, from a process that connspread knows nothing of."""
    code = f"import socket, sys, time; kept = [socket.socket() for _ in range({first}, {last} + 1)]; " \
           f"[s.bind(('', {first} + i)) for i, s in enumerate(kept)]; print('held', flush=True); time.sleep(50)"
    process = subprocess.Popen([PYTHON, "-S", "-c", code], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    equal(process.stdout.readline(), "held\n", "the hoarder")
    return process


def curl(t, *arguments):
    return t.run(["curl", "-sS", "-o", "/dev/null"] + list(arguments), check=False).returncode


def stage_short_lived(t):
    port = t.server()
    t.python(SHORT_LIVED, "10.1.0.1", port, 70)
    return f"10.1.0.1:{port}"


def stage_hoarder(t):
    port = t.server()
    hoarder = hoard(LOW, HIGH - 4)
    try:
        t.python(SHORT_LIVED, "10.1.0.1", port, 8)
    finally:
        hoarder.kill()
        hoarder.wait()
    return f"10.1.0.1:{port}"


def stage_address_removed(t):
    port = t.server(kind="http")
    page = f"http://10.1.0.1:{port}/"
    equal(curl(t, "--interface", "10.0.0.12", page), 0, "curl while the address was there")
    kernel.ip("addr del 10.0.0.12/32 dev lo")
    assert curl(t, "--interface", "10.0.0.12", page) != 0, "curl worked without its address"
    return f"10.1.0.1:{port}"


def stage_ipv6_disabled(t):
    kernel.add_addresses("fd00:2::1")
    port = t.server("fd00:2::1", kind="http")
    page = f"http://[fd00:2::1]:{port}/"
    equal(curl(t, page), 0, "curl while there was IPv6")
    kernel.sysctl("net.ipv6.conf.all.disable_ipv6", 1)
    kernel.sysctl("net.ipv6.conf.lo.disable_ipv6", 1)
    assert curl(t, page) != 0, "curl worked without IPv6"
    return f"[fd00:2::1]:{port}"


STAGE = {"short-lived": stage_short_lived, "hoarder": stage_hoarder, "address-removed": stage_address_removed, "ipv6-disabled": stage_ipv6_disabled}


def report(t, *arguments, check=1, environment={}):
    return json.loads(t.tool("report", "-o", "json", *(arguments or instance(t)), check=check, **environment).stdout)


def instance(t):
    return ("-c", t.conf) if t.conf else ("-i", "default")


def staged(t, name):
    """The host, the incident; returns the destination."""
    t.sources()
    kernel.port_range(LOW, HIGH)
    return STAGE[name](t)


def as_expected(t, name, destination, *arguments, environment={}):
    """The report has one conclusion, and it is the one of the table."""
    want = CONCLUSIONS[name]
    found = report(t, *arguments, environment=environment)
    failures = [c for c in found["conclusions"] if c["failed"]]
    equal([c["kind"] for c in failures], [want.kind], f"{name}: conclusions")
    worst = failures[0]
    equal(worst["programs"][0]["program"], want.program, f"{name}: program")
    equal(worst["destinations"][0]["destination"], destination, f"{name}: destination")
    equal(worst["remedies"][0]["id"], want.first, f"{name}: first remedy")
    equal(found["first_failure"]["destination"] or destination, destination, f"{name}: destination of the first failure")
    text = t.tool("report", *(arguments or instance(t)), check=1, **environment).stdout
    for words in want.words + [want.program, destination]:
        assert words.lower() in " ".join(text.split()).lower(), f"{name}: the text does not say {words!r}:\n{text}"
    return worst, text


def incident(t, name):
    destination = staged(t, name)
    return as_expected(t, name, destination)


def test_short_lived_connections(t):
    worst, _ = incident(t, "short-lived")
    equal(worst["failed"], 6, "failures: 70 connects, 64 ports")


def test_ports_hoarded_by_explicit_binds(t):
    worst, _ = incident(t, "hoarder")
    equal(worst["failed"], 4, "failures: 8 connects, 4 ports left")


@needs("curl")
def test_source_address_removed(t):
    incident(t, "address-removed")


@needs("curl")
def test_ipv6_disabled(t):
    incident(t, "ipv6-disabled")


# --- further incidents: the same table, told apart from those above ---

OTHER_CONCLUSIONS = {
    "open connections": ("open-connections", "limit-open-connections"),
    "another program's TIME-WAITs": ("time-wait", "reuse-connections"),
    "connections of a process that is not watched": ("other-processes", "find-other-processes"),
    "a fixed local port": ("port-busy", "let-kernel-choose-port"),
}


def concludes(t, name):
    found = report(t)
    kind, first = OTHER_CONCLUSIONS[name]
    equal([(c["kind"], c["remedies"][0]["id"]) for c in found["conclusions"] if c["failed"]], [(kind, first)], f"{name}: conclusions and first remedies")
    return found["conclusions"][0]


def crowded(t):
    t.sources()
    port = t.server()
    kernel.port_range(LOW, HIGH)
    return port


def try_once(t, port):
    """An unmodified bash, which fails."""
    equal(t.run(["bash", "-c", f"exec 3<>/dev/tcp/10.1.0.1/{port}"], check=False).returncode, 1, "bash's exit status")


def test_connections_that_stay_open(t):
    port = crowded(t)
    agent = t.agent()
    equal(agent(f"hold(65, '10.1.0.1', {port})")[1], 64, "connections")
    worst = concludes(t, "open connections")
    equal((worst["programs"][0]["program"], worst["numbers"]["open"]), ("python3", 64), "program, open connections")


def test_the_culprit_is_another_program(t):
    """python3 closes first until all ports are in TIME-WAIT; it is bash that fails."""
    port = crowded(t)
    t.python(SHORT_LIVED, "10.1.0.1", port, 64)
    try_once(t, port)
    worst = concludes(t, "another program's TIME-WAITs")
    equal((worst["programs"][0]["program"], worst["culprit"]), ("bash", "python3"), "victim and culprit")
    assert "another program, python3" in worst["summary"], worst["summary"]


def test_connections_of_other_processes(t):
    port = crowded(t)
    hoarder = t.agent(bare=True)
    equal(hoarder(f"hold(64, '10.1.0.1', {port})"), [0, 64], "connections of a process that is not watched")
    try_once(t, port)
    equal(concludes(t, "connections of a process that is not watched")["numbers"]["kernel_established"], 64, "the kernel's count")


def test_a_fixed_local_port(t):
    port = crowded(t)
    agent = t.agent()
    agent("def bound():\n s = socket.socket(); kept.append(s); s.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1); s.bind(('10.0.0.12', 23456)); return s")
    agent(f"bound().connect(('10.1.0.1', {port}))")
    assert agent(f"attempt(bound().connect, ('10.1.0.1', {port}))") != 0, "the second connect worked"
    worst = concludes(t, "a fixed local port")
    equal(worst["destinations"][0]["destination"], f"10.1.0.1:{port}", "destination")


def test_what_was_overcome_is_no_failure(t):
    """A source of the pool is full, another one is gone, and no client notices: exit 0, and both are told."""
    sources = t.sources(11, 13)
    port = t.server()
    kernel.port_range(LOW, HIGH)
    t.spread(sources, pool='policy = "hash"', rule='on-exhausted = "error"')
    agent = t.agent()
    kernel.ip(f"addr del {sources[2]}/32 dev lo")
    equal(agent(f"hold(100, '10.1.0.1', {port})"), [0, 100], "errno and connections")
    found = report(t, check=0)
    equal((found["failed"], found["first_failure"]), (0, None), "failures")
    told = {c["kind"]: c for c in found["conclusions"]}
    assert told["open-connections"]["recovered"] > 0, told
    equal((told["address-gone"]["source"], told["address-gone"]["remedies"][0]["id"]), (sources[2], "restore-address"), "the missing source")
    text = t.tool("report", *instance(t), check=0).stdout
    assert "No call failed" in text and "met, and overcome" in text and 'out of pool "p"' in text, text


# --- an hour later ---

MINUTES = 60


def an_hour_later(t):
    """Gives the tool a clock that is an hour ahead, in which others went on: returns the environment for it."""
    state = f"{t.state}/test.state"
    cells = int(subprocess.run([t.program("later_traffic"), state, str(MINUTES), "1000"], check=True, stdout=subprocess.PIPE).stdout)
    assert MINUTES * 1000 > 50 * cells, f"the close ring has {cells} cells: it did not turn over many times"
    ahead = os.path.join(t.folder, "ahead")
    with open(ahead, "wb") as f:
        f.write(struct.pack("=q", 60 * (MINUTES + 1)))
    return {"LD_PRELOAD": t.program("clock_ahead.so"), "CLOCK_AHEAD": ahead}


def incident_an_hour_later(t, name):
    """The closes of the incident are gone from the ring; the incidents and the history still tell it."""
    t.config('log { size = "64k" }')
    destination = staged(t, name)
    later = an_hour_later(t)
    equal([e for e in t.events("time-wait") if e["program"] != "worker"], [], "closes of the incident that are still in the ring")
    as_expected(t, name, destination, environment=later)
    found = report(t, environment=later)
    equal(found["closed_first"][0]["program"], "worker", "who closed first most often, by the history")
    equal(found["closed_first"][0]["time_wait"], MINUTES * 1000, "its closes")
    return found


def test_short_lived_connections_an_hour_later(t):
    found = incident_an_hour_later(t, "short-lived")
    worst = found["conclusions"][0]
    equal(worst["culprit"], "python3", "who took the ports")
    equal(sum(m["time_wait"] for m in worst["minutes_before"]), 64, "TIME-WAITs in the minutes before")


def test_hoarded_ports_an_hour_later(t):
    incident_an_hour_later(t, "hoarder")


@needs("curl")
def test_removed_address_an_hour_later(t):
    incident_an_hour_later(t, "address-removed")


@needs("curl")
def test_ipv6_disabled_an_hour_later(t):
    incident_an_hour_later(t, "ipv6-disabled")


def test_from_the_history_alone(t):
    """The incidents themselves are gone from their ring as well."""
    t.sources()
    port = t.server()
    kernel.port_range(LOW, HIGH)
    t.spread(["10.0.0.11"], rule='on-exhausted = "error"', top='log { size = "64k" }')
    t.python(SHORT_LIVED, "10.1.0.1", port, 70)
    subprocess.run([t.program("event_storm"), f"{t.state}/test.state", "20000", "0", "1"], check=True, stdout=subprocess.DEVNULL)
    equal(t.events("exhausted"), [], "exhausted events that are still in the ring")
    found = report(t)
    equal((found["failed"], found["first_failure"]["program"]), (6, "python3"), "failures, program of the first")
    worst, = found["conclusions"]
    equal((worst["kind"], worst["programs"][0]["program"], worst["destinations"][0]["destination"], worst["culprit"]), ("time-wait", "python3", f"10.1.0.1:{port}", "python3"),
          "kind, program, destination, culprit")
    text = t.tool("report", *instance(t), check=1).stdout
    assert "the first in the minute of" in text and "reuse connections" in text.lower(), text


# --- many files, many hosts ---

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
    """As in a state file and the log that its follower wrote."""
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
    assert f"{path}: 4 damaged lines passed over: 5 (" in done.stderr, done.stderr


def test_unreadable_input_is_named(t):
    """Exit 2; what else there is, is reported all the same."""
    good = write(t, "good", lines(5000))
    bad = write(t, "bad", ["nothing here", "is an event"])
    done = t.tool("report", "-o", "json", good, bad, check=2)
    assert f"{bad}:1: not a JSON object" in done.stderr, done.stderr
    equal(json.loads(done.stdout)["failed"], 1, "failures in the good one")
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
    assert "No call failed with EADDRNOTAVAIL" in text and "Who closed first" in text, text
    assert "There was no event to read" in t.tool("report", write(t, "empty", []), check=0).stdout


def test_since_and_until(t):
    all_lines = lines(20000)
    path = write(t, "log", all_lines)
    since, until = json.loads(all_lines[5000])["time"], json.loads(all_lines[12000])["time"]
    equal(sums(report(t, "--since", since, "--until", until, path)), counted(all_lines[5000:12001]), "counts between the two")
    equal(report(t, "--since", "2026-11-21T03:27:59Z", "--until", "2026-11-21T03:27:59.5Z", path, check=0)["failed"], 0, "failures in the first half second")


def test_usage(t):
    for arguments, words in ((["--since", "yesterday"], "--since yesterday is not a time"), (["-o", "xml"], "-o xml is not a format"),
                             (["--since", "now", "--until", "1h"], "--since is later than --until"), (["-i", "x", "file"], "not both"), (["-x"], "--help")):
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


def reported_on_a_terminal(path, seconds, count):
    """Runs report with its stderr on a terminal, fed count events in that time; returns what the terminal saw."""
    os.mkfifo(path)
    leader, follower = pty.openpty()
    process = subprocess.Popen([TOOL, "report", path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=follower)
    os.close(follower)
    events = lines(count)
    with open(path, "w") as f:
        for i in range(30):
            f.write("".join(line + "\n" for line in events[count // 30 * i:count // 30 * (i + 1)]))
            f.flush()
            time.sleep(seconds / 30)
    equal(process.wait(timeout=20), 1, "exit status")
    seen = b""
    try:
        while True:
            seen += os.read(leader, 1 << 16)
    except OSError:  # EIO: nobody has the other end any more
        os.close(leader)
    return seen.decode()


def test_progress_on_a_terminal(t):
    """Shown after a second, and wiped at the end; not for what is done at once, and never into a file."""
    seen = reported_on_a_terminal(os.path.join(t.folder, "slow"), 2.5, 60000)
    assert "\rconnspread: report: " in seen and " events" in seen and seen.endswith(" \r") and "\x1b" not in seen, repr(seen)
    equal(reported_on_a_terminal(os.path.join(t.folder, "fast"), 0.0, 6000), "", "what a terminal sees of a quick one")
