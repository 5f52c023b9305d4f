"""What a close does, row by row: the event is there exactly when the kernel has a TIME-WAIT.

Each row is a script. Lines that start with "peer:" are done by the other end (in the test, not preloaded), all others by
the client; s is the client's connected socket, p the peer's. The kernel's state of the client's quadruplet is then read
through sock_diag, and must be what the row says before the event is even looked at.
"""

import collections
import platform
import socket
import struct
import time

import kernel
from fixture import SHIM, equal, limit

# left: what the kernel has of the client's quadruplet in the end. via, state: of the one event, if left is TIME_WAIT.
Row = collections.namedtuple("Row", "name script left via states", defaults=(None, None))
GONE, TIME_WAIT, OPEN = None, "TIME_WAIT", "ESTABLISHED"
ALIVE = ("established",)
HALF = ("fin_wait_1", "fin_wait_2")
DEAD = ("closed", "time_wait", "closing", "last_ack")  # the rows that TCP_INFO calls CLOSE: they look alike

CHILD_SETS_LINGER2 = "forked(lambda: s.setsockopt(IPPROTO_TCP, TCP_LINGER2, -1))"
PEER_READS = "peer: read()"
PEER_CLOSES = "peer: finish()"

ORDINARY = [
    Row("we close first", ["s.close()", PEER_CLOSES], TIME_WAIT, "close", ALIVE),
    Row("we close first, the peer some time later", ["s.close()", "peer: time.sleep(0.2)", PEER_CLOSES], TIME_WAIT, "close", ALIVE),
    Row("after an exchange", ["s.send(b'x')", "peer: p.send(p.recv(9))", "s.recv(9)", "s.close()", PEER_CLOSES], TIME_WAIT, "close", ALIVE),
    Row("data sent and at once closed", ["s.send(b'x' * 5000); s.close()", PEER_READS, PEER_CLOSES], TIME_WAIT, "close", ALIVE),
    Row("shutdown(RD), close", ["s.shutdown(SHUT_RD); s.close()", PEER_CLOSES], TIME_WAIT, "close", ALIVE),
    Row("shutdown(WR), close, peer silent", ["s.shutdown(SHUT_WR)", "s.close()", PEER_CLOSES], TIME_WAIT, "close", HALF),
    Row("shutdown(RDWR), close, peer silent", ["s.shutdown(SHUT_RDWR)", "s.close()", PEER_CLOSES], TIME_WAIT, "close", HALF),
    Row("shutdown(WR), peer's FIN, close", ["s.shutdown(SHUT_WR)", PEER_CLOSES, "s.recv(1)", "s.close()"], TIME_WAIT, "close", DEAD),
    Row("shutdown(RDWR), peer's FIN, close", ["s.shutdown(SHUT_RDWR)", PEER_CLOSES, "time.sleep(0.02); s.close()"], TIME_WAIT, "close", DEAD),
    Row("shutdown(WR), peer's FIN with unread data, close", ["s.shutdown(SHUT_WR)", "peer: p.send(b'late')", PEER_CLOSES, "time.sleep(0.02); s.close()"], TIME_WAIT, "close", DEAD),
    Row("shutdown twice", ["s.shutdown(SHUT_WR); s.shutdown(SHUT_RD)", "s.close()", PEER_CLOSES], TIME_WAIT, "close", HALF),
    Row("linger {1, 5}", ["linger(s, 1, 5); s.shutdown(SHUT_WR)", PEER_CLOSES, "s.close()"], TIME_WAIT, "close", DEAD + HALF),
    Row("linger {0, 0}", ["linger(s, 0, 0); s.close()", PEER_CLOSES], TIME_WAIT, "close", ALIVE),
    Row("peer closed first", [PEER_CLOSES, "s.recv(1); s.close()"], GONE),
    Row("peer closed first, nobody read it", [PEER_CLOSES, "time.sleep(0.02); s.close()"], GONE),
    Row("peer closed first after data, all read", ["peer: p.send(b'bye')", PEER_CLOSES, "s.recv(9), s.recv(9); s.close()"], GONE),
    Row("peer closed first, data unread", ["peer: p.send(b'bye')", PEER_CLOSES, "time.sleep(0.02); s.close()"], GONE),
    Row("peer's FIN, our shutdown(WR), close", [PEER_CLOSES, "s.recv(1); s.shutdown(SHUT_WR)", "time.sleep(0.02); s.close()"], GONE),
    Row("peer's FIN, our shutdown(RDWR), close at once", [PEER_CLOSES, "s.recv(1); s.shutdown(SHUT_RDWR); s.close()"], GONE),
    Row("unread data", ["peer: p.send(b'unread')", "time.sleep(0.02); s.close()", PEER_CLOSES], GONE),
    Row("peeked data", ["peer: p.send(b'unread')", "s.recv(9, MSG_PEEK); s.close()", PEER_CLOSES], GONE),
    Row("unread data in FIN_WAIT", ["s.shutdown(SHUT_WR)", "peer: p.send(b'unread')", "time.sleep(0.02); s.close()", PEER_CLOSES], GONE),
    Row("linger {1, 0}", ["reset(s)", PEER_CLOSES], GONE),
    Row("linger {1, 0} in FIN_WAIT", ["s.shutdown(SHUT_WR)", "reset(s)", PEER_CLOSES], GONE),
    Row("linger {1, 0}, peer closed first", [PEER_CLOSES, "s.recv(1); reset(s)"], GONE),
    Row("peer reset", ["peer: abort()", "time.sleep(0.02); s.close()"], GONE),
    Row("peer reset, error read", ["peer: abort()", "time.sleep(0.02); attempt(s.recv, 1); s.close()"], GONE),
    Row("connect(AF_UNSPEC) first", ["unspec(s)", "s.close()", PEER_CLOSES], GONE),
    Row("TCP_LINGER2 < 0 in FIN_WAIT2", ["s.setsockopt(IPPROTO_TCP, TCP_LINGER2, -1); s.shutdown(SHUT_WR)", "time.sleep(0.02); s.close()", PEER_CLOSES], GONE),
]

COPIES = [
    Row("dup, one closed", ["d = s.dup(); s.close()"], OPEN),
    Row("dup, both closed", ["s.dup().close(); s.close()", PEER_CLOSES], TIME_WAIT, "close", ALIVE),
    Row("dup2 copy closed last", ["os.dup2(s.fileno(), 200); s.close()", "os.close(200)", PEER_CLOSES], TIME_WAIT, "close", ALIVE),
    Row("libc dup and dup3", ["d = libc.dup(s.fileno()); libc.dup3(d, 201, 0); s.close(); os.close(d)", "os.close(201)", PEER_CLOSES], TIME_WAIT, "close", ALIVE),
    Row("fcntl(F_DUPFD)", ["d = libc.fcntl(s.fileno(), 0, 100); s.close()", "os.close(d)", PEER_CLOSES], TIME_WAIT, "close", ALIVE),
    Row("dup2(fd, fd) closes nothing", ["libc.dup2(s.fileno(), s.fileno())"], OPEN),
    Row("dup2 fails over one of two copies, the other closed", ["d = s.dup(); libc.dup2(999, s.fileno()); d.close()"], OPEN),
    Row("dup3 fails over one of two copies, that closed", ["d = s.dup(); libc.dup3(0, s.fileno(), 1); s.close()"], OPEN),
    Row("dup2 fails over one of two copies, both closed", ["d = s.dup(); libc.dup2(999, s.fileno()); d.close()", "s.close()", PEER_CLOSES], TIME_WAIT, "close", ALIVE),
    Row("dup2 fails over both copies, both closed", ["d = s.dup(); libc.dup2(999, s.fileno()); libc.dup2(999, d.fileno()); d.close()", "s.close()", PEER_CLOSES], TIME_WAIT, "close", ALIVE),
    Row("dup2 fails over one of two copies, peer closed first", ["d = s.dup(); libc.dup2(999, s.fileno()); d.close()", PEER_CLOSES, "s.recv(1); s.close()"], GONE),
    Row("dup2 over one copy, then the other closed", ["d = s.dup(); os.dup2(0, s.fileno()); s.detach()", "d.close()", PEER_CLOSES], TIME_WAIT, "close", ALIVE),
    Row("dup2 fails over what was received", ["a, b = socket.socketpair(); socket.send_fds(a, [b'x'], [s.fileno()]); s.close(); r = socket.recv_fds(b, 1, 1)[1][0]; libc.dup2(999, r)",
        "os.close(r)", PEER_CLOSES], TIME_WAIT, "close", ALIVE),
    Row("CLOSE_RANGE_CLOEXEC closes nothing", ["libc.close_range(s.fileno(), s.fileno(), 4)"], OPEN),
    Row("shutdown of one copy", ["d = s.dup(); d.shutdown(SHUT_WR); d.close()", "s.close()", PEER_CLOSES], TIME_WAIT, "close", HALF),
    Row("a forked child closes its copy", ["forked(lambda: s.close())"], OPEN),
    Row("a forked child closes its copy, then we ours", ["forked(lambda: s.close()); s.close()", PEER_CLOSES], TIME_WAIT, "close", ALIVE),
    Row("a forked child exits, then we close", ["forked(lambda: None); s.close()", PEER_CLOSES], TIME_WAIT, "close", ALIVE),
    Row("a forked child sets TCP_LINGER2 < 0, then we close", [CHILD_SETS_LINGER2, "s.close()", PEER_CLOSES], GONE),
    Row("passed by SCM_RIGHTS, sender's copy closed", ["a, b = socket.socketpair(); socket.send_fds(a, [b'x'], [s.fileno()]); s.close()"], OPEN),
    Row("passed by SCM_RIGHTS and closed by the receiver", ["a, b = socket.socketpair(); socket.send_fds(a, [b'x'], [s.fileno()]); s.close()",
        "os.close(socket.recv_fds(b, 1, 1)[1][0])", PEER_CLOSES], TIME_WAIT, "close", ALIVE),
    Row("the last copy disconnected by its receiver, in TIME-WAIT", ["a, b = socket.socketpair(); s.shutdown(SHUT_WR); socket.send_fds(a, [b'x'], [s.fileno()]); s.close()",
        PEER_CLOSES, "time.sleep(0.02); r = socket.socket(fileno=socket.recv_fds(b, 1, 1)[1][0]); unspec(r); r.close()"], TIME_WAIT, "close", DEAD),
    Row("subprocess (vfork) changes nothing", ["subprocess.run(['true'], close_fds=True)"], OPEN),
    Row("subprocess (vfork), then we close", ["subprocess.run(['true'], close_fds=True); s.close()", PEER_CLOSES], TIME_WAIT, "close", ALIVE),
    Row("posix_spawn, then we close", ["os.waitpid(os.posix_spawnp('true', ['true'], os.environ), 0); s.close()", PEER_CLOSES], TIME_WAIT, "close", ALIVE),
]

WAYS = [
    Row("dup2 over it", ["os.dup2(0, s.fileno()); s.detach()", PEER_CLOSES], TIME_WAIT, "dup2", ALIVE),
    Row("dup3 over it", ["libc.dup3(0, s.fileno(), os.O_CLOEXEC); s.detach()", PEER_CLOSES], TIME_WAIT, "dup3", ALIVE),
    Row("dup2 over it of a failing source", ["libc.dup2(999, s.fileno())"], OPEN),
    Row("close_range", ["libc.close_range(s.fileno(), s.fileno(), 0); s.detach()", PEER_CLOSES], TIME_WAIT, "close_range", ALIVE),
    Row("closefrom", ["os.dup2(s.fileno(), 250); s.close(); libc.closefrom(250)", PEER_CLOSES], TIME_WAIT, "closefrom", ALIVE),
    Row("os.closerange", ["os.closerange(s.fileno(), s.fileno() + 1); s.detach()", PEER_CLOSES], TIME_WAIT, None, ALIVE),
    Row("fclose", ["libc.fclose(libc.fdopen(s.detach(), b'r+'))", PEER_CLOSES], TIME_WAIT, "fclose", ALIVE),
    Row("fclose after fprintf", ["f = libc.fdopen(s.detach(), b'r+'); libc.fputs(b'x', ctypes.c_void_p(f)); libc.fclose(f)", PEER_READS, PEER_CLOSES], TIME_WAIT, "fclose", ALIVE),
    Row("freopen", ["libc.freopen(b'/dev/null', b'r', libc.fdopen(s.detach(), b'r+'))", PEER_CLOSES], TIME_WAIT, "freopen", ALIVE),
    Row("syscall(SYS_close)", ['libc.syscall(SYS["close"], s.detach(), 0, 0, 0, 0, 0)', PEER_CLOSES], TIME_WAIT, "syscall", ALIVE),
    Row("syscall(SYS_close_range)", ['fd = s.detach(); libc.syscall(SYS["close_range"], fd, fd, 0, 0, 0, 0)', PEER_CLOSES], TIME_WAIT, "syscall", ALIVE),
    Row("syscall(SYS_dup3)", ['libc.syscall(SYS["dup3"], 0, s.detach(), 0, 0, 0, 0)', PEER_CLOSES], TIME_WAIT, "syscall", ALIVE),
    Row("close in a thread", ["x = threading.Thread(target=s.close); x.start(); x.join()", PEER_CLOSES], TIME_WAIT, "close", ALIVE),
]

if platform.machine() == "x86_64":  # others have no SYS_dup2
    WAYS.append(Row("syscall(SYS_dup2)", ['libc.syscall(SYS["dup2"], 0, s.detach(), 0, 0, 0, 0)', PEER_CLOSES], TIME_WAIT, "syscall", ALIVE))

# The client ends; the rest is run by an agent of its own.
ENDS = [
    Row("exit", ["s.detach()", "!sys.exit(0)", PEER_CLOSES], TIME_WAIT, "exit", ALIVE),
    Row("exit of python, which closes what it still knows", ["!sys.exit(0)", PEER_CLOSES], TIME_WAIT, "close", ALIVE),
    Row("exit(3) of libc", ["!libc.exit(0)", PEER_CLOSES], TIME_WAIT, "exit", ALIVE),
    Row("exit with two copies, each a stream's", ["libc.fdopen(os.dup(s.fileno()), b'r+'); libc.fdopen(s.detach(), b'r+')", "!libc.exit(0)", PEER_CLOSES], TIME_WAIT, "exit", ALIVE),
    Row("_exit", ["!os._exit(0)", PEER_CLOSES], TIME_WAIT, "_exit", ALIVE),
    Row("quick_exit", ["!libc.quick_exit(0)", PEER_CLOSES], TIME_WAIT, None, ALIVE),
    Row("syscall(SYS_exit_group)", ['!libc.syscall(SYS["exit_group"], 0, 0, 0, 0, 0, 0)', PEER_CLOSES], TIME_WAIT, None, ALIVE),
    Row("exit after shutdown", ["s.shutdown(SHUT_WR); s.detach()", "!sys.exit(0)", PEER_CLOSES], TIME_WAIT, "exit", HALF),
    Row("exit after the peer closed", [PEER_CLOSES, "time.sleep(0.02); s.detach()", "!sys.exit(0)"], GONE),
    Row("exit with unread data", ["peer: p.send(b'unread')", "time.sleep(0.02); s.detach()", "!sys.exit(0)", PEER_CLOSES], GONE),
    Row("a child exits with the last copy", ["r, w = os.pipe(); pid = os.fork(); pid or (os.close(w), os.read(r, 1), os._exit(0)); s.close(); os.close(w); os.waitpid(pid, 0)", PEER_CLOSES], TIME_WAIT, "_exit", ALIVE),
    Row("a forked child sets TCP_LINGER2 < 0, then we exit", [CHILD_SETS_LINGER2, "s.detach()", "!sys.exit(0)", PEER_CLOSES], GONE),
    Row("the same with another thread still there", [CHILD_SETS_LINGER2, "s.detach(); threading.Thread(target=time.sleep, args=(5,), daemon=True).start()",
        "!os._exit(0)", PEER_CLOSES], GONE),
]

# Told by whoever comes after.
LATER = [
    Row("exec with CLOEXEC", ["!os.execvp('sleep', ['sleep', '0.1'])", PEER_CLOSES], TIME_WAIT, "exec", ALIVE),
    Row("exec with CLOEXEC of what was received and never used", ["a, b = socket.socketpair(); socket.send_fds(a, [b'x'], [s.fileno()]); s.close()",
        "os.set_inheritable(socket.recv_fds(b, 1, 1)[1][0], False)", "!os.execvp('sleep', ['sleep', '0.1'])", PEER_CLOSES], TIME_WAIT, "exec", ALIVE),
    Row("exec without CLOEXEC, the next program exits", ["s.set_inheritable(True)", "!os.execvp('true', ['true'])", PEER_CLOSES], TIME_WAIT, None, None),
    Row("SIGKILL", ["!os.kill(os.getpid(), 9)", PEER_CLOSES], TIME_WAIT, "killed", None),
]

HELPERS = """
def linger(s, on, seconds):
    s.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack('ii', on, seconds))
def unseen(address, port, family, protocol):
    "A connection whose connect no wrapper sees."
    s = socket.socket(family, SOCK_STREAM, protocol)
    name = struct.pack('=H', family) + struct.pack('!H', port) + (bytes(4) if family == AF_INET6 else b'') + inet_pton(family, address) + bytes(4 if family == AF_INET6 else 8)
    name = ctypes.create_string_buffer(name, 28 if family == AF_INET6 else 16)
    if libc.syscall({'x86_64': 42, 'aarch64': 203}[os.uname().machine], s.fileno(), ctypes.addressof(name), len(name), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), 'connect')
    return s
def keep():
    "What the row left open stays open, whatever names the next one uses again."
    kept.extend(v for v in list(globals().values()) if isinstance(v, socket.socket))
def forked(what):
    pid = os.fork()
    if pid == 0:
        what()
        os._exit(0)
    os.waitpid(pid, 0)
"""


class Peer:
    """The other end of one connection."""

    def __init__(self, p):
        self.p = p
        p.settimeout(5)

    def do(self, line):
        exec(line, {"p": self.p, "read": self.read, "finish": self.finish, "abort": self.abort, "time": time})

    def read(self):
        """All that the client sent before its FIN."""
        while self.p.recv(65536):
            pass

    def finish(self):
        """Closes; the kernel has then answered the client's FIN, if there was one."""
        self.p.close()

    def abort(self):
        self.p.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.p.close()


class Stage:
    """A client, a listening socket, and what came of the rows so far."""

    def __init__(self, t, family, protocol=0, connect="connect"):
        self.connect = connect
        sources, address = (t.sources6(), "fd00:2::1") if family == "6" else (t.sources(), "10.1.0.1")
        t.spread(sources)
        self.t, self.wrong, self.expected, self.peers, self.agents, self.options = t, [], {}, [], [], {}
        self.address = "::ffff:" + address if family == "mapped" else address
        self.family = "AF_INET" if family == "4" else "AF_INET6"
        self.protocol = protocol
        self.listener = socket.socket(socket.AF_INET6 if family == "6" else socket.AF_INET, socket.SOCK_STREAM, protocol)
        self.listener.bind((address, 0))
        self.listener.listen(16)
        self.port = self.listener.getsockname()[1]
        self.peer_address = address

    def client(self):
        agent = self.t.agent(**self.options)
        agent(HELPERS)
        self.agents.append(agent)
        return agent

    def play(self, agent, row):
        """Runs one row and notes what the kernel has then."""
        agent(f"s = {self.connect}({self.address!r}, {self.port}, {self.family}, {self.protocol})")
        p, (local, local_port, *_) = self.listener.accept()
        quad = kernel.Quadruplet(local, local_port, self.peer_address, self.port)
        peer = Peer(p)
        self.peers.append(peer)
        for line in row.script:
            if line.startswith("peer: "):
                peer.do(line[len("peer: "):])
            elif line.startswith("!"):
                agent.send(line[1:])
                agent.process.wait(timeout=10)
            else:
                agent(line)
        self.expected[quad] = row
        if agent.process.poll() is None:
            agent("keep()")
        try:
            kernel.wait_until(lambda: kernel.state_of(quad) == row.left, 3)
        except AssertionError:
            self.wrong.append(f"{row.name}: the kernel has {kernel.state_of(quad)}, the row says {row.left}")

    def verdict(self):
        """Compares the log with the kernel, row by row."""
        by_quad = collections.defaultdict(list)
        for e in self.t.events("time-wait"):
            by_quad[kernel.Quadruplet(e["local_address"], e["local_port"], e["peer_address"], e["peer_port"])].append(e)
        for quad, row in self.expected.items():
            events = by_quad.pop(quad, [])
            told = [(e["via"], e["state"]) for e in events]
            if len(events) != (row.left == TIME_WAIT):
                self.wrong.append(f"{row.name}: {len(events)} time-wait events {told}, the kernel has {row.left}")
            elif events and row.via and events[0]["via"] != row.via:
                self.wrong.append(f"{row.name}: via {events[0]['via']}, want {row.via}")
            elif events and row.states and events[0]["state"] not in row.states:
                self.wrong.append(f"{row.name}: state {events[0]['state']}, want one of {row.states}")
        self.wrong += [f"an event for {quad}, which no row made" for quad in by_quad]
        assert not self.wrong, f"{len(self.wrong)} of {len(self.expected)} rows:\n    " + "\n    ".join(self.wrong)


def in_one_client(t, family, rows, protocol=0, connect="connect"):
    """The rows one after the other in one process, which is still there when the log is read."""
    stage = Stage(t, family, protocol, connect)
    agent = stage.client()
    for row in rows:
        stage.play(agent, row)
    stage.verdict()
    equal(agent.errors(), "", "the client's stderr")


def in_own_clients(t, family, rows, connect="connect"):
    stage = Stage(t, family, connect=connect)
    for row in rows:
        stage.play(stage.client(), row)
    stage.verdict()
    equal([a.errors() for a in stage.agents], [""] * len(rows), "the clients' stderr")


def test_rows_ipv4(t):
    in_one_client(t, "4", ORDINARY)


def test_rows_ipv6(t):
    in_one_client(t, "6", ORDINARY)


def test_rows_v4_mapped(t):
    in_one_client(t, "mapped", ORDINARY)


def test_rows_of_unseen_connects_ipv4(t):
    """syscall(SYS_connect), as a library does that finds libc without us: what is closed through libc is told all the same."""
    in_one_client(t, "4", ORDINARY, connect="unseen")


def test_rows_of_unseen_connects_ipv6(t):
    in_one_client(t, "6", ORDINARY, connect="unseen")


def test_copies_of_unseen_connects(t):
    in_one_client(t, "4", COPIES, connect="unseen")


@limit(120)
def test_ends_of_unseen_connects(t):
    in_own_clients(t, "4", ENDS + LATER[:3], connect="unseen")


def test_copies_ipv4(t):
    """dup, fork, vfork, SCM_RIGHTS: one event, at the last close."""
    in_one_client(t, "4", COPIES)


def test_copies_ipv6(t):
    in_one_client(t, "6", COPIES)


def test_a_dup2_that_fails_beside_closes(t):
    """While a thread's dup2 and dup3 over a connection fail, another copies, shuts down and closes it: one event each, once it is closed."""
    t.spread(t.sources())
    port = t.server()
    n = int(t.run([t.program("kernel/refused_dup"), "10.1.0.1", str(port), "3500"]).stdout)
    assert n >= 70, f"{n} connections in 10 s: fewer than ten of each kind"
    kernel.settle(port)
    waits, told = collections.Counter(kernel.time_waits(port)), collections.Counter(t.time_wait_events(port))
    equal((len(waits), waits - told, told - waits), (n, collections.Counter(), collections.Counter()), "TIME-WAITs; those not told; those told too often")


def test_ways_to_close_ipv4(t):
    in_one_client(t, "4", WAYS)


def test_ways_to_close_ipv6(t):
    in_one_client(t, "6", WAYS)


def test_ends_ipv4(t):
    """The process ends with the connection open."""
    in_own_clients(t, "4", ENDS)


def test_ends_ipv6(t):
    in_own_clients(t, "6", ENDS)


def test_exec_and_kill(t):
    in_own_clients(t, "4", LATER)


MPTCP = (Row("MPTCP, we close first", ["s.close()", PEER_CLOSES], TIME_WAIT, "close", None),
         Row("MPTCP, peer closed first", [PEER_CLOSES, "s.recv(1); s.close()"], GONE),
         Row("MPTCP, shutdown(WR), peer closes, close", ["s.shutdown(SHUT_WR)", PEER_CLOSES, "s.recv(1); time.sleep(0.05); s.close()"], TIME_WAIT, "close", None))


def test_mptcp(t):
    """Over MPTCP (both ends) the subflow has the TIME-WAIT."""
    in_one_client(t, "4", MPTCP, protocol=262)


LINGER2, UNREAD = "s.setsockopt(IPPROTO_TCP, TCP_LINGER2, -1)", ("peer: p.send(b'unread')", "time.sleep(0.02); s.close()", PEER_CLOSES)
FALLEN_BACK = (Row("TCP_LINGER2 < 0", [LINGER2, "s.close()", PEER_CLOSES], TIME_WAIT, "close"),
               Row("unread data", UNREAD, TIME_WAIT, "close"),
               Row("TCP_LINGER2 < 0 and unread data", [LINGER2, *UNREAD], GONE),
               Row("shutdown(RD), TCP_LINGER2 < 0", ["s.shutdown(SHUT_RD)", LINGER2, "s.close()", PEER_CLOSES], TIME_WAIT, "close"),
               Row("shutdown(RD), TCP_LINGER2 < 0 and unread data", ["s.shutdown(SHUT_RD)", LINGER2, *UNREAD], GONE))


def made_behind_us(t, protocol, rows):
    """The client asks for TCP, and another library's socket() gives it MPTCP."""
    stage = Stage(t, "4", protocol)
    stage.protocol, stage.options = 0, {"preload": f"{SHIM}:{t.program('mptcp.so')}"}
    agent = stage.client()
    for row in rows:
        stage.play(agent, row)
    stage.verdict()
    equal(agent.errors(), "", "the client's stderr")


def test_mptcp_made_behind_us(t):
    made_behind_us(t, 262, MPTCP)


def test_mptcp_made_behind_us_and_fallen_back(t):
    made_behind_us(t, 0, FALLEN_BACK)


def test_repair(t):
    """TCP_REPAIR, as a checkpoint takes it: close sends nothing and leaves nothing. Taken back, it is a close as any."""
    on, off = (f"s.setsockopt(IPPROTO_TCP, 19, {value})" for value in (1, -1))
    in_one_client(t, "4", [Row("TCP_REPAIR", [on, "s.close()", PEER_CLOSES], GONE),
                           Row("TCP_REPAIR on and off", [on, off, "s.close()", PEER_CLOSES], TIME_WAIT, "close")])


def test_mptcp_fallen_back(t):
    """An MPTCP socket whose peer speaks TCP only."""
    stage = Stage(t, "4")
    stage.protocol = 262
    agent = stage.client()
    for row in ORDINARY[0], ORDINARY[2], ORDINARY[13]:
        stage.play(agent, row._replace(states=None))
    for row in FALLEN_BACK:
        stage.play(agent, row)
    stage.verdict()


def test_closing(t):
    """Both ends at once (CLOSING): our FIN is held back until the peer's has come."""
    stage = Stage(t, "4")
    agent = stage.client()
    kernel.nft("table inet hold { chain input { type filter hook input priority 0; }; }")
    agent(f"s = connect('10.1.0.1', {stage.port})")
    p, (local, local_port) = stage.listener.accept()
    quad = kernel.Quadruplet(local, local_port, "10.1.0.1", stage.port)
    kernel.nft(f"add rule inet hold input tcp sport {local_port} tcp flags & fin == fin drop")
    agent("s.shutdown(SHUT_WR)")
    p.close()
    kernel.wait_until(lambda: kernel.state_of(quad) == "CLOSING", what="the kernel is not in CLOSING")
    agent("s.close()")
    kernel.nft("flush chain inet hold input")
    stage.expected[quad] = Row("both at once", [], TIME_WAIT, "close", ("closing",))
    kernel.wait_until(lambda: kernel.state_of(quad) == TIME_WAIT, 20, "the kernel has no TIME-WAIT")
    stage.verdict()


def test_never_connected(t):
    """SYN_SENT, refused, unconnected and listening sockets leave no TIME-WAIT and no event."""
    t.sources()
    t.spread(["10.0.0.11"])
    kernel.nft("table inet hold { chain input { type filter hook input priority 0; tcp dport 7 drop; }; }")
    agent = t.agent()
    agent("s = socket.socket(); s.setblocking(False); kept.append(s.connect_ex(('10.1.0.1', 7)))")
    equal([s.state for s in kernel.sockets(to_port=7)], ["SYN_SENT"], "the kernel's states")
    agent("s.close()")
    agent("s = socket.socket(); attempt(s.connect, ('10.1.0.1', 9)); s.close()")
    agent("socket.socket().close(); s = socket.socket(); s.bind(('', 0)); s.listen(); s.close()")
    kernel.wait_until(lambda: kernel.sockets() == [], what="there are sockets left")
    equal(t.events("time-wait"), [], "time-wait events")
    t.attached(pid=agent.pid)


def test_reused_descriptor(t):
    """The number of a closed connection is used for another, for a file, for UDP: each is what it is."""
    stage = Stage(t, "4")
    agent = stage.client()
    for row in ORDINARY[0], ORDINARY[13]:
        for _ in range(5):
            stage.play(agent, row)
            agent("f = os.open('/dev/null', 0); os.close(f); u = socket.socket(AF_INET, SOCK_DGRAM); u.connect(('10.1.0.1', 9)); u.close()")
    agent("[os.close(os.open('/dev/null', 0)) for _ in range(100)]")
    stage.verdict()


def test_fields_of_the_event(t):
    """age_us, decided_by, arm, program, pid, rule: what a reader builds on."""
    stage = Stage(t, "4")
    agent = stage.client()
    stage.play(agent, Row("", ["time.sleep(0.1)", "s.close()", PEER_CLOSES], TIME_WAIT))
    stage.play(agent, Row("", ["s.shutdown(SHUT_WR)", PEER_CLOSES, "time.sleep(0.1); s.close()"], TIME_WAIT))
    stage.verdict()
    one, two = t.events("time-wait")
    always = ["time", "epoch", "seq", "event", "host", "netns", "instance", "arm", "pid", "tid", "program", "direction", "local_address",
              "local_port", "peer_address", "peer_port", "rule", "pool", "age_us", "via", "state", "fate", "decided_by", "decided_at", "verified"]
    equal([k for k in one if k in always], always, "keys and their order")
    equal({k: one[k] for k in ("instance", "arm", "pid", "tid", "program", "direction", "rule", "pool", "via", "fate")},
          {"instance": "test", "arm": "enforce", "pid": agent.pid, "tid": agent.pid, "program": "python3", "direction": "outbound",
           "rule": "r", "pool": "p", "via": "close", "fate": "time-wait"}, "the event")
    assert 100_000 <= one["age_us"] <= 2_000_000, f"age_us {one['age_us']} of a connection that lived for 0.1 s"
    equal((one["decided_by"], two["decided_by"]), ("close", "shutdown"), "decided_by")
    assert two["decided_at"] < two["time"], f"decided_at {two['decided_at']}, time {two['time']}"
    equal((one["epoch"], one["seq"] < two["seq"]), (two["epoch"], True), "epoch, and seq rises")
