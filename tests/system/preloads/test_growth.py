"""A state file that grows: more processes and connections than its first part has room for."""

import os
import re
import subprocess

import kernel
from fixture import equal

FIRST = 512  # processes that the first part has room for


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


def test_more_processes_than_the_first_part_holds(t):
    """600 processes with a connection each at once: each is remembered, and each end is told once."""
    port = stage(t)
    crowd(t, "crowd", port, 1)
    before = allocated(t)
    crowd(t, "crowd", port, 600)
    t.same_time_waits(port, 601)
    equal(counted(t, "open_table_full"), 0, "open_table_full")
    grown = allocated(t) - before
    assert 1 << 20 <= grown < 2 << 20, f"the file grew by {grown} bytes"


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
    room = os.statvfs(t.state)
    fd = os.open(os.path.join(t.state, "filler"), os.O_CREAT | os.O_WRONLY)
    os.posix_fallocate(fd, 0, room.f_bfree * room.f_bsize)
    os.close(fd)
    for _ in range(2):
        crowd(t, "crowd", port, FIRST + 100)
    t.same_time_waits(port, 1 + 2 * (FIRST + 100))
    assert 100 <= counted(t, "open_table_full") <= 400, counted(t, "open_table_full")
    said = [e for e in t.events("attach") if "cannot grow" in e.get("text", "")]
    equal(len(said), 1, "events that say so")


def test_a_small_file_system(t):
    """Others need it, too: a file grows by a quarter at most of what was free when it was made."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=50M,mode=0700", "tmpfs", t.state], check=True)
    port = stage(t)
    crowd(t, "crowd", port, 1)
    name, = (n for n in os.listdir(t.state) if n.endswith(".state"))
    free = os.statvfs(t.state)
    room = os.stat(os.path.join(t.state, name)).st_size - allocated(t)
    assert 1 << 20 <= room <= free.f_bfree * free.f_bsize // 4, f"room to grow by {room} bytes"
    crowd(t, "crowd", port, FIRST + 100)
    equal(counted(t, "open_table_full"), 0, "open_table_full")
