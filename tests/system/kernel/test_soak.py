"""Everything at once for as long as one likes: SOAK_MINUTES (1; `make soak` 10) of real clients, hard ones, kills, reloads, dials
and addresses that go and come at random, beside a recorder. The last line of its output (-v) is the account."""

import collections
import json
import os
import random
import re
import shutil
import signal
import socket
import time

import kernel
from fixture import PYTHON, equal, full, limit, quadruplet_of, seconds
from follower import LOST, Recorder

MINUTES = float(os.environ.get("SOAK_MINUTES", "1"))
AT_ONCE = 6
WARM = 15  # seconds after which nothing may grow any more
GROWTH_KB = 512


def memory_kb(pid):
    with open(f"/proc/{pid}/status") as f:
        fields = dict(line.split(":", 1) for line in f)
    return int(fields["RssAnon"].split()[0])


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def packed(q):
    """A quadruplet of IPv4 as a number: there are millions of them."""
    return int.from_bytes(socket.inet_aton(q.local) + q.local_port.to_bytes(2, "big") + socket.inet_aton(q.peer) + q.peer_port.to_bytes(2, "big"), "big")


def unpacked(number):
    b = number.to_bytes(12, "big")
    return kernel.Quadruplet(socket.inet_ntoa(b[:4]), int.from_bytes(b[4:6], "big"), socket.inet_ntoa(b[6:10]), int.from_bytes(b[10:], "big"))


class Soak:
    def __init__(self, t, seed):
        self.t, self.rng = t, random.Random(seed)
        self.recorder = Recorder(t, size="8M")
        self.sources = kernel.addresses("10.0.0.", 11, 14)
        self.hold = [t.server() for _ in range(4)]
        self.http, self.echo = t.server(kind="http"), t.server(kind="echo")
        self.ports = set(self.hold + [self.http, self.echo])
        self.running, self.done, self.kills, self.moves, self.dials = [], collections.Counter(), 0, 0, collections.Counter()
        self.waits, self.growth = set(), {}

    # --- what is started ---

    def clients(self):
        port, n = self.rng.choice(self.hold), self.rng.randint(1, 60)
        code = (f"import socket, threading\ndef f():\n for _ in range({n // 4}): socket.create_connection(('10.1.0.1', {port})).close()\n"
                "x = [threading.Thread(target=f) for _ in range(4)]; [y.start() for y in x]; [y.join() for y in x]")
        program, at = self.t.program, ["10.1.0.1", str(port)]
        return {
            "burst": [program("burst"), *at, str(n)],
            "python3": [PYTHON, "-S", "-c", code],
            "curl": ["curl", "-s", "-o", "/dev/null", f"http://10.1.0.1:{self.http}/"],
            "wget": ["wget", "-q", "-O", "/dev/null", f"http://10.1.0.1:{self.http}/"],
            "nc": ["sh", "-c", f"echo hello | nc -N 10.1.0.1 {self.echo} >/dev/null"],
            "bash": ["bash", "-c", f"exec 3<>/dev/tcp/10.1.0.1/{self.echo}; echo hello >&3; read -u 3 line; [ $line = hello ]"],
            "socat": ["sh", "-c", f"echo hello | socat - TCP:10.1.0.1:{self.echo} >/dev/null"],
            "reuse": [program("hard_places"), "reuse", *at, str(n // 2)],
            "spawns": [program("hard_places"), "spawns", *at],
            "altstack": [program("hard_places"), "altstack", *at],
            "thread": [program("odd_places"), "thread", *at],
            "late": [program("odd_places"), "late", *at],
        }

    def start(self):
        name, argv = self.rng.choice(sorted(self.clients().items()))
        if shutil.which(argv[0]):
            self.running.append((name, self.t.start(argv)))

    def kill_one(self):
        victim = self.t.start([self.t.program("burst"), "10.1.0.1", str(self.rng.choice(self.hold)), "0"])
        time.sleep(self.rng.uniform(0.01, 0.06))
        victim.send_signal(signal.SIGKILL)
        equal(victim.wait(timeout=10), -9, "a victim's status")
        self.kills += 1

    def dial(self):
        what = self.rng.choice([["set", "mode=observe"], ["set", "mode=enforce"], ["set", "canary=50"], ["set", "mode=config", "canary=config"],
                                ["reload"]])
        if what == ["reload"]:
            sources = self.rng.sample(self.sources, self.rng.randint(2, 4))
            with open(self.t.conf) as f:
                text = re.sub(r"addresses = \{[^}]*\}", 'addresses = { ' + ", ".join(f'"{s}"' for s in sources) + " }", f.read())
            with open(self.t.conf + ".new", "w") as f:
                f.write(text)
            os.rename(self.t.conf + ".new", self.t.conf)
        self.t.tool(what[0], "-c", self.t.conf, *what[1:], check=0)
        self.dials[what[0]] += 1

    def move_address(self):
        """One of the pool is gone for a moment, under connections that have it, and comes back."""
        source = self.rng.choice(self.sources)
        kernel.ip(f"addr del {source}/32 dev lo")
        time.sleep(self.rng.uniform(0.01, 0.1))
        kernel.ip(f"addr add {source}/32 dev lo")
        self.moves += 1

    def reap(self, block=False):
        for name, process in self.running[:]:
            if block or process.poll() is not None:
                status = process.wait(timeout=60)
                assert status == 0, f"exit status of {name}: {status}, want 0; what clients printed: {self.printed()!r}"
                self.running.remove((name, process))
                self.done[name] += 1

    # --- what must hold ---

    def printed(self):
        """By all clients so far."""
        text = ""
        for path in [os.path.join(self.t.folder, f) for f in os.listdir(self.t.folder) if re.match(r"out\d+$", f)]:
            with open(path) as f:
                text += f.read()
        return text

    def watch(self, name, pid, at, growth=GROWTH_KB):
        """Descriptors and memory, from the time when all is warm. The recorder opens a file for a moment now and then (a process's entry
        in /proc, a folder): more descriptors than at first must be fewer again at once, and none leak."""
        seen = (descriptors(pid), memory_kb(pid))
        first = self.growth.setdefault(name, seen) if at > WARM else seen
        kernel.wait_until(lambda: descriptors(pid) <= first[0], 15, f"open descriptors of {name} after {at:.0f} s: {seen[0]}, {first[0]} at first")
        assert seen[1] <= first[1] + growth, f"{name}: {first[1]} kB of memory grew to {seen[1]} kB after {at:.0f} s"

    def run(self, seconds):
        t, began, next_look = self.t, time.monotonic(), 0
        lasting = [t.agent() for _ in range(2)]
        while (at := time.monotonic() - began) < seconds:
            self.reap()
            roll = self.rng.random()
            if len(self.running) < AT_ONCE:
                self.start()
            if roll < 0.03:
                self.dial()
            elif roll < 0.06:
                self.kill_one()
            elif roll < 0.08:
                self.move_address()
            for agent in lasting:
                equal(agent(f"burst(5, '10.1.0.1', {self.rng.choice(self.hold)})"), 0, "failures of a client that runs all the time")
            if at > next_look:
                next_look = at + 5
                self.waits.update(packed(kernel.quadruplet(s)) for s in kernel.sockets("TIME_WAIT") if s.peer_port in self.ports)
                for i, agent in enumerate(lasting):
                    self.watch(f"client {i}", agent.pid, at)
                # It reads what the ring holds when it looks after the killed: up to some 12 MB.
                self.watch("recorder", self.recorder.process.pid, at, growth=12 << 10)
            time.sleep(0.03)
        self.reap(block=True)
        for agent in lasting:
            agent.end()
        for port in self.ports:
            kernel.settle(port, 60)  # a FIN of the killed may have to be sent again
        self.waits.update(packed(kernel.quadruplet(s)) for s in kernel.sockets("TIME_WAIT") if s.peer_port in self.ports)

    def gone(self, whole=True):
        """The numbers of the TIME-WAITs that are said to be gone again. A busy server may reset a connection whose client has just closed it."""
        return {e["closed_seq"] for e in self.recorder.each("time-wait-gone", whole) if e["event"] == "time-wait-gone"}

    def follow_up(self):
        """Waits until nothing false is told: the recorder looks after the killed every second, and at what became of a TIME-WAIT for
        8 s; where it gets little of a processor, it finds out later that one is gone, while it would be there."""
        time.sleep(10)
        end = time.monotonic() + 60
        while (false := self.false()) and time.monotonic() < end:
            time.sleep(1)
        reset, overflow = (kernel.counter(name) for name in ("TcpOutRsts", "TcpExtTCPTimeWaitOverflow"))
        equal(false, [], f"TIME-WAITs told that the kernel did not have ({reset} resets sent, {overflow} overflows)")

    def false(self):
        gone = self.gone(whole=False)
        return [e for e in self.recorder.each("time-wait", whole=False) if e["event"] == "time-wait" and e["direction"] == "outbound"
                and e["seq"] not in gone and packed(quadruplet_of(e)) not in self.waits]

    def recorded(self):
        """The recorder's file, read without having it in memory: how many TIME-WAITs were told, by quadruplet when (ms), but for those that are gone
        again, every quadruplet, and how many events were lost with their writers."""
        gone, numbers, told, ever, events, lost = self.gone(), collections.defaultdict(set), {}, set(), 0, 0
        for e in self.recorder.each():
            assert e["seq"] not in numbers[e["epoch"]], f"two events have one number: {e}"
            numbers[e["epoch"]].add(e["seq"])
            if e["event"] == "time-wait" and e["direction"] == "outbound":
                q = packed(quadruplet_of(e))
                events += 1
                ever.add(q)
                if e["seq"] not in gone:
                    told[q] = told.get(q, ()) + (int(seconds(e["time"]) * 1000),)
            elif m := LOST.match(e.get("text", "")):
                lost += int(m[1])  # their writer was killed over them
        return events, told, ever, lost

    def account(self):
        """Kernel and recorder's file, quadruplet by quadruplet; then the state file's own counters."""
        events, told, ever, unfinished = self.recorded()
        # A quadruplet may come again, a TIME-WAIT later.
        twice = [unpacked(q) for q, times in told.items() if any(b - a < 55000 for a, b in zip(sorted(times), sorted(times)[1:]))]
        missed, false = self.waits - ever, told.keys() - self.waits
        equal((twice, [unpacked(q) for q in sorted(false)]), ([], []), f"of {len(self.waits)} TIME-WAITs told twice; falsely")
        assert len(missed) <= unfinished <= self.kills, (
            f"{len(missed)} missed ({[unpacked(q) for q in sorted(missed)[:3]]}), {unfinished} counted as lost, {self.kills} clients killed")
        rows = json.loads(self.t.tool("stat", "-o", "json", "-c", self.t.conf, check=0).stdout)["stats"]
        ends = ("immediate", "in_progress", "refused", "timed_out", "unreachable", "denied", "other_error", "failed")
        for what, counted in (("how they ended", lambda row: sum(row["connects_" + end] for end in ends)), ("histogram", lambda row: sum(row["buckets"]))):
            apart = {f"{row['arm']} {row['source']}": row["connects"] - counted(row) for row in rows if row["connects"] != counted(row)}
            # A killed client may have counted the one and not yet the other.
            assert sum(map(abs, apart.values())) <= self.kills, f"connects less the sum of their {what}: {apart}, {self.kills} clients killed"
        connects = sum(row["connects"] for row in rows)
        closes = sum(row["closes_" + fate] for row in rows for fate in ("time_wait", "passive", "reset", "none"))
        counted = sum(row["closes_time_wait"] for row in rows)
        # Counted, then told: a client may be killed between the two.
        assert 0 <= counted - events <= self.kills, f"{counted} closes counted as TIME-WAIT, {events} events, {self.kills} clients killed"
        assert abs(connects - closes) <= self.kills, f"{connects} connects, {closes} closes, {self.kills} clients killed"
        return f"{connects} connections, {events} TIME-WAITs told, {unfinished} events lost with their writers and counted"


@full
@limit(int(MINUTES * 60 * 1.5) + 120)  # the account reads what was recorded, the longer the more
def test_everything_at_once(t):
    """No client fails, prints, or grows; every TIME-WAIT of the kernel is told, none twice, none falsely; the counters add up."""
    kernel.sysctl("net.ipv4.tcp_max_tw_buckets", 1000000)
    kernel.port_range(10000, 65000)
    soak = Soak(t, seed=os.getpid())
    soak.recorder.create()
    soak.recorder.start()
    soak.run(MINUTES * 60)
    equal(soak.printed(), "", "what clients printed")
    soak.follow_up()
    equal(soak.recorder.stop(), (0, "", ""), "exit status, stdout and stderr of the recorder")
    account = soak.account()
    print(f"{MINUTES:g} minutes: {sum(soak.done.values())} clients of {len(soak.done)} kinds, {account}, {soak.kills} kills, "
          f"{sum(soak.dials.values())} dials and reloads, {soak.moves} addresses gone for a moment, 0 invariants broken")
