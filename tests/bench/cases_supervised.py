"""What a connect costs under `connspread run --supervise`, where every call is two threads that take turns."""

import os
import shutil
import statistics
import subprocess

from lab import PORT, ROOT, at_least, at_most, cycles, fill, turns

WORDS = {"enforce": "preloaded", "floor": "notification alone", "floor by hand": "notification, spread by hand", "supervised": "supervised"}


def supervise(lab):
    low_occupancy(lab)
    lab.enter()
    occupied(lab)
    if shutil.which("go"):
        lab.enter()
        goroutines(lab)
    else:
        print("bench: supervise: go is not installed")


def low_occupancy(lab):
    """As the case cycle: 256 destinations in turn, below 5 %."""
    conf, server = lab.config(), lab.server()
    clients = {"bare": lab.client("cycle", "bare"), **{mode: lab.client("cycle", mode, conf) for mode in WORDS}}
    found = cycles(clients, server, lab.rounds(300, 60), 60)
    for part, of in ((2, "connect"), (3, "close")):
        for name, words in WORDS.items():
            target = at_most(1.8) if of == "connect" and name == "supervised" else None
            lab.ratio("supervise", f"{of}: {words} / bare", [f[part] for f in found[name]], [f[part] for f in found["bare"]], target=target)
    for name in ("floor", "floor by hand"):
        lab.ratio("supervise", f"connect: supervised / {WORDS[name]}", [f[2] for f in found["supervised"]], [f[2] for f in found[name]])
    for client in clients.values():
        client.end()
    server.end()


def occupied(lab):
    """One source, one destination, 28,232 ports, filled by bare clients, as the case occupancy."""
    total, rounds, each = 28232, 10, {"bare": 5, "enforce": 17, "supervised": 17}
    lab.server(ports=1)
    conf = lab.config(sources=["127.0.0.1"])
    fillers = lab.fillers(total, "bare")
    clients = {mode: lab.client("hold", mode, conf) for mode in each}
    used = 0
    for point in (5, 55, 75, 95):
        start = int(total * point / 100) - rounds * sum(each.values())
        if start > used:
            assert fill(fillers, start - used, PORT) == 0
            used = start
        found = {name: [] for name in clients}
        for i in range(rounds):
            for name in turns(clients, i):
                times = clients[name]("probe", each[name], PORT)[:each[name]]
                assert all(times), f"{name}: connect failed at {point} %"
                found[name].append(statistics.median(times[1:]))
        for name, client in clients.items():
            client("drop", rounds * each[name])
        for name in ("enforce", "supervised"):
            target = at_least(20) if name == "supervised" and point > 50 else None
            lab.ratio("supervise", f"{point} % of {total:,} ports taken: bare / {WORDS[name]}", found["bare"], found[name], target=target)
    for process in [*clients.values(), *fillers]:
        process.end()


def goroutines(lab):
    """An ordinary Go client: so many connects in a second, each followed by its close."""
    client, n = os.path.join(lab.folder, "client"), 5000
    env = {**lab.environment("bare", None), "HOME": lab.folder, "GOCACHE": os.path.join(lab.folder, "cache"), "CGO_ENABLED": "0", "GOFLAGS": "-p=2"}
    subprocess.run(["go", "build", "-o", client, os.path.join(ROOT, "tests/system/supervise/programs/client.go")], env={**os.environ, **env}, check=True)
    conf, server, rates = lab.config(), lab.server(), {"bare": [], "supervised": []}
    for i in range(lab.rounds(10, 4)):
        for name in turns(rates, i):
            argv = lab.supervisor(name, conf) + [client, f"127.0.0.1:{PORT + i}", str(n), "16", "dial"]
            said = subprocess.run(argv, env=env, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
            assert said[:2] == [str(n), "worked"], said
            rates[name].append(n / float(said[said.index("seconds") + 1]))
        server("drain")
    for name, rate in rates.items():
        lab.row("supervise", f"16 goroutines, {name}: connects a second", rate, unit="", target=at_least(10000) if name == "supervised" else None)
