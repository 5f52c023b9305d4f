"""Runs the tests in FOLDER/test_*.py.

A test is a function test_NAME(t); t is a Fixture. It runs in a process, a network namespace and a folder of its own, with
a time limit; whatever it started is ended when it returns. It fails by raising.
"""

import argparse
import faulthandler
import fnmatch
import glob
import importlib.util
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback

import kernel
from fixture import HERE, PACKAGES, SHIM, TOOL, Fixture, Skip, found, is_full, missing

OK, FAILED, SKIPPED, TODO = 0, 1, 2, 3
IDLE = 3


def matches(name, patterns):
    """A pattern is a part of FOLDER.TOPIC.NAME, or a glob for it, or for TOPIC.NAME."""
    names = (name, name.partition(".")[2])
    return any(p in name or any(fnmatch.fnmatch(n, p) for n in names) for p in patterns)


def topics():
    """(FOLDER.TOPIC, module) of each FOLDER/test_TOPIC.py."""
    paths = sorted(glob.glob(os.path.join(HERE, "*", "test_*.py")))
    sys.path += sorted({os.path.dirname(path) for path in paths})  # tests share modules, over folders too
    for path in paths:
        topic = f"{os.path.basename(os.path.dirname(path))}.{os.path.basename(path)[len('test_'):-len('.py')]}"
        spec = importlib.util.spec_from_file_location("test_" + topic.replace(".", "_"), path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield topic, module


def discover(patterns, left_out):
    tests = []
    for topic, module in topics():
        for name, function in vars(module).items():
            if name.startswith("test_") and callable(function):
                full = f"{topic}.{name[len('test_'):]}"
                skipped = not patterns and os.environ.get("FULL") != "1" and is_full(function)
                if not skipped and (not patterns or matches(full, patterns)) and not matches(full, left_out):
                    tests.append((full, function))
    return tests


def perform(function, folder, why_path, seconds):
    """In the test's own process: runs it, writes the reason of a failure to why_path, returns the exit status."""
    why, status = "", OK
    try:
        for command in getattr(function, "needs", ()):
            if not found(command):
                missing(PACKAGES[command])
        for path in (SHIM, TOOL):
            assert os.path.exists(path), f"{path} is not built"
        kernel.enter_namespace()
        faulthandler.dump_traceback_later(seconds - 0.5)  # a thread: a user namespace can only be entered without
        function(Fixture(folder))
    except Skip as e:
        why, status = str(e), SKIPPED
    except AssertionError as e:
        why, status = str(e) or traceback.format_exc(), FAILED
        traceback.print_exc()
    except BaseException as e:  # the runner must hear of it, whatever it is
        why, status = f"{type(e).__name__}: {e}", FAILED
        traceback.print_exc()
    kernel.write(why_path, why)
    return status


def guard(function, folder, output):
    """Forks the test, waits for it no longer than its limit, then ends every process that is left of it."""
    seconds = getattr(function, "limit", 60) * int(os.environ.get("LIMIT_TIMES", "1"))  # more where programs are emulated
    why_path = os.path.join(folder, "why")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(FAILED))
    kernel.become_guardian()
    os.dup2(output, 1)
    os.dup2(output, 2)
    test = os.fork()
    if test == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        status = perform(function, folder, why_path, seconds)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    status = None
    end = time.monotonic() + seconds
    try:
        while status is None and time.monotonic() < end:
            pid, result = os.waitpid(test, os.WNOHANG)
            status = os.waitstatus_to_exitcode(result) if pid else None
            time.sleep(0.01)
    finally:
        end_children()
    if status is None:
        kernel.write(why_path, f"timed out after {seconds} s")
        status = FAILED
    elif status < 0:
        kernel.write(why_path, f"the test process died of signal {-status}")
        status = FAILED
    return status


def end_children():
    """Kills our children; their own orphans become ours and follow, until none is left."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        left = kernel.children()
        if not left:
            return
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        for pid in left:  # the init of a pid namespace ends only after those that we must wait for
            os.waitpid(pid, os.WNOHANG)
        time.sleep(0.002)


class Job:
    def __init__(self, name, function):
        self.name, self.function = name, function
        self.folder = tempfile.mkdtemp(prefix="connspread-system-")
        self.output = open(os.path.join(self.folder, "output"), "w+")
        self.began = time.monotonic()
        self.guardian = os.fork()
        if self.guardian == 0:
            try:
                os._exit(guard(function, self.folder, self.output.fileno()))
            finally:
                os._exit(FAILED)

    def report(self, status, verbose):
        took = time.monotonic() - self.began
        if status == FAILED and hasattr(self.function, "later"):
            status = TODO
        why = ""
        path = os.path.join(self.folder, "why")
        if os.path.exists(path):
            with open(path) as f:
                why = f.read()
        if status == OK:
            note = f" (was expected of issue {self.function.later})" if hasattr(self.function, "later") else ""
            print(f"ok {self.name} ({took:.1f} s){note}")
        elif status == SKIPPED:
            print(f"skip {self.name}: {why}")
        elif status == TODO:
            print(f"todo {self.name}: issue {self.function.later}: {why.splitlines()[0] if why else ''}")
        else:
            print(f"FAIL {self.name}: {why or 'no reason given'}")
        self.output.seek(0)
        text = self.output.read().rstrip()
        if text and (verbose or status == FAILED):
            print("    " + text.replace("\n", "\n    "))
        sys.stdout.flush()
        self.output.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        return status


def next_test(waiting, running, jobs):
    """Which of the waiting tests begins now, or None. With two or more at a time, IDLE of those that only wait need no place of their own."""
    idle = sum(hasattr(job.function, "waits") for job in running) if jobs > 1 else 0
    waits = next((at for at, (_, function) in enumerate(waiting) if hasattr(function, "waits")), None)
    if jobs > 1 and idle < IDLE and waits is not None:
        return waits
    return 0 if waiting and len(running) - min(idle, IDLE) < jobs else None


def main():
    # A shell starts what it puts in the background with SIGINT ignored, and a program would inherit that from us.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parser = argparse.ArgumentParser(description="Run the system tests.")
    parser.add_argument("filter", nargs="*", help="part of a name, or a glob, such as close or 'clients.*'")
    parser.add_argument("-x", action="append", default=[], metavar="FILTER", help="leave these out")
    parser.add_argument("-j", type=int, default=2, metavar="N", help="tests at a time (default 2)")
    parser.add_argument("-v", action="store_true", help="show the output of tests that pass, too")
    parser.add_argument("-l", action="store_true", help="list the tests")
    options = parser.parse_args()
    waiting = discover(options.filter, options.x)
    if options.l:
        print("\n".join(name for name, _ in waiting))
        return 0
    running, results, again, alone = {}, [], set(), []
    second_run = os.environ.get("FULL") == "1"
    waiting.sort(key=lambda test: -getattr(test[1], "limit", 60))  # long ones first
    try:
        while waiting or running:
            while (at := next_test(waiting, running.values(), max(1, options.j))) is not None:
                job = Job(*waiting.pop(at))
                running[job.guardian] = job
            pid, result = os.wait()
            job = running.pop(pid)
            status = job.report(os.waitstatus_to_exitcode(result), options.v)
            if status == FAILED and second_run and job.name not in again:
                # Once more at the end, in the hours of check-full: on a busy host a test may run out of time. The last line tells of it.
                again.add(job.name)
                waiting.append((job.name, job.function))
                continue
            if status == OK and job.name in again:
                alone.append(job.name)
            results.append(status)
    finally:
        for pid in running:
            os.kill(pid, signal.SIGTERM)
    line = f"{results.count(OK)} passed, {len(results) - sum(map(results.count, (OK, SKIPPED, TODO)))} failed"
    if SKIPPED in results:
        line += f", {results.count(SKIPPED)} skipped"
    if TODO in results:
        line += f", {results.count(TODO)} of later issues"
    if alone:
        line += f", {len(alone)} passed only alone: {' '.join(sorted(alone))}"
    print(line)
    return 0 if OK in results and all(r in (OK, SKIPPED, TODO) for r in results) else 1
