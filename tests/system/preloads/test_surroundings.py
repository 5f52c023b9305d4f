"""What surrounds a client turns against it: no room, no permission, no descriptor, no memory, clocks that jump, a state file that
goes away. Its transcript is the one that it has bare in the same surroundings."""

import os
import resource
import shutil
import subprocess
import threading
import time

import kernel
from fixture import SHIM, Skip, equal, full, limit, needs
from test_transparent import STALE_PORT, same, scene

PROGRAMS = ("compare_calls", "compare_ends")
CLONE_NEWNS = 0x20000


def transcripts(t, address, port, what, programs=PROGRAMS, limits=(), **extra):
    """Bare and preloaded, both under the limits: the same lines, exit status and stderr."""
    def limited():
        for name, value in limits:
            resource.setrlimit(name, (value, value))
    for program in programs:
        found = []
        for bare in True, False:
            env = t.environment(bare=bare, **({} if bare else extra))
            found.append(subprocess.run([t.program(program), address, str(port)], env=env, stdin=subprocess.DEVNULL, preexec_fn=limited,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=40))
        bare, shim = found
        want, got = ([STALE_PORT.get(line, line) for line in done.stdout.splitlines()] for done in found)
        same(want, got, f"{program}: {what}")
        equal(shim.returncode, bare.returncode, f"{program}'s exit status: {what}")
        # The dynamic loader itself says what it has no room for.
        said = [line for line in shim.stderr.splitlines() if not line.startswith("ERROR: ld.so: object")]
        equal(said, bare.stderr.splitlines(), f"{program}'s stderr: {what}")


def private_mounts():
    kernel.libc.unshare(CLONE_NEWNS)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


@limit(120)
def test_places_for_the_state_file(t):
    """Read-only, full, without inodes, missing, a file, a loop of links, gone: the client does not notice, and nothing is left behind."""
    address, port = scene(t, "pool")
    private_mounts()
    for options in ("ro", "size=64k,mode=0700", "size=1M,mode=0700", "nr_inodes=1,mode=0700", "mode=0000", "mode=0777"):
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", t.state], check=True)
        transcripts(t, address, port, f"state files on a tmpfs with {options}")
        assert options == "mode=0000" or t.files() == [], f"left behind with {options}: {t.files()}"
        subprocess.run(["umount", t.state], check=True)
    kernel.write(os.path.join(t.folder, "file"), "")
    os.symlink("loop", os.path.join(t.folder, "loop"))
    os.mkdir(os.path.join(t.folder, "gone"))
    for folder in ("/nonexistent/deep", "/proc", "/dev/null", t.folder + "/file", t.folder + "/loop", "/" + 200 * "x", "/sys/x"):
        transcripts(t, address, port, f"CONNSPREAD_DIR={folder[:40]}", CONNSPREAD_DIR=folder)


def works_bare(t, address, port, mebibytes):
    """What the clients print with so much address space."""
    def limited():
        resource.setrlimit(resource.RLIMIT_AS, (mebibytes << 20, mebibytes << 20))
    return [subprocess.run([t.program(program), address, str(port)], env=t.environment(bare=True), preexec_fn=limited, capture_output=True).stdout
            for program in PROGRAMS]


@full
@limit(240)
def test_limits(t):
    """Descriptors, address space, file size, stack: whatever the limit, what works bare works with us."""
    address, port = scene(t, "pool")
    transcripts(t, address, port, "no limit")
    t.attached(program="compare_calls")
    shutil.rmtree(t.state)
    for fresh in True, False:
        for n in range(3, 16):
            if fresh:
                shutil.rmtree(t.state, ignore_errors=True)
            transcripts(t, address, port, f"{n} descriptors, state file {'made' if fresh else 'found'}", limits=[(resource.RLIMIT_NOFILE, n)])
    for size in (0, 1, 4096, 1 << 20, 8 << 20):
        shutil.rmtree(t.state, ignore_errors=True)
        transcripts(t, address, port, f"files of {size} bytes", limits=[(resource.RLIMIT_FSIZE, size)])
    for fresh in True, False:
        for mebibytes in range(3, 64):
            if fresh:
                shutil.rmtree(t.state, ignore_errors=True)
            # The library and its tables take some 300 KiB: a client that has not even that to spare is left out.
            if works_bare(t, address, port, mebibytes) == works_bare(t, address, port, mebibytes - 1):
                transcripts(t, address, port, f"{mebibytes} MiB of address space, state file {'made' if fresh else 'found'}",
                            limits=[(resource.RLIMIT_AS, mebibytes << 20)])
    for limits in [(resource.RLIMIT_MEMLOCK, 0)], [(resource.RLIMIT_DATA, 1 << 20)], [(resource.RLIMIT_STACK, 64 << 10)], [(resource.RLIMIT_NPROC, 1)]:
        transcripts(t, address, port, str(limits), limits=limits)


@limit(120)
def test_clocks_that_jump(t):
    """The clocks that the shim reads jump, back and forth, seconds to years: transcripts and events stay right."""
    address, port = scene(t, "pool")
    preload = f"{SHIM} {t.program('clock.so')}"
    for seed in range(10):
        transcripts(t, address, port, f"CLOCK_SEED={seed}", programs=PROGRAMS + ("compare_connects",) * (seed < 2), preload=preload, CLOCK_SEED=str(seed))
    own = t.server()
    for seed in range(4):
        t.run([t.program("burst"), "10.1.0.1", str(own), "300"], preload=preload, CLOCK_SEED=str(seed))
    t.same_time_waits(own, 1200)


@needs("unshare")
def test_time_namespaces(t):
    """Clients whose monotonic and boot clocks are days apart share a state file: what one has put aside is not so for ever for others."""
    sources = t.sources(11, 12)
    t.spread(sources)
    port = t.server()
    if subprocess.run(["unshare", "-T", "true"], capture_output=True).returncode != 0:
        raise Skip("time namespaces cannot be made here")
    kernel.port_range(40000, 40039)
    burst = t.program("burst")
    waits = 0
    for days in (0, 400, 1, 0, 30, 400, 0):
        ahead = str(days * 86400)
        own = t.server()
        # Twice as many as there are quadruplets: sources are found full and held down.
        t.run(["unshare", "-T", "--monotonic", ahead, "--boottime", ahead, burst, "10.1.0.1", str(own), "70"])
        waits += 70
        kernel.settle(own)
        equal({s: n for s, n in kernel.by_source(own).items()}, {s: 35 for s in sources}, f"connections per source, {days} days ahead")
        done = t.run(["unshare", "-T", "--monotonic", ahead, burst, "10.1.0.1", str(own), "70"], check=False)
        assert "Cannot assign requested address" in done.stderr, done.stderr
        kernel.settle(own)
    equal(len([e for e in t.events("time-wait") if e["peer_port"] != port]), len(kernel.time_waits()), "time-wait events")


def test_the_state_file_goes_away(t):
    """Unlinked, replaced by another, by garbage, by a folder, its folder renamed, emptied, closed, gone: clients work on."""
    sources, port = t.sources(), t.server()
    t.spread(sources)
    path = os.path.join(t.state, "test.state")
    agent = t.agent()
    failed, stop, made = [], threading.Event(), []

    def loop():
        while not stop.is_set():
            failed.append(agent(f"burst(20, '10.1.0.1', {port})"))
            made.append(20)

    thread = threading.Thread(target=loop)
    thread.start()
    kernel.wait_until(lambda: os.path.exists(path), what="the state file")
    other = os.path.join(t.folder, "other")
    for garbage in b"", b"garbage" * 100, os.urandom(1 << 20):
        with open(other, "wb") as f:
            f.write(garbage)
        os.replace(other, path)
        time.sleep(0.1)
        t.python(f"import socket\nfor _ in range(4): socket.create_connection(('10.1.0.1', {port})).close()")
    os.unlink(path)
    t.run([t.program("burst"), "10.1.0.1", str(port), "8"])
    equal(len([e for e in t.events("time-wait") if e["program"] == "burst"]), 8, "events in the state file that was made anew")
    for name in ("a", "b"):
        os.rename(t.state, os.path.join(t.folder, name))
        time.sleep(0.05)
        os.mkdir(t.state, 0o700)
        t.run([t.program("burst"), "10.1.0.1", str(port), "8"])
    shutil.rmtree(t.state)
    os.mkdir(t.state, 0o700)
    os.mkdir(path)
    t.run([t.program("burst"), "10.1.0.1", str(port), "8"])
    os.chmod(t.state, 0)
    t.run([t.program("burst"), "10.1.0.1", str(port), "8"])
    os.chmod(t.state, 0o700)
    stop.set()
    thread.join()
    equal((sum(failed), len(made) > 5), (0, True), "failed connections of the client that ran all the while; it ran")
    agent.end()
    kernel.settle(port, 20)
    counts = [kernel.by_source(port)[s] for s in sources]
    assert max(counts) - min(counts) <= 12, f"connections per source: {counts}"
