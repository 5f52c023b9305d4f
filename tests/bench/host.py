"""Network namespaces and processes; nothing in this file knows of connspread."""

import ctypes
import os
import signal
import subprocess
import time

libc = ctypes.CDLL(None, use_errno=True)

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
PR_SET_CHILD_SUBREAPER = 36


def unshare(flags):
    if libc.unshare(flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")


def write(path, text):
    with open(path, "w") as f:
        f.write(str(text))


def sysctl(name, value):
    write("/proc/sys/" + name.replace(".", "/"), value)


def ip(arguments):
    subprocess.run(["ip"] + arguments.split(), check=True, stdin=subprocess.DEVNULL)


def port_range(low, high):
    sysctl("net.ipv4.ip_local_port_range", f"{low} {high}")


def enter_namespace():
    """Moves this process into a new network namespace, for others through a user namespace."""
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        unshare(CLONE_NEWNET)
    else:
        unshare(CLONE_NEWUSER | CLONE_NEWNET)
        write("/proc/self/setgroups", "deny")
        write("/proc/self/uid_map", f"0 {uid} 1")
        write("/proc/self/gid_map", f"0 {gid} 1")
    ip("link set lo up")
    sysctl("net.ipv4.tcp_tw_reuse", 0)  # the default, 2, reuses TIME-WAITs on loopback and would mislead


def tcp_sockets():
    """In use in this namespace; both ends of a loopback connection count."""
    with open("/proc/net/sockstat") as f:
        return next(int(line.split()[2]) for line in f if line.startswith("TCP:"))


def wait_until(condition, timeout, what):
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"{what} (after {timeout} s)")
        time.sleep(0.01)


def become_subreaper():
    """Orphans among our descendants become our children, so that we can end them."""
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children():
    with open(f"/proc/self/task/{os.getpid()}/children") as f:
        return [int(pid) for pid in f.read().split()]


def end_children():
    """Kills our children; their own become ours and follow, until none is left."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        left = children()
        if not left:
            return
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        for pid in left:
            os.waitpid(pid, 0)
