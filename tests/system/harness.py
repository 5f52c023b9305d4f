"""Runs the tests in test_*.py, and is what they are written with.

A test is a function test_NAME(t); t is a Bench. It runs in a process, a network namespace and a folder of its own, with
a time limit; whatever it started is ended when it returns. It fails by raising.
"""

import argparse
import faulthandler
import fnmatch
import glob
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

import kernel
import servers

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.abspath(os.environ.get("BUILD") or os.path.join(ROOT, "build"))
SHIM = os.path.join(BUILD, "libconnspread.so")
TOOL = os.path.join(BUILD, "connspread")
PROGRAMS = os.path.join(BUILD, "tests")
PYTHON = "/usr/bin/python3"

# The Debian package of each command that a test may need.
PACKAGES = {
    "curl": "curl", "wget": "wget", "nc": "netcat-openbsd", "bash": "bash", "node": "nodejs", "redis-cli": "redis-tools",
    "redis-server": "redis-server", "socat": "socat", "java": "openjdk-17-jdk-headless", "nft": "nftables", "ip": "iproute2",
    "nm": "binutils", "readelf": "binutils", "strace": "strace",
    "libjemalloc.so.2": "libjemalloc2", "libtcmalloc_minimal.so.4": "libtcmalloc-minimal4",
}


class Skip(Exception):
    pass


def limit(seconds):
    """Decorator: this test may take so long (default 60 s)."""
    def mark(function):
        function.limit = seconds
        return function
    return mark


def needs(*commands):
    """Decorator: commands that must be installed. Missing: the test fails, or with ALLOW_SKIP=1 is skipped."""
    def mark(function):
        function.needs = commands
        return function
    return mark


def later(issue):
    """Decorator: promised by a later issue. A failure is shown as `todo` and does not fail the run."""
    def mark(function):
        function.later = issue
        return function
    return mark


def equal(got, want, what):
    assert got == want, f"{what}: got {got!r}, want {want!r}"


def library(name):
    """The path of a shared library of the distribution."""
    for folder in ("/usr/lib/*-linux-gnu", "/usr/lib", "/lib"):
        found = glob.glob(os.path.join(folder, name))
        if found:
            return found[0]
    return missing(PACKAGES[name])


def missing(package):
    if os.environ.get("ALLOW_SKIP") == "1":
        raise Skip(f"package {package} is not installed")
    raise AssertionError(f"package {package} is not installed (ALLOW_SKIP=1 skips)")


def quoted(values):
    return ", ".join(f'"{v}"' for v in values)


class Agent:
    """A preloaded (or bare) agent.py; call it with a line of python."""

    def __init__(self, process, stderr):
        self.process, self.stderr, self.pid = process, stderr, process.pid

    def answer(self, code):
        self.process.stdin.write(json.dumps(code) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"agent ended with {self.process.wait()} at {code!r}: {self.errors()}")
        return json.loads(line)

    def __call__(self, code):
        answer = self.answer(code)
        if "error" in answer:
            raise AssertionError(f"agent: {code!r} raised {answer['error']}")
        return answer["value"]

    def send(self, code):
        """For code that does not return (exit, exec): no answer is read."""
        self.process.stdin.write(json.dumps(code) + "\n")
        self.process.stdin.flush()

    def errors(self):
        with open(self.stderr) as f:
            return f.read()

    def end(self):
        """Lets it leave by itself; its stderr must be empty."""
        if self.process.poll() is None:
            self.process.stdin.close()
        status = self.process.wait(timeout=20)
        equal((status, self.errors()), (0, ""), "agent's exit status and stderr")


class Bench:
    """What a test works with."""

    def __init__(self, folder):
        self.folder = folder
        self.state = os.path.join(folder, "state")
        os.mkdir(self.state, 0o700)
        self.conf = None  # the config that clients are started with unless told otherwise
        self.log_stderr = ""
        self.count = 0

    # --- the host ---

    def sources(self, first=11, last=14):
        """Gives the host 10.0.0.FIRST..LAST and its peer address 10.1.0.1; returns the former."""
        found = kernel.addresses("10.0.0.", first, last)
        kernel.add_addresses("10.1.0.1", *found)
        return found

    def sources6(self, first=11, last=14):
        """The same with fd00:1::FIRST..LAST and fd00:2::1."""
        found = kernel.addresses("fd00:1::", first, last)
        kernel.add_addresses("fd00:2::1", *found)
        return found

    def server(self, address="10.1.0.1", kind="hold", port=0):
        """Starts a server (see servers.py) and returns its port."""
        return servers.start(address, kind, port)

    # --- config ---

    def config(self, text, name="test"):
        """Writes NAME.conf, makes it the one that clients get, and returns its path."""
        self.conf = os.path.join(self.folder, name + ".conf")
        with open(self.conf, "w") as f:
            f.write(text)
        return self.conf

    def spread(self, sources, to=("*",), pool="", rule="", top="", name="test"):
        """One pool, one rule; pool, rule and top are further lines of each section."""
        return self.config(
            f'{top}\npool "p" {{\n    addresses = {{ {quoted(sources)} }}\n{pool}\n}}\n'
            f'rule "r" {{\n    to = {{ {quoted(to)} }}\n    pool = "p"\n{rule}\n}}\n', name)

    # --- clients ---

    def environment(self, bare=False, conf=None, preload=None, **extra):
        env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": self.folder, "LANG": "C.UTF-8",
               "CONNSPREAD_DIR": self.state}
        if not bare:
            env["LD_PRELOAD"] = preload or SHIM
            if conf or self.conf:
                env["CONNSPREAD_CONF"] = conf or self.conf
        env.update(extra)
        return env

    def command(self, argv, via):
        return [TOOL, "run", "-c", self.conf, "--"] + argv if via == "run" else argv

    def run(self, argv, bare=False, via="preload", check=True, timeout=30, input=None, **options):
        """Runs a client to its end: preloaded, `via="run"` under connspread run, or bare. check: exit 0, empty stderr."""
        env = self.environment(bare=bare or via == "run", **options)
        stdin = {"input": input} if input is not None else {"stdin": subprocess.DEVNULL}
        done = subprocess.run(self.command(argv, via), env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout, **stdin)
        if check:
            equal((done.returncode, done.stderr), (0, ""), f"exit status and stderr of {argv[0]}")
        return done

    def start(self, argv, bare=False, via="preload", **options):
        """Starts a client in the background; its output goes to files in the test's folder."""
        self.count += 1
        with open(os.path.join(self.folder, f"out{self.count}"), "w") as out:
            return subprocess.Popen(self.command(argv, via), env=self.environment(bare=bare or via == "run", **options), stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def agent(self, bare=False, via="preload", pass_fds=(), **options):
        self.count += 1
        stderr = os.path.join(self.folder, f"agent{self.count}.err")
        argv = self.command([PYTHON, "-S", os.path.join(HERE, "agent.py")], via)
        with open(stderr, "w") as errors:
            process = subprocess.Popen(argv, env=self.environment(bare=bare or via == "run", **options), stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=errors, text=True, pass_fds=pass_fds)
        return Agent(process, stderr)

    def python(self, code, *arguments, **options):
        """An unmodified python3 that runs code."""
        return self.run([PYTHON, "-S", "-c", code] + [str(a) for a in arguments], **options)

    def program(self, name):
        """A test program of this folder, built by the Makefile."""
        path = os.path.join(PROGRAMS, name)
        assert os.path.exists(path), f"{path} is not built"
        return path

    def tool(self, *arguments, check=None, **extra):
        done = subprocess.run([TOOL] + list(arguments), env=self.environment(bare=True, **extra), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=30)
        if check is not None:
            assert done.returncode == check, f"connspread {' '.join(arguments)}: exit {done.returncode}, want {check}: {done.stdout}{done.stderr}"
        return done

    # --- the log ---

    def events(self, kind=None, conf=None, **match):
        """What `connspread log -o json` reads: all events, those of a kind, those with these members."""
        done = self.tool("log", "-o", "json", "-c", conf or self.conf, check=0)
        self.log_stderr = done.stderr
        found = [json.loads(line) for line in done.stdout.splitlines()]
        if kind:
            match["event"] = kind
        return [e for e in found if all(e.get(k) == v for k, v in match.items())]

    def time_wait_events(self, to_port=None):
        """The quadruplets of all time-wait events, sorted."""
        found = [quadruplet_of(e) for e in self.events("time-wait")]
        return sorted(q for q in found if to_port in (None, q.peer_port))

    def same_time_waits(self, port, n):
        """The kernel shows n TIME-WAITs to this port, and each has exactly one event."""
        kernel.settle(port)
        waits = kernel.time_waits(port)
        equal(len(waits), n, f"TIME-WAIT sockets to port {port}")
        equal(self.time_wait_events(port), waits, "quadruplets of time-wait events")


def quadruplet_of(event):
    return kernel.Quadruplet(event["local_address"], event["local_port"], event["peer_address"], event["peer_port"])


# --- the runner ---

OK, FAILED, SKIPPED, TODO = 0, 1, 2, 3


def discover(patterns):
    tests = []
    for path in sorted(glob.glob(os.path.join(HERE, "test_*.py"))):
        topic = os.path.basename(path)[len("test_"):-len(".py")]
        module = importlib.import_module("test_" + topic)
        for name, function in vars(module).items():
            if name.startswith("test_") and callable(function):
                full = f"{topic}.{name[len('test_'):]}"
                if not patterns or any(p in full or fnmatch.fnmatch(full, p) for p in patterns):
                    tests.append((full, function))
    return tests


def perform(function, folder, why_path):
    """In the test's own process: runs it, writes the reason of a failure to why_path, returns the exit status."""
    why, status = "", OK
    try:
        for command in getattr(function, "needs", ()):
            if not shutil.which(command):
                missing(PACKAGES[command])
        for path in (SHIM, TOOL):
            assert os.path.exists(path), f"{path} is not built"
        kernel.enter_namespace()
        function(Bench(folder))
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
    seconds = getattr(function, "limit", 60)
    why_path = os.path.join(folder, "why")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(FAILED))
    kernel.become_subreaper()
    os.dup2(output, 1)
    os.dup2(output, 2)
    test = os.fork()
    if test == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        faulthandler.dump_traceback_later(seconds - 0.5)
        status = perform(function, folder, why_path)
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
        for pid in left:
            os.waitpid(pid, 0)


class Job:
    def __init__(self, name, function):
        self.name, self.function = name, function
        self.folder = tempfile.mkdtemp(prefix="connspread-system-")
        self.output = open(os.path.join(self.folder, "output"), "w+")
        self.began = time.monotonic()
        self.guardian = os.fork()
        if self.guardian == 0:
            os._exit(guard(function, self.folder, self.output.fileno()))

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


def main():
    parser = argparse.ArgumentParser(description="Run the system tests.")
    parser.add_argument("filter", nargs="*", help="part of a name, or a glob, such as close or 'clients.*'")
    parser.add_argument("-j", type=int, default=2, metavar="N", help="tests at a time (default 2)")
    parser.add_argument("-v", action="store_true", help="show the output of tests that pass, too")
    parser.add_argument("-l", action="store_true", help="list the tests")
    options = parser.parse_args()
    waiting = discover(options.filter)
    if options.l:
        print("\n".join(name for name, _ in waiting))
        return 0
    running, results = {}, []
    waiting.sort(key=lambda test: -getattr(test[1], "limit", 60))  # long ones first
    try:
        while waiting or running:
            while waiting and len(running) < max(1, options.j):
                job = Job(*waiting.pop(0))
                running[job.guardian] = job
            pid, result = os.wait()
            job = running.pop(pid)
            results.append(job.report(os.waitstatus_to_exitcode(result), options.v))
    finally:
        for pid in running:
            os.kill(pid, signal.SIGTERM)
    line = f"{results.count(OK)} passed, {len(results) - sum(map(results.count, (OK, SKIPPED, TODO)))} failed"
    if SKIPPED in results:
        line += f", {results.count(SKIPPED)} skipped"
    if TODO in results:
        line += f", {results.count(TODO)} of later issues"
    print(line)
    return 0 if results and all(r in (OK, SKIPPED, TODO) for r in results) else 1
