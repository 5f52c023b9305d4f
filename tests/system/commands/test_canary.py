"""Canary and control: who is in which arm, and what stat --compare says of the two."""

import json
import re
import subprocess

import kernel
from fixture import PYTHON, equal, full, limit, needs, waits

KERNEL = "10.1.0.1"


class Herd:
    """500 processes that connect, or execute themselves anew, on command (herd.c)."""

    def __init__(self, t, port, n):
        self.process = subprocess.Popen([t.program("herd"), "10.1.0.1", str(port), str(n)], env=t.environment(), text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def __call__(self, command):
        self.process.stdin.write(command)
        self.process.stdin.flush()
        return self.process.stdout.readline().split()


def canaries(pool, answers):
    return {i for i, source in enumerate(answers) if source in pool}


@limit(120)
def test_20_percent_of_500_processes(t):
    """canary=20: 100 of 500; dialled to 40, those stay in; an exec moves nobody; back at 20 it is the first hundred."""
    pool = t.sources()
    t.spread(pool, top="canary = 20")
    port = t.server()
    herd = Herd(t, port, 500)
    answers = herd("c")
    equal((len(answers), answers.count("-")), (500, 0), "processes and failures")
    first = canaries(pool, answers)
    assert 98 <= len(first) <= 102, f"canary=20 of 500 processes: {len(first)}"
    equal(kernel.by_source(port)[KERNEL], 500 - len(first), "the kernel's count of connections from its own choice")
    t.tool("set", "-c", t.conf, "canary=40", check=0)
    second = canaries(pool, herd("c"))
    assert first <= second, f"{len(first - second)} processes moved out when dialled up"
    assert 196 <= len(second) <= 204, f"canary=40 of 500 processes: {len(second)}"
    equal(herd("x"), ["done"], "exec")
    equal(canaries(pool, herd("c")), second, "the canary after an exec")
    t.tool("set", "-c", t.conf, "canary=20", check=0)
    equal(canaries(pool, herd("c")), first, "the canary after an exec, back at 20")
    arms = {e["arm"] for e in t.events("attach")}
    equal(arms, {"enforce", "control"}, "arms of attach events")


def test_a_fork_child_draws_a_place_of_its_own(t):
    """The parent has its place; of its next 100 children 20 are in, whatever the parent is."""
    pool = t.sources()
    t.spread(pool, top="canary = 20")
    port = t.server()
    agent = t.agent()
    agent(f"kept.append(connect('10.1.0.1', {port}))")
    agent("\n".join((
        "found = []",
        "for i in range(100):",
        "    r, w = os.pipe()",
        "    pid = os.fork()",
        "    if pid == 0:",
        f"        s = connect('10.1.0.1', {port})",
        "        os.write(w, s.getsockname()[0].encode())",
        "        os._exit(0)",
        "    os.close(w)",
        "    found.append(os.read(r, 99).decode())",
        "    os.close(r)",
        "    os.waitpid(pid, 0)")))
    found = agent("found")
    equal((len(found), sum(source in pool for source in found)), (100, 20), "children, and those that were spread")


def test_by_connection(t):
    """canary-by = connection: of any hundred connections in a row, that many are spread, in every process."""
    pool = t.sources()
    t.spread(pool, top='canary = 30\ncanary-by = "connection"')
    port = t.server()
    agent = t.agent()
    sources = agent(f"[connect('10.1.0.1', {port}).getsockname()[0] for _ in range(200)]")
    for start in (0, 37, 100):
        equal(sum(s in pool for s in sources[start:start + 100]), 30, f"spread of the hundred from {start} on")


def test_0_and_100(t):
    pool = t.sources()
    t.spread(pool, top="canary = 0")
    none, all_of_them = t.server(), t.server()
    agent = t.agent()
    equal(agent(f"burst(20, '10.1.0.1', {none})"), 0, "failures")
    t.tool("set", "-c", t.conf, "canary=100", check=0)
    equal(agent(f"burst(20, '10.1.0.1', {all_of_them})"), 0, "failures")
    equal((set(kernel.by_source(none)), set(kernel.by_source(all_of_them))), ({KERNEL}, set(pool)), "sources at 0 and 100")


# --- stat --compare ---

# n connections to the first port, now and then (by seed) to one on which nobody listens; those that hang are given up.
CLIENT = """
import random, socket, sys
address, port, nobody, n, seed = sys.argv[1], *map(int, sys.argv[2:6])
rng = random.Random(seed)
for _ in range(n):
    s = socket.socket()
    s.settimeout(0.03)
    try:
        s.connect((address, nobody if rng.random() < 0.004 else port))
    except OSError:
        pass
    s.close()
"""


def compare(t, port, n, seed):
    t.python(CLIENT, "10.1.0.1", port, 1, n, seed, timeout=100)
    done = t.tool("stat", "--compare", "-c", t.conf)
    return done.stdout.splitlines()[-1], done


@needs("nft")
def test_a_source_that_drops_connections_is_worse(t):
    sources = t.sources(11, 12)
    t.spread(sources, top='canary = 50\ncanary-by = "connection"')
    kernel.nft("add table inet t\nadd chain inet t i { type filter hook input priority 0; }\n"
               "add rule inet t i ip saddr 10.0.0.11 tcp flags syn drop\n")
    verdict, done = compare(t, t.server(), 400, 1)
    equal((verdict, done.returncode), ("verdict: worse", 1), f"last line and exit status of {done.stdout}")
    report = json.loads(t.tool("stat", "-o", "json", "-c", t.conf, check=0).stdout)
    dropped = {row["source"]: row["syn_timeouts"] for row in report["stats"] if row["arm"] == "enforce"}
    equal((dropped["10.0.0.11"] >= 90, dropped["10.0.0.12"]), (True, 0), f"SYN timeouts {dropped}")
    as_json = json.loads(t.tool("stat", "--compare", "-o", "json", "-c", t.conf).stdout)
    equal((as_json["verdict"], as_json["failed"]["verdict"], as_json["failed"]["low"] > 0.005), ("worse", "worse", True), "JSON")
    metrics = t.tool("stat", "-o", "prometheus", "-c", t.conf, check=0).stdout
    assert re.search(r'connspread_canary_verdict{connspread_instance="test",version="[^"]+"} 1\n', metrics), "no verdict in the metrics"


@limit(200)
def test_identical_arms_are_the_same(t):
    """20 seeded runs, each on an instance of its own: at least 18 say `same`."""
    sources = t.sources()
    verdicts = []
    for seed in range(1, 21):
        t.spread(sources, top='canary = 50\ncanary-by = "connection"', name=f"run{seed}")
        # A destination of its own: with one for all, the control arm's single source passes half of its ports in the 18th
        # run, where connect() becomes slow, and the canary is rightly called better.
        verdicts.append(compare(t, t.server(), 1600, seed)[0])
    print([v.split()[1] for v in verdicts])
    assert verdicts.count("verdict: same") >= 18, verdicts


def test_20_connections_are_not_enough(t):
    t.spread(t.sources(), top='canary = 50\ncanary-by = "connection"')
    equal(compare(t, t.server(), 20, 1)[0], "verdict: not enough data", "last line")


def test_one_arm_is_not_enough(t):
    t.spread(t.sources())
    verdict, done = compare(t, t.server(), 300, 1)
    equal((verdict, done.returncode), ("verdict: not enough data", 0), "last line and exit status")


@needs("nft")
@waits
def test_only_what_happens_from_now_on(t):
    """stat --interval: an old difference no longer counts."""
    sources = t.sources(11, 12)
    t.spread(sources, top='canary = 50\ncanary-by = "connection"')
    kernel.nft("add table inet t\nadd chain inet t i { type filter hook input priority 0; }\n"
               "add rule inet t i ip saddr 10.0.0.11 tcp flags syn drop\n")
    port = t.server()
    equal(compare(t, port, 300, 1)[0], "verdict: worse", "last line")
    kernel.nft("delete table inet t\n")
    client = t.start([PYTHON, "-S", "-c", CLIENT, "10.1.0.1", str(port), "1", "100000", "2"])
    done = t.tool("stat", "--compare", "--interval", "3s", "-c", t.conf, check=0)
    client.kill()
    client.wait()
    equal(done.stdout.splitlines()[-1], "verdict: same", done.stdout)


# ROUNDS times 20 calls of which 8 find no port: bound first, and closed with a reset, so that no TIME-WAIT stays.
BIND_FIRST = """
import socket, struct, sys
port, rounds = map(int, sys.argv[1:3])
failed = {"bind": 0, "connect": 0}
for _ in range(rounds):
    kept = []
    for _ in range(20):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        call = "bind"
        try:
            s.bind(("10.1.0.1", 0))
            call = "connect"
            s.connect(("10.1.0.1", port))
        except OSError:
            failed[call] += 1
        kept.append(s)
    for s in kept:
        s.close()
print(failed["bind"], failed["connect"])
"""


def bind_first(t, seed, rounds):
    """What stat --compare says after two such processes, one of each arm."""
    t.spread(["10.0.0.11"], to=["10.1.0.1"], top="canary = 50", name=f"bind{seed}")
    port = t.server(kind="sink")
    failed = [tuple(map(int, t.python(BIND_FIRST, port, rounds, timeout=60).stdout.split())) for _ in range(2)]
    equal(sorted(failed), [(0, 8 * rounds), (8 * rounds, 0)], "failed in bind and in connect, in either process")
    done = t.tool("stat", "--compare", "-c", t.conf)
    return done.stdout.splitlines()[-1], done


def test_one_failure_in_two_calls_is_the_same(t):
    """A client that binds first finds no port: in bind in the control arm, in connect in the canary, as often."""
    t.sources(11, 11)
    kernel.port_range(40000, 40011)
    verdict, done = bind_first(t, 0, 480)
    equal((verdict, done.returncode), ("verdict: same", 0), f"last line and exit status of {done.stdout}")


@full
@limit(300)
def test_one_failure_in_two_calls_is_the_same_20_times(t):
    t.sources(11, 11)
    kernel.port_range(40000, 40011)
    equal([bind_first(t, seed, 480)[0] for seed in range(1, 21)], ["verdict: same"] * 20, "verdicts")
