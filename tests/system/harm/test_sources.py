"""What one process may not do, what a client has pinned, and what nobody answers: no source of the pool makes a
connection fail that would have been made without it."""

import contextlib
import errno
import json
import os
import re
import socket
import subprocess
import time

import kernel
from fixture import equal, full, limit, waits

PEER, PEER6, PORT = "203.0.113.1", "2001:db8::1", 9001


def stat(t):
    return json.loads(t.tool("stat", "-c", t.conf, "-o", "json", check=0).stdout)


def counter(t, name, arm="enforce"):
    return stat(t)["counters"][arm][name]


def downs(t, cause):
    return [e for e in t.events("source-down") if e["cause"] == cause]


class Namespace:
    """Another network namespace, at the other end of a veth pair: near here, `far` with address there."""

    def __init__(self, near, far, address):
        self.holder = subprocess.Popen(["unshare", "-n", "sleep", "300"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        own = os.stat("/proc/self/ns/net").st_ino
        path = f"/proc/{self.holder.pid}/ns/net"
        kernel.wait_until(lambda: os.stat(path).st_ino != own, what="unshare has made no namespace")
        self.file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        kernel.ip(f"link add {near} type veth peer name {far}")
        kernel.ip(f"link set {far} netns {self.holder.pid}")
        kernel.ip(f"link set {near} up")
        with self.inside():
            kernel.ip("link set lo up")
            kernel.ip(f"addr add {address}" + (" nodad" if ":" in address else "") + f" dev {far}")
            kernel.ip(f"link set {far} up")

    @contextlib.contextmanager
    def inside(self):
        home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        assert kernel.libc.setns(self.file, 0) == 0, "setns"
        try:
            yield
        finally:
            assert kernel.libc.setns(home, 0) == 0, "setns back"
            os.close(home)

    def serve(self, address=PEER, port=PORT):
        with self.inside():
            kernel.ip(f"addr add {address}" + ("/128 nodad" if ":" in address else "/32") + " dev lo")
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with socket.create_server((address, port), family=family, backlog=1024) as listener:
                if os.fork() == 0:
                    self.accept(listener)

    def accept(self, listener):
        """Closes none, so that the kernel goes on to know where each came from."""
        kept = []
        try:
            while True:
                kept.append(listener.accept())
        finally:
            os._exit(1)

    def clients(self):
        """The addresses from which connections have come, by the kernel of that namespace."""
        with self.inside():
            return {s.peer for s in kernel.sockets() if s.local_port == PORT and s.state not in ("LISTEN", "SYN_RECV")}


# --- bind is denied to one process ---

def denied(t, how, error):
    """The denied process connects as it would bare; a free one beside it, on the same instance, has all sources."""
    sources = t.sources()
    t.spread(sources)
    port, after = t.server(), t.server()
    deny = [t.program("harm/deny_bind"), how]
    bare = t.agent(bare=True, wrapper=deny)
    equal(bare("attempt(socket.socket().bind, ('10.0.0.11', 0))"), error, "bare: errno of bind")
    held, free = t.agent(wrapper=deny, CONNSPREAD_SECCOMP="trust"), t.agent()
    for _ in range(4):
        equal(held(f"burst(10, '10.1.0.1', {port})"), 0, "failures of the denied process")
        equal(free(f"burst(10, '10.1.0.1', {after})"), 0, "failures of the free process")
    equal(set(kernel.by_source(port)), {"10.1.0.1"}, "sources of the denied process")
    equal(set(kernel.by_source(after)), set(sources), "sources of the free process")
    equal(t.events("source-down"), [], "source-down events")
    equal(t.events("exhausted"), [], "exhausted events")
    equal(counter(t, "connects_bind_denied"), 40, "connects counted as denied")
    equal(counter(t, "connects_seen_fallback"), 0, "connects counted as fallback")
    said = [e for e in t.events("attach", pid=held.pid) if "may not bind" in e["text"]]
    equal(len(said), 1, "events that say so")
    assert errno.errorcode[error] in said[0]["text"], said
    equal([e for e in t.events("attach", pid=free.pid) if "may not bind" in e["text"]], [], "of the free process")


def test_landlock(t):
    denied(t, "landlock", errno.EACCES)


def test_seccomp_eperm(t):
    denied(t, "EPERM", errno.EPERM)


def test_seccomp_eacces(t):
    denied(t, "EACCES", errno.EACCES)


def test_denied_process_asks_once(t):
    """The first connect tries one bind, the others none; a child that inherits the filter, none either."""
    t.spread(t.sources())
    port = t.server()
    trace = os.path.join(t.folder, "trace")
    agent = t.agent(wrapper=["strace", "-f", "-qq", "-e", "trace=bind", "-o", trace, t.program("harm/deny_bind"), "landlock"])
    equal(agent(f"burst(20, '10.1.0.1', {port})"), 0, "failures")
    agent(f"os.fork() or (burst(5, '10.1.0.1', {port}), os._exit(0))")
    agent("os.wait()[1]")
    agent.end()
    with open(trace) as f:
        lines = [line for line in f if "bind(" in line]
    equal(len(lines), 1, f"calls of bind ({lines})")


def test_denied_explicit_ports(t):
    """Ports that need an explicit bind: being denied them is no proof that the source is full."""
    sources = t.sources(11, 12)
    kernel.port_range(40000, 40003)
    t.spread(sources, pool='ports = { "20000-20015" }')
    port = t.server()
    held, free = t.agent(wrapper=[t.program("harm/deny_bind"), "landlock"]), t.agent()
    equal(held(f"hold(2, '10.1.0.1', {port})")[0], 0, "denied process")
    equal(free(f"hold(20, '10.1.0.1', {port})"), [0, 20], "free process")
    equal(t.events("source-down"), [], "source-down events")


# --- clients that pin ---

def uplinks(t):
    """Two uplinks, each with two addresses here; the peer is behind both, and neither has a way back to the other's
    addresses. Addresses choose their uplink (ip rule), and so do marks, before them."""
    far = {}
    for n, device in (1, "up1"), (2, "up2"):
        far[device] = Namespace(device, "far", f"10.10.{n}.1/24")
        for host in 2, 3:
            kernel.ip(f"addr add 10.10.{n}.{host}/24 dev {device}")
        kernel.ip(f"route add default via 10.10.{n}.1 dev {device} metric {n}")
        kernel.ip(f"route add default via 10.10.{n}.1 dev {device} table {n}")
        kernel.ip(f"rule add pref 100 fwmark {n} table {n}")
        kernel.ip(f"rule add pref 200 from 10.10.{n}.0/24 table {n}")
        far[device].serve()
    return far


def uplink_sources(n):
    return {f"10.10.{n}.2", f"10.10.{n}.3"}


PINNED = """
def pinned(n, level, option, value):
    failures = 0
    for _ in range(n):
        s = socket.socket()
        s.settimeout(3)
        s.setsockopt(level, option, value)
        try:
            s.connect(('203.0.113.1', 9001))
        except OSError:
            failures += 1
        s.close()
    return failures
"""


def pin(t, n, level, option, value, sources):
    """Twelve connects with that option: all succeed, through uplink n alone, from these sources."""
    far = uplinks(t)
    t.spread(sorted(uplink_sources(1) | uplink_sources(2)))
    agent = t.agent()
    agent(PINNED)
    equal(agent(f"pinned(12, {level}, {option}, {value})"), 0, "failures")
    equal(far[f"up{n}"].clients(), sources, f"sources that uplink {n} saw")
    if n == 2:
        equal(far["up1"].clients(), set(), "sources that uplink 1 saw")
    equal(t.events("source-down"), [], "source-down events")
    t.attached()
    return far, agent


def test_bound_to_device(t):
    far, agent = pin(t, 2, "SOL_SOCKET", 25, "b'up2'", uplink_sources(2))
    equal(agent("pinned(12, SOL_SOCKET, 62, socket.if_nametoindex('up1'))"), 0, "failures by index")
    equal(far["up1"].clients(), uplink_sources(1), "sources that uplink 1 saw")
    equal(agent("burst(16, '203.0.113.1', 9001)"), 0, "failures of unpinned sockets")
    equal(far["up1"].clients() | far["up2"].clients(), uplink_sources(1) | uplink_sources(2), "sources")


def test_bound_to_device_ipv6(t):
    far = {}
    for n, device in (1, "up1"), (2, "up2"):
        far[device] = Namespace(device, "far", f"fd01:{n}::1/64")
        for host in 2, 3:
            kernel.ip(f"addr add fd01:{n}::{host}/64 dev {device} nodad")
    far["up1"].serve(PEER6)
    far["up2"].serve(PEER6)
    for n in 1, 2:
        kernel.ip(f"-6 route add default via fd01:{n}::1 dev up{n} metric {n}")
        kernel.ip(f"-6 route add default via fd01:{n}::1 dev up{n} table {n}")
        kernel.ip(f"-6 rule add pref 200 from fd01:{n}::/64 table {n}")
    sources = [{f"fd01:{n}::2", f"fd01:{n}::3"} for n in (1, 2)]
    t.spread(sorted(sources[0] | sources[1]))
    agent = t.agent()
    agent(PINNED.replace("socket.socket()", "socket.socket(AF_INET6)").replace("203.0.113.1", PEER6))
    equal(agent("pinned(12, SOL_SOCKET, 25, b'up2')"), 0, "failures")
    equal((far["up1"].clients(), far["up2"].clients()), (set(), sources[1]), "sources that each uplink saw")
    equal(agent("pinned(12, SOL_SOCKET, 25, b'up1')"), 0, "failures on the other")
    equal(far["up1"].clients(), sources[0], "sources that uplink 1 saw")
    equal(t.events("source-down"), [], "source-down events")


def test_marked(t):
    far, agent = pin(t, 2, "SOL_SOCKET", 36, 2, uplink_sources(2))
    equal(agent("pinned(12, SOL_SOCKET, 36, 1)"), 0, "failures with the other mark")
    equal(far["up1"].clients(), uplink_sources(1), "sources that uplink 1 saw")


def test_mark_that_routes_nothing(t):
    """A mark that no rule looks at leaves every source: they go the way that they go unmarked."""
    far = uplinks(t)
    t.spread(sorted(uplink_sources(1) | uplink_sources(2)))
    agent = t.agent()
    agent(PINNED)
    equal(agent("pinned(16, SOL_SOCKET, 36, 77)"), 0, "failures")
    equal(far["up1"].clients() | far["up2"].clients(), uplink_sources(1) | uplink_sources(2), "sources")


def test_unicast_interface(t):
    pin(t, 2, "SOL_IP", 50, "struct.pack('!I', socket.if_nametoindex('up2'))", uplink_sources(2))


def test_pinned_without_a_source(t):
    """Its uplink has no address of the pool: the client's own call, as bare; taken back, the pool's sources again."""
    far = uplinks(t)
    t.spread(sorted(uplink_sources(1)))
    agent = t.agent()
    agent(PINNED)
    equal(agent("pinned(8, SOL_SOCKET, 25, b'up2')"), 0, "failures")
    equal(len(far["up2"].clients()), 1, "sources that uplink 2 saw")
    assert far["up2"].clients() < uplink_sources(2), far["up2"].clients()
    equal(t.events("exhausted") + t.events("source-down"), [], "events")
    agent("s = socket.socket(); s.setsockopt(SOL_SOCKET, 25, b'up2'); s.setsockopt(SOL_SOCKET, 25, b'')")
    equal(agent("attempt(s.connect, ('203.0.113.1', 9001))"), 0, "connect")
    assert agent("s.getsockname()[0]") in uplink_sources(1), agent("s.getsockname()")


def test_pinned_and_inherited(t):
    """A socket that was bound to its device before the shim saw it."""
    far = uplinks(t)
    t.spread(sorted(uplink_sources(1) | uplink_sources(2)))
    code = "import socket, sys\ns = socket.socket(fileno=int(sys.argv[1]))\ns.settimeout(3)\ns.connect(('203.0.113.1', 9001))"
    launch = ("import os, socket, sys\nfor _ in range(6):\n s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, 25, b'up2'); s.set_inheritable(True)\n"
              " assert os.spawnve(os.P_WAIT, sys.executable, [sys.executable, '-S', '-c', sys.argv[1], str(s.fileno())],"
              " dict(os.environ, LD_PRELOAD=sys.argv[2])) == 0")
    env = t.environment()
    t.python(launch, code, env.pop("LD_PRELOAD"), bare=True, CONNSPREAD_CONF=t.conf)
    equal(far["up2"].clients(), uplink_sources(2), "sources that uplink 2 saw")
    equal(far["up1"].clients(), set(), "sources that uplink 1 saw")


def test_source_on_loopback(t):
    """An address that is kept on lo goes with a pinned socket if its packets go that way anyway."""
    far = uplinks(t)
    kernel.add_addresses("10.99.0.1")
    with far["up1"].inside():
        kernel.ip("route add 10.99.0.1/32 via 10.10.1.2")
    t.spread(["10.99.0.1"])
    agent = t.agent()
    agent(PINNED)
    equal(agent("pinned(4, SOL_SOCKET, 25, b'up1')"), 0, "failures")
    equal(far["up1"].clients(), {"10.99.0.1"}, "sources that uplink 1 saw")
    equal(agent("pinned(4, SOL_SOCKET, 25, b'up2')"), 0, "failures on the other")
    equal(far["up2"].clients(), {"10.10.2.2"}, "sources that uplink 2 saw")


# --- sources that nobody answers ---

def uplink(t):
    """One uplink with four addresses."""
    far = Namespace("up1", "far", "10.10.1.1/24")
    sources = [f"10.10.1.{n}" for n in (2, 3, 4, 5)]
    for one in sources:
        kernel.ip(f"addr add {one}/24 dev up1")
    kernel.ip("route add default via 10.10.1.1")
    far.serve()
    return far, sources


def uplink6(t):
    """One uplink with three addresses, and one that is not here though it can be bound: the SYN goes out all the same.
    (Of IPv4 the kernel says ENETUNREACH at once.)"""
    far = Namespace("up1", "far", "fd01::1/64")
    sources = [f"fd01::{n}" for n in (2, 3, 4)]
    for one in sources:
        kernel.ip(f"addr add {one}/64 dev up1 nodad")
    kernel.wait_until(lambda: "tentative" not in subprocess.run(["ip", "addr", "show", "dev", "up1"], capture_output=True, text=True).stdout)
    kernel.ip("-6 route add default via fd01::1")
    kernel.sysctl("net.ipv6.ip_nonlocal_bind", 1)
    far.serve(PEER6)
    return far, sources + ["fd01::99"]


def silence(far, what):
    with far.inside():
        kernel.nft(f"table inet t {{ chain c {{ type filter hook input priority 0; {what} drop; }}; }}")


def listen_again(far):
    with far.inside():
        kernel.nft("delete table inet t")


IMPATIENT = """
def impatient(n, seconds, address='203.0.113.1', port=9001, pause=0):
    failures = 0
    for _ in range(n):
        s = socket.socket(AF_INET6 if ':' in address else AF_INET)
        s.settimeout(seconds)
        error = s.connect_ex((address, port))
        s.close()
        if error:
            failures += 1
            time.sleep(pause)
    return failures
"""


@full
@limit(120)
def test_unanswered_source(t):
    """One of four sources is a black hole: few time-outs, then none; said by the log, stat and report; tried again once
    a period, and used again when it is there."""
    far, sources = uplink6(t)
    gone = sources[-1]
    t.spread(sources)
    agent = t.agent()
    agent(IMPATIENT)
    # Supervised, the kernel tells what a connect came to, later; by then three others can have come and gone, and it is that source's turn again.
    some = f"impatient(40, 1.2, '{PEER6}', pause={0.3 if t.via == 'supervise' else 0})"
    failures = agent(some)
    assert 1 <= failures <= 4, f"{failures} of 40 connects timed out"
    equal(agent(some), 0, "time-outs once it is marked down")
    equal(far.clients(), set(sources) - {gone}, "sources that the peer saw")
    equal([(e["local_address"], e["peer_address"], e["peer_port"], e["error"]) for e in downs(t, "unanswered")],
          [(gone, PEER6, PORT, "ETIMEDOUT")], "source-down events")
    equal(counter(t, "sources_marked_down"), 1, "times marked down")
    down, = stat(t)["down"]
    equal((down["rule"], down["source"], down["destination"], down["unanswered"]), ("r", gone, f"[{PEER6}]:{PORT}", 3), "stat")
    assert 0 < down["retry_s"] <= 30, down
    text = t.tool("stat", "-c", t.conf, check=0).stdout
    assert re.search(rf"^r +{gone} +to \[{PEER6}\]:{PORT}: 3 connects in a row, tried again in \d+ s$", text, re.M), text
    metrics = t.tool("stat", "-c", t.conf, "-o", "prometheus", check=0).stdout
    assert re.search(rf'connspread_source_down_destinations{{connspread_instance="test",version="[^"]+",rule="r",source="{gone}"}} 1\n', metrics), metrics
    report = t.tool("report", "-c", t.conf).stdout
    assert gone in report and "is not answered" in report, report
    kernel.ip(f"addr add {gone}/64 dev up1 nodad")
    began = time.monotonic()
    kernel.wait_until(lambda: agent(f"impatient(2, 1.2, '{PEER6}')") == 0 and gone in far.clients(), 55, f"{gone} is still not used")
    assert time.monotonic() - began < 50, "it was tried again too late"  # after 30 s; a period that passed without it: 60 and more
    kernel.wait_until(lambda: stat(t)["down"] == [], 15, f"{gone} stays marked down")
    equal(agent(some), 0, "time-outs")


@full
@limit(120)
def test_unanswered_source_is_probed_seldom(t):
    """While it stays silent, one connect in a period pays for it, and the periods get longer."""
    far, sources = uplink(t)
    silence(far, f"ip saddr {sources[2]} tcp dport {PORT}")
    t.spread(sources)
    agents = [t.agent() for _ in range(3)]
    for a in agents:
        a(IMPATIENT)
    failures = sum(a("impatient(20, 1.2)") for a in agents)
    assert 1 <= failures <= 4, f"{failures} of 60 connects timed out"
    began, probes = time.monotonic(), 0
    while time.monotonic() - began < 45:
        probes += sum(a("impatient(3, 1.2)") for a in agents)
        time.sleep(0.2)
    equal(probes, 1, "time-outs in the next 45 s")
    assert 30 < stat(t)["down"][0]["retry_s"] <= 60 or stat(t)["down"][0]["unanswered"] == 3, stat(t)["down"]


@waits
@limit(120)
def test_unanswered_blocking(t):
    """The same for blocking clients that wait for the kernel's own time-out, side by side."""
    far, sources = uplink(t)
    silence(far, f"ip saddr {sources[2]} tcp dport {PORT}")
    kernel.sysctl("net.ipv4.tcp_syn_retries", 1)
    kernel.sysctl("net.ipv4.tcp_syn_linear_timeouts", 0)
    t.spread(sources)
    agents = [t.agent() for _ in range(2)]
    orders = [json.dumps(f"burst(24, '{PEER}', {PORT})") + "\n"] * 2
    for a, order in zip(agents, orders):
        a.process.stdin.write(order)
        a.process.stdin.flush()
    failures = sum(json.loads(a.process.stdout.readline())["value"] for a in agents)
    assert 1 <= failures <= 8, f"{failures} of 48 connects timed out"
    equal([e["local_address"] for e in downs(t, "unanswered")], [sources[2]], "source-down events")


@waits
@limit(60)
def test_unanswered_asked_again(t):
    """A client that polls and connects again to ask, as epoll clients do."""
    far, sources = uplink(t)
    silence(far, f"ip saddr {sources[2]} tcp dport {PORT}")
    kernel.sysctl("net.ipv4.tcp_syn_retries", 1)
    kernel.sysctl("net.ipv4.tcp_syn_linear_timeouts", 0)
    t.spread(sources)
    agent = t.agent()
    agent("def one():\n s = socket.socket(); s.setblocking(False); r = s.connect_ex(('203.0.113.1', 9001)); select.select([], [s], [], 5)\n"
          " r = s.connect_ex(('203.0.113.1', 9001)); kept.append(s); return r in (0, errno.EISCONN)")
    failures = agent("[one() for _ in range(40)].count(False)")
    assert 1 <= failures <= 4, f"{failures} of 40 connects timed out"
    equal([e["local_address"] for e in downs(t, "unanswered")], [sources[2]], "source-down events")


@waits
@limit(120)
def test_dead_destination_marks_nothing(t):
    """A peer that goes silent and comes back: all sources fail alike, so none is marked."""
    far, sources = uplink(t)
    t.spread(sources)
    agents = [t.agent() for _ in range(6)]
    for a in agents:
        a(IMPATIENT)
    equal(agents[0]("impatient(9, 1.2)"), 0, "failures before")
    for _ in range(2):
        silence(far, f"tcp dport {PORT}")
        for a in agents:  # all at once
            a.process.stdin.write(json.dumps("impatient(4, 1.3)") + "\n")
            a.process.stdin.flush()
        for a in agents:
            equal(json.loads(a.process.stdout.readline())["value"], 4, "failures while it is silent")
        listen_again(far)
        equal(sum(a("impatient(6, 1.3)") for a in agents), 0, "failures after")
    equal(downs(t, "unanswered"), [], "source-down events")
    equal(stat(t)["down"], [], "marked down")
    equal(counter(t, "sources_marked_down"), 0, "times marked down")


# --- check ---

def warnings(t):
    done = t.tool("check", "-c", t.conf, "-o", "json")
    return done.returncode, json.loads(done.stdout)["warnings"]


def test_check_names_addresses_that_are_not_here(t):
    t.sources()
    t.spread(["10.0.0.11", "10.0.0.99"])
    kernel.sysctl("net.ipv4.ip_nonlocal_bind", 1)
    status, found = warnings(t)
    equal((status, len(found)), (1, 1), f"exit status and number of warnings ({found})")
    assert "10.0.0.99" in found[0] and "net.ipv4.ip_nonlocal_bind" in found[0], found
    t.spread(["10.0.0.99"], pool="freebind = true")
    status, found = warnings(t)
    equal((status, len(found)), (1, 1), f"with freebind ({found})")
    assert "10.0.0.99" in found[0] and "ip route add local" in found[0], found
    kernel.ip("route add local 10.0.0.96/28 dev lo")
    equal(warnings(t), (0, []), "with a local route")


def test_check_names_tentative_addresses(t):
    """An address whose duplicate address detection has failed: the other end of the link has it."""
    kernel.ip("link add v0 type veth peer name v1")
    kernel.ip("link set v1 up")
    kernel.ip("addr add fd00:9::1/64 dev v1 nodad")
    kernel.ip("link set v0 up")
    far = Namespace("w0", "w1", "fd00:9::2/64")
    kernel.sysctl("net.ipv6.conf.w0.accept_dad", 1)
    kernel.ip("addr add fd00:9::2/64 dev w0")
    kernel.wait_until(lambda: "dadfailed" in subprocess.run(["ip", "-6", "addr", "show", "dev", "w0"], capture_output=True, text=True).stdout, 10,
                      "no duplicate was found")
    t.spread(["fd00:9::2"])
    status, found = warnings(t)
    equal((status, len(found)), (1, 1), f"exit status and number of warnings ({found})")
    assert "fd00:9::2" in found[0] and "duplicate" in found[0], found
    assert far


def test_check_names_sources_that_leave_by_another_interface(t):
    """Two uplinks without a rule: what comes from the second's address leaves by the first."""
    uplinks(t)
    t.spread(sorted(uplink_sources(1) | uplink_sources(2)))
    equal(warnings(t), (0, []), "with a rule for each")
    kernel.ip("rule del pref 200 from 10.10.2.0/24")
    status, found = warnings(t)
    equal((status, len(found)), (1, 2), f"exit status and number of warnings ({found})")
    for address, text in zip(sorted(uplink_sources(2)), sorted(found)):
        assert address in text and "up1" in text and "up2" in text and "ip rule" in text, text
