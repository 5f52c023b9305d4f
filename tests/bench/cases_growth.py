"""What one more connection costs where there are many: flows, processes, rules, addresses of a pool."""

import os
import statistics
import time

import host
from lab import PORT, PROGRAMS, SOURCES, Process, at_most, fill, turns

BASE, BASE6, POOL6 = "127.16.0.0", "fd00:2::", "fd00:1::/64"


def growth(lab):
    """connects that are refused at once, to random ones of so many destinations; against the same with few, in turn."""
    flows(lab)
    full(lab)
    processes(lab)
    rules(lab)
    pools(lab)


def clients(lab, name, **config):
    """The same client of this build, and of the other one if there is one to compare with."""
    base = config.pop("base", BASE)
    conf = lab.config(**config)
    found = {name: lab.client("growth", "enforce", conf, address=base)}
    if lab.against:
        found[f"{name}, other"] = lab.client("growth", "enforce", conf, address=base, shim=lab.against)
    return found


def measure(lab, found, of, many=200, few=30, each=50):
    """found: clients by name; of: how many destinations each of them knows."""
    figures = {name: [] for name in found}
    for i in range(lab.rounds(many, few)):
        for name in turns(found, i):
            took, errors = found[name]("among", of(name), each)
            assert errors == 0, f"{name}: {errors} errors"
            figures[name].append(took)
    return figures


def kind_of(name):
    return name.removesuffix(", other").removesuffix(", bare").removesuffix(", record")


def compare(lab, figures, base, what, targets):
    for name in figures:
        kind = kind_of(name)
        if kind == name and name != base:
            lab.ratio("growth", f"{what}: {name} / {base}", figures[name], figures[base], target=targets.get(name))
        if kind != name:
            lab.ratio("growth", f"{what}: {kind} / the same of the other build", figures[kind], figures[name])


def end(found):
    for client in found.values():
        client.end()


def settle(found, sizes):
    """All in one minute, and not its first connects: each minute has a history of its own, and what finds a place in it makes an entry there."""
    if time.time() % 60 > 25:
        time.sleep(60 - time.time() % 60)
    for name, client in found.items():
        client("among", sizes[kind_of(name)], 20000)


def flows(lab):
    """One source: as many flows as destinations. Beside it a bare client, for the kernel and the processor's tables have more to do, too, and one
    that keeps as little of each as can be kept."""
    sizes = {"1": 1, "100": 100, "10,000": 10000} | ({} if lab.quick else {"1,000,000": 1000000})
    found = {}
    for name in sizes:
        found.update(clients(lab, name, sources=["127.0.1.1"]))
        found[f"{name}, bare"] = lab.client("growth", "bare", address=BASE)
        found[f"{name}, record"] = Process([os.path.join(PROGRAMS, "growth"), BASE, "record"], lab.environment("bare", None))
    first = {}
    for name, client in found.items():
        errors, first[name] = client("touch", sizes[kind_of(name)])
        assert errors == 0, f"{name}: {errors} errors"
    settle(found, sizes)
    figures = measure(lab, found, lambda name: sizes[kind_of(name)], many=120)
    end(found)
    for name in list(sizes)[1:]:
        lab.ratio("growth", f"connect, flows: {name} / 1, bare", figures[f"{name}, bare"], figures["1, bare"])
        lab.ratio("growth", f"connect, flows: {name} / 1, bare with one store into a record of the flow", figures[f"{name}, record"], figures["1, bare"])
        both = [zip(figures[name + kind], figures["1" + kind]) for kind in ("", ", bare")]
        lab.row("growth", f"connect, flows: {name} / 1, over the same of bare", [(a / b) / (c / d) for (a, b), (c, d) in zip(*both)])
        if sizes[name] > 100:
            lab.ratio("growth", f"the first connect to each of {name}, with socket and close: ours / bare", [first[name]], [first[f"{name}, bare"]])
        if sizes[name] > 100 and lab.against:
            lab.ratio("growth", f"the first connect to each of {name}: ours / the same of the other build", [first[name]], [first[f"{name}, other"]])
    ours = {name: f for name, f in figures.items() if not name.endswith((", bare", ", record"))}
    compare(lab, ours, "1", "connect, flows", {"1,000,000": at_most(1.15)})


def full(lab):
    """One destination to which every port of four sources is taken, among many that are known from all of them."""
    many, low, high = (1001, 32768, 33767) if lab.quick else (100001, 32768, 35767)
    host.port_range(low, high)
    total, server = (high - low + 1) * len(SOURCES), lab.server(ports=1)
    conf = lab.config(rule='on-exhausted = "error"')
    growth, fillers, client = lab.client("growth", "enforce", conf, address=BASE), lab.fillers(total, "hand"), lab.client("hold", "enforce", conf)
    for _ in SOURCES:  # in turn, and many is odd: each time from another one
        errors, _ = growth("touch", many)
        assert errors == 0, f"{errors} errors"
    fill(fillers, total, PORT)
    fill(fillers[-1:], len(SOURCES) * 2, PORT)
    found = []
    for _ in range(lab.rounds(30, 15)):
        times = client("refused", 40, PORT)
        assert all(times), "a connect to the full destination worked"
        found.append(statistics.median(times) / 1000)
    lab.row("growth", f"a further connect to a full destination, {many:,} others known from each source", found, unit="us", target=at_most(2))
    for process in [growth, client, server] + fillers:
        process.end()
    host.port_range(*lab.ports)


def processes(lab):
    for size in (100,) if lab.quick else (100, 10000):
        found = clients(lab, "crowd") | {"crowd, bare": lab.client("growth", "bare", address=BASE)}
        ends = {name: [] for name in found}
        for i in range(lab.rounds(3, 1)):
            for name in turns(found, i):
                first, last, errors = found[name]("crowd", size)
                assert errors == 0, f"{size} processes, {name}: {errors} errors"
                ends[name].append((first, last))
        for name, of in ends.items():
            lab.ratio("growth", f"first connect of the last of {size:,} processes / of the first{name.removeprefix('crowd')}", [last for _, last in of],
                      [first for first, _ in of], target=at_most(1.5) if name == "crowd" else None)
        end(found)


def rules(lab):
    """The last one matches. Few destinations: what matched is remembered; many: each rule is looked at in each connect."""
    found = {}
    for size in (1, 10, 100, 1000):
        made = clients(lab, f"{size:,}", rules_before=size - 1)
        if size > 64 and lab.against:  # an older build may refuse so many
            made.pop(f"{size:,}, other").end()
        found.update(made)
    for destinations in (16, 10000):
        figures = measure(lab, found, lambda name: destinations)
        compare(lab, figures, "1", f"connect to {destinations:,} destinations, rules", {})
    end(found)


def pools(lab):
    for place in (BASE6 + "/64", POOL6):
        host.ip(f"-6 route add local {place} dev lo")
    found = clients(lab, "1 address", sources=["127.0.1.1"]) | clients(lab, "10,000 addresses", sources=["127.1.0.0-127.1.39.15"])
    found |= clients(lab, "2^64 addresses", sources=[POOL6], to="fd00:2::/64", pool="freebind = true", base=BASE6)
    figures = measure(lab, found, lambda name: 100)
    end(found)
    compare(lab, figures, "1 address", "connect, pool", {})
