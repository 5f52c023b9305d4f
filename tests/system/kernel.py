"""The referee: network namespaces, and what the kernel itself says about the sockets in them.

Nothing in this file knows of connspread.
"""

import collections
import ctypes
import errno
import os
import signal
import socket
import struct
import subprocess
import time

libc = ctypes.CDLL(None, use_errno=True)

CLONE_NEWNS = 0x20000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

STATES = {
    1: "ESTABLISHED", 2: "SYN_SENT", 3: "SYN_RECV", 4: "FIN_WAIT1", 5: "FIN_WAIT2", 6: "TIME_WAIT", 7: "CLOSE",
    8: "CLOSE_WAIT", 9: "LAST_ACK", 10: "LISTEN", 11: "CLOSING", 12: "SYN_RECV",
}
SETTLED = {"ESTABLISHED", "TIME_WAIT", "LISTEN", "CLOSE"}

# Addresses as text, IPv4 also where the socket is AF_INET6 (v4-mapped); ports as numbers.
Sock = collections.namedtuple("Sock", "state local local_port peer peer_port inode")
Quadruplet = collections.namedtuple("Quadruplet", "local local_port peer peer_port")


def _check(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def own_places():
    """An empty /run and /dev/shm, which no other test and no program of the host sees: state files lie there by default."""
    _check(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "mount --make-rprivate /")
    _check(libc.mount(b"none", b"/run", b"tmpfs", 0, b"mode=755"), "mount /run")
    _check(libc.mount(b"none", b"/dev/shm", b"tmpfs", 0, b"mode=1777"), "mount /dev/shm")


def enter_namespace():
    """Moves this process into network and mount namespaces of its own: as root directly, otherwise through a user namespace."""
    uid, gid = os.geteuid(), os.getegid()
    if uid != 0 or libc.unshare(CLONE_NEWNET | CLONE_NEWNS) != 0:
        _check(libc.unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS), "unshare")
        write("/proc/self/setgroups", "deny")
        write("/proc/self/uid_map", f"0 {uid} 1")
        write("/proc/self/gid_map", f"0 {gid} 1")
    own_places()
    ip("link set lo up")
    sysctl("net.ipv4.tcp_tw_reuse", 0)  # the default, 2, reuses TIME-WAITs on loopback and would mislead
    # Under load a late ACK of the peer can meet a TIME-WAIT whose peer is gone; the answer is a reset, which ends it
    # (RFC 1337). It happens about once in a thousand closes on loopback; the referee must not lose it.
    sysctl("net.ipv4.tcp_rfc1337", 1)


def become_guardian():
    """Orphans among our descendants become our children, so that we can end them; SIGTERM comes when our parent dies."""
    _check(libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")
    _check(libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0), "prctl")


def children():
    with open(f"/proc/self/task/{os.getpid()}/children") as f:
        return [int(pid) for pid in f.read().split()]


def write(path, text):
    with open(path, "w") as f:
        f.write(str(text))


def sysctl(name, value=None):
    path = "/proc/sys/" + name.replace(".", "/")
    if value is not None:
        write(path, value)
    with open(path) as f:
        return f.read().strip()


def port_range(low, high):
    sysctl("net.ipv4.ip_local_port_range", f"{low} {high}")


def ip(arguments):
    subprocess.run(["ip"] + arguments.split(), check=True, stdin=subprocess.DEVNULL)


def nft(commands):
    subprocess.run(["nft", "-f", "-"], input=commands, text=True, check=True)


def add_addresses(*addresses, device="lo"):
    """Host addresses of either family; usable at once."""
    for address in addresses:
        if ":" in address:
            ip(f"addr add {address}/128 dev {device} nodad")
        else:
            ip(f"addr add {address}/32 dev {device}")


def addresses(prefix, first, last):
    """addresses("10.0.0.", 11, 14) -> 10.0.0.11 .. 10.0.0.14 (the number is decimal in either family)"""
    return [f"{prefix}{n}" for n in range(first, last + 1)]


def counter(name):
    """A counter as nstat names it, such as TcpExtTWRecycled."""
    for path in ("/proc/net/netstat", "/proc/net/snmp"):
        with open(path) as f:
            lines = f.read().splitlines()
        for names, values in zip(lines[::2], lines[1::2]):
            group = names.split(":")[0]
            for key, value in zip(names.split()[1:], values.split()[1:]):
                if group + key == name:
                    return int(value)
    raise KeyError(name)


def _text(family, raw):
    if family == socket.AF_INET:
        return socket.inet_ntop(family, raw[:4])
    if raw[:12] == b"\0" * 10 + b"\xff\xff":
        return socket.inet_ntop(socket.AF_INET, raw[12:])
    return socket.inet_ntop(family, raw)


def sockets(state=None, to_port=None):
    """Every TCP socket of this namespace, TIME-WAITs included, by an inet_diag dump."""
    found = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as diag:  # NETLINK_SOCK_DIAG
        diag.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        for family in (socket.AF_INET, socket.AF_INET6):
            request = struct.pack("=BBBBI48x", family, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF)
            diag.send(struct.pack("=IHHII", 16 + len(request), 20, 0x301, 1, 0) + request)
            found += _read_dump(diag)
    return [s for s in found if (state is None or s.state == state) and (to_port is None or s.peer_port == to_port)]


def _read_dump(diag):
    found = []
    while True:
        data = diag.recv(1 << 17)
        while data:
            length, kind = struct.unpack_from("=IH", data)
            if kind in (2, 3):  # NLMSG_ERROR, NLMSG_DONE: either may carry an error
                number = -struct.unpack_from("=i", data, 16)[0]
                if kind == 3 and number == 0:
                    return found
                raise OSError(number, "sock_diag: " + os.strerror(number))
            family, state = struct.unpack_from("=BB", data, 16)
            local_port, peer_port = struct.unpack_from(">HH", data, 20)
            local, peer = data[24:40], data[40:56]
            inode = struct.unpack_from("=I", data, 16 + 68)[0]
            found.append(Sock(STATES[state], _text(family, local), local_port, _text(family, peer), peer_port, inode))
            data = data[(length + 3) & ~3:]


def quadruplet(sock):
    return Quadruplet(sock.local, sock.local_port, sock.peer, sock.peer_port)


def time_waits(to_port=None):
    """The quadruplets of the TIME-WAIT sockets whose peer port is to_port, sorted."""
    return sorted(quadruplet(s) for s in sockets("TIME_WAIT", to_port))


def state_of(quad):
    """The kernel's state of one quadruplet, or None when there is no such socket."""
    for s in sockets(to_port=quad.peer_port):
        if quadruplet(s) == quad:
            return s.state
    return None


def settle(port, timeout=15):
    """Waits until no connection to or from this port is between two states."""
    def settled():
        return all(s.state in SETTLED for s in sockets() if port in (s.local_port, s.peer_port))
    wait_until(settled, timeout, f"connections of port {port} are still changing state")


def by_source(port):
    """How many connections to this port each local address holds: open, closing or in TIME-WAIT."""
    return collections.Counter(s.local for s in sockets(to_port=port) if s.state != "SYN_RECV")


def wait_until(condition, timeout=15, what="condition not met"):
    """Polls until condition() is true and returns its value."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} (after {timeout} s)")
        time.sleep(0.01)


def catches(pid, number):
    """Has this child of ours a handler for the signal by now, or has it ended?"""
    with open(f"/proc/{pid}/status") as f:
        fields = dict(line.split(":", 1) for line in f)
    return "Z" in fields["State"] or int(fields["SigCgt"], 16) >> number - 1 & 1


def errno_name(number):
    return errno.errorcode.get(number, str(number)) if number else "0"


def destroy(local, local_port, peer, peer_port):
    """Makes the kernel abort one socket (ss -K): its quadruplet is free, and no client was asked."""
    family = "-6" if ":" in local else "-4"
    subprocess.run(["ss", family, "-K", "-Htn", "src", local, "sport", "=", f":{local_port}", "dst", peer, "dport", "=", f":{peer_port}"],
                   check=True, stdin=subprocess.DEVNULL)
    wait_until(lambda: state_of(Quadruplet(local, local_port, peer, peer_port)) is None, what="ss -K did not end the socket")
