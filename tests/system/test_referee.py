"""The referee: tens of thousands of random connection lives, each end's verdict compared with the kernel's TIME-WAITs.

lifecycles.c makes them, reproducibly from a seed, in hundreds of processes; both the connecting and the accepting ends are
preloaded. The truth is a dump of all TIME-WAIT sockets, quadruplet by quadruplet, taken before the first can expire.
The result is a confusion matrix. REFEREE_SEED and REFEREE_COUNT change what is made; a line of a failure says how to replay it.
"""

import collections
import json
import os
import time

import kernel
from bench import TOOL, equal, later, limit, quadruplet_of

SEED = int(os.environ.get("REFEREE_SEED", "1"))
COUNT = int(os.environ.get("REFEREE_COUNT", "600"))  # lifecycles of each of the four tests below
CONDUCTORS = 6

# What happens after our close cannot be known at it; and a close where no shim is loaded is seen by nobody.
UNKNOWABLE = ("peer reset after our close", "peer data after our close", "closed last where no shim is", "handed to a process, and killed",
              "fallen back, shut down and shared")

Life = collections.namedtuple("Life", "number side quad state row family note")


def prepare(t):
    sources = t.sources(11, 14)
    kernel.add_addresses("fd00:2::1", "fd00:1::11", "fd00:1::12")
    kernel.sysctl("net.ipv4.tcp_max_tw_buckets", 262144)
    kernel.sysctl("net.ipv4.tcp_fastopen", 3)
    kernel.sysctl("net.ipv4.tcp_fin_timeout", 60)
    kernel.port_range(2000, 65000)
    return sources


def lives(path):
    with open(path) as f:
        for line in f:
            number, side, local, local_port, peer, peer_port, state, row, family, note = line.rstrip("\n").split("\t")
            yield Life(int(number), side, kernel.Quadruplet(local, int(local_port), peer, int(peer_port)), state, row, family, note)


def conduct(t, first, count):
    """Runs that many lifecycles in several conductors at once; what the kernel has then; what was done."""
    began, paths, conductors = time.monotonic(), [], []
    each = count // CONDUCTORS
    for i in range(CONDUCTORS):
        conductors.append(t.start([t.program("lifecycles"), "--seed", str(SEED), "--from", str(first + i * each), "--count", str(each),
                                   "--to", "10.1.0.1", "--to6", "fd00:2::1", "--port", str(700 + 3 * i)]))
        paths.append(os.path.join(t.folder, f"out{t.count}"))
    # Names what killed processes had open while there is room for the next ones.
    kernel.wait_until(lambda: os.listdir(t.state), what="no state file")
    follower = t.start([TOOL, "log", "-f", "-o", "json", "-c", t.conf], bare=True)
    statuses = [c.wait() for c in conductors]
    follower.terminate()
    follower.wait()
    truth = collections.Counter(kernel.quadruplet(s) for s in kernel.sockets("TIME_WAIT"))
    took = time.monotonic() - began
    for path, status in zip(paths, statuses):
        assert status == 0, f"a conductor ended with {status}: {open(path).read()[-500:]}"
    assert took < 56, f"{took:.0f} s: the first TIME-WAITs have expired"
    done = [life for path in paths for life in lives(path)]
    equal(len(done), 2 * each * CONDUCTORS, "ends")
    print(f"seed {SEED}: {len(done) // 2} lifecycles in {took:.1f} s, {len(truth)} TIME-WAITs")
    return done, truth


class Matrix:
    def __init__(self):
        self.rows = collections.defaultdict(collections.Counter)
        self.wrong = []

    def add(self, key, waits, events):
        cell = {(1, 1): "both", (1, 0): "missed", (0, 1): "false", (0, 0): "neither"}.get((waits, events), "twice")
        self.rows[key][cell] += 1
        return cell in ("missed", "false", "twice")

    def show(self, title):
        columns = ("both", "missed", "false", "twice", "neither")
        print(f"\n{title:34}{'TIME-WAIT+event':>16}{'missed':>8}{'false':>8}{'twice':>8}{'neither':>9}")
        for key in sorted(self.rows):
            print(f"{key:34}" + "".join(f"{self.rows[key][c]:>{w}}" for c, w in zip(columns, (16, 8, 8, 8, 9))))
        total = sum(self.rows.values(), collections.Counter())
        print(f"{'all':34}" + "".join(f"{total[c]:>{w}}" for c, w in zip(columns, (16, 8, 8, 8, 9))))


def compare(t, done, truth):
    """The matrices by what happened and by family; every mismatch that could have been known is a failure."""
    events, examples = collections.defaultdict(list), []
    for e in t.events("time-wait"):
        events[quadruplet_of(e)].append(e)
    knowable, unknowable, families = Matrix(), Matrix(), Matrix()
    quads = collections.Counter(life.quad for life in done)
    for life in done:
        if quads[life.quad] > 1:
            continue
        told = events.pop(life.quad, [])
        out = life.row in UNKNOWABLE
        wrong = (unknowable if out else knowable).add(life.row, truth[life.quad], len(told))
        if not out:
            families.add(f"{life.family}, {'outbound' if life.side == 'near' else 'inbound'}", truth[life.quad], len(told))
        if wrong and not out:
            vias = [(e["via"], e["state"], e["verified"], e["pid"]) for e in told]
            examples.append(f"--seed {SEED} --only {life.number}: {life.side} {life.row}, {life.family}: kernel {truth[life.quad]}, events {vias} {life.note}")
        if (life.state == "TIME_WAIT") != (truth[life.quad] == 1) and life.row not in UNKNOWABLE and not life.note:
            examples.append(f"--only {life.number}: {life.side}: {life.state} at its end, {truth[life.quad]} TIME-WAITs in the dump")
    counters = json.loads(t.tool("stat", "-o", "json", "-c", t.conf, check=0).stdout)
    print(counters)
    knowable.show("what happened to this end")
    families.show("family, direction")
    unknowable.show("cannot be known at the close")
    print("\n".join(examples[:60]))
    again = [q for q, n in quads.items() if n > 1]
    restless = sum(bool(life.note) for life in done)
    print(f"{len(again)} ends whose quadruplet came round again are left out; {restless} ends did not come to rest in time")
    assert len(again) + restless < len(done) / 50, "too many"
    equal([q for q in events if q not in quads], [], "events for connections that were not made")
    assert not examples, f"{len(examples)} mismatches"


@later(3)
@limit(200)
def test_lifecycles_one(t):
    """With a pool of four sources."""
    sources = prepare(t)
    t.spread(sources, to=("10.1.0.1",), top='log { size = "64m" }')
    compare(t, *conduct(t, 0, COUNT))
