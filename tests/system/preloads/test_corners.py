"""Ways through the shim that no ordinary client takes."""

import errno
import os
import re
import shutil
import socket

import kernel
from fixture import PYTHON, SHIM, equal

NO_PORT = 24  # IP_BIND_ADDRESS_NO_PORT


def stage(t, rule="", top=""):
    sources = t.sources()
    port = t.server()
    t.spread(sources, rule=rule, top=top)
    return sources, port


# --- sockets that come from somebody else ---

def test_inherited_sockets_of_every_kind(t):
    """A listener, one that is connecting, bound to a port, to an address, connected: each is taken for what it is."""
    kernel.nft("table inet silent { chain input { type filter hook input priority 0; tcp dport 7 drop; }; }")
    sources, port = stage(t)
    made = {name: socket.socket() for name in ("connecting", "port", "address", "connected", "half")}
    made["listener"] = socket.create_server(("10.1.0.1", 0))
    made["connecting"].setblocking(False)
    equal(made["connecting"].connect_ex(("10.1.0.1", 7)), errno.EINPROGRESS, "connect to the silent port")
    made["port"].bind(("10.0.0.13", 23456))
    made["address"].setsockopt(socket.SOL_IP, NO_PORT, 1)
    made["address"].bind(("10.0.0.14", 0))
    for name in "connected", "half":
        made[name].connect(("10.1.0.1", port))
    fds = {name: s.fileno() for name, s in made.items()}
    agent = t.agent(pass_fds=tuple(fds.values()))
    listening = made["listener"].getsockname()[1]
    for s in made.values():
        s.close()
    to = f"(b'\\x02\\x00' + struct.pack('>H', {port}) + inet_aton('10.1.0.1') + bytes(8), 16)"
    silent = "(b'\\x02\\x00\\x00\\x07' + inet_aton('10.1.0.1') + bytes(8), 16)"
    equal(agent(f"[libc.connect({fds['connecting']}, *{silent}), ctypes.get_errno()]"), [-1, errno.EALREADY], "second connect of the connecting one")
    for name in "port", "address":
        equal(agent(f"libc.connect({fds[name]}, *{to})"), 0, f"connect of the one bound to {name}")
    equal(agent(f"libc.shutdown({fds['half']}, 1)"), 0, "shutdown")
    c = socket.create_connection(("10.1.0.1", listening))
    agent(f"a = libc.accept({fds['listener']}, None, None); os.close(a)")
    c.recv(1)
    c.close()
    kernel.settle(port)
    agent(f"[os.close(fd) for fd in {list(fds.values())}]")
    kernel.settle(port)
    waits = kernel.time_waits(port)
    equal(t.time_wait_events(port), waits, "quadruplets of time-wait events")
    equal(sorted(q.local for q in waits), ["10.0.0.13", "10.0.0.14", "10.1.0.1", "10.1.0.1"], "sources")
    assert 23456 in {q.local_port for q in waits}, f"ports: {waits}"
    inbound = [e for e in t.events("time-wait") if e["direction"] == "inbound"]
    equal([e["local_port"] for e in inbound], [listening], "inbound events")


def test_exec_closes_every_copy(t):
    """Two close-on-exec descriptors of one connection: it ends at the exec. One of two: it lives on."""
    _, port = stage(t)
    agent = t.agent()
    agent(f"s = connect('10.1.0.1', {port}); d = s.dup(); u = connect('10.1.0.1', {port}); v = u.dup(); v.set_inheritable(True)")
    agent.send("os.execv('/bin/sleep', ['sleep', '0.4'])")
    kernel.wait_until(lambda: len(t.events("time-wait", via="exec")) == 1, what="no event of the exec")
    equal(agent.process.wait(timeout=10), 0, "exit status")
    kernel.settle(port)
    equal(len(kernel.time_waits(port)), 2, "TIME-WAITs")


def test_a_child_of_a_server_with_many_connections(t):
    """The child of a process with 100 connections execs: they are the parent's, and told at the parent's closes."""
    _, port = stage(t)
    agent = t.agent()
    equal(agent(f"hold(100, '10.1.0.1', {port})"), [0, 100], "errno and connections")
    agent("pid = os.fork() or os.execv('/bin/true', ['true']); os.waitpid(pid, 0)")
    equal(t.events("time-wait"), [], "events while all are open")
    agent("[x.close() for x in kept]")
    t.same_time_waits(port, 100)


def test_a_half_closed_connection_is_dissolved(t):
    """Both FINs are out and ours was first: the TIME-WAIT exists when connect(AF_UNSPEC) comes, and is told."""
    _, port = stage(t)
    agent = t.agent()
    agent(f"s = connect('10.1.0.1', {port}); s.shutdown(SHUT_WR); s.recv(1)")
    kernel.settle(port)
    agent("unspec(s)")
    t.same_time_waits(port, 1)
    agent(f"s.connect(('10.1.0.1', {port})); s.close()")
    t.same_time_waits(port, 2)


# --- modes ---

def test_observe_names_who_would_have_been_asked(t):
    """EADDRNOTAVAIL in observe mode: the event has the sources of the pool, none of them tried, and the client's own."""
    sources, port = stage(t)
    kernel.port_range(40000, 40003)
    agent = t.agent(CONNSPREAD_MODE="observe")
    equal(agent(f"hold(5, '10.1.0.1', {port})"), [errno.EADDRNOTAVAIL, 4], "errno and connections")
    (event,) = t.events("exhausted")
    equal((event["arm"], event["outcome"], sorted(s["address"] for s in event["sources"])), ("observe", "failed", sources + ["10.1.0.1"]), "arm, outcome, sources")


def test_off_tells_nothing(t):
    """Mode off: connects, accepts, binds that fail, exhaustion: nothing is changed, nothing is told."""
    _, port = stage(t, top='mode = "off"')
    kernel.port_range(40000, 40003)
    agent = t.agent()
    equal(agent("attempt(socket.socket().bind, ('192.0.2.9', 0))"), errno.EADDRNOTAVAIL, "errno of bind")
    agent("b = socket.socket(); b.bind(('10.0.0.12', 0)); b.close()")
    listening = agent("l = socket.create_server(('10.1.0.1', 0))") or agent("l.getsockname()[1]")
    c = socket.create_connection(("10.1.0.1", listening))
    agent("a, _ = l.accept(); a.close()")
    c.recv(1)
    c.close()
    equal(agent(f"hold(5, '10.1.0.1', {port})")[0], errno.EADDRNOTAVAIL, "errno of connect")
    agent("[x.close() for x in kept]")
    agent.end()
    equal(t.events(), [], "events")


def test_disabled_and_its_children(t):
    """CONNSPREAD_DISABLE=1: every kind of call is passed on, also into another program."""
    _, port = stage(t)
    agent = t.agent(CONNSPREAD_DISABLE="1")
    agent(f"s = connect('10.1.0.1', {port}); d = s.dup(); u = socket.socket(AF_UNIX); os.dup2(u.fileno(), d.fileno()); f = libc.fdopen(s.detach(), b'r+')")
    agent("libc.freopen(b'/dev/null', b'r', ctypes.c_void_p(f)); libc.fclose(ctypes.c_void_p(f)); subprocess.run(['true'], check=True)")
    agent.send("os.execv('/bin/true', ['true'])")
    equal(agent.process.wait(timeout=10), 0, "exit status")
    equal(t.files(), [], "state files")


# --- loading ---

def test_without_its_parser(t):
    """libconnspread.so alone in a folder: no config can be compiled, so the client runs as if without us, and it is said where
    events are."""
    _, port = stage(t)
    alone = shutil.copy(SHIM, t.folder)
    code = f"import socket\nfor _ in range(4): socket.create_connection(('10.1.0.1', {port})).close()"
    t.run([PYTHON, "-S", "-c", code], preload=alone)
    kernel.settle(port)
    equal(dict(kernel.by_source(port)), {"10.1.0.1": 4}, "sources")
    (event,) = t.events("reload")
    assert "could not be loaded" in event["text"], f"event: {event}"
    done = t.run([PYTHON, "-S", "-c", code], preload=alone, check=False, CONNSPREAD_VERBOSE="1")
    assert "could not be loaded" in done.stderr and done.returncode == 0, f"verbose: {done.stderr!r}"


def test_an_empty_variable_is_none(t):
    """CONNSPREAD_CONF= and CONNSPREAD_MODE=nonsense are as if they were not there."""
    t.sources()
    port = t.server()
    t.run([t.program("burst"), "10.1.0.1", str(port), "2"], CONNSPREAD_CONF="", CONNSPREAD_MODE="nonsense")
    kernel.settle(port)
    t.same_time_waits(port, 2)


# --- addresses that no interface has ---

def test_freebind(t):
    """freebind = true: a prefix that is routed to this host (AnyIP) is a pool, though no interface has its addresses."""
    kernel.ip("-6 route add local fd00:9::/64 dev lo")
    t.sources6()
    port = t.server("fd00:2::1")
    pool = ["fd00:9::5", "fd00:9::6"]
    t.spread(pool, pool="freebind = true")
    agent = t.agent()
    equal(agent(f"burst(6, 'fd00:2::1', {port}, AF_INET6)"), 0, "failures")
    equal(dict(kernel.by_source(port)), {s: 3 for s in pool}, "connections per source")
    t.same_time_waits(port, 6)
    t.spread(pool, pool="freebind = false", name="without")
    other = t.agent()
    equal(other(f"burst(2, 'fd00:2::1', {port}, AF_INET6)"), 0, "failures")
    equal(kernel.by_source(port)["fd00:2::1"], 2, "connections from the client's own address")
    assert t.events("source-down"), "no source-down event"
    kernel.port_range(40000, 40001)
    t.spread(pool, pool="freebind = true", rule='on-exhausted = "error"', name="full")
    third = t.agent()
    equal(third(f"hold(5, 'fd00:2::1', {port}, AF_INET6)")[0], errno.EADDRNOTAVAIL, "errno of the fifth")
