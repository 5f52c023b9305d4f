"""Loading the recorder's lines into either engine: killed at random, nothing is lost or doubled; and how fast it is."""

import json
import os
import random
import signal
import subprocess
import time

import engines
import kernel
from fixture import PROGRAMS, equal, full, limit, needs
from follower import Recorder, end, whole_storm

SECONDS = int(os.environ.get("KILL_SECONDS", "12"))
RATE = 5000


def kill_at_random(rng, f, engine, until):
    """Recorder, loader and server, if there is one, get SIGKILL whenever it comes, and each at least once; each is started again. Returns how often which."""
    killed = {"recorder": 0, "loader": 0, **({"server": 0} if isinstance(engine, engines.Server) else {})}
    while time.monotonic() < until or not all(killed.values()):
        loader = engine.loader(f.path) if f.size() else None
        time.sleep(rng.uniform(0.01, 0.6))
        if loader and loader.poll() is None and rng.random() < 0.7:
            loader.kill()
            killed["loader"] += 1
        if rng.random() < 0.3:
            f.stop(signal.SIGKILL)
            f.start("--keep")
            killed["recorder"] += 1
        if rng.random() < 0.2 and engine.restart():
            killed["server"] += 1
        if loader:
            loader.communicate()
    return killed


def storm_of_kills(t, engine, name):
    seed = int.from_bytes(os.urandom(4), "big")
    f = Recorder(t, path=os.path.join(t.folder, name + ".jsonl"), name=name)
    f.create()
    f.start("--keep")
    writers = f.storm(RATE * SECONDS, rate=RATE)
    killed = kill_at_random(random.Random(seed), f, engine, time.monotonic() + SECONDS)
    end(writers)
    kernel.wait_until(lambda: f.count() == RATE * SECONDS, 60, "the recorder does not write the rest")
    f.stop()
    print(f"{name}: seed {seed}, killed {killed}")
    engine.load(f.path)
    lines = f.lines()
    whole_storm(lines, writers, RATE * SECONDS)
    equal(engine("SELECT count() AS n, sum(age_us) AS ages, sum(seq) AS seqs FROM connspread.events_once"),
          [{"n": len(lines), "ages": sum(e.get("age_us", 0) for e in lines), "seqs": sum(e["seq"] for e in lines)}], f"events once, seed {seed}")
    for view in ("minutes", "totals"):
        equal(engine(f"SELECT sum(n) AS n FROM connspread.{view}"), [{"n": len(lines)}], f"{view}, seed {seed}")


@full
@limit(100 + 3 * SECONDS)
@needs("node")
def test_killed_at_random_the_library(t):
    storm_of_kills(t, engines.Chdb(t), "library")


@full
@limit(100 + 3 * SECONDS)
@needs("clickhouse-server", "clickhouse-client")
def test_killed_at_random_the_server(t):
    """SIGKILL for the server too, in the middle of a load."""
    storm_of_kills(t, engines.Server(t), "server")


@full
@limit(120)
@needs("node")
def test_how_fast(t):
    """A load takes less than four times the processor time that python takes to read the same lines; and is 50 times as fast as row by row."""
    path, n, rows = os.path.join(t.folder, "many.jsonl"), 300000, 200
    with open(path, "w") as out:
        subprocess.run([os.path.join(PROGRAMS, "many_events"), str(n), "web1"], stdout=out, check=True)
    engine = engines.Chdb(t)
    before, started = os.times(), time.monotonic()
    engine.load(path)
    after, whole = os.times(), time.monotonic() - started
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    equal(engine("SELECT count() AS n FROM connspread.events"), [{"n": n}], "events")
    with open(path) as f:
        began = time.process_time()
        equal(sum(json.loads(line)["event"] != "" for line in f), n, "lines")
        reading = time.process_time() - began
        f.seek(0)
        singles = [f"INSERT INTO connspread.events FORMAT JSONEachRow {json.dumps({**json.loads(f.readline()), 'epoch': 'one by one'})}" for _ in range(rows)]
    started = time.monotonic()
    engine(*singles)
    single = time.monotonic() - started
    print(f"{n} events: {whole:.2f} s, {processor:.2f} s of processors, {reading:.2f} for python; one by one {rows / single:.0f} a second, at once {n / whole:.0f}")
    assert processor < 4 * reading, f"{n} events took {processor:.2f} s of processor time, and python {reading:.2f}"
    assert n / whole >= 50 * rows / single, f"at once {n / whole:.0f} a second, one by one {rows / single:.0f}"
