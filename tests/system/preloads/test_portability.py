"""The same state file under clients of another word size."""

import os
import re
import subprocess

import kernel
import test_referee
import test_transparent
from fixture import PROGRAMS, ROOT, SHIM, equal, full, limit


TIME64 = ("-D_FILE_OFFSET_BITS=64", "-D_TIME_BITS=64")


def build_32(t, program="burst", flags=()):
    """The shim and a client for i386, built without a warning. The config module is not: libconfuse would have to come for i386."""
    folder = os.path.join(t.folder, "i386")
    shim, client = os.path.join(folder, "libconnspread.so"), os.path.join(folder, "client")
    done = subprocess.run(["make", "-s", "-C", ROOT, f"BUILD={folder}", "CC=gcc -m32", "WERROR=-Werror", shim], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    equal((done.returncode, done.stderr), (0, ""), "build for i386 (package gcc-multilib)")
    subprocess.run(["gcc", "-m32", "-O1", "-D_GNU_SOURCE", "-I" + os.path.join(ROOT, "src"), *flags, "-o", client, os.path.join(ROOT, f"tests/system/{program}.c"), "-lpthread"], check=True)
    return shim, client


def preload_both(t, shim):
    """What each program takes the shim of its own word size from: the loader puts its own folder in place of $LIB."""
    for folder, path in ("lib32", shim), ("lib/i386-linux-gnu", shim), ("lib64", SHIM), ("lib/x86_64-linux-gnu", SHIM):
        os.makedirs(os.path.join(t.folder, folder))
        os.symlink(path, os.path.join(t.folder, folder, "libconnspread.so"))
    return os.path.join(t.folder, "$LIB", "libconnspread.so")


def exports(path):
    """Without what is libc's own affair."""
    lines = subprocess.run(["nm", "-D", "--defined-only", path], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return {line.split()[-1].split("@")[0] for line in lines if "PRIVATE" not in line}


def transparent_32(t, program):
    """One of the programs that print what every call answers: the same for a 32-bit client, bare and preloaded."""
    shim, client = build_32(t, program)
    address, port = test_transparent.scene(t, "pool")
    t.tool("run", "-c", t.conf, "--", "true", check=0)
    argv = [client, address, str(port)]
    bare, got = (t.run(argv, bare=b, preload=shim).stdout.splitlines() for b in (True, False))
    assert len(bare) > 100, f"only {len(bare)} lines"
    test_transparent.same([test_transparent.STALE_PORT.get(line, line) for line in bare], got, "shim against bare")
    t.attached(program="client")


@full
@limit(300)
def test_32_connects(t):
    transparent_32(t, "compare_connects")


@full
@limit(300)
def test_32_calls(t):
    transparent_32(t, "compare_calls")


@full
@limit(300)
def test_32_calls_of_a_64_bit_time(t):
    """glibc has some calls under a second name, for programs whose time_t has 64 bits. Each that is a wrapped call is exported, and
    no other; the verdicts of connections that went through them are the kernel's."""
    sources = test_referee.prepare(t)
    shim, client = build_32(t, "lifecycles", TIME64)
    libc = re.search(r"libc\.so\.6 => (\S+)", subprocess.run(["ldd", client], check=True, stdout=subprocess.PIPE, text=True).stdout)[1]
    ours, theirs = exports(shim), exports(libc)
    twins = {name for call in ours for name in (f"__{call}64", f"__{call}_time64", f"__{call}64_time64") if name in theirs}
    assert {"__setsockopt64", "__fcntl_time64"} <= twins, twins
    equal({name for name in ours if name.startswith("__")}, twins, "second names")
    t.spread(sources, to=("10.1.0.1",), top='log { size = "64m" }')
    t.tool("run", "-c", t.conf, "--", "true", check=0)
    test_referee.compare(t, *test_referee.conduct(t, 0, 900, client, preload=preload_both(t, shim)))


@full
@limit(300)
def test_32_hard_places(t):
    """Small stacks, a small signal stack, threads that reuse descriptors: on i386, too."""
    shim, client = build_32(t, "hard_places")
    kernel.sysctl("net.ipv4.tcp_fastopen", 1)
    t.spread(t.sources())
    port = t.server()
    t.tool("run", "-c", t.conf, "--", "true", check=0)
    for what, n in ("constant", 0), ("altstack", 0), ("reuse", 100):
        t.run([client, what, "10.1.0.1", str(port), str(n)], preload=shim)
    kernel.settle(port)
    waits = kernel.time_waits(port)
    assert len(waits) >= 11 + 100 + 400, f"{len(waits)} TIME-WAITs"
    equal(t.time_wait_events(port), waits, "quadruplets of time-wait events")


@full
@limit(300)
def test_32_one_state_file_for_both_word_sizes(t):
    """32- and 64-bit clients at once on one instance: one round robin, each close told once, and each reads what the other wrote:
    hold-downs, events with their sources, counters."""
    shim, client = build_32(t)
    sources = t.sources()
    port = t.server()
    t.spread(sources, rule='on-exhausted = "error"\nattempts = 16')
    t.tool("run", "-c", t.conf, "--", "true", check=0)  # compiles the policy

    def both(n):
        running = [subprocess.Popen([path, "10.1.0.1", str(port), str(n)], env=t.environment(preload=preload), stdin=subprocess.DEVNULL)
                   for path, preload in ((client, shim), (os.path.join(PROGRAMS, "burst"), None))]
        return [p.wait(timeout=30) for p in running]

    equal(both(400), [0, 0], "exit status of the 32- and the 64-bit client")
    t.same_time_waits(port, 800)
    equal(dict(kernel.by_source(port)), {s: 200 for s in sources}, "connections per source")
    equal({e["program"]: e["arm"] for e in t.events("attach")}, {"client": "enforce", "burst": "enforce"}, "attach events")
    quarters = {name: len(t.events("time-wait", program=name)) for name in ("client", "burst")}
    equal(quarters, {"client": 400, "burst": 400}, "time-wait events by program")

    other = t.server()
    kernel.port_range(40000, 40003)
    done = [subprocess.run([path, "10.1.0.1", str(other), str(n)], env=t.environment(preload=preload), stdin=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL).returncode
            for path, preload, n in ((client, shim, 16), (os.path.join(PROGRAMS, "burst"), None, 1), (client, shim, 1))]
    equal(done, [0, 1, 1], "exit status: 16 quadruplets by a 32-bit client, then none for either")
    for name in "burst", "client":
        (event,) = t.events("exhausted", program=name, outcome="failed")
        equal((event["cause"], event["call"], sorted(s["address"] for s in event["sources"])), ("range-full", "connect", sources), f"event of {name}")
        equal([(s["cause"], s["time_wait"]) for s in event["sources"]], [("range-full", 4)] * 4, f"its sources, by {name}")
    stat = t.tool("stat", "-o", "prometheus", "-c", t.conf, check=0).stdout
    equal(sum(float(line.split()[-1]) for line in stat.splitlines() if line.startswith("connspread_connects_total")), 818.0, "connects counted")
    t.same_time_waits(other, 16)
