"""What a call costs: cycles, teams of threads and processes, calls that are none of the shim's business, start-up."""

import collections
import os
import re
import shutil
import subprocess

from lab import PORT, PORTS, PROGRAMS, SHIM, at_most, cycles, turns

PARTS = ("cycle", "socket", "connect", "close")


def cycle(lab):
    """socket + connect + close; the client closes first. Below 5 % of the ports of any destination."""
    conf, server = lab.config(), lab.server()
    clients = {
        "bare": lab.client("cycle", "bare"), "again": lab.client("cycle", "bare"), "watch": lab.client("cycle", "watch", conf),
        "enforce": lab.client("cycle", "enforce", conf), "hand": lab.client("cycle", "hand"), "asks": lab.client("cycle", "asks"),
    }
    if lab.against:
        clients.update((f"{mode}, other", lab.client("cycle", mode, conf, shim=lab.against)) for mode in ("watch", "enforce"))
    found = cycles(clients, server, lab.rounds(500, 100), 100)
    targets = {("watch", "bare"): at_most(1.08), ("enforce", "bare"): at_most(1.12), ("enforce", "hand"): at_most(1.05)}
    names = {"watch": f"shim, {lab.watching}", "enforce": "shim, spreading", "hand": "by hand", "bare": "bare", "again": "bare, a second",
             "asks": "asking alone"}
    for part, of in enumerate(PARTS):
        for above, below in (("again", "bare"), ("asks", "bare"), ("watch", "bare"), ("hand", "bare"), ("enforce", "bare"), ("enforce", "hand")):
            lab.ratio("cycle", f"{of}: {names[above]} / {names[below]}", [f[part] for f in found[above]], [f[part] for f in found[below]],
                      target=targets.get((above, below)) if part == 0 else None)
        for mode in ("watch", "enforce") if lab.against else ():
            lab.ratio("cycle", f"{of}: {names[mode]} / the same of the other build", [f[part] for f in found[mode]], [f[part] for f in found[f"{mode}, other"]])


def counted(lab, mode, conf, hundreds, shim):
    """All instructions of a client that makes so many hundred cycles, by valgrind's callgrind."""
    argv = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", os.path.join(PROGRAMS, "cycle"), "127.0.0.1"]
    commands = "".join(f"cycle 100 {PORT + i % PORTS}\n" for i in range(hundreds))
    env = lab.environment(mode, conf, shim)
    os.makedirs(env["CONNSPREAD_DIR"], mode=0o700, exist_ok=True)
    run = subprocess.run(argv, env=env, input=commands, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True, timeout=60)
    return int(re.search(r"Collected : (\d+)", run.stderr).group(1))


def instructions(lab):
    """Beyond the client's own, for a connection: exact, but for a few that depend on where memory lies."""
    if not shutil.which("valgrind"):
        print("bench: instructions: valgrind is not installed")
        return
    lab.server()
    conf, many, few = lab.config(), 14, 4
    figures = {}
    for build, shim in [("", SHIM)] + ([(", other", lab.against)] if lab.against else []):
        for mode in ("bare", "watch", "enforce"):
            counted(lab, mode, conf, 1, shim)  # the first makes the state file
            figures[mode] = (counted(lab, mode, conf, many, shim) - counted(lab, mode, conf, few, shim)) / (many - few) / 100
        for mode, name, most in (("watch", lab.watching, 1700), ("enforce", "spreading", 2300)):
            lab.row("instructions", f"a connection, {name}{build}", [figures[mode] - figures["bare"]], unit="more",
                    target=at_most(most) if not build else None)


def rules(lab):
    """connect when many rules that do not match come first, against one rule alone."""
    many = 60
    server = lab.server(ports=16)
    clients = {"one": lab.client("cycle", "enforce", lab.config()), "many": lab.client("cycle", "enforce", lab.config(rules_before=many))}
    found = {name: [] for name in clients}
    for i in range(lab.rounds(300, 60)):
        for name in turns(clients, i):
            figures = clients[name]("cycle", 50, PORT + i % 16)
            assert figures[4] == 0, f"{name}: {figures[4]} errors"
            found[name].append(figures[2])
        server("drain")
    lab.ratio("rules", f"connect, {many + 1} rules of which the last matches / one rule", found["many"], found["one"], target=at_most(1.03))


def wear_in(lab, conf):
    """Once through the ring of closes: memory that nobody has ever touched costs 130 us a page on a virtual machine, and then never again."""
    server, client = lab.server(), lab.client("cycle", "enforce", conf)
    for i in range(PORTS):
        client("cycle", 250, PORT + i)
        server("drain")
    client.end()
    server.end()


def scaling(lab):
    """The processor time of a team, shim over bare, against that of one thread alone. TIME-WAITs add up: every eighth round has a namespace
    of its own."""
    teams = [("threads", 1, 300), ("threads", 2, 300), ("threads", 8, 150), ("processes", 16, 100)]
    conf, found, clients, server = lab.config(), collections.defaultdict(list), {}, None
    wear_in(lab, conf)
    for i in range(lab.rounds(160, 24)):
        if i % 8 == 0:
            for process in list(clients.values()) + [server] * (i > 0):
                process.end()
            lab.enter()
            server = lab.server()
            clients = {"bare": lab.client("cycle", "bare"), "watch": lab.client("cycle", "watch", conf), "enforce": lab.client("cycle", "enforce", conf)}
        for kind, size, cycles in teams:
            for name in turns(clients, i):
                wall, cpu, errors = clients[name](kind, size, cycles, PORT)
                assert errors == 0, f"{name}: {errors} errors in {size} {kind}"
                found[name, kind, size].append(cpu)
                found[name, kind, size, "wall"].append(wall)
                server("drain")
    for kind, size, _ in teams:
        label = f"{size} {kind if size > 1 else kind[:-1]}"
        for name, words in (("watch", f"shim, {lab.watching}"), ("enforce", "shim, spreading")):
            team, bare = found[name, kind, size], found["bare", kind, size]
            lab.ratio("scaling", f"{label}: {words} / bare, wall time", found[name, kind, size, "wall"], found["bare", kind, size, "wall"])
            lab.ratio("scaling", f"{label}: {words} / bare", team, bare)
            if size > 1:
                alone, bare_alone = found[name, "threads", 1], found["bare", "threads", 1]
                lab.row("scaling", f"{label}: {words} / bare, over that of 1 thread",
                        [(t / b) / (a / c) for t, b, a, c in zip(team, bare, alone, bare_alone)],
                        target=at_most(1.05) if name == "enforce" else None)


def calls(lab):
    """ns more than bare, of calls on what is not TCP."""
    conf = lab.config()
    clients = {"bare": lab.client("calls", "bare"), "enforce": lab.client("calls", "enforce", conf)}
    for call, what, most in (("close-file", "close of /dev/null", 250), ("close-unix", "close of an AF_UNIX socket of socket()", 40),
                             ("close-accepted", "close of an AF_UNIX socket of accept4()", 40), ("connect-unix", "AF_UNIX connect", 100)):
        found = {name: [] for name in clients}
        for client in clients.values():
            client(call, 200)
        for i in range(lab.rounds(2000, 500)):
            for name in turns(clients, i):
                found[name] += clients[name](call, 200)
        lab.ratio("calls", f"{what}: shim / bare", found["enforce"], found["bare"])
        lab.row("calls", f"{what}: shim - bare", [a - b for a, b in zip(found["enforce"], found["bare"])], unit="ns", target=at_most(most))


def startup(lab):
    """exec to exit of `true`."""
    conf = lab.config()
    env = lab.environment("enforce", conf)
    preload = env.pop("LD_PRELOAD")
    os.makedirs(env["CONNSPREAD_DIR"], mode=0o700, exist_ok=True)
    state = os.path.join(env["CONNSPREAD_DIR"], os.path.basename(conf).replace(".conf", ".state"))
    done = subprocess.run([os.path.join(PROGRAMS, "startup"), preload, state, str(lab.rounds(500, 150))], env=env, stdout=subprocess.PIPE,
                          text=True, check=True)
    assert os.path.exists(state), f"{state} was not made"
    bare, current, compiles = ([float(word) for word in line.split()] for line in done.stdout.splitlines())
    for label, found, most in (("current state file", current, 100), ("policy compiled, file created", compiles, 1500)):
        lab.ratio("startup", f"true, {label}: shim / bare", found, bare)
        lab.row("startup", f"true, {label}: shim - bare", [(a - b) / 1000 for a, b in zip(found, bare)], unit="us", target=at_most(most))


def traced(lab, mode, conf):
    """The system calls of each phase of calls.c's trace, first two cycles left out: phase -> list of lists of names."""
    path = os.path.join(lab.folder, "strace")
    env = lab.environment(mode, conf)
    os.makedirs(env["CONNSPREAD_DIR"], mode=0o700, exist_ok=True)
    command = ["strace", "-o", path, "-s", "32"]
    for name in ("LD_PRELOAD", "CONNSPREAD_CONF", "CONNSPREAD_MODE"):
        if name in env:
            command += ["-E", f"{name}={env.pop(name)}"]
    subprocess.run(command + [os.path.join(PROGRAMS, "calls"), "127.0.0.1"], env=env, input=f"trace 20 {PORT}\n", text=True,
                   stdout=subprocess.DEVNULL, check=True)
    phases, phase = collections.defaultdict(list), None
    with open(path) as f:
        for line in f:
            mark = re.match(r'write\(-1, "([a-z-]+)"', line)
            name = re.match(r"(\w+)\(", line)
            if mark:
                phase = mark.group(1)
                phases[phase].append([])
            elif name and phase:
                phases[phase][-1].append(name.group(1))
    return {phase: lists[2:] for phase, lists in phases.items()}


def syscalls(lab):
    """System calls beyond the client's own."""
    if not shutil.which("strace"):
        print("bench: syscalls: strace is not installed")
        return
    lab.server(ports=1)
    conf = lab.config()
    bare, shim, watch = traced(lab, "bare", None), traced(lab, "enforce", conf), traced(lab, "watch", conf)
    for phase, what, most in (("socket", "socket", None), ("connect", "connect, spread", 3), ("close", "close, logged", 3),
                              ("close-file", "close of /dev/null", 1), ("close-unix", "close of an AF_UNIX socket", 0),
                              ("connect-unix", "AF_UNIX connect", 0)):
        own = len(bare[phase][0])
        for mode, calls in (("", shim[phase]), (f"{lab.watching}, ", watch[phase])):
            if mode and calls == shim[phase]:
                continue
            lab.row("syscalls", f"{mode}{what}: {' '.join(calls[-1])}", [len(c) - own for c in calls], unit="more",
                    target=at_most(most) if most is not None and not mode else None)
