"""The follower: log.file has every event once, whatever happens to the file, to the disk and to the follower."""

import collections
import json
import os
import re
import signal
import subprocess
import time

import kernel
from bench import TOOL, equal, limit, quadruplet_of

LOST = re.compile(r"^(\d+) events lost, numbers (\d+) to (\d+): ")


class Follower:
    """log.file of a config with one, and whoever follows into it."""

    def __init__(self, t, path=None, size="8M", name="follow"):
        self.t = t
        self.path = path or os.path.join(t.folder, "events.json")
        t.spread(t.sources(), top=f'log {{\n    file = "{self.path}"\n    size = "{size}"\n}}', name=name)
        self.state = os.path.join(t.state, name + ".state")
        self.process = None

    def create(self):
        """The state file, by a client that does nothing."""
        self.t.run(["true"])
        assert os.path.exists(self.state), "no state file"

    def start(self, *options):
        self.process = subprocess.Popen([TOOL, "log", "-f", "-c", self.t.conf, *options], env=self.t.environment(bare=True),
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return self

    def stop(self, number=signal.SIGTERM, timeout=30):
        if number:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=timeout)
        return self.process.returncode, out, err

    def storm(self, count, rate=0, incidents=0, n=1):
        """n processes that write count events each."""
        argv = [self.t.program("event_storm"), self.state, str(count), str(rate), str(incidents)]
        return [subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) for _ in range(n)]

    def lines(self, *files):
        found = []
        for path in filter(os.path.exists, files or [self.path]):
            with open(path) as f:
                text = f.read()
            assert text == "" or text.endswith("\n"), f"{path} ends in half a line: {text[-80:]!r}"
            found += [json.loads(line) for line in text.splitlines()]
        return found

    def count(self):
        """Lines of the storm in the file as it is now, half a line not counted."""
        if not os.path.exists(self.path):
            return 0
        with open(self.path, "rb") as f:
            return sum(b'"program":"storm"' in line and line.endswith(b"\n") for line in f)

    def size(self):
        return os.path.getsize(self.path) if os.path.exists(self.path) else 0


def ring_events(t):
    done = t.tool("log", "-o", "json", "-c", t.conf, check=0)
    return [json.loads(line) for line in done.stdout.splitlines()]


def end(processes, may_drop=False):
    for p in processes:
        out, _ = p.communicate(timeout=60)
        equal(p.returncode, 0, "a writer's exit status")
        assert out == "0 dropped\n" or may_drop, f"a writer: {out}"


def lost(events):
    """How many events the file says were lost."""
    said = [LOST.match(e["text"]) for e in events if e["event"] == "control" and LOST.match(e.get("text", ""))]
    return sum(int(m.group(1)) for m in said), len(said)


def accounted(events, issued):
    """Each number at most once, and those that are missing are those that are said to be lost. Returns how many."""
    numbers = collections.Counter((e["epoch"], e["seq"]) for e in events)
    twice = [n for n, count in numbers.items() if count > 1]
    equal(twice[:5], [], f"numbers that occur twice ({len(twice)})")
    n_lost, said = lost(events)
    equal(len(events) - said, issued - n_lost, "lines = issued - lost")
    return n_lost


def whole_storm(events, processes, count):
    """Everything that the writers wrote is there."""
    got = collections.Counter((e["pid"], e["age_us"]) for e in events if e["program"] == "storm" and e["event"] == "time-wait")
    texts = collections.Counter((e["pid"], e["text"]) for e in events if e["program"] == "storm" and e["event"] == "control")
    equal(len(got) + len(texts), len(processes) * count, "distinct events of the writers")
    equal(sum(got.values()) + sum(texts.values()), len(processes) * count, "events of the writers")


@limit(120)
def test_a_burst_of_eight_processes(t):
    """320,000 events as fast as eight processes write: the file has what was issued, less what it says was lost."""
    f = Follower(t)
    f.create()
    f.start()
    began = time.monotonic()
    writers = f.storm(40000, incidents=500, n=8)
    end(writers, may_drop=True)  # one that was preempted for a whole lap of the ring
    took = time.monotonic() - began
    equal(f.stop()[0], 0, "the follower's exit status")
    events = f.lines()
    n_lost = accounted(events, 320000)
    print(f"320,000 events in {took:.2f} s ({320000 / took:.0f}/s), {n_lost} lost and said to be")


@limit(120)
def test_a_hundred_thousand_a_second(t):
    """Four processes, together 100,000 events a second for three seconds: none is lost."""
    f = Follower(t)
    f.create()
    f.start()
    writers = f.storm(75000, rate=25000, incidents=1000, n=4)
    end(writers)
    equal(f.stop()[0], 0, "the follower's exit status")
    with open(f.path) as file:
        equal(file.read(9), '{"time":"', "the file's beginning")
    events = f.lines()
    equal(accounted(events, 300000), 0, "lost")
    whole_storm(events, writers, 75000)


@limit(120)
def test_killed_and_started_again(t):
    """SIGKILL of the follower again and again while events come: no number twice, none missing."""
    f = Follower(t, size="32M")
    f.create()
    f.start()
    writers = f.storm(60000, rate=10000, incidents=100, n=4)
    kills = 0
    while any(w.poll() is None for w in writers):
        time.sleep(0.15 + 0.02 * (kills % 7))
        f.process.kill()
        f.process.wait()
        kills += 1
        f.start()
    end(writers)
    equal(f.stop(0)[0], 0, "the last follower's exit status")
    assert kills > 10, f"killed {kills} times"
    events = f.lines()
    equal(accounted(events, 240000), 0, "lost")
    whole_storm(events, writers, 60000)


@limit(120)
def test_killed_where_a_rotation_follows(t):
    """SIGKILL, then the file is renamed before the next follower starts, again and again."""
    f = Follower(t, size="32M")
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
    equal(f.stop(0)[0], 0, "the last follower's exit status")
    for path in files:
        mend(path)
    events = f.lines(*files, f.path)
    equal(accounted(events, 160000), 0, "lost")
    whole_storm(events, writers, 40000)


def mend(path):
    """Half a line at the end of a file that was renamed after the follower died belongs to nobody: it is written again."""
    with open(path, "rb+") as f:
        data = f.read()
        f.truncate(data.rfind(b"\n") + 1)


def test_rotation_by_rename(t):
    """mv, as logrotate does, with and without `create`: every event is in one of the files, the new one has mode 0640."""
    f = Follower(t, size="32M")
    f.create()
    os.umask(0o022)
    f.start()
    writers = f.storm(30000, rate=10000, n=4)
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
    equal(os.stat(files[0]).st_mode & 0o777, 0o640, "mode of a file that the follower made")
    equal(accounted(events, 120000), 0, "lost")
    whole_storm(events, writers, 30000)


def test_rotation_by_copytruncate(t):
    """A copy is made and the file cut to nothing while the follower has it open: it goes on from the start of the file."""
    f = Follower(t)
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
    f = Follower(t, path=os.path.join(folder, "events.json"))
    f.create()
    f.start()
    end(f.storm(3000))
    kernel.wait_until(lambda: os.statvfs(folder).f_bavail == 0 or f.size() > 900_000, what="the disk to be full")
    time.sleep(0.6)
    before = f.lines()
    assert 0 < len(before) < 3000, f"{len(before)} lines on the full disk"
    saved = os.path.join(t.folder, "saved.json")
    subprocess.run(["cp", f.path, saved], check=True)
    os.truncate(f.path, 0)
    kernel.wait_until(lambda: f.count() + len(before) >= 3000, 10, "the rest, after the disk was emptied")
    end(f.storm(100000), may_drop=True)  # far more than the disk and the ring hold
    time.sleep(0.5)
    subprocess.run(["mount", "-o", "remount,size=200M", folder], check=True)
    status, _, stderr = f.stop()
    equal(status, 0, "exit status")
    assert "No space left on device" in stderr and "works again" in stderr, stderr
    events = f.lines(saved, f.path)
    n_lost = accounted(events, 103000)
    assert n_lost > 10000, f"{n_lost} lost"
    print(f"{n_lost} of 103,000 lost while the disk was full, and said to be")


def test_a_disk_that_stays_full_until_the_end(t):
    """SIGTERM while nothing can be written: it says so, and the next follower goes on from there."""
    folder = os.path.join(t.folder, "small")
    os.mkdir(folder)
    kernel.libc.unshare(0x00020000)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], check=True)
    f = Follower(t, path=os.path.join(folder, "events.json"))
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


def test_more_than_the_ring_holds(t):
    """While nobody follows the ring goes round: the follower begins with what is there and says how much is not."""
    f = Follower(t, size="64k")
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
    said = [e for e in events if e["event"] == "control"]
    assert "larger log.size" in said[0]["text"], said[0]
    done = t.tool("log", f.path, check=0)
    assert "events lost, numbers" in done.stdout, "the line is one that log reads"
    equal((done.stderr, len(done.stdout.splitlines())), ("", len(events)), "stderr, lines")


def test_a_writer_killed_in_the_middle(t):
    """Writers that are killed anywhere leave gaps that are said, and hold nobody up."""
    f = Follower(t)
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


def test_one_follower_an_instance(t):
    """The second says so and leaves."""
    f = Follower(t)
    f.create()
    f.start("--keep")
    kernel.wait_until(lambda: os.path.exists(f.state.replace(".state", ".follower")), what="the journal")
    time.sleep(0.3)
    done = t.tool("log", "-f", "-c", t.conf)
    equal((done.returncode, done.stdout), (0, ""), "the second's exit status and stdout")
    equal(done.stderr, f"connspread: a follower writes {f.path} already\n", "the second's stderr")
    equal(f.stop(signal.SIGINT)[0], 0, "the first's exit status")


def followers(t):
    """Processes that are `connspread log -f` of this test."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline") as f:
                argv = f.read().split("\0")
            if argv[:3] == ["connspread", "log", "-f"] and t.folder in " ".join(argv):
                found.append(int(pid))
        except OSError:
            pass
    return found


def test_started_by_run(t):
    """`run` starts one, detached in every way; it ends by itself with everything written; the client's events are the ring's."""
    f = Follower(t)
    port = t.server()
    agent = t.agent(via="run", LD_PRELOAD="")
    agent(f"burst(100, '10.1.0.1', {port})")
    found = kernel.wait_until(lambda: followers(t), what="a follower")
    equal(len(found), 1, "followers")
    pid = found[0]
    fds = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    equal({fd for fd in fds if fd not in ("/dev/null", f.path, f.state, f.state.replace(".state", ".follower"))}, set(), "its descriptors")
    with open(f"/proc/{pid}/environ") as file:
        assert "LD_PRELOAD" not in file.read(), "LD_PRELOAD in the follower's environment"
    with open(f"/proc/{pid}/stat") as file:
        stat = file.read().rsplit(")")[1].split()
    assert int(stat[1]) != agent.pid and int(stat[3]) != os.getsid(0), "the follower is the client's child, or in its session"
    with open(f"/proc/{agent.pid}/task/{agent.pid}/children") as file:
        equal(file.read(), "", "children of the client")
    second = t.agent(via="run", LD_PRELOAD="")
    second(f"burst(50, '10.1.0.1', {port})")
    equal(len(followers(t)), 1, "followers with a second client")
    agent.end()
    second.end()
    kernel.wait_until(lambda: not followers(t), 20, "the follower did not end")
    kernel.settle(port)
    events = f.lines()
    equal([(e["epoch"], e["seq"]) for e in events], [(e["epoch"], e["seq"]) for e in ring_events(t)], "numbers in file and ring")
    waits = collections.Counter(kernel.time_waits(port))
    equal(collections.Counter(quadruplet_of(e) for e in events if e["event"] == "time-wait") - waits, collections.Counter(), "events without a TIME-WAIT")
    equal(sum(waits.values()), 150, "TIME-WAITs")


def test_a_client_that_is_idle_is_a_client(t):
    """No event for longer than the follower waits: it stays while the client lives, and names what is killed."""
    f = Follower(t)
    port = t.server()
    agent = t.agent(via="run", LD_PRELOAD="")
    agent("1")
    time.sleep(8)
    equal(len(followers(t)), 1, "followers after 8 s without an event")
    agent(f"hold(20, '10.1.0.1', {port})")
    agent.process.kill()
    agent.process.wait()
    kernel.wait_until(lambda: not followers(t), 20, "the follower did not end")
    events = [e for e in f.lines() if e["event"] == "time-wait"]
    kernel.settle(port)
    equal(sorted(quadruplet_of(e) for e in events), kernel.time_waits(port), "quadruplets")
    equal({e["via"] for e in events}, {"killed"}, "via")


def test_clients_one_after_the_other(t):
    """Short runs, one after the other, with the follower on its way out in between: every event is in the file."""
    f = Follower(t)
    port = t.server()
    burst = t.program("burst")
    for i in range(6):
        t.run([burst, "10.1.0.1", str(port), "50"], via="run", LD_PRELOAD="")
        time.sleep(1.7 * i)
    kernel.wait_until(lambda: not followers(t), 20, "the follower did not end")
    numbers = {(e["epoch"], e["seq"]) for e in f.lines()}
    equal(numbers, {(e["epoch"], e["seq"]) for e in ring_events(t)}, "numbers in file and ring")
    equal(len([e for e in f.lines() if e["event"] == "time-wait"]), 300, "time-wait events")


def test_a_file_that_cannot_be_written(t):
    """`run` says so and runs the program; symbolic links and folders are refused."""
    link = os.path.join(t.folder, "link.json")
    os.symlink("/dev/null", link)
    for path, why in ((os.path.join(t.folder, "missing/x"), "No such file"), (link, "symbolic link"), (t.folder, "Is a directory")):
        t.config(f'log {{ file = "{path}" }}\n', "refused")
        done = t.run(["echo", "ran"], via="run", check=False, LD_PRELOAD="")
        equal((done.returncode, done.stdout), (0, "ran\n"), f"exit status and output with {path}")
        assert why in done.stderr or "symbolic" in why and "Too many levels" in done.stderr, done.stderr
    equal(followers(t), [], "followers")


def test_the_state_file_is_replaced(t):
    """Another state file under the same name has another epoch: the follower goes on with that."""
    f = Follower(t)
    f.create()
    f.start("--keep")
    end(f.storm(100))
    kernel.wait_until(lambda: f.count() == 100, what="100 lines")
    os.unlink(f.state)
    f.create()
    end(f.storm(50))
    kernel.wait_until(lambda: f.count() == 150, what="150 lines")
    equal(f.stop(signal.SIGINT)[0], 0, "exit status")
    equal(len({e["epoch"] for e in f.lines()}), 2, "epochs")


def test_options_choose_the_terminal(t):
    """-o, or a choice of events, prints and leaves the file alone."""
    f = Follower(t)
    f.create()
    end(f.storm(3))
    for options in (["-o", "json"], ["--event", "time-wait"], ["-o", "text"]):
        f.start(*options)
        time.sleep(0.3)
        status, out, _ = f.stop()
        equal((status, len(out.splitlines())), (0, 3), f"exit status, lines with {options}")
    assert not os.path.exists(f.path), "the file"
