"""What `connspread log` can be asked for: the filters, and the last lines."""

import json
import os
import re
import struct
import subprocess

import kernel
from fixture import PYTHON, TOOL, equal, needs
from follower import BOOT


def events(t, *words, check=0):
    done = t.tool("log", "-o", "json", "-c", t.conf, *words, check=check)
    return [json.loads(line) for line in done.stdout.splitlines()]


def two_programs(t):
    """Connections of burst from two sources to two destinations, and one of python that runs out of ports."""
    kernel.port_range(40000, 40003)
    t.sources()
    kernel.add_addresses("10.1.0.2", "10.1.0.3")
    t.spread(["10.0.0.11", "10.0.0.12"], to=["10.1.0.1", "10.1.0.2", "10.1.0.3"])
    t.ports = t.server(), t.server("10.1.0.2"), t.server("10.1.0.3")
    for address, port in ("10.1.0.1", t.ports[0]), ("10.1.0.2", t.ports[1]):
        t.run([t.program("burst"), address, str(port), "4"])
    code = f"""
import socket
for i in range(9):
    s = socket.socket()
    try: s.connect(("10.1.0.3", {t.ports[2]}))
    except OSError: pass
    s.close()
"""
    t.run([PYTHON, "-S", "-c", code])
    for port in t.ports:
        kernel.settle(port)  # or what log says of a close differs from one call to the next


def test_filters(t):
    two_programs(t)
    everything = events(t)
    closes = [e for e in everything if e["event"] == "time-wait"]
    equal(len([e for e in closes if e["program"] == "burst"]), 8, "TIME-WAITs of burst")

    def same(words, want):
        equal([e["seq"] for e in events(t, *words)], [e["seq"] for e in everything if want(e)], " ".join(words))

    same(["--to", "10.1.0.2"], lambda e: e.get("peer_address") == "10.1.0.2")
    same(["--to", "10.1.0.0/30"], lambda e: "peer_address" in e)
    same(["--to", f"10.1.0.1:{t.ports[0]}"], lambda e: e.get("peer_address") == "10.1.0.1")
    same(["--to", "10.1.0.1:1"], lambda e: False)
    same(["--to", f"*:{t.ports[1]}"], lambda e: e.get("peer_port") == t.ports[1])
    same(["--source", "10.0.0.12", "--event", "time-wait"], lambda e: e["event"] == "time-wait" and e["local_address"] == "10.0.0.12")
    same(["--program", "burst"], lambda e: e["program"] == "burst")
    same(["--program", "b*", "--to", "10.1.0.2"], lambda e: e["program"] == "burst" and e.get("peer_address") == "10.1.0.2")
    # One that ran out of ports is of each source that it tried.
    out = [e for e in everything if e["event"] == "exhausted"]
    assert out and all({s["address"] for s in e["sources"]} >= {"10.0.0.11", "10.0.0.12"} for e in out), out
    same(["--source", "10.0.0.11", "--event", "exhausted"], lambda e: e["event"] == "exhausted")
    same(["--source", "10.0.0.13"], lambda e: False)


def test_last_lines(t):
    two_programs(t)
    everything = events(t)
    equal(events(t, "-n", "3"), everything[-3:], "the last three")
    equal(events(t, "-n", "100000"), everything, "more than there are")
    equal(events(t, "-n", "2", "--program", "burst"), [e for e in everything if e["program"] == "burst"][-2:], "the last two of burst")
    text = re.split(r"^(?=2)", t.tool("log", "-c", t.conf, check=0).stdout, flags=re.M)
    equal(t.tool("log", "-c", t.conf, "--last", "4", check=0).stdout, "".join(text[-4:]), "as text, in which an event may take several lines")
    # The same from JSON Lines, as it stands there.
    path, written = t.folder + "/events.jsonl", t.tool("log", "-o", "json", "-c", t.conf, check=0).stdout
    with open(path, "w") as f:
        f.write(written)
    lines = t.tool("log", "-o", "json", "-n", "5", path, path, check=0).stdout.splitlines()
    equal(lines, written.splitlines()[-5:], "the last five of two files")
    equal([json.loads(line)["seq"] for line in t.tool("log", "-o", "json", "--to", "10.1.0.2", path, check=0).stdout.splitlines()],
          [e["seq"] for e in everything if e.get("peer_address") == "10.1.0.2"], "--to of a file")


def test_last_lines_and_then_what_comes(t):
    two_programs(t)
    everything = events(t)
    p = subprocess.Popen([TOOL, "log", "-f", "-o", "json", "-n", "2", "-c", t.conf], env=t.environment(bare=True), stdout=subprocess.PIPE, text=True)
    try:
        first = [json.loads(p.stdout.readline()) for _ in range(2)]
        equal([e["seq"] for e in first], [e["seq"] for e in everything[-2:]], "the last two")
        t.run([t.program("burst"), "10.1.0.1", str(t.server()), "1"])
        later = json.loads(p.stdout.readline())
        assert later["seq"] > everything[-1]["seq"], later
    finally:
        p.terminate()
        p.wait()


@needs("unshare", "nsenter")
def test_an_incident_of_another_network_namespace(t):
    """It says so, and the line that it gives leads there."""
    t.spread(["10.0.0.11"])
    code = f"""
import socket, time
import os
os.system("ip link set lo up; ip addr add 10.0.0.11/32 dev lo; ip addr add 10.1.0.1/32 dev lo")
open("/proc/sys/net/ipv4/ip_local_port_range", "w").write("40000 40001")
server = socket.create_server(("10.1.0.1", 9000))
held = []
for i in range(4):
    s = socket.socket()
    held.append(s)
    try: s.connect(("10.1.0.1", 9000))
    except OSError: pass
print("ready", flush=True)
time.sleep(60)
"""
    env = t.environment()
    p = subprocess.Popen(["unshare", "-n", PYTHON, "-S", "-c", code], env=env, stdout=subprocess.PIPE, text=True)
    try:
        equal(p.stdout.readline(), "ready\n", "client")
        text = t.tool("log", "-c", t.conf, "--event", "exhausted", check=0).stdout
        found = re.findall(r"^    in another network namespace: .*try: (nsenter -t (\d+) -n) connspread quads$", text, re.M)
        assert found, text
        there = subprocess.run([*found[0][0].split(), TOOL, "quads", "-o", "json"], env=t.environment(bare=True), stdout=subprocess.PIPE, text=True, check=True)
        assert "10.1.0.1:9000" in there.stdout, there.stdout
        inside = subprocess.run([*found[0][0].split(), TOOL, "log", "-c", t.conf, "--event", "exhausted"], env=t.environment(bare=True), stdout=subprocess.PIPE, text=True, check=True)
        assert "exhausted" in inside.stdout and "another network namespace" not in inside.stdout, inside.stdout
    finally:
        p.kill()
        p.wait()
    text = t.tool("log", "-c", t.conf, "--event", "exhausted", check=0).stdout
    assert "in another network namespace: " in text and "no process" in text, text
    # Of another boot: there the number of a namespace means nothing.
    path = os.path.join(t.state, "test.state")
    with open(path, "r+b") as f:
        f.seek(BOOT)
        number = struct.unpack("Q", f.read(8))[0]
        f.seek(BOOT)
        f.write(struct.pack("Q", number ^ 1))
    text = t.tool("log", "-c", t.conf, "--event", "exhausted", check=0).stdout
    assert "exhausted" in text and "another network namespace" not in text, text


def test_what_is_no_filter_is_refused(t):
    t.spread(["127.0.0.2"])
    for words, part in ((["--to", "fd00::2:443"], "[fd00::2]:443"), (["--to", "10.0.0.1:80,443"], "a list"), (["--source", "host"], "ADDRESS"),
                        (["--program", "/usr/bin/curl"], "try: curl"), (["-n", "0"], "-n 0"), (["-n", "x"], "-n x"), (["--pid", "-1"], "--pid -1")):
        done = t.tool("log", "-c", t.conf, *words, check=2)
        assert part in done.stderr and "try: " in done.stderr, f"{words}: {done.stderr}"
