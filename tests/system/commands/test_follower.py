"""The recorder's file: every event once, whatever happens to the file, to the disk and to the recorder."""

import os
import resource
import shutil
import subprocess
import time

import kernel
from fixture import equal, full, limit, waits
from follower import Recorder, accounted, end, whole_storm


@limit(120)
def test_a_burst_of_eight_processes(t):
    """320,000 events as fast as eight processes write: the file has what was issued, less what it says was lost."""
    f = Recorder(t)
    f.create()
    f.start()
    began = time.monotonic()
    writers = f.storm(40000, incidents=500, n=8)
    end(writers, may_drop=True)  # one that was preempted for a whole lap of the ring
    took = time.monotonic() - began
    equal(f.stop()[0], 0, "the recorder's exit status")
    events = f.lines()
    n_lost = accounted(events, 320000)
    print(f"320,000 events in {took:.2f} s ({320000 / took:.0f}/s), {n_lost} lost and said to be")


@limit(120)
@full
def test_a_hundred_thousand_a_second(t):
    """Four processes, together 100,000 events a second for three seconds: none is lost. The recorder may have to wait for a processor, and
    the ring keeps what is written meanwhile, but needs one for no longer than the events take to come."""
    f = Recorder(t, size="64M")
    f.create()
    f.start()
    writers = f.storm(75000, rate=25000, incidents=1000, n=4)
    end(writers)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    equal(f.stop()[0], 0, "the recorder's exit status")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{busy:.2f} s of processor time")
    with open(f.path) as file:
        equal(file.read(9), '{"time":"', "the file's beginning")
    events = f.lines()
    equal(accounted(events, 300000), 0, "lost")
    assert busy < 3, f"{busy:.2f} s of processor time for the events of 3 s"
    whole_storm(events, writers, 75000)


@full
@limit(120)
def test_killed_and_started_again(t):
    """SIGKILL of the recorder again and again while events come: no number twice, none missing."""
    f = Recorder(t, size="32M")
    f.create()
    f.start()
    writers = f.storm(60000, rate=6000, incidents=100, n=4)
    kills = 0
    while any(w.poll() is None for w in writers):
        time.sleep(0.05 + 0.02 * (kills % 7))
        f.process.kill()
        f.process.wait()
        kills += 1
        f.start()
    end(writers)
    equal(f.stop(0)[0], 0, "the last recorder's exit status")
    assert kills > 10, f"killed {kills} times"
    events = f.lines()
    equal(accounted(events, 240000), 0, "lost")
    whole_storm(events, writers, 60000)


@limit(120)
@full
def test_killed_where_a_rotation_follows(t):
    """SIGKILL, then the file is renamed before the next recorder starts, again and again."""
    f = Recorder(t, size="32M")
    f.create()
    f.start()
    writers = f.storm(40000, rate=10000, n=4)
    files = []
    while any(w.poll() is None for w in writers):
        time.sleep(0.2)
        f.process.kill()
        f.process.wait()
        if os.path.exists(f.path):
            files.append(f"{f.path}.{len(files)}")
            os.rename(f.path, files[-1])
        f.start()
    end(writers)
    equal(f.stop(0)[0], 0, "the last recorder's exit status")
    for path in files:
        mend(path)
    events = f.lines(*files, f.path)
    equal(accounted(events, 160000), 0, "lost")
    whole_storm(events, writers, 40000)


def mend(path):
    """Half a line at the end of a file that was renamed after the recorder died belongs to nobody: it is written again."""
    with open(path, "rb+") as f:
        data = f.read()
        f.truncate(data.rfind(b"\n") + 1)


def test_rotation_by_rename(t):
    """mv, as logrotate does, with and without `create`: every event is in one of the files, the new one has mode 0640."""
    f = Recorder(t, size="32M")
    f.create()
    os.umask(0o022)
    f.start()
    writers = f.storm(30000, rate=6000, n=4)
    files = []
    while any(w.poll() is None for w in writers):
        time.sleep(0.1)
        if f.size():
            files.append(f"{f.path}.{len(files)}")
            os.rename(f.path, files[-1])
            if len(files) % 2:
                os.close(os.open(f.path, os.O_CREAT | os.O_WRONLY, 0o640))
    end(writers)
    equal(f.stop()[0], 0, "exit status")
    events = f.lines(*files, f.path)
    assert len(files) > 5, f"{len(files)} rotations"
    equal(os.stat(files[0]).st_mode & 0o777, 0o640, "mode of a file that the recorder made")
    equal(accounted(events, 120000), 0, "lost")
    whole_storm(events, writers, 30000)


def test_rotation_by_copytruncate(t):
    """A copy is made and the file cut to nothing while the recorder has it open: it goes on from the start of the file."""
    f = Recorder(t)
    f.create()
    f.start()
    seen = []
    for _ in range(5):
        end(f.storm(2000, n=2))
        kernel.wait_until(lambda: f.count() == 4000, what="the events in the file")
        seen += f.lines()
        os.truncate(f.path, 0)
    end(f.storm(10))
    equal(f.stop()[0], 0, "exit status")
    rest = f.lines()
    equal(len([e for e in rest if e["program"] == "storm"]), 10, "lines after the last cut")
    with open(f.path, "rb") as file:
        assert b"\0" not in file.read(), "a hole in the file"
    equal(accounted(seen + rest, 20010), 0, "lost")


@limit(120)
def test_a_full_disk(t):
    """The disk fills and is emptied again: no half line, what the ring kept comes later, what it did not is counted."""
    folder = os.path.join(t.folder, "small")
    os.mkdir(folder)
    kernel.libc.unshare(0x00020000)  # CLONE_NEWNS
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", folder], check=True)
    f = Recorder(t, path=os.path.join(folder, "events.json"))
    f.create()
    f.start()
    end(f.storm(3000))
    full = f.process.stderr.readline()  # no whole line finds room from then on
    assert "No space left on device" in full, full
    saved = os.path.join(t.folder, "saved.json")

    def copied_whole():
        """Five times a second it tries to write, and takes half a line out again: a copy may fall between."""
        shutil.copyfile(f.path, saved)
        with open(saved, "rb") as copy:
            return copy.read().endswith(b"\n")

    kernel.wait_until(copied_whole, what="half a line stays on the full disk")
    before = f.lines(saved)
    assert 0 < len(before) < 3000, f"{len(before)} lines on the full disk"
    os.truncate(f.path, 0)
    kernel.wait_until(lambda: f.count() + len(before) >= 3000, 10, "the rest, after the disk was emptied")
    end(f.storm(100000), may_drop=True)  # far more than the disk and the ring hold
    time.sleep(0.5)
    subprocess.run(["mount", "-o", "remount,size=200M", folder], check=True)
    status, _, stderr = f.stop()
    equal(status, 0, "exit status")
    assert "works again" in stderr, stderr
    events = f.lines(saved, f.path)
    n_lost = accounted(events, 103000)
    assert n_lost > 10000, f"{n_lost} lost"
    print(f"{n_lost} of 103,000 lost while the disk was full, and said to be")


@waits
def test_a_disk_that_stays_full_until_the_end(t):
    """SIGTERM while nothing can be written: it says so, and the next recorder goes on from there."""
    folder = os.path.join(t.folder, "small")
    os.mkdir(folder)
    kernel.libc.unshare(0x00020000)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], check=True)
    f = Recorder(t, path=os.path.join(folder, "events.json"))
    f.create()
    f.start("--keep")
    end(f.storm(3000))
    kernel.wait_until(lambda: f.size() > 200_000, what="the disk to be full")
    status, _, stderr = f.stop()
    equal(status, 1, "exit status")
    assert "stay in the state file" in stderr, stderr
    subprocess.run(["mount", "-o", "remount,size=200M", folder], check=True)
    f.start()
    equal(f.stop(0)[0], 0, "exit status of the next")
    equal(accounted(f.lines(), 3000), 0, "lost")


@full
def test_more_than_the_ring_holds(t):
    """While nobody follows the ring goes round: the recorder begins with what is there and says how much is not."""
    f = Recorder(t, size="64k")
    f.create()
    f.start()
    end(f.storm(200))
    equal(f.stop(0)[0], 0, "exit status")
    end(f.storm(20000))
    f.start()
    equal(f.stop(0)[0], 0, "exit status")
    events = f.lines()
    n_lost = accounted(events, 20200)
    assert 19000 < n_lost < 20000, f"{n_lost} lost"
    said = [e for e in events if e["event"] == "override"]
    assert "larger log.size" in said[0]["text"], said[0]
    done = t.tool("log", f.path, check=0)
    assert "events lost, numbers" in done.stdout, "the line is one that log reads"
    equal((done.stderr, len(done.stdout.splitlines())), ("", len(events)), "stderr, lines")


@full
def test_a_writer_killed_in_the_middle(t):
    """Writers that are killed anywhere leave gaps that are said, and hold nobody up."""
    f = Recorder(t)
    f.create()
    f.start()
    for _ in range(40):
        writers = f.storm(10_000_000, n=2)
        time.sleep(0.01)
        for w in writers:
            w.kill()
            w.wait()
    last = f.storm(100)
    end(last)
    equal(f.stop()[0], 0, "exit status")
    events = f.lines()
    whole_storm([e for e in events if e["pid"] == last[0].pid], last, 100)
    highest = max(e["seq"] for e in events) + 1
    n_lost = accounted(events, highest)
    print(f"{highest} numbers, {n_lost} lost and said to be")
