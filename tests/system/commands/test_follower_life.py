"""The follower as a process: one an instance, started by `run`, there as long as there are clients."""

import collections
import os
import signal
import time

import kernel
from fixture import equal, full, quadruplet_of
from follower import Follower, end, ring_events


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


@full
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


@full
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


def test_the_state_file_is_there_before_the_policy(t):
    """A client makes the one, then publishes the other; here for long, with a config that is refused at first."""
    f = Follower(t)
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
