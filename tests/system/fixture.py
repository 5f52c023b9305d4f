"""What the tests are written with: decorators, checks, and the Fixture on which a test starts servers and clients, reads
the log, and compares it with the kernel."""

import datetime
import glob
import json
import os
import shutil
import subprocess

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
    "redis-server": "redis-server", "socat": "socat", "java": "openjdk-17-jdk-headless", "nft": "nftables", "ip": "iproute2", "ss": "iproute2",
    "awk": "mawk", "go": "golang-go", "rustc": "rustc", "fpc": "fp-compiler", "liburing.so.2": "liburing-dev", "perl": "perl-base", "php": "php-cli", "haproxy": "haproxy", "wrk": "wrk",
    "nm": "binutils", "readelf": "binutils", "strace": "strace", "promtool": "prometheus", "jq": "jq", "systemd-analyze": "systemd", "logrotate": "logrotate",
    "libjemalloc.so.2": "libjemalloc2", "libtcmalloc_minimal.so.4": "libtcmalloc-minimal4",
    "clang-format": "clang-format", "clang-tidy": "clang-tidy", "cppcheck": "cppcheck",
    "mandoc": "mandoc", "tmux": "tmux", "python3": "python3", "make": "make", "gcc": "gcc", "git": "git", "unshare": "util-linux", "nsenter": "util-linux", "ldd": "libc-bin", "setpriv": "util-linux",
    "chromium": "chromium", "firefox-esr": "firefox-esr", "bwrap": "bubblewrap", "ssh": "openssh-client", "ssh-keygen": "openssh-client",
}

# What `make check` installs, and what every Debian has: a test that needs more is for check-full.
CHECK_PACKAGES = {"bash", "libc-bin", "mawk", "perl-base", "util-linux", *subprocess.run([os.path.join(ROOT, "contrib/deps.sh"), "check"], env={**os.environ, "DEPS": "list"},
                                                                stdout=subprocess.PIPE, text=True, check=True).stdout.split()}


class Skip(Exception):
    pass


def limit(seconds):
    """Decorator: this test may take so long (default 60 s)."""
    def mark(function):
        function.limit = seconds
        return function
    return mark


def waits(function):
    """Decorator: this test waits for the kernel's timers nearly all of its time. Some such run beside those that -j allows."""
    function.waits = True
    return function


def needs(*commands):
    """Decorator: commands, or libraries, that must be installed. Missing: the test fails, or with ALLOW_SKIP=1 is skipped. If `make check` does
    not install the package of one, the test is for check-full."""
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


def full(function):
    """Decorator: takes long; run by `make check-full` (FULL=1), or when its name is given."""
    function.full = True
    return function


def is_full(function):
    return hasattr(function, "full") or any(PACKAGES.get(command) not in CHECK_PACKAGES for command in getattr(function, "needs", ()))


def found(command):
    return library(command) if ".so" in command else shutil.which(command)


def seconds(time_of_event):
    """The member `time` of an event as seconds since 1970."""
    return datetime.datetime.fromisoformat(time_of_event.replace("Z", "+00:00")).timestamp()


def equal(got, want, what):
    assert got == want, f"{what}: got {got!r}, want {want!r}"


def library(name):
    """The path of a shared library of the distribution, or None."""
    for folder in ("/usr/lib/*-linux-gnu", "/usr/lib", "/lib"):
        paths = glob.glob(os.path.join(folder, name))
        if paths:
            return paths[0]
    return None


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
        self.send(code)
        return self.answered(code)

    def answered(self, code):
        """The answer to what was sent."""
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
        """Reads no answer: for code that does not return (exit, exec), or of which answered() is asked later."""
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


class Fixture:
    """What a test works with."""

    def __init__(self, folder):
        self.folder = folder
        self.state = os.path.join(folder, "state")
        os.mkdir(self.state, 0o700)
        self.conf = None  # the config that clients are started with unless told otherwise
        self.via = "preload"  # how: also run (connspread run), supervise (the same with --supervise)
        self.log_stderr = ""
        self.count = 0
        self.next_port = 9000

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
        """Starts a server (see servers.py) and returns its port, which is in no ephemeral range: connects skip a port that
        anybody listens on."""
        self.next_port += 1
        return servers.start(address, kind, port or self.next_port)

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
        env.update((key, value) for key, value in os.environ.items() if key.endswith("SAN_OPTIONS"))
        if not bare:
            env["LD_PRELOAD"] = preload or SHIM
            if conf or self.conf:
                env["CONNSPREAD_CONF"] = conf or self.conf
        env.update(extra)
        return env

    def command(self, argv, bare=False, via=None, conf=None):
        """What starts a client, in the environment that started() says."""
        how = {"run": ["--"], "supervise": ["--supervise", "--"]}.get("preload" if bare else via or self.via)
        return [TOOL, "run", "-c", conf or self.conf] + how + argv if how else argv

    def started(self, bare=False, via=None, **options):
        """The environment in which command() starts a client."""
        return self.environment(bare=bare or (via or self.via) != "preload", **options)

    def run(self, argv, bare=False, via=None, check=True, timeout=30, input=None, **options):
        """Runs a client to its end: as self.via says, `via="run"` under connspread run, or bare. check: exit 0, empty stderr."""
        env = self.started(bare, via, **options)
        stdin = {"input": input} if input is not None else {"stdin": subprocess.DEVNULL}
        done = subprocess.run(self.command(argv, bare, via), env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=timeout, **stdin)
        if check:
            equal((done.returncode, done.stderr), (0, ""), f"exit status and stderr of {argv[0]}")
        return done

    def start(self, argv, bare=False, via=None, **options):
        """Starts a client in the background; its output goes to files in the test's folder."""
        self.count += 1
        with open(os.path.join(self.folder, f"out{self.count}"), "w") as out:
            env = self.started(bare, via, **options)
            return subprocess.Popen(self.command(argv, bare, via), env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def agent(self, bare=False, via=None, pass_fds=(), wrapper=(), **options):
        self.count += 1
        stderr = os.path.join(self.folder, f"agent{self.count}.err")
        argv = self.command(list(wrapper) + [PYTHON, "-S", os.path.join(HERE, "agent.py")], bare, via)
        with open(stderr, "w") as errors:
            process = subprocess.Popen(argv, env=self.started(bare, via, **options), stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=errors, text=True, pass_fds=pass_fds)
        return Agent(process, stderr)

    def python(self, code, *arguments, **options):
        """An unmodified python3 that runs code."""
        return self.run([PYTHON, "-S", "-c", code] + [str(a) for a in arguments], **options)

    def program(self, name):
        """A test program of this folder or, as FOLDER/NAME, of one below, built by the Makefile."""
        path = os.path.join(PROGRAMS, name)
        assert os.path.exists(path), f"{path} is not built"
        return path

    def files(self):
        """The names in the folder of the state files, but for its lock, which stays for ever."""
        return sorted(set(os.listdir(self.state)) - {".lock"})

    def tool(self, *arguments, check=None, **extra):
        done = subprocess.run([TOOL] + list(arguments), env=self.environment(bare=True, **extra), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=30)
        if check is not None:
            what = f"connspread {' '.join(arguments)}: exit {done.returncode}, want {check}"
            assert done.returncode == check, f"{what}: {done.stdout}{done.stderr}"
        return done

    # --- the log ---

    def events(self, kind=None, conf=None, **match):
        """What `connspread log -o json` reads (of the built-in default's instance when there is no config): all events,
        those of a kind, those with these members."""
        conf = conf or self.conf
        done = self.tool("log", "-o", "json", *(["-c", conf] if conf else ["-i", "default"]), check=0)
        self.log_stderr = done.stderr
        found = [json.loads(line) for line in done.stdout.splitlines()]
        if kind:
            match["event"] = kind
        return [e for e in found if all(e.get(k) == v for k, v in match.items())]

    def attached(self, **match):
        """The shim was at work at all: for tests whose other checks would hold without it."""
        assert self.events("attach", **match), f"no attach event ({match})"

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
