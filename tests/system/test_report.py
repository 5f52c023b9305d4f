"""connspread report: staged incidents, and what the post-mortem must say of each.

What it must conclude is written down in CONCLUSIONS; every incident is met by an unmodified client, and the report is read
as text, as JSON, and once more an hour later, when the closes are gone from their ring.
"""

import collections
import json
import subprocess

import kernel
from bench import PYTHON, equal, later, needs

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


def report(t, *arguments, check=1):
    return json.loads(t.tool("report", "-o", "json", *(arguments or instance(t)), check=check).stdout)


def instance(t):
    return ("-c", t.conf) if t.conf else ("-i", "default")


def staged(t, name):
    """The host, the incident; returns the destination."""
    t.sources()
    kernel.port_range(LOW, HIGH)
    return STAGE[name](t)


def as_expected(t, name, destination, *arguments):
    """The report has one conclusion, and it is the one of the table."""
    want = CONCLUSIONS[name]
    found = report(t, *arguments)
    failures = [c for c in found["conclusions"] if c["failed"]]
    equal([c["kind"] for c in failures], [want.kind], f"{name}: conclusions")
    worst = failures[0]
    equal(worst["programs"][0]["program"], want.program, f"{name}: program")
    equal(worst["destinations"][0]["destination"], destination, f"{name}: destination")
    equal(worst["remedies"][0]["id"], want.first, f"{name}: first remedy")
    equal(found["first_failure"]["destination"] or destination, destination, f"{name}: destination of the first failure")
    text = t.tool("report", *(arguments or instance(t)), check=1).stdout
    for words in want.words + [want.program, destination]:
        assert words.lower() in " ".join(text.split()).lower(), f"{name}: the text does not say {words!r}:\n{text}"
    return worst, text


def incident(t, name):
    destination = staged(t, name)
    return as_expected(t, name, destination)


def test_short_lived_connections(t):
    worst, _ = incident(t, "short-lived")
    equal(worst["failed"], 6, "failures: 70 connects, 64 ports")


@later(6)
def test_ports_hoarded_by_explicit_binds(t):
    worst, _ = incident(t, "hoarder")
    equal(worst["failed"], 4, "failures: 8 connects, 4 ports left")


@needs("curl")
def test_source_address_removed(t):
    incident(t, "address-removed")


@needs("curl")
def test_ipv6_disabled(t):
    incident(t, "ipv6-disabled")
