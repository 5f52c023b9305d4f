"""The cells of the harm matrix: one client, bare and under the shim, side by side, each with a destination of its own that fails
alike. What makes a cell worse is said in worse()."""

import collections
import itertools
import statistics
import subprocess
import time

import faulty
import kernel

MODES = ("blocking", "sndtimeo", "poll", "epoll", "fastopen", "threads")
PACE_S = 0.05     # between two starts: clients that start all at once would wait for the processor
PATIENCE_S = 50   # a client that is not done by then is killed, and is worse
THREADS = 4       # of one_connect.c

Cell = collections.namedtuple("Cell", "kind mode sources family")
# results: (what came of it, ms) per connection; connects: those of the kernel that sent a SYN.
Row = collections.namedtuple("Row", "status said results descriptors connects syns used")


def cells(modes=MODES, sources=(1, 4, 16), families=(4, 6)):
    """Those that take longest first."""
    found = [Cell(*values) for values in itertools.product(faulty.KINDS, modes, sources, families)]
    return sorted(found, key=lambda cell: ("SYN dropped", "silent neighbour", "down, then up").count(cell.kind.name), reverse=True)


class Runs:
    """All clients of a test; destinations are never used twice."""

    def __init__(self, t):
        self.t, self.numbers = t, collections.Counter()
        self.confs = {n: t.spread(faulty.SOURCES4[:n] + faulty.SOURCES6[:n], name=f"pool{n}") for n in (1, 4, 16)}

    def destination(self, cell):
        self.numbers[cell.kind] += 1
        number = self.numbers[cell.kind]
        assert number < 256, "no destination is left"
        return f"{cell.kind.v4}{number}" if cell.family == 4 else f"{cell.kind.v6}{number:x}"

    def start(self, cell, bare):
        to = self.destination(cell)
        kind = cell.kind
        argv = [self.t.program("harm/one_connect"), cell.mode, to, str(faulty.PORT), str(kind.times), str(kind.size), str(kind.pause_ms)]
        conf = self.confs[cell.sources]
        client = subprocess.Popen(self.t.command(argv, bare, conf=conf), env=self.t.started(bare, conf=conf), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return to, client

    def run(self, todo, pace=PACE_S):
        """[(cell, bare row, shim's row)]"""
        started = []
        for i, cell in enumerate(todo):
            pair = {}
            for bare in (True, False) if i % 2 else (False, True):
                pair[bare] = self.start(cell, bare)
            started.append((cell, pair[True], pair[False]))
            time.sleep(pace)
        end = time.monotonic() + PATIENCE_S
        for _, *pair in started:
            for _, client in pair:
                try:
                    client.wait(max(0, end - time.monotonic()))
                except subprocess.TimeoutExpired:
                    client.kill()
        seen = faulty.syns()
        return [(cell, *(row(client, seen[to]) for to, client in pair)) for cell, *pair in started]


def row(client, opened):
    out, err = client.communicate()
    lines = out.splitlines()
    results = [(names(words), float(ms)) for *words, ms in (line.split() for line in lines[:-1])]
    return Row(client.returncode, err, results, int(lines[-1]) if lines else 0, len(opened), sum(opened.values()), {source for source, _ in opened})


def names(words):
    return " ".join(kernel.errno_name(int(w)) if w.isdigit() else w for w in words).replace("0 ", "")


def connects(cell):
    """Of the client."""
    return cell.kind.times * (THREADS if cell.mode == "threads" else 1)


def worse(cell, bare, shim):
    """In what the shim's row is worse than the bare one."""
    found = []
    if (shim.status, shim.said, shim.descriptors) != (bare.status, bare.said, bare.descriptors):
        found.append("end")
    if [what for what, _ in shim.results] != [what for what, _ in bare.results]:
        found.append("errno")
    if any(ms > 1.05 * want + 50 for (_, ms), (_, want) in zip(shim.results, bare.results)):
        found.append("time")
    # One more a connect of the client, of which the kernel may take as long as it likes to retransmit the last.
    if shim.syns > bare.syns + connects(cell) or shim.connects > bare.connects + connects(cell):
        found.append("SYNs")
    return found


def as_text(row):
    results = ", ".join(f"{what} {ms:.0f} ms" for what, ms in row.results)
    ended = "" if row.status == 0 and not row.said else f"; exit {row.status} {row.said.strip()}"
    return f"{results}; {row.connects} connects, {row.syns} SYNs, {row.descriptors} descriptors{ended}"


def together(rows, of):
    """The last of the rows, with of() of each connect's times in those that tell the same."""
    told = [[what for what, _ in row.results] for row in rows]
    times = zip(*([ms for _, ms in row.results] for row, same in zip(rows, told) if same == told[-1]))
    return rows[-1]._replace(results=[(what, of(of_one)) for what, of_one in zip(told[-1], times)])


def compare(runs, todo):
    """Runs the cells, and up to four times more those that are worse, as a busy machine may have been the reason: it adds to a wait, so the
    shim's shortest is compared, with the bare client's median, for where it waits between two connects the second may be shorter. All
    rows, and those of the cells that are worse in the end."""
    done = runs.run(todo)
    ran = {cell: ([bare], [shim]) for cell, bare, shim in done}
    for _ in range(4):
        again = [cell for cell, bare, shim in done if worse(cell, bare, shim)]
        destinations = max(runs.numbers.values()) + 2 * max(collections.Counter(cell.kind for cell in again).values(), default=0)
        if not 0 < len(again) <= 120 or destinations >= 256:
            break
        print(f"run once more: {len(again)}")
        for cell, bare, shim in runs.run(again, 4 * PACE_S):
            ran[cell][0].append(bare)
            ran[cell][1].append(shim)
        done = [(cell, together(bare, statistics.median), together(shim, min)) for cell, (bare, shim) in ran.items()]
    return done, [(cell, bare, shim) for cell, bare, shim in done if worse(cell, bare, shim)]


def totals(done):
    """What all cells come to, in a line."""
    late = max(ms - want for _, bare, shim in done for (_, ms), (_, want) in zip(shim.results, bare.results))
    sums = [sum(row.connects for row in rows) for rows in list(zip(*done))[1:]] + [sum(row.syns for row in rows) for rows in list(zip(*done))[1:]]
    return "connects {} bare, {} shim; SYNs {} bare, {} shim; longest delay by the shim {:.0f} ms".format(*sums, late)
