"""What the cases are measured with: clients in their modes, a server, configs, and rows of figures."""

import os
import statistics
import subprocess
import sys

import host

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.abspath(os.environ.get("BUILD") or os.path.join(ROOT, "build"))
SHIM = os.path.join(BUILD, "libconnspread.so")
TOOL = os.path.join(BUILD, "connspread")
PROGRAMS = os.path.join(BUILD, "bench")

# Below the ephemeral ranges: a listener inside one would take a port out of it.
PORT = 500
PORTS = 256
DESCRIPTORS = 19000  # of one process; hold.c's HELD_MAX
SOURCES = ["127.0.1.1", "127.0.1.2", "127.0.1.3", "127.0.1.4"]


class Process:
    """A bench program that is told what to do by lines, and answers each with one."""

    def __init__(self, argv, env, **options):
        self.name = os.path.basename(argv[0])
        self.process = subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)

    def send(self, *command):
        self.process.stdin.write(" ".join(str(word) for word in command) + "\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with {self.process.wait()}")
        return [float(word) for word in line.split()]

    def __call__(self, *command):
        self.send(*command)
        return self.answer()

    def end(self):
        self.process.stdin.close()
        self.process.wait()


class Row:
    """One figure: what came out of several rounds, and what it shall be."""

    def __init__(self, case, what, values, unit="x", target=None, against=None):
        self.case, self.what, self.unit, self.target, self.against = case, what, unit, target, against or {}
        self.rounds = len(values)
        self.low, self.median, self.high = min(values), statistics.median(values), max(values)

    def holds(self):
        if self.target is None:
            return None
        return self.median <= self.target[1] if self.target[0] == "<=" else self.median >= self.target[1]

    def as_json(self):
        return {"case": self.case, "what": self.what, "unit": self.unit, "rounds": self.rounds, "min": self.low,
                "median": self.median, "max": self.high, "target": " ".join(map(str, self.target)) if self.target else None,
                "holds": self.holds(), "medians": self.against}


def at_most(bound):
    return "<=", bound


def at_least(bound):
    return ">=", bound


def percentile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * p / 100))]


class Lab:
    """A network namespace with everything that a case starts in it."""

    def __init__(self, folder, quick, sustained, ports=(32768, 60999), against=None):
        self.folder, self.quick, self.sustained, self.against = folder, quick, sustained, against
        self.rows = []
        self.confs = 0
        self.ports = ports
        self.enter()
        self.watching = self.observing()

    def enter(self):
        """A namespace for what is started from now on."""
        host.enter_namespace()
        host.port_range(*self.ports)
        for name, value in (("net.core.somaxconn", 1 << 20), ("net.ipv4.tcp_max_tw_buckets", 1 << 20)):
            try:
                host.sysctl(name, value)
            except OSError as e:
                print(f"bench: {name}: {e}", file=sys.stderr)

    def accepts(self, conf):
        """Does this build know everything in conf?"""
        return subprocess.run([TOOL, "check", "-c", conf], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode != 2

    def observing(self):
        """The mode that watches only: observe where it exists, else off."""
        return "observe" if self.accepts(self.config(mode="observe")) else "off"

    def rounds(self, many, few):
        return few if self.quick else many

    def row(self, case, what, values, **options):
        self.rows.append(Row(case, what, values, **options))

    def ratio(self, case, what, above, below, **options):
        """Round by round: above over below."""
        against = {"above_ns": statistics.median(above), "below_ns": statistics.median(below)}
        self.row(case, what, [a / b for a, b in zip(above, below) if b], against=against, **options)

    def config(self, sources=SOURCES, to="127.0.0.0/8", pool="", rule="", mode="enforce", rules_before=0):
        """A new instance; returns the path of its config. rules_before: so many that do not match come first."""
        self.confs += 1
        path = os.path.join(self.folder, f"bench{self.confs}.conf")
        addresses = ", ".join(f'"{s}"' for s in sources)
        others = "".join(f'rule "o{i}" {{\nto = {{ "10.{i // 256}.{i % 256}.0/24:443" }}\npool = "p"\n}}\n' for i in range(rules_before))
        with open(path, "w") as f:
            f.write(f'mode = "{mode}"\npool "p" {{\n{f"addresses = {{ {addresses} }}" if sources else ""}\n{pool}\n}}\n{others}'
                    f'rule "r" {{\nto = {{ "{to}" }}\npool = "p"\n{rule}\n}}\n')
        return path

    def environment(self, mode, conf, shim=SHIM):
        """Another build's state files may have another layout: they lie apart."""
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "CONNSPREAD_DIR": os.path.join(self.folder, "state" if shim == SHIM else "against")}
        if mode in ("enforce", "watch"):
            env.update(LD_PRELOAD=shim, CONNSPREAD_CONF=conf)
        if mode == "watch":
            env["CONNSPREAD_MODE"] = self.watching
        return env

    def client(self, program, mode, conf=None, address="127.0.0.1", sources=SOURCES, shim=SHIM):
        """mode: bare | watch | enforce | hand (sources: which it binds in turn; none: its range only) | asks (what watch cannot do without,
        and no more) | supervised | floor | floor by hand (floor.c)."""
        argv = self.supervisor(mode, conf, sources) + [os.path.join(PROGRAMS, program), address]
        if mode == "hand":
            argv.append("hand=" + ",".join(sources) if sources else "hand")
        if mode == "asks":
            argv.append("watch")
        env = self.environment(mode, conf, shim)
        os.makedirs(env["CONNSPREAD_DIR"], mode=0o700, exist_ok=True)
        return Process(argv, env)

    @staticmethod
    def supervisor(mode, conf, sources=SOURCES):
        """What comes before a client's own words."""
        floor = os.path.join(PROGRAMS, "floor")
        return {"supervised": [TOOL, "run", "-c", conf, "--supervise", "--"], "floor": [floor, "continue"],
                "floor by hand": [floor, "hand=" + ",".join(sources)]}.get(mode, [])

    def server(self, address="127.0.0.1", ports=PORTS, **options):
        server = Process([os.path.join(PROGRAMS, "server"), address, str(PORT), str(ports)], self.environment("bare", None), **options)
        server.answer()
        return server

    def fillers(self, n, mode, **options):
        """Enough clients to hold n connections."""
        return [self.client("hold", mode, **options) for _ in range(-(-n // DESCRIPTORS))]


def fill(clients, n, port):
    """Holds n more connections, in one client after the other as they have room. Returns the errors."""
    errors = 0
    for client in clients:
        held = getattr(client, "held", 0)
        part = min(n, DESCRIPTORS - held)
        if part > 0:
            errors += int(client("hold", part, port)[0])
            client.held = held + part
            n -= part
    return errors


def cycles(clients, server, rounds, each):
    """What the program cycle says of so many cycles, once it is warm: of each client, round by round, to one port after the other."""
    for client in clients.values():
        client("cycle", 50, PORT)
    found = {name: [] for name in clients}
    for i in range(rounds):
        for name in turns(clients, i):
            figures = clients[name]("cycle", each, PORT + i % PORTS)
            assert figures[4] == 0, f"{name}: {figures[4]} errors"
            found[name].append(figures)
        server("drain")
    return found


def turns(clients, i):
    """The clients, each time another one first."""
    names = list(clients)
    return names[i % len(names):] + names[:i % len(names)]
