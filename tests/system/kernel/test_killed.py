"""What a process had open when it was killed, and what an exec closed: the tool names it, one event for each TIME-WAIT.

The kernel's TIME-WAITs are read through sock_diag first; then `connspread log` must have each of them exactly once.
"""

import collections
import json
import os
import signal
import socket
import subprocess

import kernel
from fixture import PYTHON, TOOL, equal, quadruplet_of

CONNECTIONS = 50


def kill(agent):
    agent.process.send_signal(signal.SIGKILL)
    agent.process.wait()


def same(got, want, what):
    """Equal lists of quadruplets; a difference is shown in short."""
    missing, extra = collections.Counter(want), collections.Counter(got)
    missing, extra = missing - extra, extra - missing
    assert not missing and not extra, (f"{what}: {len(got)}, want {len(want)}; {sum(missing.values())} missing {list(missing)[:3]}, "
                                       f"{sum(extra.values())} too many {list(extra)[:3]}")


def told(t, **match):
    """Quadruplets of the time-wait events, sorted."""
    return sorted(quadruplet_of(e) for e in t.events("time-wait", **match))


def same_killed(t, port, n):
    """The kernel has n TIME-WAITs to this port, and each has one event, via killed and verified."""
    kernel.settle(port)
    waits = kernel.time_waits(port)
    equal(len(waits), n, "TIME-WAIT sockets")
    same(told(t), waits, "quadruplets of time-wait events")
    events = t.events("time-wait", peer_port=port)
    equal({(e["via"], e["state"], e["decided_by"], e["verified"]) for e in events}, {("killed", "unknown", "close", True)}, "via, state, decided_by, verified")
    return events


def test_a_killed_client(t):
    """SIGKILL with 50 connections open through four sources: 50 TIME-WAITs, 50 events, one to one by quadruplet."""
    t.spread(t.sources())
    port = t.server()
    agent = t.agent()
    equal(agent(f"hold({CONNECTIONS}, '10.1.0.1', {port})"), [0, CONNECTIONS], "connections")
    kill(agent)
    events = same_killed(t, port, CONNECTIONS)
    equal({(e["pid"], e["rule"], e["pool"], e["direction"], e["arm"]) for e in events}, {(agent.pid, "r", "p", "outbound", "enforce")}, "whose they were")
    assert all(e["age_us"] > 0 for e in events), "age"
    same(told(t), kernel.time_waits(port), "quadruplets when the log is read a second time")


def test_killed_clients_of_every_family(t):
    """IPv4, IPv6 and v4-mapped, with sources, and without any rule."""
    t.spread(t.sources() + t.sources6(), to=("10.1.0.1", "fd00:2::1"))
    ports = [t.server(), t.server("fd00:2::1"), t.server(), t.server("127.0.0.1")]
    agent = t.agent()
    for place, port in zip(("'10.1.0.1', {}", "'fd00:2::1', {}, AF_INET6", "'::ffff:10.1.0.1', {}, AF_INET6", "'127.0.0.1', {}"), ports):
        equal(agent(f"hold(10, {place.format(port)})")[0], 0, "errno")
    kill(agent)
    waits = []
    for port in ports:
        kernel.settle(port)
        equal(len(kernel.time_waits(port)), 10, f"TIME-WAITs of {port}")
        waits += kernel.time_waits(port)
    same(told(t), sorted(waits), "quadruplets")


def test_only_what_leaves_a_time_wait(t):
    """Of a killed process's connections: those that the peer closed first, and those with unread data, leave none."""
    t.spread(t.sources())
    listener = socket.create_server(("10.1.0.1", 0), backlog=64)
    port = listener.getsockname()[1]
    agent = t.agent()
    agent(f"hold(30, '10.1.0.1', {port})")
    peers = [listener.accept()[0] for _ in range(30)]
    for p in peers[:10]:
        p.close()
    for p in peers[10:20]:
        p.send(b"unread")
    kernel.wait_until(lambda: len([s for s in kernel.sockets("CLOSE_WAIT", port)]) == 10, what="the peer's FINs")
    kill(agent)
    for p in peers[10:]:
        p.close()
    same_killed(t, port, 10)


def test_closed_ones_are_not_told_twice(t):
    """Some were closed, some were open when the client was killed: via close, via killed, and nobody else's."""
    t.spread(t.sources())
    port = t.server()
    first, second = t.agent(), t.agent()
    for agent in (first, second):
        agent(f"hold(20, '10.1.0.1', {port})")
        agent("[s.close() for s in kept[:8]]")
    kill(first)
    kernel.settle(port)
    same(told(t), kernel.time_waits(port), "quadruplets after the first")
    equal(len(t.events("time-wait", via="killed")), 12, "via killed")
    kill(second)
    kernel.settle(port)
    same(told(t), kernel.time_waits(port), "quadruplets after the second")
    equal(len(t.events("time-wait", via="killed")), 24, "via killed")


def test_what_shutdown_had_done_before(t):
    """Half-closed ones, with and without the peer's FIN, in a process that is then killed."""
    t.spread(t.sources())
    listener = socket.create_server(("10.1.0.1", 0), backlog=64)
    port = listener.getsockname()[1]
    agent = t.agent()
    agent(f"hold(20, '10.1.0.1', {port})")
    peers = [listener.accept()[0] for _ in range(20)]
    agent("[s.shutdown(SHUT_WR) for s in kept]")
    for p in peers[:10]:
        p.close()
    kill(agent)
    for p in peers[10:]:
        p.close()
    same_killed(t, port, 20)


def test_a_killed_server(t):
    """Accepted connections, asked for with and without the peer's address; log.inbound = false keeps them out."""
    for inbound, wanted in ((True, CONNECTIONS), (False, 0)):
        conf = t.spread(t.sources() if inbound else ["10.0.0.11"], top=f"log {{ inbound = {str(inbound).lower()} }}", name=f"inbound-{inbound}".lower())
        agent = t.agent()
        agent("globals().update(listener=socket.create_server(('10.1.0.1', 0), backlog=64))")
        port = agent("listener.getsockname()[1]")
        clients = []
        for _ in range(CONNECTIONS):
            clients.append(socket.create_connection(("10.1.0.1", port)))
            agent("kept.append(listener.accept()[0])")
        kill(agent)
        for c in clients:
            c.close()
        kernel.wait_until(lambda: not [s for s in kernel.sockets() if s.local_port == port and s.state not in ("TIME_WAIT",)])
        waits = sorted(kernel.quadruplet(s) for s in kernel.sockets("TIME_WAIT") if s.local_port == port)
        equal(len(waits), CONNECTIONS, "TIME-WAITs of the server")
        events = t.events("time-wait", conf=conf, via="killed")
        same([quadruplet_of(e) for e in events], waits if wanted else [], f"quadruplets with log.inbound = {inbound}")
        equal({e["direction"] for e in events}, {"inbound"} if wanted else set(), "direction")


def test_many_processes_and_many_tools(t):
    """20 processes killed at once while 6 tools reap at the same time: each TIME-WAIT once."""
    t.spread(t.sources())
    port = t.server()
    agents = [t.agent() for _ in range(20)]
    for agent in agents:
        equal(agent(f"hold({CONNECTIONS}, '10.1.0.1', {port})")[0], 0, "errno")
    tools = []
    for i, agent in enumerate(agents):
        agent.process.send_signal(signal.SIGKILL)
        if i % 4 == 3:
            tools += [subprocess.Popen([TOOL, "reap", "-c", t.conf], env=t.environment(bare=True), stdout=subprocess.DEVNULL) for _ in range(6)]
    for process in tools + [a.process for a in agents]:
        process.wait()
    same_killed(t, port, 20 * CONNECTIONS)


def test_while_others_take_and_leave_chunks(t):
    """Clients come and go and are killed while a tool harvests without pause; in the end the log has what the kernel has."""
    t.spread(t.sources())
    port = t.server()
    follower = subprocess.Popen([TOOL, "log", "-f", "-c", t.conf, "-o", "json"], env=t.environment(bare=True), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(6):
        agents = [t.agent() for _ in range(4)]
        for i, agent in enumerate(agents):
            agent(f"hold(70, '10.1.0.1', {port})")
            agent("[s.close() for s in kept[::3]]")
        for i, agent in enumerate(agents):
            kill(agent) if i % 2 else agent.end()
    follower.terminate()
    follower.wait()
    t.same_time_waits(port, 6 * 4 * 70)


def await_exec(agent, port, left):
    """The new image is there before the old one's sockets are closed."""
    kernel.wait_until(lambda: os.readlink(f"/proc/{agent.pid}/exe").endswith(("sleep", "coreutils"))
                      and len(kernel.sockets("ESTABLISHED", port)) == left, what="the exec")


def test_an_exec_of_a_program_that_is_not_preloaded(t):
    """CLOEXEC sockets are closed by the exec, and the next image cannot tell."""
    t.spread(t.sources())
    port = t.server()
    agent = t.agent()
    agent(f"hold({CONNECTIONS}, '10.1.0.1', {port})")
    agent.send("os.execve('/bin/sleep', ['sleep', '30'], {})")
    await_exec(agent, port, 0)
    kernel.settle(port)
    waits = kernel.time_waits(port)
    equal(len(waits), CONNECTIONS, "TIME-WAIT sockets")
    kernel.wait_until(lambda: told(t) == waits, 15, "an event for each of them")
    equal({(e["via"], e["state"], e["verified"]) for e in t.events("time-wait")}, {("exec", "established", True)}, "via, state, verified")
    kill(agent)
    same(told(t), waits, "quadruplets after that has died too")


EXEC = "os.execv('/usr/bin/python3', ['python3', '-S', '-c', 'import time; print(1, flush=True); time.sleep(30)'])"


def test_an_exec_of_a_preloaded_program(t):
    """The next image tells what the exec closed as the tool would: outbound and, with log.inbound, accepted connections; nothing in mode off."""
    sources = t.sources()
    port = t.server()
    for name, top, options, before, want in (("on", "", {}, None, 2), ("inbound", "log { inbound = false }", {}, None, 1),
                                             ("off", "", {}, "off", 0), ("environment", "", {"CONNSPREAD_MODE": "observe"}, "off", 2)):
        t.spread(sources, top=top, name=name)
        agent = t.agent(**options)
        agent("globals().update(listener=socket.create_server(('10.1.0.1', 0)))")
        peer = socket.create_connection(("10.1.0.1", agent("listener.getsockname()[1]")))
        agent("kept.append(listener.accept()[0])")
        agent(f"hold(1, '10.1.0.1', {port})")
        if before:
            t.tool("set", "-c", t.conf, f"mode={before}", check=1 if options else 0)
        agent.send(EXEC)
        equal(agent.process.stdout.readline(), "1\n", "the next image's word")
        counters = json.loads(t.tool("stat", "-c", t.conf, "-o", "json", check=0).stdout)
        events = t.events("time-wait")
        equal(len(events), want, f"{name}: events")
        equal({e["via"] for e in events} | {e["verified"] for e in events}, {"exec", True} if want else set(), f"{name}: via, verified")
        equal([e["pid"] for e in events], [agent.pid] * want, f"{name}: pids")
        equal(sum(r["closes_time_wait"] for r in counters["stats"]), want, f"{name}: TIME-WAITs by rule and source")
        kill(agent)
        peer.close()


def test_killed_right_after_an_exec(t):
    """An exec that closes half of the sockets, then SIGKILL of a program that is not preloaded."""
    t.spread(t.sources())
    port = t.server()
    agent = t.agent()
    agent(f"hold({CONNECTIONS}, '10.1.0.1', {port})")
    agent("[s.set_inheritable(True) for s in kept[::2]]")
    agent.send("os.execve('/bin/sleep', ['sleep', '30'], {})")
    await_exec(agent, port, CONNECTIONS // 2)
    kill(agent)
    kernel.settle(port)
    waits = kernel.time_waits(port)
    equal(len(waits), CONNECTIONS, "TIME-WAIT sockets")
    same(told(t), waits, "quadruplets")
    vias = [e["via"] for e in t.events("time-wait")]
    equal((vias.count("exec"), vias.count("killed")), (CONNECTIONS // 2, CONNECTIONS // 2), "via exec, via killed")


def test_what_an_exit_could_not_know(t):
    """stdout is a connection that somebody else made: written to after the last exit handler, closed by the kernel."""
    t.spread(t.sources())
    port = t.server()
    clients = []
    for _ in range(10):
        s = socket.create_connection(("10.1.0.1", port))
        clients.append(subprocess.Popen([PYTHON, "-S", "-c", "import sys; sys.stdin.read(); print('hello')"], env=t.environment(),
                                        stdin=subprocess.PIPE, stdout=s.fileno()))
        s.close()  # the client's copy is the last
        clients[-1].stdin.close()
    equal([c.wait() for c in clients], [0] * 10, "exit status")
    kernel.settle(port)
    waits = kernel.time_waits(port)
    equal(len(waits), 10, "TIME-WAIT sockets")
    same(told(t), waits, "quadruplets")
    equal({e["via"] for e in t.events("time-wait")}, {"exit"}, "via")


def test_a_failed_exec_changes_nothing(t):
    t.spread(t.sources())
    port = t.server()
    agent = t.agent()
    agent(f"hold(10, '10.1.0.1', {port})")
    agent("attempt(os.execve, '/nonexistent', ['x'], {})")
    equal(t.events("time-wait"), [], "events")
    kill(agent)
    same_killed(t, port, 10)


def test_closes_all_tells_the_others_too(t):
    """closes = "all": a killed process's connection that left nothing is a close event, fate none."""
    t.spread(t.sources(), top='log { closes = "all" }')
    listener = socket.create_server(("10.1.0.1", 0), backlog=64)
    port = listener.getsockname()[1]
    agent = t.agent()
    agent(f"hold(6, '10.1.0.1', {port})")
    peers = [listener.accept()[0] for _ in range(6)]
    for p in peers[:3]:
        p.send(b"unread")
    kill(agent)
    for p in peers:
        p.close()
    kernel.settle(port)
    same(told(t), kernel.time_waits(port), "quadruplets")
    closes = t.events("close")
    equal([(e["fate"], e["via"], e["verified"]) for e in closes], [("none", "killed", True)] * 3, "close events")


def test_another_namespace_is_left_alone(t):
    """A tool in another network namespace neither asks about what is not there nor takes it away."""
    t.spread(t.sources())
    port = t.server()
    agent = t.agent()
    agent(f"hold(10, '10.1.0.1', {port})")
    kill(agent)
    subprocess.run(["unshare", "-n", TOOL, "reap", "-c", t.conf], env=t.environment(bare=True), stdout=subprocess.DEVNULL, check=True)
    elsewhere = subprocess.run(["unshare", "-n", TOOL, "log", "-o", "json", "-c", t.conf], env=t.environment(bare=True), stdout=subprocess.PIPE, text=True, check=True)
    equal([e for e in map(json.loads, elsewhere.stdout.splitlines()) if e["event"] == "time-wait"], [], "events seen elsewhere")
    same_killed(t, port, 10)


def test_another_pid_namespace_is_left_alone(t):
    """Process numbers mean nothing there."""
    t.spread(t.sources())
    port = t.server()
    agent = t.agent()
    agent(f"hold(10, '10.1.0.1', {port})")
    for command in ("log", "reap"):
        subprocess.run(["unshare", "-p", "-f", "--mount-proc", TOOL, command, "-c", t.conf], env=t.environment(bare=True), stdout=subprocess.DEVNULL, check=True)
    equal(t.events("time-wait"), [], "events of a client that lives")
    kill(agent)
    same_killed(t, port, 10)


def test_a_zombie_is_dead(t):
    """Nobody has waited for it yet, and its connections are gone all the same."""
    t.spread(t.sources())
    port = t.server()
    agent = t.agent()
    agent(f"hold(10, '10.1.0.1', {port})")
    os.kill(agent.pid, signal.SIGKILL)
    kernel.wait_until(lambda: open(f"/proc/{agent.pid}/stat").read().rsplit(")")[1].split()[0] == "Z", what="the zombie")
    same_killed(t, port, 10)


def test_a_leader_that_ended_before_its_threads_is_not(t):
    """pthread_exit of the main thread: a zombie to /proc, and its connections are open."""
    t.spread(t.sources())
    port = t.server()
    code = ("import socket, threading, time, sys, ctypes\n"
            f"kept = [socket.create_connection(('10.1.0.1', {port})) for _ in range(10)]\n"
            "threading.Thread(target=lambda: time.sleep(60)).start()\n"
            "ctypes.CDLL(None).pthread_exit(None)\n")
    client = t.start([PYTHON, "-S", "-c", code])
    kernel.wait_until(lambda: open(f"/proc/{client.pid}/stat").read().rsplit(")")[1].split()[0] == "Z", what="the leader's end")
    equal(t.events("time-wait"), [], "events of a client that lives")
    client.send_signal(signal.SIGKILL)
    client.wait()
    same_killed(t, port, 10)


def test_a_fin_that_is_not_acknowledged_is_nobodys_yet(t):
    """Of the killed client's connection nothing is left; what lies in FIN_WAIT1 is a living one's, and leaves no TIME-WAIT (TCP_LINGER2 < 0)."""
    t.sources()
    t.config("")
    listener = socket.socket()
    listener.bind(("10.1.0.1", 0))
    listener.listen()
    port = listener.getsockname()[1]
    living, victim = t.agent(), t.agent()
    living(f"s = connect('10.1.0.1', {port}); s.setsockopt(IPPROTO_TCP, TCP_LINGER2, -1)")
    peer, (_, near_port) = listener.accept()
    kernel.nft(f"table inet hold {{ chain input {{ type filter hook input priority 0; tcp sport {near_port} tcp flags & fin == fin drop; }}; }}")
    victim(f"s = connect('10.1.0.1', {port})")
    gone, _ = listener.accept()
    gone.send(b"unread, so the kill is a reset")
    victim("select.select([s], [], [])")
    living("s.close()")
    kill(victim)
    equal([s.state for s in kernel.sockets(to_port=port)], ["FIN_WAIT1"], "what the kernel has towards the server")
    equal(told(t), [], "events while the FIN is on its way")
    kernel.nft("delete table inet hold")
    kernel.wait_until(lambda: not kernel.sockets(to_port=port), 10, "the living client's connection is still there")
    equal(told(t), [], "events when it has gone")
    peer.close()


def test_what_the_reaper_left_is_read_all_the_same(t):
    """Of 50 connections made within milliseconds, half can be recorded at once, and half have a FIN that is not acknowledged."""
    t.spread(t.sources())
    port = t.server()
    agent = t.agent()
    equal(agent(f"hold({CONNECTIONS}, '10.1.0.1', {port})")[0], 0, "errno")
    kernel.nft("table inet hold { chain input { type filter hook input priority 0; "
               f"tcp dport {port} tcp sport & 1 == 1 tcp flags & fin == fin drop; }}; }}")
    kill(agent)
    def parted():
        """The FINs of odd ports are held, all others are answered: at first each connection is in FIN_WAIT1."""
        held = kernel.sockets("FIN_WAIT1", port)
        return all(s.local_port % 2 for s in held) and len(kernel.time_waits(port)) + len(held) == CONNECTIONS
    kernel.wait_until(parted, 15)
    held = len(kernel.sockets("FIN_WAIT1", port))
    subprocess.run([TOOL, "reap", "-c", t.conf], env=t.environment(bare=True), stdout=subprocess.DEVNULL, check=True)
    kernel.nft("flush ruleset")
    kernel.settle(port)
    waits = kernel.time_waits(port)
    assert 0 < held < CONNECTIONS == len(waits), (held, len(waits))
    same(told(t), waits, "quadruplets")
    subprocess.run([TOOL, "reap", "-c", t.conf], env=t.environment(bare=True), stdout=subprocess.DEVNULL, check=True)
    same(told(t), waits, "quadruplets after another reap")


def test_read_while_another_reaps(t):
    """`log` without a pause while the dead are written down: each TIME-WAIT at most once in each answer, in the end all."""
    t.spread(t.sources())
    port = t.server()
    agents = [t.agent() for _ in range(8)]
    for agent in agents:
        equal(agent(f"hold({CONNECTIONS}, '10.1.0.1', {port})")[0], 0, "errno")
    readings = []
    for agent in agents:
        kill(agent)
        reaper = subprocess.Popen([TOOL, "reap", "-c", t.conf], env=t.environment(bare=True), stdout=subprocess.DEVNULL)
        ended = None
        while ended is None:
            readings.append(told(t))
            ended = reaper.poll()
        equal(reaper.returncode, 0, "reap's exit status")
    kernel.settle(port)
    waits = kernel.time_waits(port)
    for reading in readings:
        twice = [q for q, n in collections.Counter(reading).items() if n > 1]
        equal(twice[:3], [], f"told twice in one answer ({len(twice)} of {len(reading)})")
    assert len(readings) >= len(agents), len(readings)
    same(told(t), waits, "quadruplets")
