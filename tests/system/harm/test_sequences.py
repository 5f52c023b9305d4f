"""Random sequences of socket calls, right and wrong (sequences.c): call by call, a client sees bare and under the shim the same,
but for source addresses and ports that it did not name itself. Then what they have found, one by one.

SEQUENCES_SEED and SEQUENCES_COUNT change what is made. What the machine's load changes differs between bare runs, too: a sequence is
worse if no run under the shim is as one of five bare ones."""

import difflib
import os

import kernel
from fixture import equal, full, limit

SEED = int(os.environ.get("SEQUENCES_SEED", "1"))
COUNT = int(os.environ.get("SEQUENCES_COUNT", "0"))
BATCH, ATTEMPTS = 200, 5
LOW, HIGH = 40000, 40127

FILTER = """table inet faults {
    chain input { type filter hook input priority 0; tcp dport 7 drop; }
    chain output { type filter hook output priority 0;
        ip daddr 10.1.0.5 tcp dport 9001 reject with icmp type admin-prohibited
        ip daddr 10.1.0.6 tcp dport 9001 reject with tcp reset
        ip6 daddr fd00:2::6 tcp dport 9001 reject with tcp reset
    }
}"""

POOL = ["10.0.0.11-10.0.0.14", "fd00:1::11-fd00:1::14"]


def network(t):
    t.sources()
    t.sources6()
    kernel.add_addresses(*kernel.addresses("10.1.0.", 2, 6), "fd00:2::6")
    for name, value in {"net.ipv4.tcp_max_tw_buckets": 0, "net.ipv4.tcp_syn_retries": 1, "net.ipv4.tcp_fastopen": 0x207}.items():
        kernel.sysctl(name, value)
    kernel.port_range(LOW, HIGH)
    kernel.ip("link add up0 type veth peer name up1")
    kernel.ip("link set up0 up")
    kernel.ip("link set up1 up")
    kernel.ip("addr add fe80::1/64 dev up0 nodad")
    for n, kind in enumerate(("prohibit", "blackhole", "unreachable"), 1):
        kernel.ip(f"route add {kind} 192.0.2.{n}")
        kernel.ip(f"-6 route add {kind} fd77::{n}")
    kernel.ip("rule add pref 100 lookup local")
    kernel.ip("rule del pref 0")
    kernel.ip("rule add pref 50 from 10.0.0.12/31 to 10.1.0.2 prohibit")
    kernel.nft(FILTER)


def sequences(t, first, count, bare):
    """{number: lines}"""
    done = t.run([t.program("harm/sequences"), str(SEED), str(first), str(count)], timeout=100, bare=bare)
    found, number = {}, None
    for line in done.stdout.splitlines():
        if not line.startswith(" "):
            number = int(line.split(".")[0])
        found.setdefault(number, []).append(line)
    equal(len(found), count, "sequences")
    return found


def worse_of(t, first, count):
    """{number: difference} of the sequences that differ."""
    bare, shim, todo = [], [], set(range(first, first + count))
    for _ in range(ATTEMPTS):
        bare.append(sequences(t, first, count, True))
        shim.append(sequences(t, first, count, False))
        todo = {n for n in todo if not any(b[n] == s[n] for b in bare for s in shim)}
        if not todo:
            break
    return {n: "\n".join(difflib.unified_diff(bare[0][n], shim[0][n], "bare", "shim", n=30, lineterm="")) for n in todo}


def compare(t, count, **config):
    network(t)
    t.spread(**config)
    count, worse = COUNT or count, {}
    for first in range(0, count, BATCH):
        worse.update(worse_of(t, first, min(BATCH, count - first)))
    assert not worse, f"seed {SEED}: {len(worse)} of {count} sequences: {sorted(worse)}\n" + "\n".join(list(worse.values())[:5])
    print(f"seed {SEED}: {count} sequences")
    t.attached(program="sequences")


def test_some(t):
    compare(t, 200, sources=POOL)


@full
@limit(300)
def test_pool(t):
    compare(t, 2000, sources=POOL)


@full
@limit(200)
def test_observed(t):
    compare(t, 1000, sources=POOL, top='mode = "observe"')


@full
@limit(200)
def test_off(t):
    network(t)
    t.spread(POOL, top='mode = "off"')
    equal(worse_of(t, 0, 1000), {}, "sequences that differ")


@full
@limit(200)
def test_addresses_of_elsewhere(t):
    compare(t, 1000, sources=["198.51.100.20-198.51.100.23", "2001:db8:9::1-2001:db8:9::4"])


@full
@limit(200)
def test_address_without_a_way(t):
    compare(t, 1000, sources=["10.0.0.12"])


@full
@limit(200)
def test_loopback_too(t):
    compare(t, 1000, sources=[*POOL, "127.0.0.2-127.0.0.5", "::1"])


@full
@limit(200)
def test_ports_inside(t):
    compare(t, 1000, sources=POOL, pool='ports = { "40010-40090" }')


@full
@limit(200)
def test_binds_kept(t):
    compare(t, 1000, sources=POOL, rule='client-bind = "keep"')


@full
@limit(200)
def test_wait(t):
    compare(t, 1000, sources=POOL, rule='wait = "10ms"')


# --- one by one ---

BEGIN = """
import ctypes, os, select, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def attempt(function, *arguments):
    try:
        return function(*arguments)
    except OSError as e:
        return e.errno
def connect(s, address):
    return attempt(s.connect, address)
def raw(s, address):
    return libc.connect(s.fileno(), address, len(address)), ctypes.get_errno()
def show(s):
    print(s.getsockname()[0], s.getsockname()[1] != 0)
"""


def as_bare(t, code, **config):
    """The client prints the same, bare and under the shim."""
    sources = t.sources() + t.sources6()
    port = t.server()
    t.server("fd00:2::1", port=port)
    t.spread(sources, **config)
    bare, shim = (t.python(BEGIN + code, port, bare=b).stdout for b in (True, False))
    equal(shim, bare, "what the client sees")
    t.attached()


def test_bind_after_a_connect_that_went_on_has_failed(t):
    """The address that the client binds then is its own, is shown with a port, and is the source of the next connection."""
    as_bare(t, """
s = socket.socket()
s.setblocking(False)
print(connect(s, ('10.1.0.1', 9)))
select.select([], [s], [], 5)
print(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
s.bind(('10.1.0.1', 0))
show(s)
s.setblocking(True)
print(connect(s, ('10.1.0.1', int(sys.argv[1]))), connect(s, ('10.1.0.1', int(sys.argv[1]))))
show(s)
s = socket.socket(socket.AF_INET6)
s.setblocking(False)
print(connect(s, ('fd00:2::1', 9)))
select.select([], [s], [], 5)
print(attempt(s.bind, ('::ffff:10.1.0.1', 0)))
""")


def test_bound_again_after_a_connect_that_failed(t):
    """The port is gone with the connect, so a client that tries again may bind again; not where there was no way, and the port is left."""
    as_bare(t, """
for to in ('10.1.0.1', 9), ('203.0.113.1', 9):
    s = socket.socket()
    print(attempt(s.bind, ('10.0.0.11', 0)), connect(s, to), attempt(s.bind, ('10.0.0.12', 0)))
    show(s)
    print(connect(s, ('10.1.0.1', int(sys.argv[1]))))
    show(s)
s = socket.socket()
print(attempt(s.bind, ('10.0.0.11', 0)), connect(s, ('10.1.0.1', 9)), attempt(s.bind, ('198.51.100.7', 0)))
print(connect(s, ('10.1.0.1', int(sys.argv[1]))))
""")


def test_a_destination_of_the_other_family_binds_nothing(t):
    """Ports that are bound for good: a call that had to fail shall not cost the client its socket."""
    as_bare(t, """
s = socket.socket(socket.AF_INET6)
print(raw(s, struct.pack('=H', socket.AF_INET) + struct.pack('>H', int(sys.argv[1])) + socket.inet_aton('10.1.0.1') + bytes(20)))
print(connect(s, ('fd00:2::1', int(sys.argv[1]))))
""", pool='ports = { "30000-30999" }')


def test_a_destination_of_the_other_family_goes_nowhere_else(t):
    """No other endpoint makes a success of what is a mistake."""
    as_bare(t, """
for _ in range(4):
    s = socket.socket()
    mapped = socket.inet_pton(socket.AF_INET6, '::ffff:10.1.0.9')
    print(raw(s, struct.pack('=H', socket.AF_INET6) + struct.pack('>H', 9) + bytes(4) + mapped + bytes(4)))
    print(connect(s, ('10.1.0.1', int(sys.argv[1]))))
""", rule='also-to = { "10.1.0.1:9001" }\nto-policy = "round-robin"')


def test_bound_to_the_mapped_wildcard(t):
    as_bare(t, """
s = socket.socket(socket.AF_INET6)
s.bind(('::ffff:0.0.0.0', 0))
print(connect(s, ('fd00:2::1', int(sys.argv[1]))), connect(s, ('::ffff:10.1.0.1', int(sys.argv[1]))))
""")


def test_shut_down_while_connecting(t):
    """It is dissolved: nothing of ours keeps it from a destination of the other family."""
    kernel.nft(FILTER)
    as_bare(t, """
for how in range(3):
    s = socket.socket(socket.AF_INET6)
    s.setblocking(False)
    print(connect(s, ('::ffff:10.1.0.1', 7)))
    s.shutdown(how)
    print(connect(s, ('fd00:2::1', int(sys.argv[1]))))
""")


def test_a_source_that_the_kernel_chose_does_not_stay(t):
    """A socket that we had bound, then a connect that no rule is for: where the next one goes is the kernel's choice again."""
    as_bare(t, """
listener = socket.create_server(('', 0))
s = socket.socket()
print(connect(s, ('10.1.0.1', 9)), connect(s, ('10.0.0.11', 9)), connect(s, ('0.0.0.0', listener.getsockname()[1])))
print(s.getpeername()[0])
""", to=["10.1.0.1"])


def test_what_a_port_forbids(t):
    """After bind(address, 0): another bind, be it by AF_UNSPEC, and IPV6_V6ONLY."""
    as_bare(t, """
s = socket.socket()
s.bind(('10.0.0.11', 0))
print(libc.bind(s.fileno(), bytes(16), 16), ctypes.get_errno())
s = socket.socket(socket.AF_INET6)
s.bind(('fd00:1::11', 0))
print(attempt(s.setsockopt, socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1))
print(connect(s, ('fd00:2::1', int(sys.argv[1]))))
""")


def test_bound_by_a_child(t):
    """The parent, too, sees the port."""
    as_bare(t, """
s = socket.socket()
if os.fork() == 0:
    s.bind(('10.0.0.11', 0))
    os._exit(0)
os.wait()
show(s)
print(attempt(s.bind, ('10.0.0.12', 0)))
print(connect(s, ('10.1.0.1', int(sys.argv[1]))))
""")


def test_no_port_said_after_the_bind(t):
    as_bare(t, """
s = socket.socket()
s.bind(('10.0.0.11', 0))
s.setsockopt(socket.IPPROTO_IP, 24, 1)
show(s)
print(s.getsockopt(socket.IPPROTO_IP, 24))
print(connect(s, ('10.1.0.1', int(sys.argv[1]))))
show(s)
""")


def test_handed_to_another_program(t):
    """A socket that was bound has its port there."""
    as_bare(t, """
s = socket.socket()
s.bind(('10.0.0.11', 0))
s.set_inheritable(True)
print(connect(socket.socket(), ('10.1.0.1', int(sys.argv[1]))), flush=True)
os.execv(sys.executable, [sys.executable, '-S', '-c',
    'import socket, sys; print(socket.socket(fileno=int(sys.argv[1])).getsockname()[1] != 0)', str(s.fileno())])
""")


def test_handed_over_by_scm_rights(t):
    """What receives a socket whose connect had failed may connect it anywhere; one that was bound has its port."""
    as_bare(t, """
here, there = socket.socketpair()
def handed(s):
    socket.send_fds(here, [b'x'], [s.fileno()])
    return socket.socket(fileno=socket.recv_fds(there, 1, 1)[1][0])
s = socket.socket(socket.AF_INET6)
print(connect(s, ('fd00:2::1', 9)))
print(connect(handed(s), ('::ffff:10.1.0.1', int(sys.argv[1]))))
s = socket.socket()
s.bind(('10.0.0.11', 0))
show(handed(s))
""")


def test_made_a_socket_of_ipv4(t):
    """IPV6_ADDRFORM: spread again after its connection has ended, and no source is said to have no way."""
    as_bare(t, """
s = socket.socket(socket.AF_INET6)
print(connect(s, ('::ffff:10.1.0.1', int(sys.argv[1]))))
s.setsockopt(socket.IPPROTO_IPV6, 1, socket.AF_INET)
print(raw(s, bytes(16)))
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, s.detach())
print(connect(s, ('10.1.0.1', int(sys.argv[1]))))
""")
    equal(t.events("source-down"), [], "source-down events")
