"""Sends with MSG_FASTOPEN under `connspread run --supervise`: they connect, too."""

import collections
import os
import re
import signal
import socket
import subprocess
import threading

import kernel
from fixture import PYTHON, equal
from test_supervise import command, scene, supervisor_of

# One connection for each way, blocking or not, of so many bytes; prints what the call returned, its source, and what came back.
CLIENT = """if 1:
    import ctypes, errno, os, socket, struct, sys, select
    host, port, times = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    libc = ctypes.CDLL(None, use_errno=True)
    class Iovec(ctypes.Structure): _fields_ = [("base", ctypes.c_char_p), ("length", ctypes.c_size_t)]
    class Message(ctypes.Structure): _fields_ = [("name", ctypes.c_char_p), ("namelen", ctypes.c_uint), ("iov", ctypes.c_void_p), ("iovlen", ctypes.c_size_t),
                                                 ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t), ("flags", ctypes.c_size_t), ("sent", ctypes.c_uint)]
    name = struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(host) + bytes(8)
    def send(fd, way, data):
        half = len(data) // 2
        parts = (Iovec * 2)(Iovec(data[:half], half), Iovec(data[half:], len(data) - half))
        message = (Message * 1)(Message(name, 16, ctypes.cast(parts, ctypes.c_void_p), 2))
        flags = 0x20000000
        r = {"sendto": lambda: libc.sendto(fd, data, len(data), flags, name, 16), "sendmsg": lambda: libc.sendmsg(fd, message, flags),
             "sendmmsg": lambda: libc.sendmmsg(fd, message, 1, flags)}[way]()
        return r, errno.errorcode[ctypes.get_errno()] if r < 0 else "-", message[0].sent
    for way in "sendto", "sendmsg", "sendmmsg":
        for blocking in True, False:
            for size in 0, 1, 100, 9000, 40000:
                for i in range(times):
                    s = socket.socket()
                    s.setblocking(blocking)
                    data = (way + " ").encode() * size
                    said = send(s.fileno(), way, data[:size])
                    select.select([], [s], [], 5)
                    wrong = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    source = s.getsockname()[0]
                    s.setblocking(True)
                    came = 0
                    if not wrong and said[1] in ("-", "EINPROGRESS"):
                        s.shutdown(socket.SHUT_WR)
                        while chunk := s.recv(65536):
                            came += len(chunk)
                    print(source, way, blocking, size, *said, wrong, came)
                    s.close()"""


def echo(address, port):
    """Answers what it got once the client has shut its side: one thread, one connection after the other."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_TCP, socket.TCP_FASTOPEN, 64)
    listener.bind((address, port))
    listener.listen(64)

    def serve():
        while True:
            connection, _ = listener.accept()
            with connection:
                data = b""
                while chunk := connection.recv(65536):
                    data += chunk
                connection.sendall(data)
    threading.Thread(target=serve, daemon=True).start()


def without_chance(line):
    """How much a call that does not wait takes of more than a segment depends, bare too, on whether the answer to the SYN is there yet: what came is what
    it took."""
    way, blocking, size, result, error, sent, wrong, came = line.split()
    took = sent if way == "sendmmsg" else result
    if blocking == "True" or int(size) < 9000 or error != "-" or not 0 < int(took) <= int(size) or took != came:
        return line
    return f"{way} {blocking} {size}: part or all"


def lines_of(done):
    """Each source's lines, and the lines without it."""
    lines = [line.split(" ", 1) for line in done.stdout.splitlines()]
    return collections.Counter(source for source, _ in lines), [without_chance(rest) for _, rest in lines]


def test_sends_that_connect(t):
    """sendto, sendmsg, sendmmsg; with data in the SYN or, for want of a cookie, not; refused: the client sees what it sees bare, and is spread."""
    sources, _ = scene(t, ports=8000)
    echo("10.1.0.1", 900)
    for how in 0x601 | 4 | 2, 1:  # cookies are taken for given; the client's side alone: no cookie ever
        kernel.sysctl("net.ipv4.tcp_fastopen", how)
        for port in 900, 901:
            argv = [PYTHON, "-S", "-c", CLIENT, "10.1.0.1", str(port), "4"]
            _, want = lines_of(t.run(argv, bare=True))
            by_source, got = lines_of(t.run(command(t, *argv), bare=True))
            equal([pair for pair in zip(got, want) if pair[0] != pair[1]], [], f"what the client sees, and bare (tcp_fastopen={how:#x}, port {port})")
            equal(len(got), len(want), "lines")
            if port == 900:
                served = sum(n for source, n in by_source.items() if source in sources)
                assert served >= 96, f"spread: {by_source}"
                assert all(abs(by_source[s] - served / 4) <= 2 for s in sources), f"spread: {by_source}"


# One connection for each: two messages of one sendmmsg, the second with or without the address, blocking or not; prints what the call returned, each
# message's length, and what came back.
SEVERAL = CLIENT[:CLIENT.index("    def send(")] + """
    for named in True, False:
        for blocking in True, False:
            for size in 10, 5000:
                for i in range(times):
                    s = socket.socket()
                    s.setblocking(blocking)
                    data = [bytes([n]) * size for n in range(2)]
                    parts = [(Iovec * 1)(Iovec(d, size)) for d in data]
                    messages = (Message * 2)(*[Message(name if named or n == 0 else None, 16 if named or n == 0 else 0,
                                                       ctypes.cast(parts[n], ctypes.c_void_p), 1, sent=7) for n in range(2)])
                    r = libc.sendmmsg(s.fileno(), messages, 2, 0x20000000)
                    error = errno.errorcode[ctypes.get_errno()] if r < 0 else "-"
                    select.select([], [s], [], 5)
                    came = b""
                    if s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0 and error in ("-", "EINPROGRESS") and port == 900:
                        s.setblocking(True)
                        s.shutdown(socket.SHUT_WR)
                        while chunk := s.recv(65536):
                            came += chunk
                    print(named, blocking, size, r, error, *[m.sent for m in messages], came == b"".join(data)[:len(came)], len(came))
                    s.close()"""


def had_the_answer_come(line):
    """Where the call does not wait, whether the second message goes out, too, depends on whether the connect was answered by then."""
    return re.sub(r"^(\w+ False (\d+)) 1 - \2 7 True \2$", lambda m: f"{m[1]} 2 - {m[2]} {m[2]} True {2 * int(m[2])}", line)


def test_a_sendmmsg_of_several_messages(t):
    """The kernel sends the second where the connect was answered by then: in ten times at least once, as bare."""
    scene(t, ports=8000)
    echo("10.1.0.1", 900)
    for how in 0x601 | 4 | 2, 1:
        kernel.sysctl("net.ipv4.tcp_fastopen", how)
        for port in 900, 901:
            argv = [PYTHON, "-S", "-c", SEVERAL, "10.1.0.1", str(port), "10"]
            bare, ours = [t.run(a, bare=True).stdout.splitlines() for a in (argv, command(t, *argv))]
            seen, want = [set(map(had_the_answer_come, lines)) for lines in (ours, bare)]
            equal(seen, want, f"what the client sees, and bare (tcp_fastopen={how:#x}, port {port})")
            both = [line for line in ours if " 2 - 10 10 True 20" in line or " 2 - 5000 5000 True 10000" in line]
            assert bool(both) == (how != 1 and port == 900), ours


def test_every_quadruplet_is_used(t):
    """A send whose source has no port left is made from the next one, blocking or not, before any SYN."""
    sources, port = scene(t)
    code = f"""if 1:
        import socket
        kept, failed = [], 0
        for i in range(66):
            s = socket.socket()
            s.setblocking(i % 2 == 0)
            try:
                s.sendto(b"x", socket.MSG_FASTOPEN, ("10.1.0.1", {port}))
            except BlockingIOError:
                pass
            except OSError as e:
                failed += e.errno == 99
                continue
            kept.append(s)
        print(len(kept), failed, *sorted(x.getsockname()[0] for x in kept))"""
    done = t.run(command(t, PYTHON, "-S", "-c", code), bare=True)
    equal(done.stdout.split(), ["64", "2"] + [s for s in sources for _ in range(16)], "made, failed, sources")
    events = t.events("exhausted")
    equal(sorted(s["address"] for s in events[0]["sources"]), sources, "sources of the exhausted event")


def test_supervisor_killed(t):
    """While a blocking send waits for its peer's answer, with data in the SYN: the call returns, and the data comes once."""
    scene(t, ports=8000)
    kernel.sysctl("net.ipv4.tcp_fastopen", 0x607)
    echo("10.1.0.1", 900)
    kernel.nft("add table inet t; add chain inet t o { type filter hook output priority 0; }; add rule inet t o tcp dport 900 drop")
    code = """if 1:
        import select, socket
        s = socket.socket()
        print(s.sendto(b"once", socket.MSG_FASTOPEN, ("10.1.0.1", 900)), flush=True)
        select.select([], [s], [])
        s.shutdown(socket.SHUT_WR)
        print(s.recv(100), flush=True)"""
    process = subprocess.Popen(command(t, PYTHON, "-S", "-c", code), env=t.environment(bare=True), stdout=subprocess.PIPE, text=True)
    supervisor, _ = supervisor_of(process)
    kernel.wait_until(lambda: any(s.state == "SYN_SENT" for s in kernel.sockets(to_port=900)), what="no SYN")
    os.kill(supervisor, signal.SIGKILL)
    equal(process.stdout.readline(), "4\n", "what the send returned")
    kernel.nft("delete table inet t")
    equal(process.stdout.readline(), "b'once'\n", "what came back")
    equal(process.wait(timeout=20), 0, "status")
