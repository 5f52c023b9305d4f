"""A state file that grows: more processes and connections than its first part has room for."""

import os
import re
import struct
import subprocess

import kernel
from fixture import equal

FIRST = 512  # processes that the first part has room for
MB = 1 << 20


def stage(t):
    sources = t.sources()
    port = t.server()
    t.spread(sources)
    return port


def counted(t, name):
    """A counter of `connspread stat`, all arms."""
    line = re.search(rf"^{name} +(.*)$", t.tool("stat", "-c", t.conf, check=0).stdout, re.MULTILINE)
    return sum(int(n.replace(",", "")) for n in line[1].split())


def crowd(t, what, port, n):
    t.run([t.program("hard_places"), what, "10.1.0.1", str(port), str(n)], timeout=50)


def allocated(t):
    name, = (n for n in os.listdir(t.state) if n.endswith(".state"))
    return os.stat(os.path.join(t.state, name)).st_blocks * 512


def header_size(t):
    """Of the part of the file that every process maps."""
    name, = (n for n in os.listdir(t.state) if n.endswith(".state"))
    with open(os.path.join(t.state, name), "rb") as f:
        return struct.unpack_from("Q", f.read(64), 24)[0]


def fill(t):
    """All that is free on the state files' file system; the filler's path."""
    room = os.statvfs(t.state)
    path = os.path.join(t.state, "filler")
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    os.posix_fallocate(fd, 0, room.f_bfree * room.f_bsize)
    os.close(fd)
    return path


def test_a_file_begins_small(t):
    """Made by `connspread run`, with a connection, its events and its minute in it; and it grows by what is used."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64M,mode=0700", "tmpfs", t.state], check=True)  # it counts pages, and nothing of its own
    port = stage(t)
    t.run([t.program("hard_places"), "crowd", "10.1.0.1", str(port), "1"], via="run")
    begun = allocated(t)
    assert begun <= 4 * 1000 * 1000, f"{begun} bytes"
    t.tool("set", "--for-later", "-c", t.conf, "canary=100", check=0)
    t.tool("stat", "-c", t.conf, check=0)
    grown = allocated(t) - begun
    assert grown < 65536, f"{grown} bytes after the tool has written and read: a block"  # less are notes of the file system's own (ext4)
    t.run([t.program("hard_places"), "careless", "10.1.0.1", str(port), "3000"])
    t.same_time_waits(port, 3001)
    assert 128 * 2000 <= allocated(t) - begun < MB, f"grown by {allocated(t) - begun} bytes"


def test_more_processes_than_the_first_part_holds(t):
    """600 processes with a connection each at once: each is remembered, and each end is told once."""
    port = stage(t)
    crowd(t, "crowd", port, 1)
    before = allocated(t)
    crowd(t, "crowd", port, 600)
    t.same_time_waits(port, 601)
    equal(counted(t, "open_table_full"), 0, "open_table_full")
    grown = allocated(t) - before
    assert 2 * MB <= grown < 4 * MB, f"the file grew by {grown} bytes"  # 600 of 4 kB each, a segment at a time


def test_all_are_killed(t):
    """700 processes with two connections each, all killed at once: 1,400 ends are told, and the next ones find the room again."""
    port = stage(t)
    for _ in range(2):
        crowd(t, "killed", port, 700)
        t.tool("reap", "-c", t.conf)
    kernel.settle(port)
    equal(counted(t, "open_table_full"), 0, "open_table_full")
    ends = t.events(via="killed")
    equal(len(ends), 2800, "ends that were told")
    equal(len({(e["local_address"], e["local_port"], e["time"]) for e in ends}), 2800, "different ones")
    assert allocated(t) < 30 << 20, "what was given back is not used again"


def test_a_disk_that_is_full(t):
    """No room to grow: what does not fit is counted, said once, and no client comes to harm."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40M,mode=0700", "tmpfs", t.state], check=True)
    port = stage(t)
    crowd(t, "crowd", port, 1)
    filler, n, begun = fill(t), FIRST + 100, allocated(t)
    for _ in range(2):
        crowd(t, "crowd", port, n)
    kernel.settle(port)
    equal(len(kernel.time_waits(port)), 1 + 2 * n, "TIME-WAITs")
    equal(allocated(t), begun, "bytes of a file that has no room")
    full, dropped = counted(t, "open_table_full"), counted(t, "events_dropped")
    assert 2 * (n - 32) <= full <= 2 * n, f"{full} connections without a name"
    assert 2 * (n - 512) <= dropped < 6 * n, f"{dropped} events dropped"
    t.run([t.program("hard_places"), "careless", "10.1.0.1", str(port), "2000"])
    assert counted(t, "events_dropped") >= dropped + 1000, "closes that no one has are not counted"
    said = [e for e in t.events("attach") if "cannot grow" in e.get("text", "")]
    equal(len(said), 1, "events that say so")
    os.unlink(filler)
    dropped = counted(t, "events_dropped")
    crowd(t, "crowd", port, n)
    equal(counted(t, "events_dropped"), dropped, "events dropped once there is room again")
    equal(counted(t, "open_table_full"), full, "connections without a name, the same")


def test_a_small_file_system(t):
    """Others need it, too: a file grows by a quarter at most of what was free when it was made."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=50M,mode=0700", "tmpfs", t.state], check=True)
    port = stage(t)
    crowd(t, "crowd", port, 1)
    name, = (n for n in os.listdir(t.state) if n.endswith(".state"))
    free = os.statvfs(t.state)
    room = (os.stat(os.path.join(t.state, name)).st_size >> 16 << 16) - header_size(t)
    assert MB <= room <= free.f_bfree * free.f_bsize // 4, f"room to grow by {room} bytes"
    crowd(t, "crowd", port, FIRST + 100)
    equal(counted(t, "open_table_full"), 0, "open_table_full")


def test_a_bound_for_the_file(t):
    """state { size-max }: no larger, and what does not fit is counted and said once."""
    sources = t.sources()
    port = t.server()
    t.spread(sources, top='log { size = "4M" }\nstate { size-max = "16M" }')
    crowd(t, "crowd", port, FIRST + 256 + 100)  # the first part and one segment, and so many more
    t.same_time_waits(port, FIRST + 256 + 100)
    full = counted(t, "open_table_full")
    assert 50 <= full <= 100, f"{full} connections without a name"
    name, = (n for n in os.listdir(t.state) if n.endswith(".state"))
    assert allocated(t) <= os.stat(os.path.join(t.state, name)).st_size <= 16 * MB, "larger than it may be"
    said = [e for e in t.events("attach") if "state.size-max" in e.get("text", "")]
    equal(len(said), 1, "events that say so")
