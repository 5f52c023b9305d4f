"""The recorder as a process: one an instance, started by `run`, there as long as there are clients."""

import collections
import os
import select
import signal
import struct
import subprocess
import time

import kernel
from fixture import PYTHON, TOOL, equal, full, limit, quadruplet_of, waits
from follower import BOOT, Recorder, end, ring_events


def is_locked(path):
    """Does a process hold a lock (flock) on this file?"""
    inode = str(os.stat(path).st_ino) if os.path.exists(path) else None
    with open("/proc/locks") as f:
        return any(line.split()[1] == "FLOCK" and line.split()[5].rsplit(":", 1)[1] == inode for line in f if "->" not in line)


def test_one_recorder_an_instance(t):
    """The second says so and leaves."""
    f = Recorder(t)
    f.create()
    f.start("--keep")
    kernel.wait_until(lambda: is_locked(f.state.replace(".state", ".recorder")), what="the first has no lock on the journal")
    done = t.tool("record", "-c", t.conf)
    equal((done.returncode, done.stdout), (0, ""), "the second's exit status and stdout")
    equal(done.stderr, f"connspread: a recorder writes {f.path} already\n", "the second's stderr")
    equal(f.stop(signal.SIGINT)[0], 0, "the first's exit status")


def recorders(t):
    """Processes that are `connspread record` of this test."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline") as f:
                argv = f.read().split("\0")
            if argv[:2] == ["connspread", "record"] and t.folder in " ".join(argv):
                found.append(int(pid))
        except OSError:
            pass
    return found


def descriptors(pid, sockets):
    """What a process has open, and how often: sockets, or all else."""
    found = collections.Counter()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[os.readlink(f"/proc/{pid}/fd/{fd}")] += 1
        except FileNotFoundError:  # closed meanwhile
            pass
    return collections.Counter({name: n for name, n in found.items() if name.startswith("socket:") == sockets})


@waits
def test_started_by_run(t):
    """`run` starts one, detached in every way; it ends by itself with everything written; the client's events are the ring's."""
    f = Recorder(t)
    port = t.server()
    agent = t.agent(via="run", LD_PRELOAD="")
    agent(f"burst(100, '10.1.0.1', {port})")
    found = kernel.wait_until(lambda: recorders(t), what="a recorder")
    equal(len(found), 1, "recorders")
    pid = found[0]

    # It opens what lies in /proc for a moment, again and again: what it keeps is what it has when it does not.
    kept = {"/dev/null", f.path, f.state, f.state.replace(".state", ".recorder")}
    kernel.wait_until(lambda: descriptors(pid, True).total() == 2, what="it has other sockets than sock_diag, and rtnetlink for addresses that change")
    kernel.wait_until(lambda: set(descriptors(pid, False)) <= kept, what=f"it always has other descriptors than {kept}, now {descriptors(pid, False)}")
    with open(f"/proc/{pid}/environ") as file:
        assert "LD_PRELOAD" not in file.read(), "LD_PRELOAD in the recorder's environment"
    with open(f"/proc/{pid}/stat") as file:
        stat = file.read().rsplit(")")[1].split()
    assert int(stat[1]) != agent.pid and int(stat[3]) != os.getsid(0), "the recorder is the client's child, or in its session"
    with open(f"/proc/{agent.pid}/task/{agent.pid}/children") as file:
        equal(file.read(), "", "children of the client")
    second = t.agent(via="run", LD_PRELOAD="")
    second(f"burst(50, '10.1.0.1', {port})")
    equal(len(recorders(t)), 1, "recorders with a second client")
    agent.end()
    second.end()
    kernel.wait_until(lambda: not recorders(t), 20, "the recorder did not end")
    kernel.settle(port)
    events = f.lines()
    equal([(e["epoch"], e["seq"]) for e in events], [(e["epoch"], e["seq"]) for e in ring_events(t)], "numbers in file and ring")
    waits = collections.Counter(kernel.time_waits(port))
    equal(collections.Counter(quadruplet_of(e) for e in events if e["event"] == "time-wait") - waits, collections.Counter(), "events without a TIME-WAIT")
    equal(sum(waits.values()), 150, "TIME-WAITs")


def test_it_keeps_no_descriptor_of_the_client(t):
    """Also where there is no close_range: the reader of a pipe sees its end when the client has closed it."""
    Recorder(t)
    reading, writing = os.pipe()
    code = f"import os, sys; os.close({writing}); sys.stdin.read()"  # it lives on, and so does the recorder
    process = subprocess.Popen([TOOL, "run", "-c", t.conf, "--", PYTHON, "-S", "-c", code], pass_fds=[writing], stdin=subprocess.PIPE,
                               env=dict(t.environment(bare=True), LD_PRELOAD=t.program("no_close_range.so")))
    os.close(writing)
    kernel.wait_until(lambda: recorders(t), what="no recorder")
    assert select.select([reading], [], [], 15)[0], "the recorder has the pipe open"
    equal((os.read(reading, 1), len(recorders(t)), process.poll()), (b"", 1, None), "the pipe, recorders, the client's end")
    process.communicate()
    equal(process.returncode, 0, "exit status")
    os.close(reading)


@full
def test_a_client_that_is_idle_is_a_client(t):
    """No event for longer than the recorder waits: it stays while the client lives, and names what is killed."""
    f = Recorder(t)
    port = t.server()
    agent = t.agent(via="run", LD_PRELOAD="")
    agent("1")
    time.sleep(8)
    equal(len(recorders(t)), 1, "recorders after 8 s without an event")
    agent(f"hold(20, '10.1.0.1', {port})")
    agent.process.kill()
    agent.process.wait()
    kernel.wait_until(lambda: not recorders(t), 20, "the recorder did not end")
    events = [e for e in f.lines() if e["event"] == "time-wait"]
    kernel.settle(port)
    equal(sorted(quadruplet_of(e) for e in events), kernel.time_waits(port), "quadruplets")
    equal({e["via"] for e in events}, {"killed"}, "via")


@full
@limit(120)
def test_clients_one_after_the_other(t):
    """Short runs, one after the other, with the recorder on its way out in between: every event is in the file."""
    f = Recorder(t)
    port = t.server()
    burst = t.program("burst")
    for i in range(6):
        t.run([burst, "10.1.0.1", str(port), "50"], via="run", LD_PRELOAD="")
        time.sleep(1.7 * i)
    kernel.wait_until(lambda: not recorders(t), 20, "the recorder did not end")
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
    equal(recorders(t), [], "recorders")


def test_a_file_that_cannot_be_written_yet(t):
    """`record` says so before the first event, and goes on; what comes is written once it can be."""
    folder = os.path.join(t.folder, "missing")
    f = Recorder(t, path=os.path.join(folder, "events.json"))
    f.create()
    f.start("--keep")
    said = f.process.stderr.readline()
    assert f"{f.path}: No such file or directory; trying again until it works" in said, said
    os.mkdir(folder)
    end(f.storm(10))
    kernel.wait_until(lambda: f.count() == 10, what="the events")
    status, _, stderr = f.stop()
    equal(status, 0, "exit status")
    assert "works again" in stderr, stderr


def test_the_state_file_is_replaced(t):
    """Another state file under the same name has another epoch: the recorder goes on with that."""
    f = Recorder(t)
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


def test_the_state_file_is_there_before_the_policy(t):
    """A client makes the one, then publishes the other; here for long, with a config that is refused at first."""
    f = Recorder(t)
    with open(t.conf) as file:
        good = file.read()
    kernel.write(t.conf, good + "nonsense\n")
    f.create()
    f.start("--keep")
    time.sleep(0.5)
    kernel.write(t.conf, good)
    f.create()
    end(f.storm(20))
    kernel.wait_until(lambda: f.count() == 20, what="20 lines in log.file")
    equal(f.stop(signal.SIGINT)[0], 0, "exit status")


def test_log_f_only_prints(t):
    """With log.file set and without: events on stdout, and no file, no journal."""
    f = Recorder(t)
    f.create()
    end(f.storm(3))
    for options in ([], ["-o", "json"], ["--event", "time-wait"]):
        process = subprocess.Popen([TOOL, "log", "-f", "-c", t.conf, *options], env=t.environment(bare=True), stdout=subprocess.PIPE, text=True)
        equal(len([process.stdout.readline() for _ in range(3)]), 3, f"lines with {options}")
        process.send_signal(signal.SIGTERM)
        equal((process.communicate(timeout=10)[0], process.returncode), ("", 0), f"the rest, exit status with {options}")
    equal([name for name in t.files() if name.endswith(".recorder")] + [f.path] * os.path.exists(f.path), [], "journals and log.file")
    equal(t.tool("log", "-f", "--keep", "-c", t.conf).returncode, 2, "log --keep")


def test_without_log_file_there_is_nothing_to_record(t):
    """A message that says what to set, and status 2; with no state file it waits for one, and ends by a signal."""
    t.config("")
    t.run(["true"])
    done = t.tool("record", "-c", t.conf)
    equal((done.returncode, done.stdout), (2, ""), "exit status and stdout")
    assert f"record: {t.conf} names no log.file" in done.stderr and "try:" in done.stderr, done.stderr
    equal(t.tool("record", "FILE").returncode, 2, "with an argument")
    waiting = subprocess.Popen([TOOL, "record", "-i", "nobody"], env=t.environment(bare=True), stderr=subprocess.PIPE, text=True)
    assert "not there yet" in waiting.stderr.readline(), "what it waits for"
    waiting.send_signal(signal.SIGTERM)
    equal(waiting.wait(timeout=10), 0, "exit status by a signal")


def test_what_the_dead_left_at_another_boot_is_forgotten(t):
    """A recorder that starts over such a file says so, once, and tells of what is killed from then on."""
    f = Recorder(t)
    port = t.server()

    def killed(n):
        agent = t.agent()
        agent(f"hold({n}, '10.1.0.1', {port})")
        agent.process.kill()
        agent.process.wait()

    killed(7)
    with open(f.state, "r+b") as file:
        file.seek(BOOT)
        number = struct.unpack("Q", file.read(8))[0]
        file.seek(BOOT)
        file.write(struct.pack("Q", number ^ 1))
    f.start("--keep")
    kernel.wait_until(lambda: f.size() > 0, what="a line")
    killed(3)
    kernel.wait_until(lambda: len([e for e in f.lines_so_far() if e["event"] == "time-wait"]) >= 3, what="three events")
    status, _, err = f.stop(signal.SIGINT)
    equal((status, len([e for e in f.lines() if e["event"] == "time-wait"])), (0, 3), "exit status, TIME-WAITs told")
    assert "what became of 7 connections that were open then cannot be known" in err, err
