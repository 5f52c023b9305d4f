"""What happens to a TIME-WAIT after its close: the recorder's file, and `log`, against the kernel."""

import collections
import json
import os
import resource
import re
import signal
import socket
import struct
import subprocess
import time

import kernel
from fixture import HERE, PACKAGES, PYTHON, TOOL, equal, full, limit, needs, quadruplet_of, waits
from follower import Recorder
from test_unknowable import EACH, ROWS, at_rest, close_all

TIME_WAIT_S = 60  # at least

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
        if row.name == "as expected":  # what is to come when a line is written is not verified: the recorder reads once all is there
            recorder.freeze()
        port, agent, peers = end_in_this_way(t, row)
        recorder.process.send_signal(signal.SIGCONT)
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


class Following:
    """log -f in the background."""

    def __init__(self, t):
        self.process = t.start([TOOL, "log", "-f", "-o", "json", "-c", t.conf], bare=True)
        self.path = os.path.join(t.folder, f"out{t.count}")

    freeze = Recorder.freeze

    def events(self):
        with open(self.path) as f:
            return [json.loads(line) for line in f if line.endswith("\n")]


@limit(90)
def test_log_f_asks_the_kernel(t):
    """It goes on asking: what it printed before is followed by what became of it, once."""
    t.spread(t.sources())
    t.run(["true"])
    log = Following(t)
    for row in ROWS:
        if row.name in ("as expected", "peer reset after our close", "peer silent"):
            if row.name == "as expected":  # as above
                log.freeze()
            port, agent, peers = end_in_this_way(t, row)
            log.process.send_signal(signal.SIGCONT)
            gone = EACH if REASONS[row.name] else 0
            kernel.wait_until(lambda: [len(n) for n in map(list, account(log.events(), port))] == [row.waits, gone], 15, f"{row.name}: not as the kernel's")
            check_row(row, *account(log.events(), port), port)
            close_all(peers)
            agent.end()
    verified = [e["verified"] for e in log.events() if e["event"] == "time-wait"]
    assert verified.count(True) >= EACH / 2, f"{verified.count(True)} verified"


@limit(60)
def test_log_f_leaves_it_to_the_recorder(t):
    """While one is at work what is gone is told once, as the event that the recorder makes."""
    recorder = Recorder(t)
    recorder.create()
    recorder.start("--keep")
    kernel.wait_until(lambda: json.loads(t.tool("stat", "-o", "json", "-c", t.conf, check=0).stdout)["recorder"]["behind_s"] == 0, 15, "no recorder")
    log = Following(t)
    row, = (row for row in ROWS if row.name == "peer reset after our close")
    port, _, _ = end_in_this_way(t, row)
    kernel.wait_until(lambda: len(recorded(recorder, port)[1]) == EACH, 15, "the recorder does not find out")
    kernel.wait_until(lambda: len(account(log.events(), port)[1]) == EACH, 15, "log -f does not print what the recorder found out")
    equal([e["seq"] for e in log.events() if e["event"] == "time-wait-gone"], [e["seq"] for e in recorder.lines_so_far() if e["event"] == "time-wait-gone"], "the same events")
    recorder.stop()


def stray(source, sport, to, port):
    """A segment out of every window, as from the peer: a TIME-WAIT answers it, and the peer, which has no such connection, resets the TIME-WAIT."""
    segment = struct.pack("!HHIIBBHHH", sport, port, 1, 1, 5 << 4, 0x10, 512, 0, 0)
    total = socket.inet_aton(source) + socket.inet_aton(to) + struct.pack("!BBH", 0, socket.IPPROTO_TCP, len(segment)) + segment
    words = sum(struct.unpack(f"!{len(total) // 2}H", total))
    words = (words & 0xffff) + (words >> 16)
    segment = segment[:16] + struct.pack("!H", ~(words + (words >> 16)) & 0xffff) + segment[18:]
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:
        raw.bind((source, 0))
        raw.sendto(segment, (to, 0))


BOUND = """
def bound(local, peer):
    s = socket.socket()
    s.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    s.bind(local)
    s.connect(peer)
    return s
"""


def test_a_socket_that_is_bound_to_an_interface(t):
    """No exact question that names no interface finds it. A dump does; then it is asked about as all others are."""
    recorder = Recorder(t)
    recorder.create()
    recorder.start("--keep")
    agent = t.agent()
    listener = socket.create_server(("10.1.0.1", 0))
    name = listener.getsockname()
    agent("s = socket.socket()")
    agent("s.setsockopt(SOL_SOCKET, SO_BINDTODEVICE, b'lo')")
    agent(f"s.connect({name})")
    peer, local = listener.accept()
    quad = kernel.Quadruplet(*local, *name)
    agent("s.close()")
    kernel.wait_until(lambda: recorded(recorder, name[1])[0], 15, "no event")
    equal((kernel.state_of(quad), recorded(recorder, name[1])[1]), ("FIN_WAIT2", []), "what the kernel has, and what is gone")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    kernel.wait_until(lambda: recorded(recorder, name[1])[1], 30, "the recorder does not find out")
    equal([quadruplet_of(e) for e in recorded(recorder, name[1])[1]], [quad], "what is gone")
    recorder.stop()


def test_a_peer_that_nothing_was_found_of(t):
    """A reset TIME-WAIT whose local end has one other socket: it could be that one, under a translated name. A connection that has the name says no."""
    recorder = Recorder(t)
    recorder.create()
    recorder.start("--keep")
    agent = t.agent()
    agent(BOUND)
    for when in ("before", "after"):
        other, listener = (socket.create_server(("10.1.0.1", 0)) for _ in range(2))
        name, local = listener.getsockname(), ("10.0.0.11", 40000 + len(when))
        agent(f"kept.append(bound({local}, {other.getsockname()}))")
        agent(f"s = bound({local}, {name})")
        peer = listener.accept()[0]
        if when == "before":
            agent(f"kept.append(connect(*{name}))")
        agent("s.close()")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        equal(kernel.time_waits(name[1]), [], "TIME-WAITs")
        if when == "after":
            kernel.wait_until(lambda: [e for e in recorder.lines_so_far() if e["event"] == "time-wait" and e["peer_port"] == name[1]], 15, "no event")
            agent(f"kept.append(connect(*{name}))")
        kernel.wait_until(lambda: recorded(recorder, name[1])[1], 30, f"another connection opened {when}: the recorder does not find out")
        rest, gone = recorded(recorder, name[1])
        equal((rest, [quadruplet_of(e) for e in gone]), ({}, [(*local, *name)]), "TIME-WAITs in the file, and those gone")
    recorder.stop()


@full
@limit(60)
def test_a_late_reset_is_found(t):
    """A TIME-WAIT that was found, and was found again a second later, is then ended by a reset: the recorder's file says so. The others stay."""
    kernel.sysctl("net.ipv4.tcp_rfc1337", 0)
    recorder = Recorder(t)
    recorder.create()
    recorder.start("--keep")
    port, _, peers = end_in_this_way(t, ROWS[0])
    equal(len(kernel.time_waits(port)), EACH, "TIME-WAITs")
    kernel.wait_until(lambda: [e["verified"] for e in recorder.lines_so_far() if e["event"] == "time-wait"] == [True] * EACH, 15, "not all are verified")
    time.sleep(1.6)  # past its second look, unless the host is very slow: then the reason is known
    victims = sorted(kernel.time_waits(port))[:3]
    for q in victims:
        stray(q.peer, q.peer_port, q.local, q.local_port)
    kernel.wait_until(lambda: len(kernel.time_waits(port)) == EACH - 3, 15, "the stray segments end no TIME-WAIT")
    kernel.wait_until(lambda: recorded(recorder, port)[1], 15, "the recorder does not find out")
    kernel.wait_until(lambda: len(recorded(recorder, port)[1]) == 3, 15, "the recorder does not find all")
    rest, gone = recorded(recorder, port)
    equal(rest, collections.Counter(kernel.time_waits(port)), "time-waits but those gone, and the kernel's")
    equal([(quadruplet_of(e), e["state"], e["reason"] in ("reset", "unknown")) for e in sorted(gone, key=quadruplet_of)], [(q, "time_wait", True) for q in victims], "what is gone")
    recorder.stop()


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

    def fresh(kind, before):
        """Since then: what the file has that is not gone, and the kernel's. Those of programs before may have expired."""
        port = port_of[kind]
        return recorded(recorder, port)[0] - before[0], collections.Counter(kernel.time_waits(port)) - before[1]
    for program, command in PROGRAMS.items():
        seen = {kind: fresh(kind, (collections.Counter(), collections.Counter())) for kind in KINDS}
        for kind in KINDS:
            t.start(["sh", "-c", command.format(port_of[kind])]).wait(60)
        for kind in KINDS:
            kernel.settle(port_of[kind])
        until = time.monotonic() + 15
        while time.monotonic() < until and any(rest != waits for rest, waits in (fresh(kind, seen[kind]) for kind in KINDS)):
            time.sleep(0.3)
        now = {kind: fresh(kind, seen[kind]) for kind in KINDS}
        for kind, (rest, waits) in now.items():
            equal((rest - waits, waits - rest), ({}, {}), f"{program} and {kind}: false, missed ({sum(waits.values())} TIME-WAITs)")
        gone = sum(len(recorded(recorder, port)[1]) for port in port_of.values())
        print(f"{program}: {sum(sum(waits.values()) for _, waits in now.values())} TIME-WAITs more; {gone} told and gone so far")
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
    """10,000 closes: read, asked about, written, for less than two thirds of the processor time that the clients themselves take. What else runs
    on the host adds to either: the least of eight counts."""
    recorder = Recorder(t)
    recorder.create()
    recorder.start("--keep")
    port = t.server()
    kernel.wait_until(lambda: cpu_seconds(recorder.process.pid) >= 0, 5, "a recorder")
    parts = []
    for batch in range(8):
        before, began = cpu_seconds(recorder.process.pid), resource.getrusage(resource.RUSAGE_CHILDREN)
        clients = [t.start([t.program("burst"), "10.1.0.1", str(port), "2500"]) for _ in range(4)]
        for client in clients:
            equal(client.wait(90), 0, "exit status of burst")
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        kernel.wait_until(lambda: lines_of(recorder) >= 10000 * (batch + 1), 20, "10,000 lines more")
        spent = cpu_seconds(recorder.process.pid) - before
        parts.append(spent / (ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime))
        print(f"{spent / 10000 * 1e6:.2f} us for each close, {parts[-1]:.3f} of the clients'")
    asked = collections.Counter(e["verified"] for e in recorder.lines_so_far() if e["event"] == "time-wait")
    print(f"verified {dict(asked)}")
    assert min(parts) < 2 / 3, f"parts of the clients' processor time: {parts}"
    recorder.stop()


@full
@waits
@limit(150)
@needs("strace")
def test_an_answer_that_came_too_late_says_nothing(t):
    """A recorder that is held up between its clock and its question, at its first look or at its second, until the TIME-WAIT has ended by itself."""
    recorders, sources = [], t.sources()
    port = t.server()
    for look in (1, 2):
        recorder = Recorder(t, path=os.path.join(t.folder, f"{look}.json"), name=f"held-{look}", sources=sources)
        recorder.create()
        late = f"inject=sendto:delay_enter={TIME_WAIT_S + 3}000000:when={1 + look}"  # the first asks whether the kernel answers at all
        command = ["strace", "-D", "-o", os.path.join(t.folder, f"{look}.trace"), "-e", "trace=sendto", "-e", late, TOOL, "record", "-c", t.conf, "--keep"]
        recorder.process = subprocess.Popen(command, env=t.environment(bare=True), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        kernel.wait_until(lambda: os.path.exists(recorder.path), what=f"recorder {look} does not begin")
        recorders.append(recorder)
        equal(t.agent()(f"burst(1, '10.1.0.1', {port})"), 0, "failures")
    kernel.settle(port)
    equal(len(kernel.time_waits(port)), 2, "TIME-WAITs")
    kernel.wait_until(lambda: not kernel.time_waits(port), TIME_WAIT_S + 15, "TIME-WAITs stay")
    for look, recorder in enumerate(recorders, 1):
        kernel.wait_until(lambda: "(DELAYED)" in open(os.path.join(t.folder, f"{look}.trace")).read(), 30, f"the question of recorder {look} was not held up")
        kernel.wait_until(lambda: any(e["event"] == "time-wait" for e in recorder.lines_so_far()), 15, "the event")
    time.sleep(1.5)  # a dump for what is missing comes within a second
    for look, recorder in enumerate(recorders, 1):
        rest, gone = recorded(recorder, port)
        equal((sum(rest.values()), gone), (1, []), f"TIME-WAITs, and what is gone, at look {look}")
        recorder.stop()
