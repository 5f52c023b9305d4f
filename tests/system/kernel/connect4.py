"""A load balancer at connect: a cgroup program that rewrites the destination, as Cilium's does."""

import ctypes
import os
import socket
import struct

LIBC = ctypes.CDLL(None, use_errno=True)
BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
PROG_LOAD, PROG_ATTACH, SOCK_ADDR, INET4_CONNECT = 5, 8, 18, 10


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes, 128)
    result = LIBC.syscall(BPF, command, buffer, len(buffer))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def instruction(op, to, source, offset, value):
    return struct.pack("<BBhI", op, source << 4 | to, offset, value & 0xffffffff)


def word(address):
    return struct.unpack("<I", socket.inet_aton(address))[0]


def cgroup():
    """A cgroup of the second version of our own, or None where there is none."""
    with open("/proc/self/mountinfo") as f:
        roots = [line.split()[4] for line in f if line.split(" - ")[1].startswith("cgroup2 ")]
    if not roots:
        return None
    path = os.path.join(roots[0], f"connspread-{os.getpid()}")
    os.mkdir(path)
    return path


def translate(path, service, backend):
    """From now on, connects in this cgroup that ask for service come to backend."""
    program = b"".join((
        instruction(0x61, 2, 1, 4, 0),                 # r2 = ctx->user_ip4
        instruction(0xb4, 3, 0, 0, word(service)),
        instruction(0x1e, 2, 3, 1, 0),                 # if r2 == service: go on, else skip two
        instruction(0x05, 0, 0, 2, 0),
        instruction(0xb4, 3, 0, 0, word(backend)),
        instruction(0x63, 1, 3, 4, 0),                 # ctx->user_ip4 = backend
        instruction(0xb7, 0, 0, 0, 1),
        instruction(0x95, 0, 0, 0, 0)))
    code, licence, log = ctypes.create_string_buffer(program, len(program)), ctypes.create_string_buffer(b"GPL"), ctypes.create_string_buffer(65536)
    loaded = bpf(PROG_LOAD, struct.pack("<IIQQIIQII16sII", SOCK_ADDR, len(program) // 8, ctypes.addressof(code), ctypes.addressof(licence),
                                        1, 65536, ctypes.addressof(log), 0, 0, b"connspread", 0, INET4_CONNECT))
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    bpf(PROG_ATTACH, struct.pack("<IIII", folder, loaded, INET4_CONNECT, 0))
    os.close(folder)
    os.close(loaded)
