"""Limits that a client lives under are for its own memory, not for what the shim has mapped."""

import os
import resource
import subprocess

from fixture import Skip, equal

MIB = 1 << 20
NOBODY = 65534


def locked(t, flags, memlock, bare, *more, user=NOBODY):
    """lock_memory as an ordinary user: (exit status, output, MiB that are locked at the end)."""
    if os.geteuid() != 0 or int(open("/proc/self/uid_map").read().split()[2]) <= NOBODY:
        raise Skip("no root: cannot become another user")
    argv = [t.program("harm/lock_memory"), "10.1.0.1", str(t.port), str(flags), *more]
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (memlock, memlock))
    done = subprocess.run(argv, env=t.environment(bare=bare), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=30,
                          user=user, group=user, extra_groups=[])
    return done.returncode, done.stdout, int(done.stderr)


def may_raise():
    """CAP_SYS_RESOURCE."""
    with open("/proc/self/status") as f:
        return int(f.read().split("CapEff:")[1].split()[0], 16) >> 24 & 1


def as_bare(t, *arguments, **options):
    """Under the shim it ends as bare, and not a MiB more is locked but for the library itself."""
    (*bare, mib), (*shim, more) = (locked(t, *arguments[:2], was_bare, **options) for was_bare in (True, False))
    equal(shim, bare, f"mlockall{arguments}")
    assert mib <= more <= mib + 1, f"mlockall{arguments}: {more} MiB are locked, bare {mib}"


def stage(t):
    t.sources()
    t.port = t.server()
    t.spread(["10.0.0.11-10.0.0.14"])
    os.chmod(t.folder, 0o755)
    os.chown(t.state, NOBODY, NOBODY)


def test_mlockall_at_eight_mebibytes(t):
    """RLIMIT_MEMLOCK as Linux sets it, for a small program: it locks its memory as bare, maps as much more, and goes on."""
    stage(t)
    for flags in 1, 2, 3:
        as_bare(t, flags, 8 * MIB)
    t.attached(program="lock_memory")


def test_mlockall_with_room(t):
    """Where root locks, whom no limit holds, or one with a limit that has room for both (if this host lets us raise it), the shim
    stays at work, and none of its memory is locked."""
    stage(t)
    rooms = [resource.RLIM_INFINITY, 64 * MIB] if may_raise() else []
    for memlock in rooms:
        as_bare(t, 3, memlock)
    os.chown(t.state, 0, 0)
    as_bare(t, 3, 8 * MIB, user=0)
    equal(len(t.events("time-wait")), 3 * len(rooms) + 3, "events")


def test_mlockall_with_threads(t):
    """The state file cannot be given back where another thread may be using it: that client fails, as the manual says."""
    stage(t)
    status, out, _ = locked(t, 1, 8 * MIB, False, "threads")
    equal((status, "mlockall -1 Cannot allocate memory" in out), (0, True), "with threads")
