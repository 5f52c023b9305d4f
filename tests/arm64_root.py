#!/usr/bin/python3
"""Runs COMMAND where arm64's programs run: tests/arm64_root.py SYSROOT COMMAND... In user, mount and pid namespaces of its own the kernel starts
qemu-user for them (binfmt_misc of a user namespace, Linux 6.7), and SYSROOT/usr lies over /usr. The host keeps what it has; needs root, for the users."""

import ctypes
import os
import sys

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID = 0x20000, 0x10000000, 0x20000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
PR_SET_PDEATHSIG, SIGKILL = 1, 9
QEMU = "/usr/bin/qemu-aarch64-static"
# ELF, 64 bit, little endian, executable or library, machine 183; F: opened now, so that it is found in any root. P: argv[0] stays.
ELF = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"

libc = ctypes.CDLL(None, use_errno=True)


def must(result, what):
    if result != 0:
        sys.exit(f"arm64_root: {what}: {os.strerror(ctypes.get_errno())}")


def mount(source, target, kind, flags=0, options=None):
    must(libc.mount(source.encode(), target.encode(), kind and kind.encode(), flags, options and options.encode()), f"mount {target}")


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


def inside(sysroot, command):
    libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("proc", "/proc", "proc")
    mount("binfmt_misc", "/proc/sys/fs/binfmt_misc", "binfmt_misc")
    write("/proc/sys/fs/binfmt_misc/register", f":connspread-arm64:M::{ELF}:{MASK}:{QEMU}:FP")
    mount("overlay", "/usr", "overlay", 0, f"lowerdir={sysroot}/usr:/usr")
    os.chdir(os.getcwd())
    # Not as the namespace's first process, which no signal of its own ends.
    child = os.fork()
    if child == 0:
        os.execvp(command[0], command)
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(128 - code if code < 0 else code)


def main():
    sysroot, command = os.path.abspath(sys.argv[1]), sys.argv[2:]
    unshared, mapped = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        must(libc.unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID), "unshare")
        os.write(unshared[1], b"x")
        os.read(mapped[0], 1)
        first = os.fork()
        if first == 0:
            inside(sysroot, command)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) & 255)
    os.read(unshared[0], 1)
    for users in ("uid_map", "gid_map"):
        write(f"/proc/{child}/{users}", "0 0 65536\n")
    os.write(mapped[1], b"x")
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 255


sys.exit(main())
