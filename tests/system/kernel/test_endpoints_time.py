"""A rule with also-to and a blocking client: how long its connect takes, and what its signals do to it."""

import errno
import json
import os
import signal
import time

import kernel
from fixture import equal, full, limit, quoted

# One connect by libc, so that python does not make it again: its result, its errno, the seconds it took.
CONNECT = """
def by_libc(address, port, allowed=None, alarm=0, restart=True):
    global s
    s = socket.socket()
    if allowed:
        s.setsockopt(SOL_SOCKET, SO_SNDTIMEO, struct.pack('ll', int(allowed), int(allowed % 1 * 1000000)))
    name = struct.pack('=HH', AF_INET, htons(port)) + inet_aton(address) + bytes(8)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.siginterrupt(signal.SIGALRM, not restart)
    signal.setitimer(signal.ITIMER_REAL, alarm, 0 if restart else alarm)  # again, for the first may come before the connect
    began = time.monotonic()
    result = libc.connect(s.fileno(), name, 16)
    error = ctypes.get_errno() if result else 0
    signal.setitimer(signal.ITIMER_REAL, 0)
    return error, time.monotonic() - began, s.getsockopt(SOL_SOCKET, SO_SNDTIMEO, 16) == struct.pack('ll', int(allowed or 0), int((allowed or 0) % 1 * 1000000))
"""


def service(t, n=2, more=""):
    """A server on n addresses, the first of them the one that clients ask for; also-to names the others. Address and port."""
    addresses = kernel.addresses("10.1.0.", 1, n)
    sources = t.sources()
    kernel.add_addresses(*addresses[1:])
    port = t.server()
    for a in addresses[1:]:
        t.server(a, port=port)
    t.spread(sources, to=["10.1.0.1"], rule=f"also-to = {{ {quoted(f'{a}:{port}' for a in addresses[1:])} }}\nto-policy = \"round-robin\"\n{more}")
    return addresses, port


def silent(*addresses):
    """Nothing that is sent to them arrives."""
    kernel.nft("add table ip t; add chain ip t in { type filter hook input priority 0; }; "
               + "; ".join(f"add rule ip t in ip daddr {a} drop" for a in addresses))


def client(t, bare=False):
    agent = t.agent(bare=bare)
    agent(CONNECT)
    return agent


def turns(agent, address, port, n, arguments):
    """The results of n connects, of which each second one is the endpoint's turn."""
    return [agent(f"by_libc('{address}', {port}, {arguments})") for _ in range(n)]


@full
@limit(60)
def test_a_signal_that_restarts_a_connect_is_not_seen(t):
    """A connect without SO_SNDTIMEO is restarted behind a handler with SA_RESTART, and after a stop."""
    (own, other), port = service(t, more='to-timeout = "1s"\nto-hold-down = "100ms"')
    silent(other)
    agent = client(t)
    got = turns(agent, own, port, 2, "alarm=0.2")
    equal([g[0] for g in got], [0, 0], "errno of connects that a signal met")
    equal([g[2] for g in got], [True, True], "SO_SNDTIMEO as it was")
    assert max(g[1] for g in got) > 0.9, f"no connect waited for the endpoint: {got}"
    time.sleep(0.2)
    waited = []
    for _ in range(2):
        agent.process.stdin.write(f'"by_libc(\'{own}\', {port})"\n')
        agent.process.stdin.flush()
        time.sleep(0.3)
        os.kill(agent.pid, signal.SIGSTOP)
        os.kill(agent.pid, signal.SIGCONT)
        answer = agent.process.stdout.readline()
        assert '"value": [0, ' in answer, f"a connect that was stopped: {answer}"
        waited.append(json.loads(answer)["value"][1])
    assert max(waited) > 0.9, f"no connect that was stopped waited for the endpoint: {waited}"


@limit(60)
def test_a_signal_that_ends_a_connect_ends_it(t):
    (own, other), port = service(t, more='to-timeout = "30s"')
    silent(other)
    got = turns(client(t), own, port, 2, "alarm=0.2, restart=False")
    equal(sorted(g[0] for g in got), [0, errno.EINTR], "errno of connects that a signal met")
    equal([g[2] for g in got], [True, True], "SO_SNDTIMEO as it was")


@limit(60)
def test_little_time_is_enough_for_the_own_destination(t):
    """An endpoint that is silent has at most half of what SO_SNDTIMEO allows."""
    (own, other), port = service(t, more='to-timeout = "10s"')
    silent(other)
    got = turns(client(t), own, port, 2, "allowed=4")
    equal([g[0] for g in got], [0] * 2, "errno of connects that may take 4 s")
    equal([g[2] for g in got], [True] * 2, "SO_SNDTIMEO as it was")
    equal(t.events("source-down"), [], "endpoints that are left out, of which none had its to-timeout")


def test_a_thread_that_leaves_its_connect_leaves_the_limit_as_it_was(t):
    """Cancelled, or out of a signal handler by a jump, while it waits for an endpoint under our limit: at once, not after that."""
    (own, other), port = service(t, more='to-timeout = "20s"\nto-hold-down = "100ms"')
    silent(other)
    for how, said in ("cancel", "cancelled"), ("jump", "back"):
        got = t.run([t.program("kernel/left_connect"), own, str(port), how]).stdout
        equal(got, f"{said}: 0 0\n{said}: 50000 50000\n", f"SO_SNDTIMEO before and after, {how}")


@full
@limit(60)
def test_all_are_silent(t):
    """The connect ends when the client's own would."""
    (own, *others), port = service(t, 4, 'to-timeout = "3s"\nto-hold-down = "100ms"')
    silent(own, *others)
    bare = client(t, bare=True)(f"by_libc('{own}', {port}, 4)")
    equal((bare[0], bare[2]), (errno.EINPROGRESS, True), "bare: errno, and SO_SNDTIMEO as it was")
    agent = client(t)
    for g in turns(agent, own, port, 2, "allowed=4"):
        equal((g[0], g[2]), (errno.EINPROGRESS, True), "errno, and SO_SNDTIMEO as it was")
        assert g[1] < 1.5 * bare[1], f"{g[1]} s, bare {bare[1]} s"


@full
@limit(60)
def test_the_own_destination_waits_for_one_endpoint_at_most(t):
    (own, *others), port = service(t, 4, 'to-timeout = "3s"\nto-hold-down = "5m"')
    silent(*others)
    got = turns(client(t), own, port, 4, "")
    equal([g[0] for g in got], [0] * 4, "errno")
    assert max(g[1] for g in got) < 5.7, f"s: {[g[1] for g in got]}"


def test_an_endpoint_without_a_route_says_nothing_of_the_own_destination(t):
    t.spread(t.sources(), rule='also-to = { "203.0.113.9:80" }\nto-policy = "round-robin"')
    equal(t.agent()(f"hold(8, '10.1.0.1', {t.server()})"), [0, 8], "errno and connections")
    equal([(e["peer_address"], e["error"]) for e in t.events("source-down") if e["peer_address"] != "203.0.113.9"], [], "events of what is there")


def test_fast_open_says_nothing_of_an_endpoint(t):
    """With TCP_FASTOPEN_CONNECT a connect has nothing to say yet, so its client would meet what an endpoint answers."""
    kernel.sysctl("net.ipv4.tcp_fastopen", 5)  # without a cookie
    t.spread(t.sources(), rule='also-to = { "10.1.0.1:7" }\nto-policy = "round-robin"\nto-hold-down = "5m"')
    agent = t.agent()
    port = t.server()
    equal(agent(f"""[(lambda s: (s.setsockopt(IPPROTO_TCP, 30, 1), attempt(s.connect, ('10.1.0.1', {port})), attempt(s.send, b'x'),
attempt(s.send, b'x'))[1:])(socket.socket()) for _ in range(8)]"""), [[0, 0, 0]] * 8, "errnos of connect, send, send")


# --- descriptors that become other sockets meanwhile ---


def test_a_socket_that_takes_the_place_is_left_alone(t):
    """Another thread gives the number to another socket while the connect waits for a silent endpoint."""
    (own, other), port = service(t, more='to-timeout = "500ms"\nto-hold-down = "100ms"')
    kernel.add_addresses("10.1.0.3")
    t.server("10.1.0.3", port=port)
    silent(other)
    t.run([t.program("kernel/swapped"), own, str(port), "10.1.0.3", str(port)])


@full
def test_a_socket_that_takes_the_place_before_a_refusal(t):
    """The endpoint's answer comes once the number is another socket, and libc was not asked: no further connect is made on it."""
    (own, other), port = service(t, more='to-timeout = "30s"\nto-hold-down = "100ms"')
    kernel.add_addresses("10.1.0.3")
    t.server("10.1.0.3", port=port)
    silent(other)
    process = t.start([t.program("kernel/swapped"), own, str(port), "10.1.0.3", str(port), "new"])
    with open(os.path.join(t.folder, f"out{t.count}")) as said:
        kernel.wait_until(said.readline, 15, "it does not take the place")
    kernel.nft(f"flush chain ip t in; add rule ip t in ip daddr {other} tcp dport {port} reject with tcp reset")
    equal(process.wait(timeout=30), 0, "exit status")


def test_getpeername_of_what_took_the_place(t):
    (own, other), port = service(t, more='show-peer = "asked"')
    kernel.add_addresses("10.1.0.3")
    t.server("10.1.0.3", port=port)
    shown = t.run([t.program("kernel/other_peer"), own, str(port), "10.1.0.3", str(port)]).stdout.split()
    equal(shown, [own, "10.1.0.3"] * 2, "peers")
