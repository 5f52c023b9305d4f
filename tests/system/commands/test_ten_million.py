"""connspread report over very many events: memory, completeness, time."""

import json
import os
import subprocess

from fixture import TOOL, equal, full, limit, needs
from test_report_files import sums


def measured(path):
    """Reads the file with report; returns the report, its seconds of processor time and its peak memory in MB."""
    with open(path + ".json", "w") as out:
        process = subprocess.Popen([TOOL, "report", "-o", "json", path], stdin=subprocess.DEVNULL, stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    equal(process.returncode, 1, "exit status")
    with open(path + ".json") as f:
        return json.load(f), usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def large(t, count):
    path = os.path.join(t.folder, "large.jsonl")
    with open(path, "w") as f:
        subprocess.run([t.program("many_events"), str(count)], check=True, stdout=f)
    try:
        found, seconds, megabytes = measured(path)
        equal((found["events"], found["failed"]), (count, count // 5000), "events and failures")
        equal(sum(sums(found).values()), count, "sum over programs and destinations, the rest included")
        equal((found["conclusions"][0]["kind"], found["conclusions"][0]["culprit"]), ("time-wait", "hog"), "conclusion")
        assert megabytes < 200, f"{megabytes:.0f} MB of memory"
        return path, seconds, megabytes
    finally:
        if count <= 1000000:
            os.unlink(path)


@limit(120)
def test_memory_is_bounded(t):
    """Ten times the events take no more memory, and every event is in some count."""
    _, _, few = large(t, 20000)
    _, _, many = large(t, 200000)
    assert many < 1.1 * few + 4, f"{few:.0f} MB for 20,000 events, {many:.0f} MB for 200,000"


@full
@limit(1500)
@needs("jq")
def test_events_beside_jq(t):
    """Under 200 MB for ten million; processor time beside `jq -c .` on the first million of them."""
    path, seconds, megabytes = large(t, 10000000)
    print(f"{os.path.getsize(path) / 1e9:.1f} GB: report {seconds:.0f} s, {megabytes:.0f} MB")
    first = os.path.join(t.folder, "first.jsonl")
    with open(first, "w") as f:
        subprocess.run(["head", "-n", "1000000", path], check=True, stdout=f)
    _, seconds, _ = measured(first)
    began = os.times()
    subprocess.run(["jq", "-c", ".", first], check=True, stdout=subprocess.DEVNULL)
    ended = os.times()
    jq = ended.children_user + ended.children_system - began.children_user - began.children_system
    print(f"a million: report {seconds:.1f} s; jq -c . {jq:.1f} s; report / jq {seconds / jq:.2f}")
    assert seconds < jq, f"report took {seconds:.1f} s, jq {jq:.1f} s"
