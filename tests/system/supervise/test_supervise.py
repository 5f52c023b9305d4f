"""`connspread run --supervise`: programs that no library can be preloaded into, served from outside."""

import collections
import os
import signal
import subprocess
import time

import kernel
from fixture import PYTHON, TOOL, equal

NOBODY = 65534
RANGE = 16


def command(t, *arguments, conf=None, how="", options=()):
    return [TOOL, "run", "-c", conf or t.conf, f"--supervise{how}", *options, "--", *arguments]


def supervised(t, *arguments, check=True, how="", **options):
    """Runs the static client with these arguments to its end."""
    return t.run(command(t, t.program("supervise/client"), *[str(a) for a in arguments], how=how), bare=True, check=check, **options)


def bare(t, *arguments):
    return t.run([t.program("supervise/client"), *[str(a) for a in arguments]], bare=True)


def results(done):
    """How often each source, or error."""
    lines = [line.split() for line in done.stdout.splitlines() if not line.startswith("longest")]
    return collections.Counter(line[0] if line[0] != "error" else f"error {line[1]}" for line in lines)


def longest(done):
    return int(done.stdout.splitlines()[-1].split()[1])


def scene(t, low=20000, ports=RANGE, to=("*",), kind="hold", rule='    on-exhausted = "error"'):
    """Four sources, a range of so many ports, a server."""
    sources = t.sources()
    kernel.port_range(low, low + ports - 1)
    t.spread(sources, to=to, rule=rule)
    return sources, t.server(kind=kind)


def start(t, *arguments, **options):
    """The same in the background, with pipes."""
    return subprocess.Popen(command(t, t.program("supervise/client"), *[str(a) for a in arguments]), env=t.environment(bare=True), stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(word) for word in f.read().split()]


def supervisor_of(process):
    """Its pid, and the program's."""
    kernel.wait_until(lambda: children_of(process.pid) and children_of(children_of(process.pid)[0]), what="no supervisor")
    supervisor = children_of(process.pid)[0]
    return supervisor, children_of(supervisor)[0]


def has_ended(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_every_quadruplet_is_used_before_a_connect_fails(t):
    """Four sources of 16 ports: 64 connections, then EADDRNOTAVAIL, and an event that names the four sources."""
    sources, port = scene(t)
    for mode in ((), ("blocking",)):
        equal(results(supervised(t, "10.1.0.1", port, 66, "hold", *mode)), {**{s: RANGE for s in sources}, "error 99": 2}, f"connections by source {mode}")
        kernel.settle(port)
        port = t.server()
    events = t.events("exhausted")
    equal(sorted({e["outcome"] for e in events}), ["failed"], "outcomes")
    equal(sorted(s["address"] for s in events[0]["sources"]), sources, "sources of the event")
    equal({(e["program"], e["cause"]) for e in events}, {("client", "range-full")}, "whose, and why")


def test_bare_it_makes_a_quarter(t):
    """The same client without a supervisor, which is what the tests here compare with."""
    _, port = scene(t)
    equal(results(bare(t, "10.1.0.1", port, 66, "hold"))["error 99"], 66 - RANGE, "connects that fail")


def test_spread_evenly(t):
    sources, port = scene(t, ports=2000)
    for mode in ((), ("blocking",), ("threads",)):
        n = 100 if "threads" in mode else 400
        counts = results(supervised(t, "10.1.0.1", port, n, *mode))
        equal(sorted(counts), sources, f"sources used {mode}")
        assert all(abs(n - 100) <= 2 for n in counts.values()), f"spread over 400 {mode}: {counts}"


def test_each_time_wait_is_told(t):
    """However a connection ends: one time-wait event where the kernel has a TIME-WAIT, via kernel."""
    _, port = scene(t, ports=2000)
    ends = (), ("shutdown",), ("rst",), ("hold",)
    for how in ends:
        supervised(t, "10.1.0.1", port, 40, *how)
        supervised(t, "10.1.0.1", port, 40, "blocking", "threads", *how)
    t.same_time_waits(port, 3 * 200)
    equal({(e["via"], e["state"], e["verified"], e["program"], e["rule"]) for e in t.events("time-wait")},
          {("kernel", "unknown", True, "client", "r")}, "via, state, verified, program, rule")
    closing = t.server(kind="close")
    supervised(t, "10.1.0.1", closing, 40, "peer-first", "blocking")
    t.same_time_waits(port, 3 * 200)
    equal([e for e in t.time_wait_events(closing) if e.peer_port == closing], [], "events of connections that the peer closed first")


def test_what_no_rule_is_for_is_the_kernels(t):
    """Neither spread nor changed; its TIME-WAITs are told all the same, as a preloaded client's are."""
    _, port = scene(t, ports=2000, to=("192.0.2.0/24",))
    for mode in ((), ("blocking",)):
        equal(list(results(supervised(t, "10.1.0.1", port, 40, *mode))), ["10.1.0.1"], "sources")
    t.same_time_waits(port, 80)


def test_other_sockets_and_errors_are_as_bare(t):
    """UDP, UNIX sockets, bad addresses and descriptors, a port that nobody listens on, connect(AF_UNSPEC): results are the kernel's."""
    scene(t, ports=2000)
    code = """if 1:
        import socket, errno, os
        def attempt(what, f):
            try:
                print(what, f())
            except OSError as e:
                print(what, errno.errorcode[e.errno])
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            for family, name in ((socket.AF_INET, ("10.1.0.1", 9)), (socket.AF_INET6, ("::1", 9)), (socket.AF_UNIX, "/nowhere")):
                with socket.socket(family, kind) as s:
                    attempt((kind, family), lambda: s.connect(name))
                    attempt("again", lambda: s.connect(name))
        libc = __import__("ctypes").CDLL(None, use_errno=True)
        def raw(fd, address, length):
            r = libc.connect(fd, address, length)
            return r, errno.errorcode.get(__import__("ctypes").get_errno()) if r else 0
        s = socket.socket()
        for fd in (s.fileno(), 99, -1, 0):
            for address in (None, 1, b"", b"\\0" * 16, b"\\2\\0\\0\\x09\\x0a\\1\\0\\1" + b"\\0" * 8):
                for length in (-1, 0, 1, 2, 8, 16, 28, 200):
                    print(fd, address, length, raw(fd, __import__("ctypes").c_char_p(address) if not isinstance(address, int) else __import__("ctypes").c_void_p(address), length))"""
    argv = [PYTHON, "-S", "-c", code]
    got, want = (t.run(a, bare=True).stdout.splitlines() for a in (command(t, *argv), argv))
    equal([pair for pair in zip(got, want) if pair[0] != pair[1]], [], "what the program sees, and bare")
    equal(len(got), len(want), "lines")
    t.attached(program="python3")


def test_a_whole_tree_is_served(t):
    """Children, threads, programs that they execute; what a child leaves behind; each under its own name and number."""
    sources, port = scene(t, ports=2000)
    client = t.program("supervise/client")
    done = t.run(command(t, "sh", "-c", f"{client} 10.1.0.1 {port} 8 fork; {client} 10.1.0.1 {port} 8 threads; (sleep 0.2; {client} 10.1.0.1 {port} 8) & "
                                        f"{PYTHON} -S -c 'import socket; [socket.create_connection((\"10.1.0.1\", {port})) for i in range(8)]'; wait"), bare=True)
    equal(sum(results(done).values()), 8 + 32 + 8, "connections")
    equal(sorted(results(done)), sources, "sources")
    kernel.settle(port)
    events = t.events("time-wait")
    equal(len(events), 56, "events")
    equal(collections.Counter(e["program"] for e in events), {"client": 48, "python3": 8}, "programs")
    equal(len({e["pid"] for e in events}), 4, "processes")
    equal(sorted(e["pid"] for e in t.events("attach")), sorted({e["pid"] for e in events}), "attach events")


def test_it_ends_as_the_command(t):
    t.spread(t.sources())
    for script, status in (("exit 7", 7), ("kill -9 $$", -9), ("kill -TERM $$", -15), ("exit 0", 0)):
        equal(t.run(command(t, "sh", "-c", script), bare=True, check=False).returncode, status, script)
    missing = t.run(command(t, "/nowhere/nothing"), bare=True, check=False)
    equal((missing.returncode, missing.stderr), (127, "connspread: /nowhere/nothing: command not found\n"), "a command that is not there")
    wrong = t.run(command(t, "true", how="=yes"), bare=True, check=False)
    equal((wrong.returncode, wrong.stderr), (2, "connspread: run: --supervise=yes is not a way to supervise; try: auto or keep-io-uring\n"), "an unknown way")


def test_started_with_sigchld_ignored(t):
    """The end of a child is seen all the same, and the program finds the signal as it was given."""
    t.spread(t.sources())
    script = "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execvp(sys.argv[1], sys.argv[1:])"
    program = [PYTHON, "-S", "-c", "import signal, sys; sys.exit(5 if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN else 6)"]
    for option in "--supervise", "--require":
        done = subprocess.run([PYTHON, "-S", "-c", script, TOOL, "run", "-c", t.conf, option, "--", *program], env=t.environment(bare=True), timeout=20)
        equal(done.returncode, 5, option)


def test_signals_go_to_the_program(t):
    """A signal to the process that was started reaches the program; killing that process ends the program, as after exec."""
    t.spread(t.sources())
    script = "trap 'echo got; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    for number, status in ((signal.SIGTERM, 3), (signal.SIGKILL, -9)):
        process = subprocess.Popen(command(t, "sh", "-c", script), env=t.environment(bare=True), stdout=subprocess.PIPE, text=True)
        equal(process.stdout.readline(), "ready\n", "the program")
        _, program = supervisor_of(process)
        process.send_signal(number)
        equal(process.wait(timeout=10), status, f"after {number}")
        kernel.wait_until(lambda: has_ended(program), what="the program lives on")


def test_nothing_is_held_open(t):
    """A pipe that the program has closed is closed: neither the supervisor nor the process that was started has it."""
    t.spread(t.sources())
    process = subprocess.Popen(command(t, "sh", "-c", "exec >/dev/null; sleep 30"), env=t.environment(bare=True), stdout=subprocess.PIPE)
    began = time.monotonic()
    equal(process.stdout.read(), b"", "output")
    assert time.monotonic() - began < 25, "the pipe was held open"
    process.kill()
    process.wait()


def test_a_child_that_stays_is_served_on(t):
    """The program ends, its child does not: the status is there at once, and the child's connections are spread and told."""
    sources, port = scene(t, ports=2000)
    output, gate = os.path.join(t.folder, "late"), os.path.join(t.folder, "gate")
    os.mkfifo(gate)
    script = f"(read go <{gate}; exec {t.program('supervise/client')} 10.1.0.1 {port} 8) >{output} 2>&1 & exit 5"
    equal(t.run(command(t, "sh", "-c", script), bare=True, check=False).returncode, 5, "exit status")  # the child goes on after that alone
    with open(gate, "w") as f:
        f.write("go\n")
    kernel.wait_until(lambda: "longest" in open(output).read(), what="the child did not end")
    equal(sorted(line.split()[0] for line in open(output) if "longest" not in line), sorted(sources * 2), "sources")
    kernel.wait_until(lambda: len(t.events("time-wait")) == 8, what="not all were told")


def test_other_users_and_namespaces(t):
    """As nobody; and in a user namespace that the program makes for itself."""
    sources, port = scene(t, ports=2000)
    client = [t.program("supervise/client"), "10.1.0.1", str(port), "8"]
    os.chmod(t.folder, 0o755)
    os.chown(t.state, NOBODY, NOBODY)
    done = t.run(["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", *command(t, *client)], bare=True)
    equal(results(done), {s: 2 for s in sources}, "sources, as nobody")
    done = t.run(["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", *command(t, "unshare", "-U", *client)], bare=True)
    equal(results(done), {s: 2 for s in sources}, "sources, in a user namespace")
    t.same_time_waits(port, 16)


def test_another_network_namespace_is_left_alone(t):
    """There the sources may be others', and nobody would hear of closes: connects are made as if bare."""
    scene(t, ports=2000)
    code = "import socket; l = socket.create_server(('127.0.0.1', 9)); s = socket.create_connection(('127.0.0.1', 9)); print(s.getsockname()[0])"
    done = t.run(command(t, "unshare", "-n", "sh", "-c", f'ip link set lo up; exec {PYTHON} -S -c "{code}"'), bare=True)
    equal(done.stdout, "127.0.0.1\n", "source")


def test_signals_every_millisecond(t):
    """Handlers that restart calls: every connect works, blocking or not."""
    sources, port = scene(t, ports=8000)
    for mode in ("poll", "blocking"):
        done = supervised(t, "10.1.0.1", port, 400, mode, "signals-restart")
        equal(sorted(results(done)), sources, f"sources, {mode}")
        assert longest(done) < 1000, f"longest call {longest(done)} ms"


def test_a_blocking_connect_is_interrupted(t):
    """To a peer that never answers: an alarm whose handler does not restart calls ends the wait, and SO_SNDTIMEO does."""
    t.spread(t.sources())
    kernel.nft("add table inet t; add chain inet t o { type filter hook output priority 0; }; add rule inet t o tcp dport 99 drop")
    code = """if 1:
        import socket, signal, time, struct, errno, ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        def attempt(s):
            address = struct.pack("=H", socket.AF_INET) + struct.pack("!H", 99) + socket.inet_aton("10.1.0.1") + bytes(8)
            began = time.monotonic()
            r = libc.connect(s.fileno(), address, 16)
            print(r, errno.errorcode[ctypes.get_errno()], time.monotonic() - began)
        signal.signal(signal.SIGALRM, lambda *_: 0)
        signal.siginterrupt(signal.SIGALRM, True)
        s = socket.socket()
        signal.setitimer(signal.ITIMER_REAL, 0.4, 0.4)  # again, for the first may come before the connect
        attempt(s)
        signal.setitimer(signal.ITIMER_REAL, 0)
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 3, 0))
        attempt(s)"""
    argv = [PYTHON, "-S", "-c", code]
    for who, words in ("supervised", command(t, *argv)), ("bare", argv):
        lines = [line.rsplit(" ", 1) for line in t.run(words, bare=True, timeout=50).stdout.splitlines()]
        equal([said for said, _ in lines], ["-1 EINTR", "-1 EINPROGRESS"], f"results, {who}")
        by_signal, by_limit = (float(s) for _, s in lines)
        assert by_signal < 10, f"{who}: {by_signal:.2f} s to a signal each 0.4 s"
        assert 2.9 < by_limit < 5.5, f"{who}: {by_limit:.2f} s, SO_SNDTIMEO says 3"  # twice over: 6


def test_io_uring(t):
    """ENOSYS, so that programs fall back on calls that are seen; or kept."""
    t.spread(t.sources())
    code = "import ctypes, errno; l = ctypes.CDLL(None, use_errno=True); print(l.syscall(425, 4, 0), errno.errorcode[ctypes.get_errno()])"
    without = t.run([PYTHON, "-S", "-c", code], bare=True).stdout
    equal(t.run(command(t, PYTHON, "-S", "-c", code), bare=True).stdout, "-1 ENOSYS\n", "io_uring_setup")
    equal(t.run(command(t, PYTHON, "-S", "-c", code, how="=keep-io-uring"), bare=True).stdout, without, "io_uring_setup, kept")


def test_supervisor_killed(t):
    """Clients go on as bare; no call hangs for a second, none fails that bare would have made; the log says so."""
    _, port = scene(t, ports=8000, rule="")
    for mode in ("poll", "blocking"):
        process = start(t, "10.1.0.1", port, 500, mode, "pause", "threads")
        supervisor, _ = supervisor_of(process)
        kernel.wait_until(lambda: len(kernel.sockets(to_port=port)) > 100, what="no connections")
        os.kill(supervisor, signal.SIGKILL)
        out, errors = process.communicate(timeout=30)
        equal((process.returncode, errors), (0, ""), "the client's end")
        lines = out.splitlines()
        equal([line for line in lines if line.startswith("error")], [], f"connects that failed, {mode}")
        equal(len(lines), 2001, "connections")
        assert int(lines[-1].split()[1]) < 1000, f"longest call: {lines[-1]}"
        assert any(line.startswith("10.1.0.1 ") for line in lines), "none was made after its death"
    said = [e for e in t.events("detach") if f"process {supervisor}, was killed by signal 9" in e["text"]]
    equal(len(said), 1, "detach events")


def test_client_stopped_and_killed(t):
    """A client that is stopped inside calls, continued, and killed: the others are served meanwhile, and its ends are told."""
    sources, port = scene(t, ports=8000)
    process = start(t, "10.1.0.1", port, 100000, "blocking", "threads")
    _, program = supervisor_of(process)
    for _ in range(20):
        time.sleep(0.02)
        os.kill(program, signal.SIGSTOP)
        time.sleep(0.01)
        os.kill(program, signal.SIGCONT)
    os.kill(program, signal.SIGKILL)
    process.communicate(timeout=20)
    equal(process.returncode, -9, "status")
    kernel.settle(port)
    waits = kernel.time_waits(port)
    equal(t.time_wait_events(port), waits, "quadruplets of time-wait events")


def test_descriptors_are_bounded(t):
    """After thousands of connections of hundreds of threads the supervisor has no more descriptors than it remembers threads."""
    _, port = scene(t, ports=8000)
    code = f"""if 1:
        import socket, threading
        def many():
            for i in range(5):
                socket.create_connection(("10.1.0.1", {port})).close()
        threads = [threading.Thread(target=many) for i in range(400)]
        [x.start() for x in threads]
        [x.join() for x in threads]
        print("done", flush=True)
        input()"""
    process = subprocess.Popen(command(t, PYTHON, "-S", "-c", code), env=t.environment(bare=True), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    supervisor, _ = supervisor_of(process)
    equal(process.stdout.readline(), "done\n", "the client")
    n = len(os.listdir(f"/proc/{supervisor}/fd"))
    process.communicate("\n", timeout=20)
    assert n < 256 + 16 + 10, f"{n} descriptors"
    t.same_time_waits(port, 2000)


def test_auto(t):
    """The library where it can be preloaded, the supervisor where it cannot."""
    sources, port = scene(t, ports=2000)
    equal(results(supervised(t, "10.1.0.1", port, 8, how="=auto")), {s: 2 for s in sources}, "sources of the static client")
    t.run(command(t, PYTHON, "-S", "-c", f"import socket; socket.create_connection(('10.1.0.1', {port})).close()", how="=auto"), bare=True)
    kernel.settle(port)
    equal({(e["program"], e["via"]) for e in t.events("time-wait")}, {("client", "kernel"), ("python3", "close")}, "via")


def test_offered_where_it_helps(t):
    _, port = scene(t, ports=2000)
    done = t.run([TOOL, "run", "-c", t.conf, "--", t.program("supervise/client"), "10.1.0.1", str(port), "1"], bare=True, check=False)
    assert done.stderr.endswith("no library can be preloaded into it; try: connspread run --supervise\n"), done.stderr


def test_one_supervisor_a_tree(t):
    """A second one in the same tree says why it cannot, and its program is served by the first; with --require it is not started."""
    sources, port = scene(t, ports=2000)
    inner = command(t, t.program("supervise/client"), "10.1.0.1", str(port), "8")
    done = t.run(command(t, *inner), bare=True, check=False)
    equal((done.returncode, results(done)), (0, {s: 2 for s in sources}), "status, sources")
    assert "another supervisor listens to it already (seccomp)" in done.stderr, done.stderr
    inner.insert(inner.index("--"), "--require")
    done = t.run(command(t, *inner), bare=True, check=False)
    equal((done.returncode, done.stdout), (126, ""), "with --require")
    assert "cannot be supervised here" in done.stderr, done.stderr
    equal(results(t.run(inner, bare=True)), {s: 2 for s in sources}, "sources, with --require and nothing in the way")


def test_trace(t):
    """--trace makes events of a supervised client's decisions as of a preloaded one's."""
    _, port = scene(t, ports=2000)
    t.run(command(t, t.program("supervise/client"), "10.1.0.1", str(port), "8", options=["--trace"]), bare=True)
    lines = [line for line in t.tool("log", "--trace", "-o", "json", "-c", t.conf, check=0).stdout.splitlines() if '"event":"trace-connect"' in line]
    equal(len(lines), 8, "trace-connect events")
    assert all('"program":"client"' in line for line in lines), lines[0]


def test_other_endpoints(t):
    """also-to: 64 connections to the program's own destination, then 64 to the other; what it cannot do is said."""
    sources, port = scene(t)
    other = t.server()
    rule = f'    on-exhausted = "error"\n    also-to = {{ "10.1.0.1:{other}" }}\n'
    for i, (mode, more) in enumerate((((), ""), (("blocking",), '    to-policy = "round-robin"\n    show-peer = "asked"\n'))):
        t.spread(sources, to=["10.1.0.1"], rule=rule + more)
        done = supervised(t, "10.1.0.1", port, 130, "hold", *mode, check=False)
        equal((done.returncode, results(done)), (0, {**{s: 2 * RANGE for s in sources}, "error 99": 2}), f"connections by source {mode}")
        equal([line.split("here")[0] for line in done.stderr.splitlines()],
              ['connspread: --supervise: rule "r": to-policy is client-first ', 'connspread: --supervise: rule "r": show-peer is real '] if more else [], "stderr")
        if i == 0:
            kernel.settle(port)
            kernel.settle(other)
            port, other = t.server(), t.server()
            rule = f'    on-exhausted = "error"\n    also-to = {{ "10.1.0.1:{other}" }}\n'
    named = [e for e in t.events("exhausted", outcome="failed") if e["peer_port"] == port]
    equal([(e["address"], e["port"], e["cause"]) for e in named[0]["also"]], [("10.1.0.1", other, "range-full")], "the other endpoint in the event")


def test_ports_that_nothing_shares(t):
    sources, port = scene(t)
    t.spread(sources, pool='    port-sharing = "never"', rule='    on-exhausted = "error"')
    equal(results(supervised(t, "10.1.0.1", port, 66, "hold")), {**{s: RANGE for s in sources}, "error 99": 2}, "connections by source")
    kernel.settle(port)
    other = t.server()
    equal(results(supervised(t, "10.1.0.1", other, 4, "hold")), {"error 99": 4}, "beside their TIME-WAITs")
