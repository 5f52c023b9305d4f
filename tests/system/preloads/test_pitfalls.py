"""What broke other interposers, as far as the other files do not test it; numbers are those of the list of pitfalls."""

import json
import os
import socket

import kernel
from fixture import HERE, PYTHON, SHIM, equal, limit


def stage(t):
    sources = t.sources()
    port = t.server()
    t.spread(sources)
    return sources, port


def odd_place(t, where):
    """A run of odd_places; every connection it made is in TIME-WAIT and told once."""
    sources, port = stage(t)
    t.run([t.program("odd_places"), where, "10.1.0.1", str(port)])
    kernel.settle(port)
    waits = kernel.time_waits(port)
    equal(t.time_wait_events(port), waits, "quadruplets of time-wait events")
    return sources, waits


def test_8_vfork_children_change_nothing(t):
    """python's subprocess closes hundreds of descriptors in a vfork child; the parent's records stay."""
    _, port = stage(t)
    agent = t.agent()
    agent(f"c = [connect('10.1.0.1', {port}) for _ in range(20)]")
    for _ in range(5):
        agent("subprocess.run(['true'], close_fds=True)")
    equal(t.events("time-wait"), [], "time-wait events while all are open")
    equal(len(kernel.sockets("ESTABLISHED", port)), 20, "open connections")
    agent("[x.close() for x in c]")
    t.same_time_waits(port, 20)


@limit(90)
def test_9_closing_a_million_descriptors(t):
    """for (fd = 3; fd < 1000000; fd++) close(fd): silent, fast, and the one connection among them is told."""
    _, port = stage(t)
    argv = [t.program("close_storm"), "10.1.0.1", str(port), "3", "1000000"]
    bare, shim = (t.run(argv, bare=b).stdout.split() for b in (True, False))
    equal(shim[0], bare[0], "closes that succeeded")
    slow = (int(shim[1]) - int(bare[1])) / 1000
    assert slow < 2, f"a million closes took {bare[1]} ms bare and {shim[1]} ms with the shim"
    kernel.settle(port)
    equal(len(t.events("time-wait")), 1, "time-wait events")


def test_10_connect_in_a_signal_handler(t):
    sources, waits = odd_place(t, "signal")
    assert len(waits) > 600, f"{len(waits)} connections"
    equal({q.local for q in waits}, set(sources), "sources")


def test_11_before_constructors(t):
    """Before our constructor a connection is made and closed as without us; one made later is spread and told."""
    _, port = stage(t)
    t.run([t.program("odd_places"), "early", "10.1.0.1", str(port)])
    kernel.settle(port)
    waits = kernel.time_waits(port)
    equal(sorted(q.local for q in waits), ["10.0.0.11", "10.1.0.1"], "local addresses")
    equal(t.time_wait_events(port), [q for q in waits if q.local == "10.0.0.11"], "quadruplets of time-wait events")


def test_11_after_destructors(t):
    sources, waits = odd_place(t, "late")
    equal(len(waits), 2, "connections")


def test_17_small_stacks(t):
    """PTHREAD_STACK_MIN is enough."""
    sources, waits = odd_place(t, "thread")
    equal(len(waits), 80, "connections")
    equal({q.local for q in waits}, set(sources), "sources")


def test_18_cancellation(t):
    """Threads cancelled at any moment leave nothing locked: those that come after connect as before."""
    _, port = stage(t)
    t.run([t.program("odd_places"), "cancel", "10.1.0.1", str(port)])
    kernel.settle(port)
    agent = t.agent()
    equal(agent(f"burst(8, '10.1.0.1', {port})"), 0, "failures")
    kernel.settle(port)
    told, waits = set(t.time_wait_events(port)), set(kernel.time_waits(port))
    assert len(waits) > 50, f"{len(waits)} TIME-WAITs"
    equal(waits - told, set(), "TIME-WAITs without an event")


def unwound(t, case, closes):
    """So many closes with a cancellation pending: the descriptor is still open then, the close that really happens is told,
    and no record is left."""
    _, port = stage(t)
    t.run([t.program("odd_places"), case, "10.1.0.1", str(port)], bare=True)
    kernel.settle(port)
    before = set(kernel.time_waits(port))
    equal(len(before), closes, "TIME-WAITs, bare")
    t.run([t.program("odd_places"), case, "10.1.0.1", str(port)])
    kernel.settle(port)
    told, waits = t.time_wait_events(port), set(kernel.time_waits(port)) - before
    equal((len(waits), len(told), set(told)), (closes, closes, waits), "TIME-WAITs, events")
    counted = json.loads(t.tool("stat", "-o", "json", "-c", t.conf, check=0).stdout)["counters"]["enforce"]
    equal((counted["closes_seen_time_wait"], counted["closes_unseen"]), (closes, 0), "counted closes, and those not seen")


def test_48_a_close_that_a_cancellation_unwinds(t):
    unwound(t, "unwound", 40)


def test_48_a_close_that_a_cancellation_of_the_only_thread_unwinds(t):
    unwound(t, "alone", 20)


def test_18_cancelled_in_the_close_of_a_pipe(t):
    """The close of what is no TCP may wait, too: a thread is cancelled in it, not after it."""
    stage(t)
    slow, client = t.program("preloads/slow_close.so"), [t.program("preloads/cancelled_close")]
    equal(t.run(client, preload=slow).stdout, "cancelled\n", "bare")
    equal(t.run(client, preload=f"{SHIM}:{slow}").stdout, "cancelled\n", "preloaded")


def inherited(t, code):
    """A connection made by somebody who is not preloaded, handed to a preloaded python as a descriptor."""
    _, port = stage(t)
    c = socket.create_connection(("10.1.0.1", port))
    quad = kernel.Quadruplet(*c.getsockname(), *c.getpeername())
    agent = t.agent(pass_fds=(c.fileno(),))
    fd = c.fileno()
    c.close()
    agent("True")
    agent(code.format(fd=fd))
    return agent, quad, port


def test_6_inherited_and_closed(t):
    """A descriptor never seen before is looked at at its close."""
    _, quad, port = inherited(t, "os.close({fd})")
    t.same_time_waits(port, 1)
    equal(t.time_wait_events(port), [quad], "quadruplets")


def test_6_inherited_and_left_open_at_exit(t):
    agent, quad, port = inherited(t, "True")
    agent.end()
    t.same_time_waits(port, 1)


def test_6_received_by_scm_rights(t):
    _, port = stage(t)
    ours, theirs = socket.socketpair()
    agent = t.agent(pass_fds=(theirs.fileno(),))
    c = socket.create_connection(("10.1.0.1", port))
    socket.send_fds(ours, [b"x"], [c.fileno()])
    agent(f"u = socket.socket(fileno={theirs.fileno()}); fds = socket.recv_fds(u, 1, 1)[1]")
    c.close()
    agent("os.close(fds[0])")
    t.same_time_waits(port, 1)


def accepting(t):
    """A preloaded server that closes first: the TIME-WAIT is on its side."""
    t.sources()
    t.spread(["10.0.0.11"])
    agent = t.agent()
    port = agent("l = socket.create_server(('10.1.0.1', 0))") or agent("l.getsockname()[1]")
    c = socket.create_connection(("10.1.0.1", port))
    agent("a, _ = l.accept()")
    agent("a.close()")
    c.recv(1)
    c.close()
    kernel.settle(port)
    waits = [kernel.quadruplet(s) for s in kernel.sockets("TIME_WAIT") if s.local_port == port]
    equal(len(waits), 1, "TIME-WAITs at the server")
    return waits, t.events("time-wait")


def test_inbound(t):
    """An accepted connection that we close first."""
    waits, events = accepting(t)
    equal([(e["direction"], e["local_port"]) for e in events], [("inbound", waits[0].local_port)], "time-wait events")


def test_16_fortified_and_64_bit_variants(t):
    """fcntl64 is what programs with 64-bit file offsets call: a copy made by it is known."""
    _, port = stage(t)
    agent = t.agent()
    agent(f"s = connect('10.1.0.1', {port})")
    agent("d = libc.fcntl64(s.fileno(), 0, 300); s.close()")
    equal(t.events("time-wait"), [], "time-wait events while the copy is open")
    agent("os.close(300)")
    t.same_time_waits(port, 1)


def test_24_short_lived_clients_share_the_counter(t):
    """Eight processes of one connection each over four sources: two each."""
    sources, port = stage(t)
    for _ in range(8):
        t.run([t.program("burst"), "10.1.0.1", str(port), "1"])
    kernel.settle(port)
    equal(dict(kernel.by_source(port)), {s: 2 for s in sources}, "connections per source")


def test_33_log_descriptors(t):
    """A client that closes every descriptor and opens files on the same numbers finds in them only what it wrote."""
    _, port = stage(t)
    agent = t.agent()
    path = os.path.join(t.folder, "file")
    agent(f"burst(3, '10.1.0.1', {port}); os.closerange(3, 500)")
    agent(f"fds = [os.open({path!r} + str(i), os.O_RDWR | os.O_CREAT) for i in range(20)]; burst(20, '10.1.0.1', {port}); 0")
    equal([os.path.getsize(f"{path}{i}") for i in range(20)], [0] * 20, "sizes of the client's files")
    t.same_time_waits(port, 23)


def test_37_state_file_of_another_kind(t):
    """A state file that is a symbolic link is not followed."""
    _, port = stage(t)
    target = os.path.join(t.folder, "target")
    kernel.write(target, "")
    os.symlink(target, os.path.join(t.state, "test.state"))
    t.run([t.program("burst"), "10.1.0.1", str(port), "4"])
    equal(os.path.getsize(target), 0, "size of the link's target")
    kernel.settle(port)
    equal(len(kernel.by_source(port)), 4, "sources: without a state file connections are spread all the same")


def test_37_mode_of_the_state_file(t):
    """0600, and nothing else is left in the folder."""
    _, port = stage(t)
    t.run([t.program("burst"), "10.1.0.1", str(port), "4"])
    equal({n: oct(os.stat(os.path.join(t.state, n)).st_mode & 0o777) for n in os.listdir(t.state)}, {".lock": "0o600", "test.state": "0o600"}, "files and modes")


def test_38_after_chroot(t):
    """In a chroot without anything the shim carries on."""
    sources, port = stage(t)
    empty = os.path.join(t.folder, "empty")
    os.mkdir(empty)
    agent = t.agent()
    equal(agent(f"burst(4, '10.1.0.1', {port})"), 0, "failures")
    equal(agent(f"os.chroot({empty!r}); burst(4, '10.1.0.1', {port})") or agent(f"burst(4, '10.1.0.1', {port})"), 0, "failures in the chroot")
    t.same_time_waits(port, 12)
    equal(set(kernel.by_source(port)), set(sources), "sources")


def test_38_after_changing_the_namespace(t):
    """A client that moves to a network namespace of its own is not held down by what was full in the old one."""
    sources, port = stage(t)
    kernel.port_range(40000, 40003)
    agent = t.agent()
    equal(agent(f"hold(16, '10.1.0.1', {port})"), [0, 16], "errno and connections")
    agent("libc.unshare(0x40000000)")
    for command in ("link set lo up", *(f"addr add {a}/32 dev lo" for a in sources + ["10.1.0.1"])):
        agent(f"subprocess.run(['ip'] + {command.split()!r}, check=True)")
    agent(f"l = socket.socket(); l.bind(('10.1.0.1', {port})); l.listen(64)")
    equal(agent(f"hold(16, '10.1.0.1', {port})"), [0, 32], "errno and connections in the new namespace")
    used = agent("sorted({s.getsockname()[0] for s in kept[16:]})")
    equal(used, sources, "sources in the new namespace")


def test_many_threads(t):
    """Eight threads of one client connect and close at once: every event once."""
    _, port = stage(t)
    agent = t.agent()
    agent(f"x = [threading.Thread(target=burst, args=(50, '10.1.0.1', {port})) for _ in range(8)]; [y.start() for y in x]; [y.join() for y in x]; 0")
    t.same_time_waits(port, 400)


def test_two_instances(t):
    """Two configs, two state files, two logs."""
    sources = t.sources()
    port = t.server()
    first = t.spread(sources[:2], name="first")
    second = t.spread(sources[2:], name="second")
    for conf in first, second:
        t.run([PYTHON, "-S", "-c", f"import sys; sys.path.insert(0, {HERE!r})\nimport agent\nagent.burst(6, '10.1.0.1', {port})"], conf=conf)
    kernel.settle(port)
    equal(dict(kernel.by_source(port)), {s: 3 for s in sources}, "connections per source")
    for conf, own in (first, sources[:2]), (second, sources[2:]):
        equal({e["local_address"] for e in t.events("time-wait", conf=conf)}, set(own), f"addresses in the log of {os.path.basename(conf)}")
