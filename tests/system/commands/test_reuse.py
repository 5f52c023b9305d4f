"""tcp_tw_reuse as check, quads and doctor tell of it, with the kernel's connect as referee."""

import json
import time

import kernel
from fixture import PYTHON, equal, full

PORTS = 8
CONNECT = """
import socket, sys
failed = 0
for i in range(%d):
    s = socket.socket()
    s.setsockopt(socket.SOL_IP, 24, 1)
    s.bind((sys.argv[1], 0))
    try: s.connect((sys.argv[2], int(sys.argv[3])))
    except OSError: failed += 1
    s.close()
print(failed)
""" % PORTS


def connects(t, source, destination, port):
    """How many of as many connects as there are ports fail."""
    return int(t.run([PYTHON, "-S", "-c", CONNECT, source, destination, str(port)], bare=True).stdout)


def quads(t, destination):
    rows = [json.loads(line) for line in t.tool("quads", "-o", "json", "--to", destination, check=0).stdout.splitlines()]
    equal(len(rows), 1, "pairs")
    return rows[0]


def finding(t, name):
    return next(f for f in map(json.loads, t.tool("doctor", "-o", "json").stdout.splitlines()) if f["finding"] == name)


def filled(t, source, destination):
    """All quadruplets in TIME-WAIT, none of which may be taken over yet."""
    port = t.server(destination)
    kernel.port_range(40000, 40000 + PORTS - 1)
    kernel.sysctl("net.ipv4.tcp_tw_reuse", 0)
    equal(connects(t, source, destination, port), 0, "failures while there are ports")
    kernel.settle(port)
    equal(len(kernel.time_waits(port)), PORTS, "TIME-WAITs")
    return port


def after(t, source, destination, mode, port):
    """(what quads says may be taken over, connects that fail) a second later."""
    kernel.sysctl("net.ipv4.tcp_tw_reuse", mode)
    time.sleep(1.2)
    return quads(t, f"{destination}:{port}")["reusable"], connects(t, source, destination, port)


@full
def test_quads_says_what_connect_may_take(t):
    t.sources()
    for source, destination, mode, reusable in (("10.0.0.11", "10.1.0.1", 0, 0), ("10.0.0.12", "10.1.0.1", 2, 0), ("10.0.0.13", "10.1.0.1", 1, PORTS),
                                                ("127.0.0.2", "127.0.0.3", 2, PORTS), ("127.0.0.4", "127.0.0.3", 0, 0)):
        port = filled(t, source, destination)
        equal(after(t, source, destination, mode, port), (reusable, PORTS - reusable), f"{source} to {destination}, tcp_tw_reuse {mode}: reusable, failed")


def test_doctor_does_not_call_full_what_can_be_reused(t):
    t.sources()
    port = filled(t, "10.0.0.11", "10.1.0.1")
    found = finding(t, "occupancy")
    equal((found["severity"], f"10.1.0.1:{port}" in found["reason"]), ("error", True), "occupancy without reuse")
    found = finding(t, "tcp-tw-reuse")
    assert found["severity"] == "warning" and f"sustains {PORTS} new connections a second" in found["remedy"], found
    kernel.sysctl("net.ipv4.tcp_tw_reuse", 1)
    time.sleep(1.2)
    equal([finding(t, name)["severity"] for name in ("occupancy", "tcp-tw-reuse")], ["ok", "ok"], "with reuse")
    assert f"may take over {PORTS} now" in finding(t, "occupancy")["reason"]
    equal(connects(t, "10.0.0.11", "10.1.0.1", port), 0, "failures with reuse")


def test_check_counts_with_reuse(t):
    kernel.port_range(32768, 60999)
    conf = t.config('pool "a" { addresses = { "10.0.0.11" } }\nrule "r" { to = { "10.0.0.0/8" } pool = "a" }\n'
                    'pool "l" { addresses = { "127.0.0.2" } }\nrule "l" { to = { "127.0.0.0/8" } pool = "l" }\n')

    def rates():
        rules = json.loads(t.tool("check", "-o", "json", "-c", conf).stdout)["rules"]
        return [(r["capacity"][0]["per_second"], r["capacity"][0]["per_second_reuse"]) for r in rules]

    kernel.sysctl("net.ipv4.tcp_tw_reuse", 2)
    equal(rates(), [(470.5, 470.5), (470.5, 28232.0)], "tcp_tw_reuse 2: loopback alone")
    text = t.tool("check", "-c", conf).stdout
    equal(text.count("connect() takes a TIME-WAIT over"), 1, f"rules with reuse in {text}")
    kernel.sysctl("net.ipv4.tcp_tw_reuse", 1)
    equal(rates(), [(470.5, 28232.0), (470.5, 28232.0)], "tcp_tw_reuse 1")
    kernel.sysctl("net.ipv4.tcp_timestamps", 0)
    equal(rates(), [(470.5, 470.5), (470.5, 470.5)], "without timestamps")
