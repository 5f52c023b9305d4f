"""What one user can make root's tool do has a bound: memory, time, what reaches a terminal."""

import json
import os
import re
import resource
import subprocess
import sys
import time

import kernel
from fixture import equal, full, limit
from users import ALICE, Users

MEMORY_KB, SECONDS = 64 << 10, 2
EVIL = "\x1b]0;evil\x07\x7f\u009b31m\u202e\r\n"
SHOWN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


# A small process starts the command, for what its parent holds at the exec would count as the command's.
WRAPPER = """import resource, subprocess, sys
with open(sys.argv[1], "wb") as out:
    status = subprocess.call(sys.argv[2:], stdout=out)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(status, used.ru_utime + used.ru_stime, used.ru_maxrss)"""


def measured(u, *argv):
    """As root: status, stdout, stderr, seconds of processor time (others may be busy), and the most memory in KiB."""
    out = os.path.join(u.t.folder, "out")
    done = u.run(0, sys.executable, "-c", WRAPPER, out, u.tool, *argv, timeout=60)
    status, seconds, peak = done.stdout.split()
    with open(out, errors="surrogateescape") as f:
        return int(status), f.read(), done.stderr, float(seconds), int(peak)


def many(u, count, rows=False):
    """count copies of one user's state file; with rows each of them full of different ones."""
    path = u.instance(ALICE, "first")
    with open(path, "rb") as f:
        data, size = f.read(4096), os.stat(path).st_size
    for i in range(count - 1):
        copy = f"{u.folder(ALICE)}/copy{i}.state"
        with open(copy, "wb") as f:
            f.write(data)
            f.truncate(size)
        os.chmod(copy, 0o600)
        os.chown(copy, ALICE, ALICE)
    if rows:
        for i in range(count - 1):
            equal(u.run(ALICE, os.path.join(u.lib, "fill"), f"{u.folder(ALICE)}/copy{i}.state").stderr, "", "fill")


@limit(240)
@full
def test_three_thousand_files(t):
    """Of one user: every one is printed, under 64 MB and 2 s."""
    u = Users(t, kernel)
    many(u, 3000)
    worst = {}
    for form in ("text", "json", "prometheus"):
        best, peak, out = 99, 0, ""
        for _ in range(3):
            status, out, err, seconds, peak = measured(u, "stat", "--all", "-o", form)
            equal((status, err), (0, ""), f"stat --all -o {form}")
            best = min(best, seconds)
        worst[form] = (round(best, 2), peak >> 10)
        assert best < SECONDS and peak < MEMORY_KB, f"{form}: {best:.2f} s, {peak >> 10} MB"
        # One instance of a name is called by it in the metrics, the others by their paths.
        equal(len(set(re.findall(r"copy\d+", out))), 2999 - (form == "prometheus"), f"files named in {form}")
    print(f"3,000 files of one user: seconds and MB {worst}")


@limit(120)
def test_files_full_of_rows(t):
    """40 files that hold 2,048 rows each: read up to the bound of one user, which is said; the other users' are all there."""
    u = Users(t, kernel)
    u.instance(0, "mine")
    many(u, 41, rows=True)
    status, out, err, seconds, peak = measured(u, "stat", "--all", "-o", "prometheus")
    equal(status, 0, err)
    assert f"uid {ALICE}: " in err and "left out" in err, err
    assert 'instance="mine"' in out, "root's own"
    assert seconds < 5 and peak < MEMORY_KB, f"{seconds:.2f} s, {peak >> 10} MB"


def test_more_files_than_the_bound(t):
    u = Users(t, kernel)
    u.instance(0, "mine")
    os.mkdir(u.folder(ALICE), 0o700)
    for i in range(5000):
        os.close(os.open(f"{u.folder(ALICE)}/x{i}.state", os.O_CREAT | os.O_WRONLY, 0o600))
        os.chown(f"{u.folder(ALICE)}/x{i}.state", ALICE, ALICE)
    os.chown(u.folder(ALICE), ALICE, ALICE)
    status, out, err, seconds, peak = measured(u, "stat", "--all")
    equal(status, 0, err)
    equal((out.count("/x"), "mine.state" in out), (4096, True), "files named")
    assert "904 state files" in err, err
    assert seconds < 5 and peak < MEMORY_KB, f"{seconds:.2f} s, {peak >> 10} MB"


# Not dumpable after setuid, so that /proc/PID belongs to root.
MAPPER = """import mmap, os, sys, time
os.setgid(int(sys.argv[2])), os.setuid(int(sys.argv[2]))
kept = []
for name in os.listdir(sys.argv[1]):
    if name.endswith(".state"):
        with open(os.path.join(sys.argv[1], name), "rb") as f:
            kept.append(mmap.mmap(f.fileno(), 4096, access=mmap.ACCESS_READ))
print("ready", flush=True)
time.sleep(50)"""


def test_a_user_who_maps_much_hides_no_client_of_root(t):
    """The bound on what one user has mapped is that user's, also where the kernel calls the process root's: the brake reaches root's client."""
    u = Users(t, kernel)
    many(u, 1100)
    mapper = u.start(0, sys.executable, "-c", MAPPER, u.folder(ALICE), str(ALICE))
    equal(mapper.stdout.readline(), "ready\n", "the mapper")
    client = u.client(0, "own")
    done = u.run(0, "connspread", "set", "-i", "own", "mode=off")
    equal((done.returncode, done.stderr), (0, ""), "set")
    for process in client, mapper:
        process.kill()
        process.communicate()


@limit(90)
def test_a_writer_that_goes_on(t):
    """log and report end with what was there when they began, however fast a writer is; memory stays."""
    u = Users(t, kernel)
    path = u.instance(ALICE)
    writers = [u.start(ALICE, os.path.join(u.lib, "event_storm"), path, "100000000", "0", "10") for _ in range(2)]
    time.sleep(1)
    for uid, where in ((0, {"CONNSPREAD_DIR": u.folder(ALICE)}), (ALICE, {})):
        for command in (["log", "-o", "json"], ["log"], ["report"], ["stat"]):
            began = time.monotonic()
            done = u.run(uid, "connspread", *command, "-i", "web", timeout=20, text=False, **where)
            seconds = time.monotonic() - began
            assert done.returncode in (0, 1) and seconds < 5, f"uid {uid}, {command}: {done.returncode}, {seconds:.1f} s"
    assert all(w.poll() is None for w in writers), f"a writer ended: {[w.communicate() for w in writers if w.poll() is not None]}"
    for w in writers:
        w.kill()
        w.communicate()
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert peak < MEMORY_KB or "ASAN_OPTIONS" in os.environ, f"most memory: {peak >> 10} MB"


def test_text_of_others(t):
    """Names of files, instances, hosts and programs that would move a cursor or begin a line: in no output as they are."""
    u = Users(t, kernel)
    path = u.instance(ALICE)
    evil = f"{u.folder(ALICE)}/{EVIL}.state"
    raw = os.fsencode(u.folder(ALICE)) + b"/\xc2\x9b\x9b\xff\x80.state"
    equal(u.run(ALICE, os.path.join(u.lib, "fill"), path, EVIL).stderr, "", "fill")
    for name in (evil, raw):
        subprocess.run(["cp", "--sparse=always", path, name], check=True)
        os.chmod(name, 0o600)
        os.chown(name, ALICE, ALICE)
    rubbish = f"{u.folder(ALICE)}/a\nconnspread: b.state"
    kernel.write(rubbish, "none")
    os.chown(rubbish, ALICE, ALICE)
    here = {"CONNSPREAD_DIR": u.folder(ALICE)}
    commands = [(["stat", "--all", "-o", form], {}) for form in ("text", "json", "prometheus")]
    commands += [(["stat", "-i", "web", "-o", form], here) for form in ("text", "json", "prometheus")]
    commands += [([*c, "-i", "web"], here) for c in (["log"], ["log", "-o", "json"], ["report"], ["report", "-o", "json"], ["prune", "-n"], ["check"])]
    commands += [([*c, "-i", EVIL], here) for c in (["stat"], ["log"], ["set", "--for-later", "mode=off"], ["reload"], ["check"])]
    commands += [(["log", evil], {}), (["report", evil], {}), (["report", rubbish], {}), (["stat", "-i", "\u009b\x7f"], here), (["prune", "-f"], here)]
    for command, where in commands:
        done = u.run(0, "connspread", *command, text=False, **where)
        assert done.returncode in (0, 1, 2), f"{command}: {done.returncode}"
        for stream in (done.stdout, done.stderr):
            said = stream.decode("utf-8")  # fails where it is none
            found = SHOWN.search(said)
            assert not found, f"{command}: {said[max(0, found.start() - 60):found.end() + 20]!r}"
            assert not re.search(r"^connspread: b", said, re.M), f"{command}: a line was forged"
        if "json" in command:
            for line in done.stdout.splitlines():
                json.loads(line)
    equal(sorted(os.listdir(u.folder(ALICE))), [".lock"], "files after prune")


def test_json_lines_of_others(t):
    """log -o json passes lines of a file on: escaped where they would move a cursor."""
    u = Users(t, kernel)
    u.instance(ALICE)
    lines = u.run(ALICE, "connspread", "set", "--for-later", "-i", "web", "mode=off") and u.run(ALICE, "connspread", "log", "-i", "web", "-o", "json").stdout
    path = os.path.join(t.folder, "lines.json")
    with open(path, "wb") as f:
        f.write(lines.replace('"host":"', '"host":"\x7f\u009b\u202ex').encode())
        f.write(lines.replace('"host":"', '"host":\t\r"').encode())
    done = u.run(0, "connspread", "log", "-o", "json", path, text=False)
    said = done.stdout.decode()
    assert not SHOWN.search(said), said
    equal(json.loads(said.splitlines()[0])["host"][:4], "\x7f\u009b\u202ex", "the same text")
