"""All the quadruplets there are: ports outside the ephemeral range, old TIME-WAITs, waiting, the least used, old kernels."""

import errno
import os
import subprocess
import time

import kernel
from fixture import PYTHON, SHIM, equal, waits

FULL = errno.EADDRNOTAVAIL
LOW, HIGH = 40000, 40015


def host(t, first=11, last=14):
    sources = t.sources(first, last)
    port = t.server()
    kernel.port_range(LOW, HIGH)
    return sources, port


def test_ports_outside_the_range(t):
    """ports beyond the ephemeral range on both sides: every one of them is used, after those inside."""
    sources, port = host(t, 11, 12)
    t.spread(sources, pool='ports = { "39990-40025" }', rule='on-exhausted = "error"')
    equal(t.agent()(f"hold(73, '10.1.0.1', {port})"), [FULL, 72], "errno and connections")
    held = {(s.local, s.local_port) for s in kernel.sockets("ESTABLISHED", port)}
    equal(held, {(a, p) for a in sources for p in range(39990, 40026)}, "quadruplets in use")


def test_8000_of_8000(t):
    """Half of the ports inside the ephemeral range, half outside: 4 sources x 2,000 ports are 8,000 connections."""
    sources, port = t.sources(), t.server()
    kernel.port_range(40000, 40999)
    t.spread(sources, pool='ports = { "39500-41499" }', rule='on-exhausted = "error"\nattempts = 64')
    agents = [t.agent() for _ in range(4)]
    equal([a(f"hold(2000, '10.1.0.1', {port})") for a in agents], [[0, 2000]] * 4, "errno and connections")
    equal(kernel.by_source(port), {s: 2000 for s in sources}, "connections per source")


def test_ports_outside_serve_several_destinations(t):
    """The same explicitly bound port towards two destinations: quadruplets are what counts."""
    sources, one = host(t, 11, 11)
    two = t.server()
    t.spread(sources, pool='ports = { "39990-39999" }', rule='on-exhausted = "error"')
    agent = t.agent()
    equal(agent(f"hold(10, '10.1.0.1', {one})"), [0, 10], "errno and connections to the first")
    equal(agent(f"hold(10, '10.1.0.1', {two})"), [0, 20], "errno and connections to both")
    equal(agent(f"hold(1, '10.1.0.1', {one})"), [FULL, 20], "errno of one more")


@waits
def test_reuse_after(t):
    """A TIME-WAIT on a port outside the range is left alone until it is as old as reuse-after, and reused then."""
    sources, port = host(t, 11, 11)
    t.spread(sources, pool='ports = { "39990-39999" }\nreuse-after = "4s"', rule='on-exhausted = "error"')
    agent = t.agent()
    agent("None")  # it has started
    began = time.monotonic()
    equal(agent(f"burst(10, '10.1.0.1', {port})"), 0, "failures of ten")
    kernel.settle(port)
    equal(len(kernel.time_waits(port)), 10, "TIME-WAITs")
    equal(agent(f"burst(1, '10.1.0.1', {port})"), 1, "failures of the eleventh, at once")
    assert time.monotonic() - began < 4, "too slow to tell"
    time.sleep(4.2)
    equal(agent(f"burst(10, '10.1.0.1', {port})"), 0, "failures of ten more, 4 s later")
    assert kernel.counter("TcpExtTWRecycled") >= 10, "the kernel has recycled no TIME-WAIT"


def exhausted(t, wait):
    sources, port = host(t, 11, 11)
    t.spread(sources, rule=f'on-exhausted = "error"\nwait = "{wait}"')
    agent = t.agent()
    equal(agent(f"hold(16, '10.1.0.1', {port})"), [0, 16], "errno and connections")
    return agent, port


def timed(agent, code):
    return agent(f"(lambda t: ({code}, time.monotonic() - t))(__import__('time').monotonic())".replace(
        "time.monotonic() - t", "__import__('time').monotonic() - t"))


def shortest(agent, code, want, tries=5):
    """How long each try took that said what it should, the shortest first: what else runs on the host only adds to a wait."""
    tried = [timed(agent, code) for _ in range(tries)]
    equal([result for result, _ in tried], [want] * tries, "results")
    return sorted(seconds for _, seconds in tried)


def test_wait_ends_with_a_free_quadruplet(t):
    """wait: the connect succeeds as soon as another process gives a quadruplet back."""
    holder, port = exhausted(t, "20s")
    other = t.agent()
    took = []
    for n in range(1, 4):
        began = time.monotonic()
        holder("__import__('threading').Timer(0.3, lambda: reset(kept.pop())).start()")
        result, seconds = timed(other, f"hold(1, '10.1.0.1', {port})")
        passed = time.monotonic() - began
        equal(result, [0, n], "errno and connections")
        assert passed > 0.3, f"{passed:.3f} s after the timer of 0.3 s was set"
        took.append(seconds)
    assert min(took) < 1.5 and max(took) < 10, f"waited {took} s"


def test_wait_is_bounded(t):
    """wait: no quadruplet comes back, and the connect fails once the time is over, not before and not much later."""
    _, port = exhausted(t, "200ms")
    took = shortest(t.agent(), f"hold(1, '10.1.0.1', {port})", [FULL, 0])
    assert 0.19 < took[0] < 1 and took[-1] < 10, f"waited {took} s, the rule says 0.2"


def test_wait_is_for_blocking_sockets_only(t):
    _, port = exhausted(t, "20s")
    agent = t.agent()
    agent("s = socket.socket(); s.setblocking(False)")
    took = shortest(agent, f"attempt(s.connect, ('10.1.0.1', {port}))", FULL)
    assert took[0] < 1 and took[-1] < 10, f"non-blocking connects took {took} s"


def test_wait_honours_the_clients_own_limit(t):
    """SO_SNDTIMEO says how long a connect may take."""
    _, port = exhausted(t, "20s")
    agent = t.agent()
    agent("s = socket.socket(); s.setsockopt(SOL_SOCKET, SO_SNDTIMEO, struct.pack('ll', 0, 100000))")
    took = shortest(agent, f"attempt(s.connect, ('10.1.0.1', {port}))", FULL)
    assert 0.09 < took[0] < 1 and took[-1] < 10, f"waited {took} s, SO_SNDTIMEO says 0.1"


def interrupted(t, tries, prepare=lambda pid: None):
    """How long connects wait of the 40 s that their rule allows, where a signal comes every 50 ms from 0.2 s on."""
    _, port = exhausted(t, "40s")
    agent = t.agent()
    agent("__import__('signal').signal(14, lambda *a: None) and None")
    prepare(agent("os.getpid()"))
    took = shortest(agent, f"(__import__('signal').setitimer(0, 0.2, 0.05), hold(1, '10.1.0.1', {port}))[1]", [FULL, 0], tries)
    assert took[0] > 0.1 and took[-1] < 30, f"waited {took} s with a signal after 0.2 s"
    return took[0]


def test_wait_ends_at_a_signal(t):
    waited = interrupted(t, 5)
    assert waited < 2, f"waited {waited:.3f} s at least"


def test_wait_ends_at_a_signal_on_a_busy_processor(t):
    """The signals come while the client, after one of its short sleeps, waits for the processor that another has."""
    cpu = min(os.sched_getaffinity(0))
    busy = subprocess.Popen(["timeout", "50", PYTHON, "-S", "-c", f"import os\nos.sched_setaffinity(0, {{{cpu}}})\nwhile True: pass"])

    def prepare(pid):  # from here: musl's sched_setscheduler says ENOSYS
        os.sched_setaffinity(pid, {cpu})
        os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
    try:
        interrupted(t, 1, prepare)
    finally:
        busy.terminate()  # timeout hands it on
        busy.wait(10)


def test_least_used(t):
    """Sources with fewer quadruplets to this destination, open or in TIME-WAIT, go first."""
    sources, port = host(t)
    held = t.spread(sources[:1], name="held")
    holder = t.agent()
    holder(f"hold(4, '10.1.0.1', {port})")
    holder(f"burst(4, '10.1.0.1', {port})")
    os.rename(held, held)
    t.spread(sources, pool='policy = "least-used"', name="held")
    agent = t.agent()
    equal(agent(f"hold(24, '10.1.0.1', {port})"), [0, 24], "errno and connections")
    equal({a: n for a, n in agent(f"(lambda c: list(c.items()))(__import__('collections').Counter("
                                  "s.getsockname()[0] for s in kept))")},
          {s: 8 for s in sources[1:]}, "connections per source while the first had 8 already")


def test_kernel_without_port_range(t):
    """Before 6.3: NO_PORT and bind alone spread; nothing fails."""
    sources, port = host(t)
    t.spread(sources, rule='on-exhausted = "error"')
    agent = t.agent(preload=SHIM + ":" + t.program("no_range.so"), CONNSPREAD_SECCOMP="trust")
    equal(agent(f"attempt(socket.socket().setsockopt, 0, 51, struct.pack('I', {HIGH << 16 | LOW}))"), errno.ENOPROTOOPT, "errno of the option")
    equal(agent(f"hold(65, '10.1.0.1', {port})"), [FULL, 64], "errno and connections")
    equal(kernel.by_source(port), {s: 16 for s in sources}, "connections per source")


def test_kernel_without_late_ports(t):
    """Before 4.2 nothing can be spread, and everything connects as without us."""
    sources, port = host(t)
    t.spread(sources)
    agent = t.agent(preload=SHIM + ":" + t.program("no_range.so"), CONNSPREAD_SECCOMP="trust", CHAIN_NO_PORT="1")
    equal(agent(f"hold(8, '10.1.0.1', {port})"), [0, 8], "errno and connections")
    equal(kernel.by_source(port), {"10.1.0.1": 8}, "connections per source")


def test_kernel_with_parity_step(t):
    """6.3 to 6.7, as far as a kernel can pretend to be older: connects come from small windows, and none is left unused."""
    sources, port = t.sources(11, 12), t.server()
    kernel.port_range(40000, 42999)
    t.spread(sources, rule='on-exhausted = "error"')
    old = ["setarch", "--uname-2.6"]
    equal(t.run(old + ["uname", "-r"], bare=True).stdout.split(".")[0], "2", "the kernel's pretended version")
    agents = [t.agent(wrapper=old) for _ in range(2)]
    equal([a(f"hold(3000, '10.1.0.1', {port})") for a in agents], [[0, 3000]] * 2, "errno and connections")
    equal(t.agent(wrapper=old)(f"hold(1, '10.1.0.1', {port})"), [FULL, 0], "errno of one more")
    equal(kernel.by_source(port), {s: 3000 for s in sources}, "connections per source")
    trace = t.run(old + ["strace", "-qq", "-e", "trace=setsockopt", "python3", "-S", "-c",
                         f"import socket; socket.socket().connect(('10.1.0.1', {port}))"], check=False).stderr
    assert trace.count("0x33") >= 4, f"no windows in: {trace}"


def test_a_widened_range_is_used_by_running_clients(t):
    """The operator widens ip_local_port_range: a client that runs uses it, with and without ports in its pool."""
    sources, port = host(t, 11, 11)
    t.spread(sources, rule='on-exhausted = "error"')
    plain = t.agent()
    equal(plain(f"hold(17, '10.1.0.1', {port})"), [FULL, 16], "errno and connections")
    other = t.server()
    t.spread(sources, pool='ports = { "30000-45000" }\nexclude-ports = { "30000-39999" }', rule='on-exhausted = "error"', name="ports")
    chosen = t.agent()
    equal(chosen(f"hold(16, '10.1.0.1', {other})"), [0, 16], "errno and connections")
    kernel.port_range(LOW, HIGH + 16)
    time.sleep(0.15)
    equal(plain(f"hold(16, '10.1.0.1', {port})"), [0, 32], "errno and connections after it was widened")
    equal(chosen(f"hold(16, '10.1.0.1', {other})"), [0, 32], "errno and connections with ports in the pool")
    equal({s.local_port for s in kernel.sockets(to_port=port)}, set(range(LOW, HIGH + 17)), "ports in use")
