"""What happens to a TIME-WAIT after its close: the recorder's file, and `log`, against the kernel."""

import collections
import json
import os
import re
import socket
import subprocess
import time

import kernel
from fixture import HERE, PACKAGES, PYTHON, TOOL, equal, full, limit, needs, quadruplet_of
from follower import Recorder
from test_unknowable import EACH, ROWS, at_rest, close_all

# Rows of test_unknowable, and why what their clients logged is gone; None: it is there.
REASONS = {
    "as expected": None,
    "peer data after our close": "reset",
    "peer data in flight": "reset",
    "peer reset after our close": "reset",
    "peer silent": "fin-timeout",
    "bucket overflow": "overflow",
    "bucket overflow before our close": None,
}


def account(events, port):
    """Time-waits to this port without those that are gone, as the events say; and the events of what is gone."""
    waits = {e["seq"]: quadruplet_of(e) for e in events if e["event"] == "time-wait" and e["peer_port"] == port}
    gone = [e for e in events if e["event"] == "time-wait-gone" and e["peer_port"] == port]
    equal([waits.get(e["closed_seq"]) for e in gone], [quadruplet_of(e) for e in gone], "quadruplets of what is gone")
    equal(len({e["closed_seq"] for e in gone}), len(gone), "each told once")
    rest = collections.Counter(quad for seq, quad in waits.items() if seq not in {e["closed_seq"] for e in gone})
    return rest, gone


def end_in_this_way(t, row):
    """EACH connections, closed by the client, whose ends go this way. The port."""
    listener = socket.create_server(("10.1.0.1", 0), backlog=EACH)
    port = listener.getsockname()[1]
    agent = t.agent()
    equal(agent(f"hold({EACH}, '10.1.0.1', {port})"), [0, EACH], "connections")
    peers = [listener.accept()[0] for _ in range(EACH)]
    row.before(peers, agent)
    agent("[s.close() for s in kept] and kept.clear()")
    row.after(peers)
    at_rest(port)
    return port, agent, peers


def recorded(recorder, port):
    return account(recorder.lines_so_far(), port)


def check_row(row, rest, gone, port):
    equal(rest, collections.Counter(kernel.time_waits(port)), f"{row.name}: time-waits but those gone, and the kernel's")
    equal(collections.Counter(e["reason"] for e in gone), {REASONS[row.name]: EACH} if REASONS[row.name] else {}, f"{row.name}: reasons")


@limit(120)
def test_the_recorders_file_is_the_kernel(t):
    """Each way in which a TIME-WAIT that was logged never is: the recorder finds out, and says why."""
    recorder = Recorder(t)
    recorder.create()
    recorder.start("--keep")
    for row in ROWS:
        port, agent, peers = end_in_this_way(t, row)
        gone = EACH if REASONS[row.name] else 0
        kernel.wait_until(lambda: [len(n) for n in map(list, recorded(recorder, port))] == [row.waits, gone], 15, f"{row.name}: not as the kernel's")
        check_row(row, *recorded(recorder, port), port)
        close_all(peers)
        agent.end()
    verified = [e["verified"] for e in recorder.lines_so_far() if e["event"] == "time-wait"]
    equal(verified.count(True), EACH, "verified, of those that are there")
    counted = t.tool("stat", "-o", "prometheus", "-c", t.conf, check=0).stdout
    assert re.search(rf'time_waits_gone_total{{connspread_instance="follow",version="[^"]+",arm="enforce"}} {5 * EACH}\n', counted), counted
    recorder.stop()


@limit(60)
def test_log_asks_the_kernel(t):
    """Without a recorder log finds out what is there and what is gone, the same each time it is asked."""
    t.spread(t.sources())
    for row in ROWS:
        if row.name in ("as expected", "peer reset after our close", "peer silent"):
            port, agent, _ = end_in_this_way(t, row)
            events = t.events()
            rest, gone = account(events, port)
            equal(rest, collections.Counter(kernel.time_waits(port)), f"{row.name}: time-waits but those gone, and the kernel's")
            equal(len(gone), EACH if REASONS[row.name] else 0, f"{row.name}: gone")
            again = t.events("time-wait-gone", peer_port=port)
            equal([(e["seq"], e["closed_seq"]) for e in again], [(e["seq"], e["closed_seq"]) for e in gone], "the same numbers, asked again")
            verified = {e["verified"] for e in events if e["event"] == "time-wait" and e["peer_port"] == port}
            equal(verified, {None} if gone else {True}, f"{row.name}: verified")
            agent.end()


@limit(60)
def test_another_namespace_is_not_asked(t):
    """A recorder in another network namespace finds none of the sockets, and says nothing of them."""
    t.spread(t.sources())
    port = t.server()
    t.run([t.program("burst"), "10.1.0.1", str(port), "8"])
    kernel.settle(port)
    done = subprocess.run(["unshare", "-n", TOOL, "log", "-o", "json", "-c", t.conf], env=t.environment(bare=True), stdout=subprocess.PIPE, text=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    equal([(e["event"], e["verified"]) for e in found if "verified" in e], [("time-wait", None)] * 8, "events")


KINDS = ("keep", "late", "reset", "stay", "shut")

# Programs, each with what it makes some 30 connections with. Their exit status is their own affair: some servers reset.
PROGRAMS = {
    "wrk": "wrk -t1 -c8 -d1s -H Connection:close http://10.1.0.1:{}/",
    "siege": "siege -q -b -c3 -r10 http://10.1.0.1:{}/",
    "httperf": "httperf --hog --server=10.1.0.1 --port={} --num-conns=30 --rate=100 --timeout=2",
    "h2load": "h2load --h1 -n30 -c15 http://10.1.0.1:{}/",
    "nc.traditional": "for i in $(seq 30); do printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc.traditional -q 0 10.1.0.1 {}; done",
    "java": f"java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC {HERE}/Client.java 10.1.0.1 {{}} 30 plain",
}
PACKAGES.update({"siege": "siege", "httperf": "httperf", "h2load": "nghttp2-client", "nc.traditional": "netcat-traditional"})


@full
@needs("wrk", "siege", "httperf", "h2load", "nc.traditional", "java")
@limit(400)
def test_programs_over_five_kinds_of_server(t):
    """When all has settled the recorder's file has the kernel's TIME-WAITs of each, one by one."""
    recorder = Recorder(t)
    recorder.create()
    recorder.start("--keep")
    server_of = {kind: subprocess.Popen([PYTHON, os.path.join(HERE, "kernel", "aftermath_servers.py"), kind, "10.1.0.1"], stdout=subprocess.PIPE, text=True)
                 for kind in KINDS}
    port_of = {kind: int(server.stdout.readline()) for kind, server in server_of.items()}
    gone = 0
    for program, command in PROGRAMS.items():
        seen = collections.Counter(quad for kind in KINDS for quad in kernel.time_waits(port_of[kind]))
        for kind in KINDS:
            t.start(["sh", "-c", command.format(port_of[kind])]).wait(60)
        for kind in KINDS:
            kernel.settle(port_of[kind])
        time.sleep(1.5)
        for kind in KINDS:
            rest, lost = recorded(recorder, port_of[kind])
            waits = collections.Counter(kernel.time_waits(port_of[kind]))
            equal((rest - waits, waits - rest), ({}, {}), f"{program} and {kind}: false, missed ({sum(waits.values())} TIME-WAITs, {len(lost)} gone)")
        now = collections.Counter(quad for kind in KINDS for quad in kernel.time_waits(port_of[kind]))
        gone = sum(len(recorded(recorder, port)[1]) for port in port_of.values())
        print(f"{program}: {sum((now - seen).values())} TIME-WAITs more; {gone} told and gone so far")
    assert gone > 20, f"only {gone} were gone: this tests nothing"
    for server in server_of.values():
        server.kill()
    recorder.stop()


def lines_of(recorder):
    with open(recorder.path, "rb") as f:
        return f.read().count(b'"event":"time-wait"')


def cpu_seconds(pid):
    with open(f"/proc/{pid}/schedstat") as f:
        return int(f.read().split()[0]) / 1e9


@limit(120)
@full
def test_what_the_recorder_costs(t):
    """10,000 closes: read, asked about, written; by CPU time 20,000 of them a second take less than 15 % of a processor. What else runs on the
    host only adds to it: the least of eight counts."""
    recorder = Recorder(t)
    recorder.create()
    recorder.start("--keep")
    port = t.server()
    kernel.wait_until(lambda: cpu_seconds(recorder.process.pid) >= 0, 5, "a recorder")
    spent = []
    for batch in range(8):
        before = cpu_seconds(recorder.process.pid)
        clients = [t.start([t.program("burst"), "10.1.0.1", str(port), "2500"]) for _ in range(4)]
        for client in clients:
            equal(client.wait(90), 0, "exit status of burst")
        kernel.wait_until(lambda: lines_of(recorder) >= 10000 * (batch + 1), 20, "10,000 lines more")
        spent.append(cpu_seconds(recorder.process.pid) - before)
    asked = collections.Counter(e["verified"] for e in recorder.lines_so_far() if e["event"] == "time-wait")
    least = min(spent)
    print(f"verified {dict(asked)}; {least / 10000 * 1e6:.2f} us for each close; seconds of each batch: {spent}")
    assert least / 10000 * 20000 < 0.15, f"{spent} s of CPU for 10,000 closes each: {least / 10000 * 2e6:.1f} % at 20,000 a second"
    recorder.stop()
