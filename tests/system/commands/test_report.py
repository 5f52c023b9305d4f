"""connspread report: staged incidents, and what the post-mortem must say of each.

What it must conclude is written down in CONCLUSIONS; every incident is met by an unmodified client, and the report is read
as text, as JSON, and once more an hour when the closes are gone from their ring.
"""

import collections
import json
import os
import struct
import subprocess

import kernel
from fixture import PYTHON, equal, needs

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


def test_what_recovered_is_no_failure(t):
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
    assert "No call failed" in text and "met, and recovered" in text and 'out of pool "p"' in text, text


# --- an hour later ---

MINUTES = 60


def an_hour_later(t):
    """Gives the tool a clock that is an hour ahead, in which others went on: returns the environment for it."""
    state = f"{t.state}/test.state"
    cells = int(subprocess.run([t.program("later_traffic"), state, str(MINUTES), "1000"], check=True, stdout=subprocess.PIPE).stdout)
    assert MINUTES * 1000 > 50 * cells, f"the event buffer holds {cells} events: it did not turn over many times"
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
