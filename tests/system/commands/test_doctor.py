"""connspread doctor: each finding staged in a namespace of its own."""

import json
import os
import re
import shutil
import socket
import struct
import subprocess
import tempfile

import kernel
from fixture import PYTHON, TOOL, equal, needs

AS_NOBODY = ("import os, sys; os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534);"
             "os.execv(sys.argv[1], sys.argv[1:])")


def is_root():
    """The host's, not that of a user namespace with one user in it."""
    with open("/proc/self/uid_map") as f:
        return os.geteuid() == 0 and f.read().split()[2] != "1"


def doctor(t, *arguments, check=None, prefix=(), **extra):
    """The findings by name; errors decide the exit status."""
    env = t.environment(bare=True, **extra)
    done = subprocess.run([*prefix, TOOL, "doctor", "-o", "json", *arguments], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=30)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    errors = [f["finding"] for f in found if f["severity"] == "error"]
    equal((done.returncode, done.stderr), (1 if errors else 0, ""), f"exit status with errors {errors}, and stderr")
    for f in found:
        equal(list(f), ["severity", "finding", "reason", "remedy"], "keys")
        equal((f["remedy"] is None, f["reason"].endswith(".")), (f["severity"] == "ok", True), f"{f['finding']}: sentence and remedy")
        assert "tcp_tw_recycle=1" not in (f["remedy"] or ""), f
    equal([f["severity"] for f in found], sorted((f["severity"] for f in found), key=("error", "warning", "unknown", "ok").index), "order")
    return {f["finding"]: f for f in found}


def expect(found, name, severity, reason="", remedy=""):
    f = found[name]
    equal(f["severity"], severity, f"severity of {name} ({f['reason']})")
    assert reason in f["reason"] and remedy in (f["remedy"] or ""), (reason, remedy, f)


def explicit(address, port, listen=False):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, port))
    if listen:
        s.listen()
    return s


def test_healthy(t):
    """A default namespace has no error, and nothing is unknown."""
    found = doctor(t)
    wrong = {n: f for n, f in found.items() if f["severity"] in ("error", "unknown")}
    equal(wrong, {}, "findings")
    expect(found, "port-range", "ok", "28232 connections")
    expect(found, "tcp-fin-timeout", "ok", "does not shorten TIME-WAIT")
    expect(found, "tcp-tw-reuse", "ok", "never takes over")
    expect(found, "tcp-rfc1337", "ok", "does not end")
    expect(found, "tcp-tw-recycle", "ok", "behind a NAT")
    text = t.tool("doctor", check=0).stdout
    assert "ok       port-range: net.ipv4.ip_local_port_range is 32768-60999" in text, text


def test_sends_nothing(t):
    """Not one segment, no connection attempt, no socket left, whatever is tried."""
    def traffic():
        with open("/proc/net/snmp") as f:
            tcp = [line.split() for line in f if line.startswith("Tcp:")]
        return {name: value for name, value in zip(*tcp) if name in ("OutSegs", "InSegs", "ActiveOpens", "AttemptFails", "OutRsts")}
    before = traffic()
    expect(doctor(t), "explicit-binds", "ok")
    equal((traffic(), kernel.sockets()), (before, []), "segments and sockets")


def test_sysctls(t):
    """Range, parity, reserved ports, timestamps, fin_timeout, tw_reuse with its delay."""
    kernel.port_range(40000, 41000)
    kernel.sysctl("net.ipv4.ip_local_reserved_ports", "40000-40899")
    kernel.sysctl("net.ipv4.tcp_timestamps", 0)
    kernel.sysctl("net.ipv4.tcp_fin_timeout", 120)
    kernel.sysctl("net.ipv4.tcp_rfc1337", 0)
    kernel.sysctl("net.ipv4.tcp_tw_reuse", 1)
    found = doctor(t)
    expect(found, "port-range", "error", "can have 101 connections", "Reserve fewer")
    expect(found, "port-range-parity", "warning", "40000 and 41000, are even", "40000 40999")
    expect(found, "reserved-ports", "error", "900 of the 1001")
    expect(found, "tcp-timestamps", "error", "is 0", "tcp_timestamps=1")
    expect(found, "tcp-fin-timeout", "warning", "120 s", "tcp_fin_timeout=60")
    expect(found, "tcp-rfc1337", "ok", "may end")
    expect(found, "tcp-tw-reuse", "ok", "takes over TIME-WAITs that are older than")
    if os.path.exists("/proc/sys/net/ipv4/tcp_tw_reuse_delay"):
        kernel.sysctl("net.ipv4.tcp_tw_reuse_delay", 60000)
        expect(doctor(t), "tcp-tw-reuse", "warning", "which none ever is", "tcp_tw_reuse_delay=1000")


def closed(t, source, n, port=80):
    """n TIME-WAITs from source to 10.1.0.1."""
    for _ in range(n):
        client = socket.socket()
        client.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        client.bind((source, 0))
        client.connect(("10.1.0.1", port))
        client.close()
    kernel.settle(port)


def test_occupancy_and_counters(t):
    """The fullest pair by its share; TIME-WAITs up to the limit and over it are counted."""
    t.sources()
    port = t.server()
    kernel.port_range(40000, 40099)
    closed(t, "10.0.0.11", 60, port)
    expect(doctor(t), "occupancy", "warning", f"from 10.0.0.11 to 10.1.0.1:{port}: 60.0 % of 100, 60 of them in TIME-WAIT", "server close first")
    expect(doctor(t), "tcp-tw-reuse", "warning", "never", "After reuse of connections and more source addresses")
    kernel.sysctl("net.ipv4.tcp_max_tw_buckets", 60)
    closed(t, "10.0.0.12", 5, port)
    equal(kernel.counter("TcpExtTCPTimeWaitOverflow") >= 5, True, "TCPTimeWaitOverflow of the kernel")
    expect(doctor(t), "tw-buckets", "error", "60 TIME-WAITs of at most 60 (net.ipv4.tcp_max_tw_buckets; a FIN-WAIT-2 of a closed socket counts as one), and "
           f"{kernel.counter('TcpExtTCPTimeWaitOverflow')} times", "tcp_max_tw_buckets=262144")
    kernel.sysctl("net.ipv4.tcp_max_tw_buckets", 10000)
    closed(t, "10.0.0.11", 35, port)
    found = doctor(t)
    expect(found, "occupancy", "error", "95.0 %", "more source addresses")
    expect(found, "tw-buckets", "warning", "95 TIME-WAITs of at most 10000")
    expect(found, "tcp-counters", "ok", f"TWRecycled {kernel.counter('TcpExtTWRecycled')} ")


def test_fin_waits_are_counted_as_time_waits(t):
    """A FIN-WAIT-2 without an owner takes room under tcp_max_tw_buckets; the kernel's figure has both."""
    t.sources()
    listener = explicit("10.1.0.1", 7000, listen=True)
    peers = []
    for _ in range(5):
        client = socket.create_connection(("10.1.0.1", 7000))
        peers.append(listener.accept()[0])
        client.close()
    kernel.wait_until(lambda: len(kernel.sockets("FIN_WAIT2", 7000)) == 5, what="five in FIN-WAIT-2")
    equal(kernel.time_waits(7000), [], "in TIME-WAIT")
    with open("/proc/net/sockstat") as f:
        counted = int(re.search(r"^TCP: .* tw (\d+) ", f.read(), re.M)[1])
    assert 1 <= counted <= 5, f"the kernel's figure is {counted}: of five, one whose ACK met the close may keep its full socket"
    found = doctor(t)
    expect(found, "tw-buckets", "ok", f"{counted} TIME-WAITs of at most")
    expect(found, "tw-buckets", "ok", "a FIN-WAIT-2 of a closed socket counts as one")


def test_hoarder(t):
    """A process that binds ephemeral ports explicitly is named with its ports, also once it has connected; the kernel's own choices
    are not blamed on anybody."""
    t.sources()
    kernel.port_range(40000, 40099)
    port = t.server()
    honest = [socket.create_connection(("10.1.0.1", port)) for _ in range(20)]
    expect(doctor(t), "explicit-binds", "ok")
    taken = {s.getsockname()[1] for s in honest}
    ports = [p for p in range(40000, 40100) if p not in taken][:8]
    agent = t.agent(bare=True)
    agent(f"[globals().setdefault('kept', []).append(socket.socket()) or kept[-1].bind(('10.0.0.11', p)) for p in {ports}] and None")
    agent(f"[s.connect(('10.1.0.1', {port})) for s in kept[:4]] and None")
    found = doctor(t)
    expect(found, "explicit-binds", "error", f"(pid {agent.pid}): 8 ports, {ports[0]}", "IP_BIND_ADDRESS_NO_PORT")
    assert found["explicit-binds"]["reason"].startswith("8 ephemeral ports of 100 are"), found["explicit-binds"]
    assert str(os.getpid()) not in found["explicit-binds"]["reason"], found["explicit-binds"]
    if is_root():
        found = doctor(t, prefix=[PYTHON, "-S", "-c", AS_NOBODY])
        expect(found, "explicit-binds", "error", "a process of user 0: 8 ports")


def test_bind_to_port_zero(t):
    """bind(address, 0) without NO_PORT before connect keeps the port from everybody; with it, it does not."""
    t.sources()
    kernel.port_range(40000, 40099)
    port = t.server()
    for no_port, severity in ((1, "ok"), (0, "warning")):
        s = socket.socket()
        s.setsockopt(socket.IPPROTO_IP, 24, no_port)
        s.bind(("10.0.0.11", 0))
        s.connect(("10.1.0.1", port))
        found = doctor(t)
        expect(found, "explicit-binds", severity)
    assert f"(pid {os.getpid()}): 1 port, {s.getsockname()[1]}" in found["explicit-binds"]["reason"], found


def test_time_waits_of_explicit_binds(t):
    """An explicitly bound socket's TIME-WAIT has no owner, and still keeps its port."""
    t.sources()
    kernel.port_range(40000, 40999)
    port = t.server()
    for own in range(40000, 40005):
        s = explicit("10.0.0.11", own)
        s.connect(("10.1.0.1", port))
        s.close()
    kernel.settle(port)
    found = doctor(t)
    expect(found, "explicit-time-waits", "warning", "5 ephemeral ports of 1000 are", "connspread log")
    expect(found, "explicit-binds", "ok")


def test_listener_in_the_range(t):
    """Named, unless its port is reserved."""
    listener = explicit("127.0.0.1", 45000, listen=True)
    connected = socket.create_connection(("127.0.0.1", 45000))
    expect(doctor(t), "listeners-in-range", "warning", f"(pid {os.getpid()}): 1 port, 45000", "ip_local_reserved_ports")
    kernel.sysctl("net.ipv4.ip_local_reserved_ports", "45000")
    expect(doctor(t), "listeners-in-range", "ok")
    listener.close()
    connected.close()


def test_ipv6_disabled(t):
    kernel.sysctl("net.ipv6.conf.all.disable_ipv6", 1)
    expect(doctor(t), "ipv6", "warning", "EADDRNOTAVAIL", "disable_ipv6=0")


@needs("nft", "unshare")
def test_conntrack(t):
    """Entries against the limit. The limit is the whole host's: for this doctor alone, a file that is mounted over it says another."""
    t.sources()
    kernel.nft("table inet t { chain c { type filter hook output priority 0; ct state new counter; }; }")
    port = t.server()
    expect(doctor(t), "conntrack", "ok", "entries of at most")
    held = [socket.create_connection(("10.1.0.1", port)) for _ in range(20)]
    count = int(kernel.sysctl("net.netfilter.nf_conntrack_count"))
    equal((count >= 20, len(held)), (True, 20), "entries and connections")
    expect(doctor(t), "conntrack", "ok", f"has {count} entries of at most ")
    expect(doctor(t), "conntrack", "ok", "120 s")
    for limit, severity in ((count, "error"), (int(count / 0.8), "warning")):
        kernel.write(os.path.join(t.folder, "limit"), f"{limit}\n")
        mount = f'mount --bind {t.folder}/limit /proc/sys/net/netfilter/nf_conntrack_max && exec "$0" "$@"'
        found = doctor(t, prefix=["unshare", "-m", "sh", "-c", mount])
        expect(found, "conntrack", severity, f"has {count} entries of at most {limit} ", f"nf_conntrack_max={2 * limit}, or do not track")


@needs("nft")
def test_conntrack_losses(t):
    """SNAT to two ports: the third connection and the rest find no free quadruplet."""
    kernel.add_addresses("10.1.0.1", "10.0.0.99")
    port = t.server()
    kernel.nft("table ip t { chain c { type nat hook postrouting priority 100; "
               f"ip daddr 10.1.0.1 tcp dport {port} snat to 10.0.0.99:5000-5001; }}; }}")
    assert "conntrack-losses" not in doctor(t)
    kept = [socket.socket() for _ in range(5)]
    for i, s in enumerate(kept):
        s.settimeout(15 if i < 2 else 0.05)
    equal([s.connect_ex(("10.1.0.1", port)) == 0 for s in kept], [True, True, False, False, False], "connects")
    expect(doctor(t), "conntrack-losses", "warning", "insert_failed ", "fully-random")
    assert "insert_failed 0 " not in doctor(t)["conntrack-losses"]["reason"]


def test_kernel_without_features(t):
    """Tried, not assumed: options that the kernel refuses are found missing, with what that costs."""
    library = t.program("no_range.so")
    found = doctor(t, LD_PRELOAD=library)
    expect(found, "kernel-port-range", "warning", "does not work here", "6.3")
    expect(found, "kernel-no-port", "ok")
    expect(found, "explicit-binds", "unknown", "IP_LOCAL_PORT_RANGE")
    expect(doctor(t, LD_PRELOAD=library, CHAIN_NO_PORT="1"), "kernel-no-port", "error", "does not work here", "4.2")


def test_no_fast_open(t):
    """Without TCP Fast Open it cannot ask without sending: said, not guessed."""
    kernel.sysctl("net.ipv4.tcp_fastopen", 0)
    expect(doctor(t), "explicit-binds", "unknown", "TCP_FASTOPEN_CONNECT")


def build(t, name, code, *flags):
    path = os.path.join(t.folder, name)
    subprocess.run(["gcc", *flags, "-x", "c", "-", "-o", path], input=code, text=True, check=True)
    return path


@needs("gcc")
def test_programs(t):
    """Static, Go, setuid, capabilities, another word size; scripts by their interpreter; php with a note."""
    plain = t.program("plain_client")
    expect(doctor(t, plain), "program", "ok", "can be preloaded")
    expect(doctor(t, "sh"), "program", "ok", "/sh can be preloaded")
    expect(doctor(t, build(t, "static", "int main(void) { return 0; }", "-static")), "program", "error", "statically linked", "source addresses")
    expect(doctor(t, t.program("go_like")), "program", "error", "is a Go program", "LocalAddr")
    expect(doctor(t, t.program("go_like")), "program-supervise", "ok", "can serve it")
    expect(doctor(t, t.program("go_section")), "program", "error", "is a Go program")
    script = os.path.join(t.folder, "script")
    with open(script, "w") as f:
        f.write(f"#!{t.program('go_like')}\n")
    os.chmod(script, 0o755)
    expect(doctor(t, script), "program", "error", "is a Go program")
    other = os.path.join(t.folder, "other_class")
    shutil.copy(plain, other)
    with open(other, "r+b") as f:
        f.seek(4)
        f.write(b"\1")
    expect(doctor(t, other), "program", "error", "word size", "Build connspread")
    php = os.path.join(t.folder, "php-fpm9.9")
    shutil.copy(plain, php)
    found = doctor(t, php)
    expect(found, "program", "ok")
    expect(found, "program-php", "warning", "RTLD_DEEPBIND", "8.5")


def test_privileged_programs(t):
    """Setuid and file capabilities: as an ordinary user only, since root gains nothing by them."""
    if not is_root():
        return
    folder = tempfile.mkdtemp(prefix="connspread-test-", dir="/usr/local/lib")  # a file system that honours the bits
    os.chmod(folder, 0o755)
    try:
        path = os.path.join(folder, "client")
        shutil.copy(t.program("plain_client"), path)
        os.chmod(path, 0o4755)
        nobody = [PYTHON, "-S", "-c", AS_NOBODY]
        expect(doctor(t, path, prefix=nobody), "program", "error", "setuid", "User=")
        expect(doctor(t, path), "program", "ok")
        os.chmod(path, 0o755)
        os.setxattr(path, "security.capability", struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0))  # cap_net_raw+ep
        expect(doctor(t, path, prefix=nobody), "program", "error", "file capabilities", "AmbientCapabilities")
    finally:
        shutil.rmtree(folder)


def test_run_warns(t):
    """connspread run says the same of a program that cannot be preloaded, and runs it."""
    t.spread(t.sources())
    done = t.tool("run", "-c", t.conf, "--", t.program("go_like"), check=0)
    assert "is a Go program: its runtime makes system calls itself" in done.stderr, done.stderr


def test_addresses_of_pools(t):
    """Deprecated, tentative, dadfailed and absent ones are called that, in doctor and in check."""
    assert "pool-addresses" not in doctor(t), "without a config nothing is said of pools"
    kernel.ip("link add v0 type veth peer name v1")
    kernel.ip("link set v0 up")
    kernel.ip("addr add fd00:7::1/64 dev v0 nodad")
    kernel.ip("addr add fd00:7::9/64 dev v0 nodad preferred_lft 0")
    conf = t.config('pool "a" { addresses = { "fd00:7::1" } }\nrule "r" { to = { "fd00::/8" } pool = "a" }\n')
    expect(doctor(t, "-c", conf), "pool-addresses", "ok", "All of the pools' addresses (1)", "")
    conf = t.config('pool "a" { addresses = { "fd00:7::1", "fd00:7::9" } }\nrule "r" { to = { "fd00::/8" } pool = "a" }\n')
    expect(doctor(t, "-c", conf), "pool-addresses", "warning", 'fd00:7::9 of pool "a" is deprecated', "take them out of the pool")
    kernel.ip("addr add fd00:7::5/64 dev v0")  # its peer is down: detection never ends
    kernel.ip("addr del fd00:7::1/64 dev v0")
    conf = t.config('pool "a" { addresses = { "fd00:7::1", "fd00:7::5" } }\nrule "r" { to = { "fd00::/8" } pool = "a" }\n')
    expect(doctor(t, "-c", conf), "pool-addresses", "error", 'fd00:7::1 of pool "a" is not on this host: removed, or not added yet', "ip addr")
    said = t.tool("check", "-c", conf, check=1).stdout
    assert "fd00:7::5 is tentative" in said and "fd00:7::1 is not on this host" in said, said
    expect(doctor(t, "-c", conf), "pool-addresses", "error", 'fd00:7::5 of pool "a" is tentative', "ip addr")
    expect(doctor(t, "-c", t.config("nonsense = 1\n")), "pool-addresses", "error", "is refused", "connspread check -c")


def test_usage(t):
    for arguments, said in ((["no-such-program"], "there is no such program"), (["sh", "ls"], "try: once for each"), (["-o", "xml"], "text or json"),
                            (["--nonsense"], "try: connspread doctor --help")):
        done = t.tool("doctor", *arguments, check=2)
        assert said in done.stderr and not done.stdout, (arguments, done)
    assert t.tool("doctor", "--help", check=0).stdout.startswith("usage: connspread doctor ")
