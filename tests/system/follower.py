"""What the tests of the recorder share: a config with log.file, writers of events, and the account of what the file has."""

import collections
import json
import os
import re
import signal
import subprocess

import kernel
from fixture import TOOL, equal

BOOT = 168 + 12 * 16 + 8  # bytes before struct state_header's boot: header, sections, refused (src/state/layout.h)
LOST = re.compile(r"^(\d+) events lost, numbers (\d+) to (\d+): ")


class Recorder:
    """log.file of a config with one, and whoever follows into it."""

    def __init__(self, t, path=None, size="8M", name="follow", sources=None):
        self.t = t
        self.path = path or os.path.join(t.folder, "events.json")
        t.spread(sources or t.sources(), top=f'log {{\n    file = "{self.path}"\n    size = "{size}"\n}}', name=name)
        self.state = os.path.join(t.state, name + ".state")
        self.process = None

    def create(self):
        """The state file, by a client that does nothing."""
        self.t.run(["true"])
        assert os.path.exists(self.state), "no state file"

    def start(self, *options):
        self.process = subprocess.Popen([TOOL, "record", "-c", self.t.conf, *options], env=self.t.environment(bare=True),
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return self

    def stop(self, number=signal.SIGTERM, timeout=30):
        if number:
            if number != signal.SIGKILL:  # a recorder that has only just begun would die of it
                kernel.wait_until(lambda: self.process.poll() is not None or kernel.catches(self.process.pid, number), what="the recorder does not catch the signal")
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=timeout)
        return self.process.returncode, out, err

    def freeze(self):
        """SIGSTOP, which another processor heeds a moment later: it has stopped when this returns."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)

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

    def each(self, containing="", whole=True):
        """lines() one after the other, for a file that is larger than memory: those with this text. Not whole: it is still written."""
        with open(self.path) as f:
            for line in f:
                assert line.endswith("\n") or not whole, f"{self.path} ends in half a line: {line[-80:]!r}"
                if containing in line and line.endswith("\n"):
                    yield json.loads(line)

    def lines_so_far(self):
        """While it writes: what stands behind the last newline is on its way."""
        if not os.path.exists(self.path):
            return []
        with open(self.path) as f:
            return [json.loads(line) for line in f if line.endswith("\n")]

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
    said = [LOST.match(e["text"]) for e in events if e["event"] == "override" and LOST.match(e.get("text", ""))]
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
    texts = collections.Counter((e["pid"], e["text"]) for e in events if e["program"] == "storm" and e["event"] == "override")
    equal(len(got) + len(texts), len(processes) * count, "distinct events of the writers")
    equal(sum(got.values()) + sum(texts.values()), len(processes) * count, "events of the writers")
