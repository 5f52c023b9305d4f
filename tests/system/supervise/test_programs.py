"""Programs of other languages, which make their system calls themselves, under `connspread run --supervise`."""

import collections
import os
import subprocess

import kernel
from fixture import HERE, equal, limit, needs
from test_supervise import RANGE, command, scene

PROGRAMS = os.path.join(HERE, "supervise/programs")


def build(t, name, *compiler):
    """Compiles PROGRAMS/name; {} stands for what it makes."""
    path = os.path.join(t.folder, "program")
    subprocess.run([word.replace("{}", path) for word in compiler] + [os.path.join(PROGRAMS, name)], cwd=t.folder, check=True, timeout=100,
                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return path


def lines(t, program, port, n):
    return collections.Counter(t.run(command(t, program, "10.1.0.1", str(port), str(n)), bare=True).stdout.splitlines())


def all_quadruplets(t, program, says=()):
    """64 connections of four sources with 16 ports each where bare it makes 16, and an event that names them; then 400, 100 from each."""
    sources, port = scene(t)
    bare = collections.Counter(t.run([program, "10.1.0.1", str(port), str(RANGE + 2)], bare=True).stdout.splitlines())
    equal((bare["10.1.0.1"], bare["error 99"]), (RANGE, 2), "bare: connections, errors")
    kernel.settle(port)
    port = t.server()
    made = lines(t, program, port, 66)
    equal(made, {**{s: RANGE for s in sources}, "error 99": 2, **{word: 1 for word in says}}, "sources")
    events = t.events("exhausted", peer_port=port)
    equal((events[0]["outcome"], sorted(s["address"] for s in events[0]["sources"])), ("failed", sources), "the exhausted event")
    kernel.settle(port)
    kernel.port_range(20000, 29999)
    port = t.server()
    made = lines(t, program, port, 400)
    assert all(abs(made[s] - 100) <= 2 for s in sources) and sum(made[s] for s in sources) == 400, f"spread: {made}"
    t.same_time_waits(port, 400)


@needs("fpc")
def test_free_pascal(t):
    all_quadruplets(t, build(t, "client.pas", "fpc", "-v0", "-o{}"))


@needs("rustc")
@limit(120)
def test_static_rust(t):
    all_quadruplets(t, build(t, "client.rs", "rustc", "-C", "target-feature=+crt-static", "-C", "opt-level=1", "-o", "{}"))


@needs("liburing.so.2")
def test_io_uring(t):
    """A static client of liburing: io_uring_queue_init says ENOSYS, and it connects as others do."""
    program = os.path.join(t.folder, "program")
    subprocess.run(["gcc", "-O1", "-D_GNU_SOURCE", "-static", os.path.join(PROGRAMS, "uring.c"), "-o", program, "-luring"], check=True)
    equal(t.run([program, "10.1.0.1", "1", "0"], bare=True).stdout, "io_uring\n", "bare it has a ring")
    all_quadruplets(t, program, ["connect"])
