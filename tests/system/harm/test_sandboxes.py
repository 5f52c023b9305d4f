"""Never worse than without it, in what surrounds a client: rights taken away, places that are read-only or missing, namespaces,
limits. The same client bare and under the shim: same output (results and errnos of some hundred calls), same end. System call
filters are in test_filters.py; full disks, clocks and more limits, for root, in ../test_surroundings.py."""

import ctypes
import os
import resource
import shutil
import subprocess
import traceback

import kernel
from fixture import BUILD, Skip, equal, full, limit
from test_transparent import STALE_PORT, scene

NOBODY = 65534
user = NOBODY - 1 - os.getpid() % 5000  # of no process of another test: RLIMIT_NPROC counts them all; see stage
PROGRAMS = "compare_calls", "compare_ends"
# Where the shim may leave a client alone: its address space is small, its memory is locked, it cannot be known whether it is filtered.
MAY_REST = "AS 64 MiB", "all of them small", "no /proc", "chroot"
CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP = 0x20000, 0x20000000, 0x8000000, 0x4000000, 0x2000000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18


def libc(name, *arguments):
    if getattr(kernel.libc, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), name)


def mount(what, where, kind=b"none", flags=0, data=None):
    libc("mount", what, where.encode(), kind, flags, data)


def own_mounts():
    libc("unshare", CLONE_NEWNS)
    mount(None, "/", flags=MS_REC | MS_PRIVATE)


def become_nobody():
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)


def no_new_privileges():
    libc("prctl", 38, 1, 0, 0, 0)


def no_capabilities():
    for capability in range(64):
        kernel.libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
    libc("syscall", {"x86_64": 126, "aarch64": 91}[os.uname().machine], (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)())


def covered(*places, data=b""):
    """Empty read-only file systems over these."""
    def act():
        own_mounts()
        for place in places:
            mount(b"tmpfs", place, b"tmpfs", MS_RDONLY, data)
    return act


def read_only_root():
    own_mounts()
    mount(None, "/", flags=MS_REMOUNT | MS_BIND | MS_RDONLY)


def proc(options):
    def act():
        own_mounts()
        mount(b"proc", "/proc", b"proc", 0, options)
        become_nobody()
    return act


def user_namespace(mapped):
    def act():
        uid = os.geteuid()
        libc("unshare", kernel.CLONE_NEWUSER)
        if mapped:
            kernel.write("/proc/self/setgroups", "deny")
            kernel.write("/proc/self/uid_map", f"{mapped} {uid} 1")
            kernel.write("/proc/self/gid_map", f"{mapped} {uid} 1")
    return act


def namespaces(*flags):
    def act():
        for flag in flags:
            libc("unshare", flag)
        if CLONE_NEWPID in flags and os.fork() != 0:  # the child is the first process of the new namespace
            _, status = os.wait()
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    return act


def in_root(root):
    """A root directory with libraries, programs and /dev/null, and nothing else."""
    def act():
        own_mounts()
        os.makedirs(root, exist_ok=True)
        mount(b"tmpfs", root, b"tmpfs")
        for place in "/usr", os.path.dirname(root):
            os.makedirs(root + place, exist_ok=True)
            mount(place.encode(), root + place, flags=MS_BIND)
        os.mkdir(root + "/dev")
        kernel.write(root + "/dev/null", "")
        mount(b"/dev/null", root + "/dev/null", flags=MS_BIND)
        for name in "/lib", "/lib64", "/bin":
            if os.path.islink(name):
                os.symlink(os.readlink(name), root + name)
        os.chroot(root)
        os.chdir("/")
    return act


def limits(**values):
    """As an ordinary user, whom they bind."""
    def act():
        for name, value in values.items():
            number = getattr(resource, "RLIMIT_" + name)
            hard = resource.getrlimit(number)[1]
            value = value if hard == resource.RLIM_INFINITY or 0 <= value <= hard else hard  # not every root may raise it
            resource.setrlimit(number, (value, value))
        become_nobody()
    return act


def loudly(act):
    """What goes wrong in act is on stderr, where subprocess does not hide it."""
    def call():
        try:
            act()
        except BaseException:
            traceback.print_exc()
            os._exit(99)
    return call


def no_working_folder(folder):
    def act():
        path = os.path.join(folder, f"gone{os.getpid()}")
        os.mkdir(path)
        os.chdir(path)
        os.rmdir(path)
    return act


def surroundings(folder):
    everything = CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP, CLONE_NEWPID
    return {
        "nothing": lambda: None,
        "an ordinary user": become_nobody,
        "no_new_privs": lambda: (no_new_privileges(), become_nobody()),
        "no capabilities": no_capabilities,
        "read-only /run and /dev/shm": covered("/run", "/dev/shm"),
        "unreadable /run and /dev/shm": covered("/run", "/dev/shm", data=b"mode=0"),
        "read-only root": read_only_root,
        "no /proc": covered("/proc"),
        "no /sys": covered("/sys"),
        "hidepid=1": proc(b"hidepid=1"),
        "hidepid=2": proc(b"hidepid=2"),
        "/proc with subset=pid": proc(b"subset=pid"),
        "chroot": in_root(os.path.join(folder, "root")),
        "user namespace, no map": user_namespace(0),
        "user namespace, another uid": user_namespace(1000),
        "pid namespace": namespaces(CLONE_NEWPID),
        "every namespace but the network's": namespaces(*everything),
        "umask 0777": lambda: os.umask(0o777) and None,
        "no working folder": no_working_folder(folder),
        "AS 64 MiB": limits(AS=64 << 20),
        "AS 512 MiB": limits(AS=512 << 20),
        "DATA 4 MiB": limits(DATA=4 << 20),
        "STACK 256 KiB": limits(STACK=256 << 10),
        "STACK without limit": limits(STACK=resource.RLIM_INFINITY),
        "NOFILE 8": limits(NOFILE=8),
        "NPROC 0": limits(NPROC=0),
        "FSIZE 0": limits(FSIZE=0),
        "CORE 0": limits(CORE=0),
        "CORE without limit": limits(CORE=resource.RLIM_INFINITY),
        "MEMLOCK 0": limits(MEMLOCK=0),
        "SIGPENDING 0": limits(SIGPENDING=0),
        "all of them small": limits(AS=64 << 20, DATA=4 << 20, STACK=256 << 10, NOFILE=8, NPROC=0, FSIZE=0, CORE=0, MEMLOCK=0, SIGPENDING=0),
    }


def stage(t):
    """A pool, a server, and copies of what runs, where an ordinary user may read them. Returns the arguments of a client."""
    if os.geteuid() != 0 or int(open("/proc/self/uid_map").read().split()[2]) <= NOBODY:
        raise Skip("no root: cannot become another user")
    global user
    user = NOBODY - 1 - os.getpid() % 5000  # the test's own process
    address, port = scene(t, "pool")
    for name in "libconnspread.so", "connspread-config.so":
        shutil.copy(os.path.join(BUILD, name), t.folder)
    for name in PROGRAMS + ("harm/locks",):
        shutil.copy(t.program(name), t.folder)
    os.chmod(t.folder, 0o755)
    return [address, str(port)]


def outcome(t, name, arguments, act, mode):
    """mode None: bare. Output, end, stderr. The dynamic linker says itself what it has no room for."""
    env = t.environment(bare=mode is None, preload=os.path.join(t.folder, "libconnspread.so"))
    del env["CONNSPREAD_DIR"]  # the default place is part of what surrounds a client
    if mode:
        env["CONNSPREAD_MODE"] = mode
    done = subprocess.run([os.path.join(t.folder, os.path.basename(name)), *arguments], env=env, preexec_fn=loudly(act), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=30)
    said = [line for line in done.stderr.splitlines() if not line.startswith("ERROR: ld.so: object")]
    return [STALE_PORT.get(line, line) for line in done.stdout.splitlines()], done.returncode, said


def spread(port):
    """The connections, open or closed, that went out from the pool and that the kernel still knows: it forgets a TIME-WAIT after 60 s."""
    return {kernel.quadruplet(s) for s in kernel.sockets(to_port=port) if s.local.startswith("10.0.0.")}


def compare(t, cells, arguments, modes=("enforce", "off")):
    """cells: (what surrounds it, act, program). Prints the worse ones, and how many there are."""
    worse = done = 0
    for what, act, name in cells:
        want = outcome(t, name, arguments, act, None)
        assert len(want[0]) > 5, f"{what}: the bare client did not run: {want}"
        for mode in modes:
            before = spread(int(arguments[1]))
            got = outcome(t, name, arguments, act, mode)
            worked = bool(spread(int(arguments[1])) - before)
            if what not in MAY_REST and name != "locks":
                equal(worked, mode == "enforce", f"{what}, {name}: connections are spread in mode {mode}")
            done += 1
            if got != want:
                worse += 1
                lines = [f"{a!r} became {b!r}" for a, b in zip(want[0], got[0]) if a != b][:4]
                print(f"worse: {what}, {name}, {mode}: {lines}, {len(want[0])} lines became {len(got[0])}, exit {want[1]} became {got[1]}, "
                      f"stderr {want[2]} became {got[2]}")
    print(f"cells {done}, worse {worse}")
    equal(worse, 0, f"worse cells of {done}")


@limit(150)
def test_some(t):
    """Everything that may surround a client, for one of them."""
    compare(t, [(what, act, PROGRAMS[0]) for what, act in surroundings(t.folder).items()], stage(t), modes=("enforce",))


@full
@limit(400)
def test_all(t):
    compare(t, [(what, act, name) for what, act in surroundings(t.folder).items() for name in PROGRAMS], stage(t))


def test_locked_memory(t):
    """An ordinary user's mlockall, under every limit that leaves the client itself room: what we map is not locked with it."""
    compare(t, [(f"MEMLOCK {kib} KiB", limits(MEMLOCK=kib << 10), "locks") for kib in (0, 64, 4096, 8192)], stage(t))
