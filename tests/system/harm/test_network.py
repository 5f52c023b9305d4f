"""Never worse than without it, on networks that fail: each cell is one client, bare and under the shim, side by side."""

import collections

import cells
import faulty
from fixture import equal, full, limit, needs


def check_stage(done):
    """Each kind fails bare as it should, and the shim's clients went out from their pools: or the comparison would say nothing."""
    for cell, bare, shim in done:
        last = bare.results[-1][0] if bare.results else "nothing"
        if cell.mode in ("blocking", "poll"):
            equal(last, cell.kind.bare4 if cell.family == 4 else cell.kind.bare6, f"bare {cell.mode}, {cell.kind.name}, IPv{cell.family}")
        pool = (faulty.SOURCES4 if cell.family == 4 else faulty.SOURCES6)[:cell.sources]
        assert cell.kind.name == "no route" or shim.used & set(pool), f"{cell}: the shim's client went out from {shim.used}"


def check(t, todo):
    faulty.make()
    done, bad = cells.compare(cells.Runs(t), todo)
    by_kind = collections.Counter(cell.kind.name for cell, *_ in done)
    bad_by_kind = collections.Counter(cell.kind.name for cell, *_ in bad)
    for cell, bare, shim in bad:
        print(f"worse ({', '.join(cells.worse(cell, bare, shim))}): {cell.kind.name}, {cell.mode}, {cell.sources} sources, IPv{cell.family}")
        print(f"    bare: {cells.as_text(bare)}\n    shim: {cells.as_text(shim)}")
    for kind, n in by_kind.items():
        print(f"{kind}: cells {n}, worse {bad_by_kind[kind]}")
    print(cells.totals(done))
    print(f"cells {len(done)}, worse {len(bad)}")
    check_stage(done)
    equal(len(bad), 0, f"worse cells of {len(done)}")


@needs("ip", "nft")
def test_some(t):
    """Every way to fail, for the three plainest clients."""
    check(t, cells.cells(("blocking", "sndtimeo", "poll"), (4,), (4,)))


@full
@limit(240)
@needs("ip", "nft")
def test_all(t):
    check(t, cells.cells())
