"""Commands that read leave the file that they read as it is; what the dead left is computed, or written by those that write."""

import hashlib
import json
import os
import signal
import struct
import subprocess

import kernel
from fixture import TOOL, equal, quadruplet_of
from follower import BOOT

CONNECTIONS = 20
READING = (["log"], ["log", "-o", "json"], ["stat"], ["stat", "-o", "prometheus"], ["stat", "--all"], ["report"], ["quads"], ["doctor"])


def digest(path):
    """Of its size, and of its data and where they lie: most of it is a hole, which stays one."""
    sum_of, end, at = hashlib.sha256(), os.path.getsize(path), 0
    with open(path, "rb", buffering=0) as f:
        while at < end:
            try:
                at = os.lseek(f.fileno(), at, os.SEEK_DATA)
            except OSError:  # ENXIO: nothing but a hole is left
                break
            until = os.lseek(f.fileno(), at, os.SEEK_HOLE)
            os.lseek(f.fileno(), at, os.SEEK_SET)
            sum_of.update(b"%d %d " % (at, until))
            sum_of.update(f.read(until - at))
            at = until
    return end, sum_of.hexdigest()


def read_boot(path):
    with open(path, "rb") as f:
        return struct.unpack("Q", f.read(BOOT + 8)[BOOT:])[0]


def write_boot(path, number):
    with open(path, "r+b") as f:
        f.seek(BOOT)
        f.write(struct.pack("Q", number))


def killed(t):
    """A client that was killed over its connections, which the kernel knows as TIME-WAITs: these, and the server's port."""
    t.spread(t.sources())
    port = t.server()
    agent = t.agent()
    equal(agent(f"hold({CONNECTIONS}, '10.1.0.1', {port})"), [0, CONNECTIONS], "connections")
    agent.process.send_signal(signal.SIGKILL)
    agent.process.wait()
    kernel.settle(port)
    waits = kernel.time_waits(port)
    equal(len(waits), CONNECTIONS, "TIME-WAITs")
    return waits


def run(t, *words, **environment):
    return subprocess.run([TOOL, *words], env={**t.environment(bare=True), **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def told(output):
    events = [json.loads(line) for line in output.splitlines()]
    return sorted(quadruplet_of(e) for e in events if e["event"] == "time-wait")


def elsewhere(t, name):
    """A copy of the state file in a folder of its own, under the same name."""
    folder = os.path.join(t.folder, name)
    os.mkdir(folder, 0o700)
    subprocess.run(["cp", "-p", "--sparse=always", os.path.join(t.state, "test.state"), folder], check=True)
    return os.path.join(folder, "test.state")


def all_of_them(t, path, name):
    """Every reading command on the file, by instance and, where it takes one, by name."""
    before = digest(path)
    for words in READING:
        done = run(t, *words, CONNSPREAD_DIR=os.path.dirname(path), CONNSPREAD_INSTANCE="test")
        assert done.returncode in (0, 1), f"{name}: {words}: {done.returncode} {done.stderr}"
        equal(digest(path), before, f"{name}: sha256 after {words}")
    done = run(t, "report", path)
    assert done.returncode in (0, 1), f"{name}: report FILE: {done.returncode} {done.stderr}"
    equal(digest(path), before, f"{name}: sha256 after report FILE")


def test_files_stay_as_they_are(t):
    """sha256 of the instance's own file, of a copy, and of one of another boot, with connections of a killed process in each."""
    waits = killed(t)
    own = os.path.join(t.state, "test.state")
    copy, other = elsewhere(t, "copy"), elsewhere(t, "other")
    assert read_boot(own) != 0, "no boot in the header"
    write_boot(other, read_boot(own) ^ 1)
    for path in (own, copy, other):
        all_of_them(t, path, path)
    equal(told(run(t, "log", "-o", "json", "-i", "test").stdout), waits, "what log tells of the instance")
    first, second = (run(t, "log", "-o", "json", "-i", "test").stdout for _ in range(2))
    numbers = [sorted(json.loads(line)["seq"] for line in out.splitlines()) for out in (first, second)]  # a TIME-WAIT's age is known to a jiffy
    equal(numbers[0], numbers[1], "numbers of two readings")
    equal(len(set(numbers[0])), len(numbers[0]), "different numbers")
    equal(told(run(t, "log", "-o", "json", "-i", "test", CONNSPREAD_DIR=os.path.dirname(other)).stdout), [], "what log tells of another boot's file")
    facts = [json.loads(run(t, "report", "-o", "json", *words).stdout) for words in (["-i", "test"], [own], [copy])]
    assert facts[0]["events"] - facts[1]["events"] == CONNECTIONS, f"events in reports: {[f['events'] for f in facts]}"
    equal(facts[2]["events"], facts[1]["events"], "events of the copy, named as a file")


def test_a_file_that_cannot_be_written(t):
    """Read-only for everybody, as in an image: the events of the dead are told all the same."""
    waits = killed(t)
    path = os.path.join(t.state, "test.state")
    done = subprocess.run(["unshare", "-m", "sh", "-c", 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"', "sh", t.state,
                           TOOL, "log", "-o", "json", "-i", "test"], env=t.environment(bare=True), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    equal((done.returncode, done.stderr), (0, ""), "exit status and stderr")
    equal(told(done.stdout), waits, "quadruplets")
    assert os.path.exists(path)


def test_reap(t):
    """Writes them once, counts them, and leaves nothing to be computed."""
    waits = killed(t)
    path = os.path.join(t.state, "test.state")

    def closed():
        return json.loads(run(t, "stat", "-o", "json", "-i", "test").stdout)["counters"]["enforce"]["closes_seen_time_wait"]

    before = closed()
    done = run(t, "reap", "-i", "test")
    equal((done.returncode, done.stdout, done.stderr), (0, f"{path}: {CONNECTIONS} events written\n", ""), "reap")
    equal(closed() - before, CONNECTIONS, "TIME-WAITs counted")
    equal(told(run(t, "log", "-o", "json", "-i", "test").stdout), waits, "what log tells")
    assert all(json.loads(line)["seq"] < 1 << 52 for line in run(t, "log", "-o", "json", "-i", "test").stdout.splitlines()), "a number that no writer drew"
    done = run(t, "reap", "-i", "test")
    equal((done.returncode, done.stdout), (0, f"{path}: 0 events written\n"), "a second reap")
    equal(run(t, "reap", "-i", "nobody").returncode, 1, "reap without a state file")
    equal(run(t, "reap", "file").returncode, 2, "reap with an argument")


def test_reap_after_another_boot(t):
    """What was open at that boot is forgotten, with a message; what is killed in this one is told again."""
    killed(t)
    path = os.path.join(t.state, "test.state")
    write_boot(path, read_boot(path) ^ 1)
    done = run(t, "reap", "-i", "test")
    equal((done.returncode, done.stdout), (0, f"{path}: 0 events written\n"), "reap")
    assert f"what became of {CONNECTIONS} connections that were open then cannot be known" in done.stderr, done.stderr
    equal(told(run(t, "log", "-o", "json", "-i", "test").stdout), [], "what log tells")
    port = t.server()
    agent = t.agent()
    agent(f"hold(3, '10.1.0.1', {port})")
    agent.process.kill()
    agent.process.wait()
    kernel.settle(port)
    done = run(t, "reap", "-i", "test")
    equal((done.stdout, done.stderr), (f"{path}: 3 events written\n", ""), "reap of this boot's")
    equal(told(run(t, "log", "-o", "json", "-i", "test").stdout), kernel.time_waits(port), "quadruplets")
