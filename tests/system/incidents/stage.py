"""How the incidents of expected.py are staged, and how what is told of them is held to that table.

Every client is a program of Debian, unmodified. The range has few ports, so that each incident takes about a second."""

import contextlib
import json
import subprocess

import kernel
from expected import BY_NAME
from fixture import PYTHON, equal
from page import Page

LOW, PORTS = 40000, 20
HIGH = LOW + PORTS - 1
CLOSE_ENOUGH = 3  # percent

# Opens n connections one after the other, keeps some, and ends when its stdin does. With $last it waits for the server's end of each.
PERL_KEEP = """
use IO::Socket::INET; $| = 1; my ($to, $n, $keep, $last, %more) = @ARGV; my @kept; my $failed = 0;
for (1 .. $n) { my $s = IO::Socket::INET->new(PeerAddr => $to, %more); if (!$s) { $failed++; next } push @kept, $s if @kept < $keep;
    sysread $s, my $byte, 1 if $last }
print "failed $failed\\n"; <STDIN>;
"""

# A program that nobody watches: holds what it was told until it is killed. bind: binds ports; hold: opens connections; spend: and closes them.
OTHER = """
import socket, sys, time
what, address, port, n = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
kept = []
for i in range(n):
    s = socket.socket()
    if what == "bind":
        s.bind((address, port + i))
    else:
        s.connect((address, port))
    if what == "spend":
        s.close()
    else:
        kept.append(s)
print("ready", flush=True)
time.sleep(60)
"""


@contextlib.contextmanager
def other(what, address, port, n):
    process = subprocess.Popen([PYTHON, "-S", "-c", OTHER, what, address, str(port), str(n)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        equal(process.stdout.readline(), "ready\n", "the other program")
        yield process
    finally:
        process.kill()
        process.wait()


def host(t, kind="http", sources=(11, 12), ports=PORTS):
    """Addresses, a server, few ports; returns the server's port."""
    t.sources(*sources)
    port = t.server(kind=kind)
    kernel.port_range(LOW, LOW + ports - 1)
    return port


def curls(t, n, *arguments, **options):
    """curl, n times, one after the other; returns how many failed."""
    return repeated(t, n, "curl -s -o /dev/null -m 5 \"$@\"", *arguments, **options)


def repeated(t, n, command, *arguments, **options):
    """A command line n times, one after the other, by an sh that is not watched; returns how many failed."""
    script = f"failed=0; for i in $(seq {n}); do LD_PRELOAD=$SHIM {command} >/dev/null 2>&1 </dev/null || failed=$((failed + 1)); done; echo $failed"
    environment = t.environment(**options)
    shim = environment.pop("LD_PRELOAD", "")
    done = subprocess.run(["sh", "-c", script, "sh", *arguments], env={**environment, "SHIM": shim}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          timeout=50, check=True)
    return int(done.stdout)


@contextlib.contextmanager
def perl(t, port, n, keep=None, *more, last=False, **options):
    """A perl that opens n connections, keeps some of them, and lives on; yields how many failed. last: the server closes first."""
    process = subprocess.Popen(["perl", "-e", PERL_KEEP, f"10.1.0.1:{port}", str(n), str(n if keep is None else keep), str(int(last)), *more], env=t.environment(**options),
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield int(process.stdout.readline().split()[1])
    finally:
        process.stdin.close()
        process.wait()


# --- what is told ---

def instance(t):
    return ("-c", t.conf) if t.conf else ("-i", "default")


def report(t, check):
    return json.loads(t.tool("report", "-o", "json", *instance(t), check=check).stdout)


def shares_of(conclusion):
    return {s["kind"]: s["percent"] for s in conclusion["shares"]}


def holds(conclusion):
    """What must hold for the numbers of every conclusion."""
    numbers = conclusion["numbers"]
    shares = conclusion["shares"]
    if shares:
        equal(sum(s["percent"] for s in shares), 100, f"sum of the shares {shares}")
        equal(sorted(shares, key=lambda s: -s["percent"]), shares, "shares, largest first")
        equal(shares[0]["kind"], conclusion["kind"], "the kind, and the largest share")
    taken = numbers["open"] + numbers["time_wait"]
    assert taken <= numbers["capacity"], f"{taken} of {numbers['capacity']} quadruplets: {numbers}"
    equal(numbers["ports"] * numbers["sources"], numbers["capacity"], "ports x sources")


# What the first sentence of the page must say of each kind.
WORDS = {"time-wait": "TIME-WAIT", "open-connections": "open connections", "fin-wait": "FIN-WAIT", "close-wait": "CLOSE-WAIT", "other-processes": "programs that this instance",
         "explicit-binds": "bound explicitly", "reserved-ports": "reserved ports", "descriptors": "descriptor", "tw-buckets": "tcp_max_tw_buckets", "ipv6-disabled": "IPv6 is disabled",
         "address-gone": "an address of this host", "source-unanswered": "not answered", "port-busy": "chose itself", "slow-search": "connect() was slow"}


def page_tells(t, row, destination, worst, found):
    """So does the page: its first sentence names cause, program and destination, and the first remedy is the right one."""
    page = Page(t.tool("report", "-o", "html", *instance(t), check=1 if row.failed else 0).stdout).holds()
    if not worst:
        assert page.verdict.startswith("No call failed"), page.verdict
        equal(page.remedies, [], "remedies")
        return
    if worst != found["conclusions"][0]: # the page begins with another incident: it tells of this one further down
        assert any(worst["summary"].split(".")[0] in p for p in page.all("p")), page.all("p")
        return
    assert ("failed to connect" in page.verdict) == row.failed, page.verdict
    for kind in row.shares:
        assert WORDS[kind] in page.verdict, f"{kind}: {page.verdict}"
    assert row.program in page.verdict.split(), f"{row.program}: {page.verdict}"
    if row.destination == "server":
        assert destination in page.verdict, f"{destination}: {page.verdict}"
    equal(page.remedies[0], row.first, f"{page.verdict}\nfirst remedy")


def tells(t, name, destination=None, among=None):
    """report says of the incident what the table says; doctor and quads do not contradict it. Returns the conclusion."""
    row = BY_NAME[name]
    if "time-wait" in row.shares and "fin-wait" not in row.shares:
        kernel.settle(int(destination.rpartition(":")[2]))  # doctor and quads look now, and a slow server may have one to close still
    found = report(t, check=1 if row.failed else 0)
    text = t.tool("report", *instance(t), check=1 if row.failed else 0).stdout
    for c in found["conclusions"]:
        holds(c)
    told = [c for c in found["conclusions"] if (c["failed"] > 0) == row.failed and (among is None or among(c))]
    if not row.shares:
        equal([c["kind"] for c in found["conclusions"]], [], f"{name}: conclusions, where there is nothing to conclude")
        page_tells(t, row, destination, None, found)
        agrees(t, None, found)
        return None
    equal(len(told), 1, f"{name}: conclusions, of {[(c['kind'], c['failed'], c['summary']) for c in found['conclusions']]}")
    worst = told[0]
    shares = shares_of(worst)
    where = f"{name}: {json.dumps(worst)}"
    equal(list(shares), list(row.shares), f"{where}\nkinds of cause")
    for kind, percent in row.shares.items():
        assert abs(shares[kind] - percent) <= CLOSE_ENOUGH, f"{where}\n{kind}: {shares[kind]} %, want {percent}"
    equal(worst["programs"][0]["program"], row.program, f"{where}\nprogram")
    if row.destination == "server":
        equal(worst["destinations"][0]["destination"], destination, f"{where}\ndestination")
    equal(worst["remedies"][0]["id"], row.first, f"{where}\nfirst remedy")
    assert worst["summary"].split(".")[0] in " ".join(text.split()), text
    page_tells(t, row, destination, worst, found)
    agrees(t, worst, found)
    return worst


# Findings of doctor that would say that something else is the cause. What it calls explicit-time-waits are TIME-WAITs of clients that bind first.
BLAMES = {"explicit-binds": {"explicit-binds", "port-busy"}, "explicit-time-waits": {"explicit-binds", "time-wait", "port-busy"},
          "reserved-ports": {"reserved-ports"}, "ipv6": {"ipv6-disabled"}, "tw-buckets": {"tw-buckets"}}


# Where one kind has nearly all of the ports: what doctor's remedy for the fullest pair must say.
OCCUPANCY = {"time-wait": "use them again", "open-connections": "forgets to close", "fin-wait": "Have the server close", "close-wait": "Have the client close"}


def agrees(t, worst, found):
    """quads counts no more than there can be; doctor blames nothing that report does not know of."""
    quads = [json.loads(line) for line in t.tool("quads", "-o", "json", check=0).stdout.splitlines()]
    for q in quads:
        assert q["percent"] <= 100, q
    findings = [json.loads(line) for line in t.tool("doctor", "-o", "json").stdout.splitlines()]
    errors = {f["finding"] for f in findings if f["severity"] == "error"}
    full = [f for f in findings if f["finding"] == "occupancy" and f["severity"] == "error"]
    if worst and worst["shares"][0]["percent"] > 90 and worst["kind"] in OCCUPANCY and worst["failed"] and full and len(found["conclusions"]) == 1:
        assert OCCUPANCY[worst["kind"]] in full[0]["remedy"], (worst["kind"], full[0])
    known = {s["kind"] for c in found["conclusions"] for s in c["shares"]}
    for finding, kinds in BLAMES.items():
        if finding in errors:
            assert kinds & known, f"doctor blames {finding}: {[f for f in findings if f['finding'] == finding]}; report says {sorted(known)}"
