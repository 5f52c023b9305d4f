"""The state file is scribbled over at random while clients run and the tool reads: no crash, no hang, no descriptor of a
client's touched. MUTATIONS_SEED repeats a run's changes (not its interleaving); MUTATIONS is how many; MUTATIONS_TOOL another build of the tool."""

import collections
import os
import subprocess
import time

import kernel
from fixture import TOOL, equal, full, limit

SEED = int(os.environ.get("MUTATIONS_SEED", "1"))
COUNT = int(os.environ.get("MUTATIONS", "10000"))
SCRIBBLED_TOOL = os.environ.get("MUTATIONS_TOOL", TOOL)
EACH = 40
PAUSE_US = 1500
COMMANDS = (["log", "-o", "json"], ["log"], ["stat"], ["stat", "-o", "json"], ["stat", "-o", "prometheus"], ["check"], ["report"], ["report", "-o", "json"],
            ["reload"], ["set", "canary=50"], ["set", "mode=config", "canary=config"], ["prune", "-n"], ["stat", "--all"])


def mutate(t, seed, count):
    sources = t.sources()
    t.spread(sources, top='log { size = "256k" closes = "all" }', rule="    attempts = 8")
    hold, echo = t.server(), t.server(kind="echo")
    agent = t.agent()
    agent(f"burst(200, '10.1.0.1', {hold})")
    agent.end()
    steady = [t.start([t.program("steady"), "10.1.0.1", str(echo)]) for _ in range(3)]
    outputs = [os.path.join(t.folder, f"out{t.count - 2 + i}") for i in range(3)]
    follower = t.start([SCRIBBLED_TOOL, "log", "-f", "-o", "json", "-c", t.conf], bare=True)
    state = os.path.join(t.state, "test.state")
    scribbler = subprocess.Popen([t.program("scribble"), state, str(seed), str(count), str(EACH), str(PAUSE_US)], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, text=True)
    ends, bad, slowest = collections.Counter(), [], 0

    def note(what, argv, bare, allowed):
        nonlocal slowest
        began = time.monotonic()
        try:
            done = subprocess.run(argv, env=t.environment(bare=bare), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20)
            result, said = done.returncode, done.stderr[-300:]
            if b"Sanitizer" in done.stderr or b"runtime error" in done.stderr:
                result, said = "sanitizer", done.stderr[:1500]
            if bare_lines.get(argv[0]) not in (None, done.stdout):
                differences.update(zip(bare_lines[argv[0]].splitlines(), done.stdout.splitlines()))
        except subprocess.TimeoutExpired:
            result, said = "hang", b""
        slowest = max(slowest, time.monotonic() - began)
        ends[what, result] += 1
        if result not in allowed:
            bad.append((what, result, said))

    clients = ([t.program("compare_calls"), "10.1.0.1", str(hold)], [t.program("compare_ends"), "10.1.0.1", str(hold)],
               [t.program("burst"), "10.1.0.1", str(hold), "20"])
    turn = 0
    bare_lines = {client[0]: t.run(client, bare=True).stdout.encode() for client in clients[:2]}
    differences = collections.Counter()
    while scribbler.poll() is None:
        client = clients[turn % len(clients)]
        # burst gives up at a failed connect: a scribbled policy may well want that.
        note(os.path.basename(client[0]), client, False, (0, 1) if "burst" in client[0] else (0,))
        command = COMMANDS[turn % len(COMMANDS)]
        note(" ".join(command), [SCRIBBLED_TOOL, command[0], "-c", t.conf, *command[1:]], True, (0, 1, 2))
        turn += 1
        for i, s in enumerate(steady):
            if s.poll() is not None:
                with open(outputs[i]) as f:
                    bad.append(("steady", s.returncode, f.read()))
                steady[i] = t.start([t.program("steady"), "10.1.0.1", str(echo)])
                outputs[i] = os.path.join(t.folder, f"out{t.count}")
    equal((scribbler.returncode, scribbler.stdout.read()), (0, f"{count} changes\n"), "the scribbler")
    rounds = 0
    for s, path in zip(steady, outputs):
        s.terminate()
        status = s.wait(timeout=25)
        with open(path) as f:
            said = f.read()
        if status != 0:
            bad.append(("steady", status, said))
        else:
            rounds += int(said.split()[0])
    if follower.poll() is None:
        follower.terminate()
    if follower.wait(timeout=10) not in (0, 1, -15):
        bad.append(("log -f", follower.returncode, b""))
    tools = sum(n for (what, _), n in ends.items() if what in map(" ".join, COMMANDS))
    print(f"seed {seed}: {count} mutations; {rounds} rounds of 3 clients, {sum(ends.values()) - tools} short clients, {tools} runs of the tool, the slowest "
          f"{slowest:.1f} s; {len(bad)} crashes, hangs, touched descriptors")
    leaked = {pair: n for pair, n in differences.items() if pair[0] != pair[1]}
    print(f"{sum(leaked.values())} lines of transcripts that are not as bare: {leaked}")
    for what in bad[:30]:
        print(what)
    assert rounds > 1000 and tools > 20, "hardly anything ran"
    equal(len(bad), 0, f"things that broke (MUTATIONS_SEED={seed})")


@full
@limit(150)
def test_random(t):
    mutate(t, SEED, COUNT)
