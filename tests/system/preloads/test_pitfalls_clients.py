"""Clients that are hard on a wrapper (hard_places.c), preloaded and, where it matters, bare; numbers as in the list of pitfalls."""

import collections
import os
import re
import resource
import socket
import subprocess

import kernel
from fixture import ROOT, SHIM, equal, limit, needs

SILENT = 7  # a port whose packets a filter drops


def stage(t, rule="", silent=False):
    sources = t.sources()
    port = t.server()
    t.spread(sources, rule=rule)
    if silent:
        kernel.nft(f"table inet silent {{ chain input {{ type filter hook input priority 0; tcp dport {SILENT} drop; }}; }}")
    return sources, port


def hard(t, what, port, *more, **options):
    return t.run([t.program("hard_places"), what, "10.1.0.1", str(port)] + [str(m) for m in more], **options)


def told(t, port, least):
    """Every TIME-WAIT to port has its event, once; there are at least so many."""
    kernel.settle(port)
    waits = kernel.time_waits(port)
    assert len(waits) >= least, f"{len(waits)} TIME-WAITs, at least {least} expected"
    events = collections.Counter(t.time_wait_events(port))
    events.subtract(collections.Counter(waits))
    equal({q: n for q, n in events.items() if n}, {}, f"of {len(waits)} TIME-WAITs, events too many (or, negative, missing)")


def test_3_close_range_in_a_table_of_its_own(t):
    """CLOSE_RANGE_UNSHARE in one thread: the others still have the connection open; it is told at their close, once."""
    _, port = stage(t)
    agent = t.agent()
    agent(f"s = connect('10.1.0.1', {port}); fd = s.detach()")
    agent("x = threading.Thread(target=lambda: libc.close_range(fd, fd, 2)); x.start(); x.join()")
    kernel.settle(port)
    equal((len(kernel.sockets("ESTABLISHED", port)), t.events("time-wait")), (1, []), "open connections and time-wait events")
    agent("os.close(fd)")
    t.same_time_waits(port, 1)


@needs("strace")
def test_7_a_close_is_never_repeated(t):
    """One close each, whatever it answers: after EINTR the number may be another thread's. The connection is told all the same."""
    _, port = stage(t)
    client = [t.program("hard_places"), "careless", "10.1.0.1", str(port), "6"]
    t.run(client)

    def closes(*inject):
        path = os.path.join(t.folder, "trace")
        strace = ["strace", "-o", path, "-e", "trace=close", "-E", f"LD_PRELOAD={t.environment()['LD_PRELOAD']}", *inject]
        t.run(strace + client, bare=True, CONNSPREAD_CONF=t.conf)
        with open(path) as f:
            return [line for line in f if line.startswith("close(")]

    first = len(closes()) - 5  # before these the loader's own
    interrupted = [line.split(")")[0] for line in closes("-e", f"inject=close:error=EINTR:when={first}..{first + 5}") if "INJECTED" in line]
    equal(len(interrupted), 6, "closes that answered EINTR")
    equal(len(set(interrupted)), 6, f"different descriptors in {interrupted}: none is closed again")
    # strace has not let them close anything: they are told at the calls, and again when the process ends with all open
    kernel.settle(port)
    equal(len(t.events("time-wait")), 6 + 6 + 6 + 6, "time-wait events")


def test_7_descriptors_reused_by_other_threads(t):
    """Eight threads race for the same numbers, half of them with files: no close is told twice, none goes to the wrong connection."""
    _, port = stage(t)
    hard(t, "reuse", port, 400)
    t.same_time_waits(port, 1600)


def test_8_children_of_every_kind(t):
    """vfork, posix_spawn, system, popen and _Fork between connections that stay open: each is told once, at its own close."""
    _, port = stage(t)
    hard(t, "spawns", port)
    t.same_time_waits(port, 5)


def test_10_an_allocator_that_connects_and_closes(t):
    """A malloc that opens, duplicates, connects and closes descriptors inside itself, in the client and under our constructor."""
    _, port = stage(t)
    other = t.program("busy_malloc.so")
    for preload in f"{other}:{t.environment()['LD_PRELOAD']}", f"{t.environment()['LD_PRELOAD']}:{other}":
        t.python(f"import socket\nfor _ in range(40): socket.create_connection(('10.1.0.1', {port})).close()", preload=preload,
                 BUSY_ADDRESS="10.1.0.1", BUSY_PORT=str(port))
    told(t, port, 90)


def test_10_fork_in_a_threaded_client(t):
    """Children forked while three threads connect do the same at once; nothing hangs, everything is told once."""
    _, port = stage(t)
    hard(t, "forks", port, 150)
    told(t, port, 300)


def test_10_fork_where_the_kernel_wipes_no_page(t):
    """Before 4.14, and under emulators that only say so: a child closes what its parent keeps, and connects by itself; each end is told once, by its own."""
    t.spread(t.sources())
    for answer in "0", "22":
        port = t.server()
        done = t.python("""if 1:
            import os, socket, sys
            def connected(): return socket.create_connection(("10.1.0.1", int(sys.argv[1])))
            kept = [connected() for _ in range(4)]
            child = os.fork()
            if child == 0:
                for s in kept: s.close()
                connected().close()
                os._exit(0)
            os.waitpid(child, 0)
            print(os.getpid(), child)
            for s in kept: s.close()""", port, preload=SHIM + ":" + t.program("preloads/no_wipe.so"), CONNSPREAD_SECCOMP="trust", NO_WIPE=answer)
        parent, child = map(int, done.stdout.split())
        t.same_time_waits(port, 5)
        told_by = collections.Counter(e["pid"] for e in t.events("time-wait", peer_port=port))
        equal(told_by, {parent: 4, child: 1}, f"events by process, where the kernel says {answer}")


def test_14_constant_addresses(t):
    """An address in read-only memory, its last byte the last that may be read, for connect and the three ways of fast open."""
    kernel.sysctl("net.ipv4.tcp_fastopen", 1)
    sources, port = stage(t)
    hard(t, "constant", port)
    told(t, port, 11)
    equal(set(kernel.by_source(port)), set(sources), "sources")


def test_15_interrupted_connects(t):
    """connect cut short by a signal, then asked again: the errnos of each are those that the kernel gives without us."""
    stage(t, silent=True)
    bare, shim = (hard(t, "interrupted", SILENT, bare=b).stdout for b in (True, False))
    equal(bare, "4 4 4 4 0\n", "EINTR each time, bare")
    equal(shim, bare, "errnos, shim against bare")
    t.attached()


def test_17_smallest_signal_stack(t):
    """Connect and close on an alternate signal stack of the size that the system names; below it lies a page that kills."""
    _, port = stage(t)
    hard(t, "altstack", port)
    told(t, port, 100)


def test_17_small_stacks_when_every_source_is_full(t):
    """PTHREAD_STACK_MIN is enough for the longest way, too: all sources tried, the failure explained."""
    _, port = stage(t, rule='on-exhausted = "fallback"\nattempts = 64')
    kernel.port_range(40000, 40015)
    hard(t, "full", port, 200)
    kernel.settle(port)
    equal(len(kernel.time_waits(port)), 80, "TIME-WAITs: four sources and the client's own address, 16 ports each")
    assert t.events("exhausted"), "no exhausted event"
    equal(t.time_wait_events(port), kernel.time_waits(port), "quadruplets of time-wait events")


def test_17_stack_as_the_manual_says(t):
    """What connect and close take of the caller's stack on the longest way: all sources tried, the failure explained."""
    _, port = stage(t, rule='on-exhausted = "fallback"\nattempts = 64')
    kernel.port_range(40000, 40015)
    sizes = [int(n) for n in t.run([t.program("preloads/stack"), str(port), "200"]).stdout.split()]
    manual, = re.findall(r"takes up to (\d+) kB", open(os.path.join(ROOT, "contrib/man/libconnspread.7")).read())
    assert 512 < max(sizes) <= int(manual) * 1000, (sizes, manual)
    assert t.events("exhausted"), "no exhausted event"


@needs("readelf")
def test_17_static_tls(t):
    """Thread-local variables need no allocation at their first use: initial-exec only."""
    out = subprocess.run(["readelf", "-dWr", t.environment()["LD_PRELOAD"]], check=True, stdout=subprocess.PIPE, text=True).stdout
    assert "STATIC_TLS" in out, "no STATIC_TLS flag"
    assert not re.search(r"DTPMOD|DTPOFF|TLSDESC", out), "a relocation of dynamic TLS"


def test_18_cancelled_while_blocked(t):
    """pthread_cancel ends a thread that waits in connect, and one that waits in close, as it does without us."""
    stage(t, silent=True)
    listener = socket.create_server(("10.1.0.1", 0))  # nobody accepts and nobody reads
    port = listener.getsockname()[1]
    bare, shim = (hard(t, "cancelled", SILENT, port, bare=b).stdout for b in (True, False))
    equal(bare, "connect: cancelled\nclose: cancelled\n", "bare")
    equal(shim, bare, "shim against bare")
    t.attached()


@limit(120)
def test_20000_descriptors(t):
    """All that a process may have, but for a few: opened, closed, each told once; and none is lost on the way."""
    sources, port = stage(t)
    hold = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 20000) - 100
    resource.setrlimit(resource.RLIMIT_NOFILE, (hold + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    kernel.sysctl("net.ipv4.tcp_max_tw_buckets", 60000)
    hard(t, "many", port, hold, timeout=100)
    kernel.settle(port, 30)
    equal(len(kernel.time_waits(port)), hold, "TIME-WAITs")
    told(t, port, hold)
    spread = kernel.by_source(port)
    assert all(abs(spread[s] - hold / len(sources)) <= 2 for s in sources), f"connections per source: {dict(spread)}"


def test_38b_locked_memory(t):
    """A client under mlockall(MCL_FUTURE): what we add to its locked memory is the state file and its small tables."""
    _, port = stage(t)
    hard(t, "careless", port, 1)  # compiles the policy
    bare, shim = (int(hard(t, "locked", port, bare=b).stdout) for b in (True, False))
    size = os.path.getsize(os.path.join(t.state, "test.state")) // 1024
    assert shim - bare < size + 1024, f"VmLck {bare} kB bare, {shim} kB with the shim, state file {size} kB"
