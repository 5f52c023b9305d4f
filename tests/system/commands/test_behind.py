"""How far the recorder is behind, as stat tells it: against what was written into the state file, and what the log file has."""

import json
import os
import re
import signal
import time

import exposition
import kernel
from fixture import equal
from follower import Recorder, end, lost, ring_events


def recorder_of(t):
    """{name: value} of the recorder's metrics; the same in JSON."""
    text = t.tool("stat", "-o", "prometheus", "-c", t.conf, check=0).stdout
    exposition.check(text)
    metrics = {name: float(value) for name, value in re.findall(r"^connspread_recorder_(\w+)\{.*\} (\S+)$", text, re.M)}
    return metrics, json.loads(t.tool("stat", "-o", "json", "-c", t.conf, check=0).stdout).get("recorder")


def pending(t):
    return recorder_of(t)[0]["pending_events"]


def is_current(t):
    metrics, told = recorder_of(t)
    return metrics["pending_events"] == metrics["behind_seconds"] == told["pending"] == told["behind_s"] == 0


def test_a_stopped_recorder_is_behind(t):
    """What it lacks is what was written meanwhile; it is as old as its stop; when it goes on, it lacks nothing."""
    f = Recorder(t)
    f.create()
    f.start("--keep")
    end(f.storm(1000))
    kernel.wait_until(lambda: is_current(t), 15, "the recorder does not write all")
    lines = f.count()
    equal(lines, 1000, "lines")
    f.freeze()
    stopped = time.time()
    end(f.storm(700))
    kernel.wait_until(lambda: recorder_of(t)[0]["behind_seconds"] > 0.3, 15, "stat does not tell how old the events may be")
    metrics, told = recorder_of(t)
    now = time.time()
    equal((metrics["pending_events"], told["pending"], metrics["lost_events_total"]), (700, 700, 0), "events that the file lacks")
    assert stopped - 15 < metrics["written_timestamp_seconds"] <= stopped, (metrics, stopped)
    # JSON has whole milliseconds, rounded: up to half of one more than it is, and stat can take less than that to end.
    assert 0.3 < told["behind_s"] <= now - metrics["written_timestamp_seconds"] + 0.0005, (told, metrics, now)
    assert re.search(r"^log file +lacks 700 events, of the last \d", t.tool("stat", "-c", t.conf, check=0).stdout, re.M), "text"
    f.process.send_signal(signal.SIGCONT)
    kernel.wait_until(lambda: is_current(t) and f.count() == 1700, 15, "the recorder does not catch up")
    assert re.search(r"^log file +has every event$", t.tool("stat", "-c", t.conf, check=0).stdout, re.M), "text"
    f.stop()


def test_without_a_recorder_all_is_missing(t):
    """log.file is set and no recorder has ever run: as old as the state file. Without log.file there is nothing to say."""
    f = Recorder(t)
    f.create()
    end(f.storm(50))
    metrics, _ = recorder_of(t)
    equal(metrics["pending_events"], len(ring_events(t)), "events that the file lacks")
    assert metrics["pending_events"] >= 50 and metrics["behind_seconds"] > 0, metrics
    t.spread(["10.0.0.11"], name="other")
    t.run(["true"])
    equal(recorder_of(t), ({}, None), "of an instance without log.file")


def test_a_file_that_takes_nothing_leaves_the_recorder_behind(t):
    folder = os.path.join(t.folder, "logs")
    os.mkdir(folder)
    f = Recorder(t, path=folder + "/events.json")
    f.create()
    f.start("--keep")
    kernel.wait_until(lambda: is_current(t), 15, "the recorder does not begin")
    os.rename(folder, folder + ".away")
    end(f.storm(300))
    kernel.wait_until(lambda: pending(t) == 300 and recorder_of(t)[0]["behind_seconds"] > 0, 15, "stat does not say that the file takes nothing")
    os.rename(folder + ".away", folder)
    kernel.wait_until(lambda: is_current(t) and f.count() == 300, 15, "the recorder does not catch up")
    f.stop()


def test_lost_events_are_counted(t):
    """More than the buffer holds while the recorder is stopped: as many as the file says."""
    f = Recorder(t, size="1M")
    f.create()
    f.start("--keep")
    kernel.wait_until(lambda: is_current(t), 15, "the recorder does not begin")
    f.freeze()
    end(f.storm(12000))
    f.process.send_signal(signal.SIGCONT)
    kernel.wait_until(lambda: is_current(t), 15, "the recorder does not catch up")
    n, _ = lost(f.lines_so_far())
    assert n > 0, "nothing was lost"
    equal((recorder_of(t)[0]["lost_events_total"], recorder_of(t)[1]["lost"]), (n, n), "lost, as the file says")
    f.stop()
