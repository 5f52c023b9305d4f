"""An ordinary client that does what the test tells it, one line of python at a time.

Reads JSON strings from stdin, evaluates each, and answers with {"value": ...}, or {"errno": N, "error": "..."} when it
raised. It is started with the shim preloaded and knows nothing of it.
"""

import ctypes
import errno
import json
import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from socket import *  # noqa: F403 (AF_INET, SOCK_STREAM, ... for the lines that tests send)

import socket  # the module again, in place of the class of that name

libc = ctypes.CDLL(None, use_errno=True)
libc.fdopen.restype = ctypes.c_void_p
libc.fclose.argtypes = [ctypes.c_void_p]
libc.freopen.restype = ctypes.c_void_p
libc.freopen.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p]
libc.syscall.argtypes = [ctypes.c_long] * 7
libc.syscall.restype = ctypes.c_long

IP_BIND_ADDRESS_NO_PORT = 24
IP_LOCAL_PORT_RANGE = 51
MPTCP = 262
SYS = {
    "x86_64": {"close": 3, "dup2": 33, "dup3": 292, "close_range": 436, "exit_group": 231},
    "aarch64": {"close": 57, "dup3": 24, "close_range": 436, "exit_group": 94},
}[os.uname().machine]
kept = []


def connect(address, port, family=AF_INET, protocol=0):
    """A connected socket."""
    s = socket.socket(family, SOCK_STREAM, protocol)
    s.connect((address, port))
    return s


def hold(n, address, port, family=AF_INET):
    """Up to n connections that are kept open; returns the errno of the first that failed, or 0, and how many are held now."""
    for _ in range(n):
        try:
            kept.append(connect(address, port, family))
        except OSError as e:
            return e.errno, len(kept)
    return 0, len(kept)


def burst(n, address, port, family=AF_INET, protocol=0):
    """n connections, each closed before the next; returns the number of failures."""
    failures = 0
    for _ in range(n):
        s = socket.socket(family, SOCK_STREAM, protocol)
        try:
            s.connect((address, port))
        except OSError:
            failures += 1
        s.close()
    return failures


def attempt(call, *arguments):
    """0, or the errno that the call raised."""
    try:
        call(*arguments)
        return 0
    except OSError as e:
        return e.errno


def reset(s):
    """Closes with a reset: leaves no TIME-WAIT, frees the quadruplet at once."""
    s.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def unspec(s):
    """connect() with AF_UNSPEC: dissolves the association."""
    if libc.connect(s.fileno(), bytes(16), 16) != 0:
        raise OSError(ctypes.get_errno(), "connect AF_UNSPEC")


def number(s, level, option):
    return s.getsockopt(level, option)


def traits(s):
    """What a client can ask of a socket that its connect left behind."""
    v6 = s.family == AF_INET6
    return {
        "getsockname": s.getsockname()[:2],
        "SO_ERROR": number(s, SOL_SOCKET, SO_ERROR),
        "NO_PORT": number(s, SOL_IP, IP_BIND_ADDRESS_NO_PORT),
        "RANGE": number(s, SOL_IP, IP_LOCAL_PORT_RANGE),
        "V6ONLY": number(s, IPPROTO_IPV6, IPV6_V6ONLY) if v6 else None,
        "REUSEADDR": number(s, SOL_SOCKET, SO_REUSEADDR),
    }


def main():
    names = globals()
    for line in iter(sys.stdin.readline, ""):
        code = json.loads(line)
        try:
            try:
                value = eval(compile(code, "<test>", "eval"), names)
            except SyntaxError:
                exec(compile(code, "<test>", "exec"), names)
                value = None
            answer = {"value": value}
        except OSError as e:
            answer = {"errno": e.errno, "error": str(e)}
        except Exception as e:
            answer = {"errno": 0, "error": f"{type(e).__name__}: {e}"}
        print(json.dumps(answer, default=repr), flush=True)


if __name__ == "__main__":
    main()
