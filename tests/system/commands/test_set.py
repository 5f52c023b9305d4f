"""Live control: connspread set and reload act on running clients at their next call."""

import json
import os
import re
import socket
import subprocess
import threading
import time

import kernel
from fixture import PYTHON, equal, full, limit, needs

KERNEL = "10.1.0.1"  # the source that the kernel chooses towards 10.1.0.1

# A connection every 10 ms; a line for each: when it began (CLOCK_MONOTONIC) and its errno.
TICKER = """
import socket, sys, time
address, port = sys.argv[1], int(sys.argv[2])
while True:
    began = time.monotonic()
    s = socket.socket()
    error = s.connect_ex((address, port))
    print(began, error, flush=True)
    s.close()
    time.sleep(0.01)
"""


class Witness:
    """A server that notes the source of each connection, as the kernel gives it, in order."""

    def __init__(self, address, port):
        self.sources = []
        self.listener = socket.create_server((address, port), backlog=1024)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection, peer = self.listener.accept()
            self.sources.append(peer[0])
            connection.recv(1)  # until the client has closed
            connection.close()


def overrides(t):
    return json.loads(t.tool("stat", "-o", "json", "-c", t.conf, check=0).stdout)


def phase(t, witness, name, settings, began, least=40):
    """Sets, lets the client make some more connections; notes when set was called and when it had returned."""
    called = time.monotonic()
    t.tool("set", "-c", t.conf, *settings, check=0)
    returned = time.monotonic()
    so_far = len(witness.sources)
    kernel.wait_until(lambda: len(witness.sources) >= so_far + least, 20, f"{name}: the client does not go on")
    began.append((name, called, returned))


def test_dial_of_a_running_client(t):
    """off -> observe -> enforce -> 50 % by connection -> off: each takes effect within one connection, none fails."""
    pool = t.sources()
    t.spread(pool, top='mode = "off"\ncanary-by = "connection"')
    witness = Witness("10.1.0.1", 9100)
    ticker = t.start([PYTHON, "-S", "-c", TICKER, "10.1.0.1", "9100"])
    kernel.wait_until(lambda: len(witness.sources) > 40, 10, "the client does not connect")
    phases = [("off", 0, 0)]
    phase(t, witness, "observe", ["mode=observe"], phases)
    phase(t, witness, "enforce", ["mode=enforce"], phases)
    phase(t, witness, "half", ["canary=50"], phases, least=130)
    phase(t, witness, "off", ["mode=off"], phases)
    ticker.terminate()
    ticker.wait(timeout=10)
    with open(f"{t.folder}/out{t.count}") as f:
        lines = [line.split() for line in f.read().splitlines() if len(line.split()) == 2]
    times = [float(line[0]) for line in lines]
    equal([line[1] for line in lines if line[1] != "0"], [], "errno of connections")
    kernel.wait_until(lambda: len(witness.sources) >= len(times), 5, "the server has not seen all connections")
    inside = {}
    for i, (name, called, returned) in enumerate(phases):
        end = phases[i + 1][1] if i + 1 < len(phases) else float("inf")
        inside[i] = [source for began, source in zip(times, witness.sources) if returned < began < end - 0.005]
        assert len(inside[i]) >= 20, f"{name}: {len(inside[i])} connections"
    # Whatever began after `set` had returned, and at least 5 ms before the next was called, follows the new setting.
    for i, name in ((0, "off"), (1, "observe"), (4, "off")):
        equal(set(inside[i]), {KERNEL}, f"sources in phase {i} ({name})")
    equal(set(inside[2]), set(pool), "sources under enforce")
    half = inside[3][:100]
    equal(len(half), 100, "connections under canary=50 (by connection)")
    equal(sum(source in pool for source in half), 50, "of 100 connections in a row, those that were spread")
    arms = [e["arm"] for e in t.events("time-wait")]
    assert {"observe", "enforce", "control"} == set(arms), f"arms of the events: {set(arms)}"


def test_control_events_say_who_when_and_what(t):
    t.sources()
    t.spread(["10.0.0.11"])
    port = t.server()
    t.run([t.program("burst"), "10.1.0.1", str(port), "1"])
    done = t.tool("set", "--for-later", "-c", t.conf, "mode=observe", "canary=25", check=0)
    assert "followed by 0 processes\nclients to come will follow\n" in done.stdout, done.stdout
    assert "mode observe (set), canary 25 % (set)" in done.stdout, done.stdout
    assert "before: mode enforce (config), canary 100 % (config)" in done.stdout, done.stdout
    events = t.events("override")
    equal(len(events), 1, "control events")
    text = json.dumps(events[0])
    for part in ("mode observe (set), canary 25 % (set)", "before: mode enforce (config), canary 100 % (config)", f"uid {os.getuid()}", "from "):
        assert part in text, f"{part} is missing: {text}"


def test_set_changes_only_what_it_names(t):
    t.sources()
    t.spread(["10.0.0.11"])
    agent = t.agent()
    agent("1")  # it has started
    t.tool("set", "-c", t.conf, "canary=30", check=0)
    t.tool("set", "-c", t.conf, "mode=off", check=0)
    equal(overrides(t)["override"], {"mode": "off", "canary": 30}, "override")
    t.tool("set", "-c", t.conf, "mode=config", check=0)
    equal(overrides(t)["override"], {"mode": None, "canary": 30}, "override")
    t.tool("set", "-c", t.conf, "canary=config", check=0)
    equal(overrides(t)["override"], {"mode": None, "canary": None}, "override")
    agent.end()


def test_stat_and_check_show_the_override_first(t):
    t.sources()
    t.spread(["10.0.0.11"])
    t.run(["true"])
    for command in ("stat", "check"):
        t.tool("set", "--for-later", "-c", t.conf, "mode=config", "canary=config", check=0)
        first = t.tool(command, "-c", t.conf).stdout.splitlines()[0]
        assert "override" not in first, f"{command}: {first}"
        t.tool("set", "--for-later", "-c", t.conf, "mode=observe", check=0)
        first = t.tool(command, "-c", t.conf).stdout.splitlines()[0]
        assert first.startswith("override") and "observe (set)" in first, f"{command}: {first}"


def test_override_survives_reload_and_restart(t):
    pool = t.sources()
    t.spread(pool)
    port = t.server()
    agent = t.agent()
    agent("1")  # it has started
    t.tool("set", "-c", t.conf, "mode=off", check=0)
    t.tool("reload", "-c", t.conf, check=0)
    agent.end()
    other = t.server()
    t.run([t.program("burst"), "10.1.0.1", str(other), "4"])
    equal(dict(kernel.by_source(other)), {KERNEL: 4}, "sources with mode=off")
    t.tool("set", "--for-later", "-c", t.conf, "mode=config", check=0)
    third = t.server()
    t.run([t.program("burst"), "10.1.0.1", str(third), "4"])
    equal(set(kernel.by_source(third)), set(pool), "sources after mode=config")


def test_environment_beats_set(t):
    pool = t.sources()
    t.spread(pool)
    port = t.server()
    t.run(["true"])
    t.tool("set", "--for-later", "-c", t.conf, "mode=off", check=0)
    t.run([t.program("burst"), "10.1.0.1", str(port), "4"], CONNSPREAD_MODE="enforce")
    equal(set(kernel.by_source(port)), set(pool), "sources with CONNSPREAD_MODE=enforce")


def test_bad_settings_are_refused(t):
    t.spread(["10.0.0.11"])
    for bad in (["mode=on"], ["canary=101"], ["canary=-1"], ["canary="], ["canary=5%"], ["speed=1"], ["mode"], ["mode=off", "mode=off"], [], ["canary=1000"],
                ["--all", "--for-later", "mode=off"], ["--all", "-i", "x", "mode=off"]):
        done = t.tool("set", "-c", t.conf, *bad, check=2)
        assert done.stderr.startswith("connspread: set: "), done.stderr
    assert not t.files(), "a refused set made a state file"


def test_reload_is_followed_by_running_clients(t):
    pool = t.sources()
    t.spread(pool[:1])
    one, two = t.server(), t.server()
    agent = t.agent()
    equal(agent(f"burst(4, '10.1.0.1', {one})"), 0, "failures")
    t.spread(pool[1:2])
    done = t.tool("reload", "-c", t.conf, check=0)
    assert "policy generation 2" in done.stdout, done.stdout
    equal(agent(f"burst(4, '10.1.0.1', {two})"), 0, "failures")
    equal((dict(kernel.by_source(one)), dict(kernel.by_source(two))), ({pool[0]: 4}, {pool[1]: 4}), "sources before and after")
    text = json.dumps(t.events("reload"))
    for part in ("policy generation 2 from " + t.conf, f"uid {os.getuid()}"):
        assert part in text, f"{part} is missing: {text}"


def test_refused_reload_leaves_the_old_policy(t):
    """Exit 2, every mistake on stderr, an event that says so, and the clients go on as before."""
    pool = t.sources()
    t.spread(pool[:1])
    port = t.server()
    agent = t.agent()
    equal(agent(f"burst(2, '10.1.0.1', {port})"), 0, "failures")
    t.config('canary = 140\nmode = "on"\n')
    done = t.tool("reload", "-c", t.conf, check=2)
    equal(done.stdout, "", "stdout")
    for part in (f"{t.conf}:1: canary:", f"{t.conf}:2: mode:", "refused: 2 mistakes"):
        assert part in done.stderr, f"{part} is missing: {done.stderr}"
    other = t.server()
    equal(agent(f"burst(2, '10.1.0.1', {other})"), 0, "failures")
    equal(dict(kernel.by_source(other)), {pool[0]: 2}, "sources after the refused reload")
    events = t.events("reload")
    equal(len(events), 1, "reload events")
    assert "refused: 2 mistakes" in json.dumps(events[0]) and "canary" in json.dumps(events[0]), events


def test_reload_says_that_a_log_size_cannot_change(t):
    t.sources()
    t.spread(["10.0.0.11"])
    agent = t.agent()
    agent("1")  # it has started
    equal(t.tool("reload", "-c", t.conf, check=0).stderr, "", "stderr of a reload of the same config")
    t.spread(["10.0.0.11"], top='log { size = "1M" }')
    done = t.tool("reload", "-c", t.conf, check=0)
    assert "log.size is now 1048576 bytes" in done.stderr, done.stderr
    t.spread(["10.0.0.11"], top='state { size-max = "64M" }')
    done = t.tool("reload", "-c", t.conf, check=0)
    assert "state.size-max is now 67108864 bytes" in done.stderr and "log.size" not in done.stderr, done.stderr
    agent.end()


def test_reload_without_a_state_file(t):
    t.spread(["10.0.0.11"])
    done = t.tool("reload", "-c", t.conf, check=1)
    assert "nothing has run" in done.stderr and "clients to come read the config themselves" in done.stderr, done.stderr
    equal(os.listdir(t.state), [], "files that a reload made")


@full
@limit(150)
def test_10000_reloads_beside_8_spreading_processes(t):
    """No connection fails, and none is made of two policies: a source goes with its own ports only. What is looked at are the
    TIME-WAITs, so the look comes within their 60 s."""
    pool = t.sources()
    t.spread(pool[:1], pool='ports = { "20000-24999" }')
    ports = [t.server() for _ in range(8)]
    t.run([t.program("burst"), "10.1.0.1", str(ports[0]), "1"])
    kernel.port_range(15000, 60999)
    state = os.path.join(t.state, "test.state")
    publisher = subprocess.Popen([t.program("publisher"), state, t.state, "10000"], env=t.environment(bare=True),
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    # Before the clients: the kernel keeps the TIME-WAITs of the first 131,072 closes (tcp_max_tw_buckets), a second or two of theirs.
    equal(publisher.stdout.readline(), "publishing\n", "the publisher")
    clients = [t.start([t.program("burst"), "10.1.0.1", str(port), "0"]) for port in ports]
    for _ in range(30):  # the command itself between them, with a config of marker 0
        t.tool("reload", "-c", t.conf, check=0)
    publisher.stdin.close()
    equal(publisher.wait(timeout=100), 0, "the publisher's exit status")
    equal([c.poll() for c in clients], [None] * 8, "clients that ended because a connect failed")
    for c in clients:
        c.kill()
        c.wait()
    seen, torn = set(), []
    for sock in kernel.sockets():  # once: a dump of all of them takes seconds
        if sock.state == "SYN_RECV" or sock.peer_port not in ports:
            continue
        marker = pool.index(sock.local) if sock.local in pool else None
        seen.add(marker)
        if marker is not None and not 20000 + 10000 * marker <= sock.local_port <= 24999 + 10000 * marker:
            torn.append(sock)
    equal(torn, [], "connections of a source with another policy's ports")
    report = json.loads(t.tool("stat", "-o", "json", "-c", t.conf, check=0).stdout)
    busy = sum(arm["calls_policy_busy"] for arm in report["counters"].values())
    fallback = sum(arm["connects_seen_fallback"] for arm in report["counters"].values())
    assert seen >= {0, 1, 2, 3}, f"markers seen: {seen}"
    assert None not in seen or busy + fallback > 0, "connections of neither policy, and nothing counted"
    failed = [row for row in report["stats"] if row["connects_unsuccessful"]]
    equal(failed, [], "rows with failed connects")
    mixed = {(row["rule"], row["source"]) for row in report["stats"] if re.fullmatch(r"m\d", row["rule"]) and row["source"] != "any"}
    equal(mixed - {(f"m{i}", pool[i]) for i in range(4)}, set(), "rules with another policy's source")
    generation = [e for e in t.events("reload") if "policy generation" in json.dumps(e)]
    assert generation, "no reload event"


@needs("strace")
def test_observe_mode_changes_nothing(t):
    """The connect path makes no bind and no setsockopt of ours; events say what would have been."""
    t.sources()
    t.spread(["10.0.0.11", "10.0.0.12"], top='mode = "observe"')
    port = t.server()
    trace = os.path.join(t.folder, "trace")
    calls = {}
    t.run(["true"])
    for mode in ("observe", "enforce"):
        t.tool("set", "--for-later", "-c", t.conf, f"mode={mode}", check=0)
        t.run(["strace", "-f", "-o", trace, "-e", "trace=network", "-E", "LD_PRELOAD=" + t.environment()["LD_PRELOAD"],
               t.program("burst"), "10.1.0.1", str(port), "3"], bare=True, CONNSPREAD_CONF=t.conf)
        with open(trace) as f:
            text = f.read()
        equal(len(re.findall(r"connect\(\d+, \{sa_family=AF_INET", text)), 3, f"connects in the trace of {mode}")
        calls[mode] = sorted(set(re.findall(r"\b(bind|setsockopt)\(", text)))
    equal(calls, {"observe": [], "enforce": ["bind", "setsockopt"]}, "calls of ours")
    equal({e["arm"] for e in t.events("time-wait")}, {"observe", "enforce"}, "arms of the events")
    kernel.settle(port)
    found = kernel.by_source(port)
    equal((found[KERNEL], found["10.0.0.11"] + found["10.0.0.12"]), (3, 3), "connections from the kernel's choice and the pool")
