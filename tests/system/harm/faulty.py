"""A network that fails in every way that a client meets: the test's own namespace is the client's host, another one, a
veth away, is all that lies behind it. What happens depends on the destination's prefix; each client gets a destination of
its own, so that the packet filter of the client's host can count its SYNs, per connect.

Nothing here knows of connspread.
"""

import collections
import json
import os
import select
import signal
import socket
import subprocess
import time

import kernel
import servers

PORT = 7003
SLOW_S = 0.2
SOURCES4 = kernel.addresses("10.9.1.", 1, 16)
SOURCES6 = kernel.addresses("fd09::1:", 1, 16)

# The prefixes end where a number follows. times: connections that a client makes, one after the other; size: what it sends on each;
# pause_ms: see one_connect.c; bare4 and bare6: what a blocking connect comes to, without a shim, at last.
Kind = collections.namedtuple("Kind", "name v4 v6 times size pause_ms bare4 bare6")
KINDS = [
    Kind("silent neighbour", "10.9.200.", "fd09::c8:", 2, 1, 0, "EHOSTUNREACH", "EHOSTUNREACH"),
    Kind("no route", "10.99.0.", "fd99::", 2, 1, 0, "ENETUNREACH", "ENETUNREACH"),
    Kind("ICMP host", "10.20.1.", "fd20:0:0:1::", 2, 1, 0, "EHOSTUNREACH", "EHOSTUNREACH"),
    Kind("ICMP host late", "10.31.0.", "fd31::", 2, 1, 0, "EHOSTUNREACH", "EHOSTUNREACH"),
    Kind("ICMP net", "10.20.2.", "fd20:0:0:2::", 2, 1, 0, "ENETUNREACH", "ENETUNREACH"),
    Kind("ICMP port", "10.20.3.", "fd20:0:0:3::", 2, 1, 0, "ECONNREFUSED", "ECONNREFUSED"),
    Kind("ICMP admin", "10.20.4.", "fd20:0:0:4::", 2, 1, 0, "EHOSTUNREACH", "EACCES"),
    Kind("RST", "10.20.5.", "fd20:0:0:5::", 2, 1, 0, "ECONNREFUSED", "ECONNREFUSED"),
    Kind("SYN dropped", "10.20.6.", "fd20:0:0:6::", 1, 1, 0, "ETIMEDOUT", "ETIMEDOUT"),
    Kind("slow path", "10.30.0.", "fd30::", 2, 1, 0, "answered", "answered"),
    Kind("MTU black hole", "10.20.7.", "fd20:0:0:7::", 1, 4000, 0, "unanswered", "unanswered"),
    Kind("down, then up", "10.20.8.", "fd20:0:0:8::", 4, 1, 2000, "answered", "answered"),
]

# At the other end. Without a rule: answered, as the server listens on every address.
FILTER = """
table inet faulty {
    set met4 { typeof ip daddr; flags dynamic; size 4096; }
    set met6 { typeof ip6 daddr; flags dynamic; size 4096; }
    set down4 { typeof ip daddr; flags dynamic,timeout; size 4096; }
    set down6 { typeof ip6 daddr; flags dynamic,timeout; size 4096; }
    chain input {
        type filter hook input priority 0;
        ip daddr { 10.20.1.0/24, 10.31.0.0/24 } reject with icmp type host-unreachable
        ip6 daddr { fd20:0:0:1::/64, fd31::/64 } reject with icmpv6 type addr-unreachable
        ip daddr 10.20.2.0/24 reject with icmp type net-unreachable
        ip6 daddr fd20:0:0:2::/64 reject with icmpv6 type no-route
        ip daddr 10.20.3.0/24 reject with icmp type port-unreachable
        ip6 daddr fd20:0:0:3::/64 reject with icmpv6 type port-unreachable
        ip daddr 10.20.4.0/24 reject with icmp type admin-prohibited
        ip6 daddr fd20:0:0:4::/64 reject with icmpv6 type admin-prohibited
        ip daddr 10.20.5.0/24 tcp flags & syn == syn reject with tcp reset
        ip6 daddr fd20:0:0:5::/64 tcp flags & syn == syn reject with tcp reset
        ip daddr 10.20.6.0/24 drop
        ip6 daddr fd20:0:0:6::/64 drop
        ip daddr 10.20.7.0/24 meta length > 1000 drop
        ip6 daddr fd20:0:0:7::/64 meta length > 1000 drop
        ip daddr 10.20.8.0/24 ip daddr != @met4 add @down4 { ip daddr timeout 1500ms } add @met4 { ip daddr }
        ip6 daddr fd20:0:0:8::/64 ip6 daddr != @met6 add @down6 { ip6 daddr timeout 1500ms } add @met6 { ip6 daddr }
        ip daddr @down4 reject with icmp type host-unreachable
        ip6 daddr @down6 reject with icmpv6 type addr-unreachable
    }
}
"""

# At the client: each SYN, by destination, source and source port, so by connect.
COUNTER = """
table inet counted {
    set syns4 { typeof ip daddr . ip saddr . tcp sport; flags dynamic; counter; size 65535; }
    set syns6 { typeof ip6 daddr . ip6 saddr . tcp sport; flags dynamic; counter; size 65535; }
    chain output {
        type filter hook output priority 0;
        tcp flags & (syn | ack) == syn add @syns4 { ip daddr . ip saddr . tcp sport }
        tcp flags & (syn | ack) == syn add @syns6 { ip6 daddr . ip6 saddr . tcp sport }
    }
}
"""


class Neighbour:
    """A process in a network namespace of its own, which does what it is given once it hears go(), and stays."""

    def __init__(self, work):
        hear, say = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                kernel.libc.unshare(kernel.CLONE_NEWNET)
                os.write(say[1], b"1")
                os.read(hear[0], 1)
                work(lambda: os.write(say[1], b"2"))
                signal.pause()
            finally:
                os._exit(1)
        self.hears, self.says = hear[1], say[0]
        self.wait()

    def wait(self):
        assert select.select([self.says], [], [], 20)[0] and os.read(self.says, 1), "a neighbour did not come up"

    def go(self):
        os.write(self.hears, b"1")
        self.wait()


def quiet():
    """No rate limit for ICMP, no reverse path filter; retransmissions as before 6.5, and few of them."""
    for name, value in {"net.ipv4.icmp_ratemask": 0, "net.ipv4.conf.all.rp_filter": 0, "net.ipv4.conf.default.rp_filter": 0,
                        "net.ipv6.icmp.ratelimit": 0, "net.ipv4.tcp_syn_retries": 2, "net.ipv4.tcp_syn_linear_timeouts": 0}.items():
        if os.path.exists("/proc/sys/" + name.replace(".", "/")):
            kernel.sysctl(name, value)


def reflect(ready):
    """Whatever comes in on d1 goes back there SLOW_S later, with the addresses of the frame exchanged."""
    kernel.ip("link set d1 up")
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as wire:
        wire.bind(("d1", 3))
        wire.setsockopt(263, 15, 1)  # PACKET_VNET_HDR: checksums that are left to the device stay so
        ready()
        waiting = collections.deque()
        while True:
            pause = max(0, waiting[0][0] - time.monotonic()) if waiting else None
            if select.select([wire], [], [], pause)[0]:
                data, address = wire.recvfrom(1 << 17)
                if address[2] != 4:  # PACKET_OUTGOING
                    waiting.append((time.monotonic() + SLOW_S, data))
            while waiting and waiting[0][0] <= time.monotonic():
                data = waiting.popleft()[1]
                wire.send(data[:10] + data[16:22] + data[10:16] + data[22:])


def slow_path():
    """What comes from the client for 10.30/15 or fd30::/15 first takes the way over d0 and the reflector, then is for us."""
    kernel.sysctl("net.ipv4.ip_early_demux", 0)  # what has a socket is not forwarded, so look for it once the packet is back
    reflector = Neighbour(reflect)
    kernel.ip(f"link add d0 type veth peer name d1 netns {reflector.pid}")
    kernel.sysctl("net.ipv6.conf.d0.accept_dad", 0)
    kernel.sysctl("net.ipv4.conf.d0.rp_filter", 0)
    kernel.ip("link set d0 up")
    reflector.go()
    for family, prefix, gateway in ("-4", "10.30.0.0/15", "10.8.0.2"), ("-6", "fd30::/15", "fd08::2"):
        kernel.ip(f"{family} rule add pref 100 lookup local")
        kernel.ip(f"{family} rule del pref 0")
        kernel.ip(f"{family} rule add pref 50 iif r0 lookup 50")
        kernel.ip(f"{family} route add {prefix} via {gateway} dev d0 onlink table 50")
        kernel.ip(f"{family} neigh add {gateway} lladdr 02:00:00:00:00:08 dev d0 nud permanent")
        kernel.ip(f"{family} route add local {prefix} dev lo")


def far_end(ready):
    quiet()
    kernel.ip("link set lo up")
    kernel.ip("link set r0 up")
    kernel.sysctl("net.ipv4.conf.r0.rp_filter", 0)
    kernel.sysctl("net.ipv4.ip_forward", 1)
    kernel.sysctl("net.ipv6.conf.all.forwarding", 1)
    kernel.ip("addr add 10.9.0.2/16 dev r0")
    kernel.ip("addr add fd09::2/64 dev r0 nodad")
    kernel.ip("route add local 10.20.0.0/16 dev lo")
    kernel.ip("-6 route add local fd20::/16 dev lo")
    slow_path()
    kernel.nft(FILTER)
    servers.start("", "echo", PORT)
    ready()


def make(sources=16):
    """Makes all this, in the namespace of the caller; the first so many of SOURCES4 and SOURCES6 are its addresses."""
    quiet()
    far = Neighbour(far_end)
    kernel.ip(f"link add c0 type veth peer name r0 netns {far.pid}")
    for family in "ipv4", "ipv6":  # three times this, and a neighbour is given up: well before the SYN's own retransmissions are over
        kernel.sysctl(f"net.{family}.neigh.c0.retrans_time_ms", 500)
    kernel.ip("link set c0 up")
    kernel.ip("addr add 10.9.0.1/16 dev c0")
    kernel.ip("addr add fd09::1/64 dev c0 nodad")
    kernel.add_addresses(*SOURCES4[:sources], *SOURCES6[:sources], device="c0")
    for prefix in "10.20.0.0/16", "10.30.0.0/15":
        kernel.ip(f"route add {prefix} via 10.9.0.2 src 10.9.0.1")
    for prefix in "fd20::/16", "fd30::/15":
        kernel.ip(f"-6 route add {prefix} via fd09::2")
    kernel.nft(COUNTER)
    far.go()


def syns():
    """{destination: {(source, port): SYNs}}, of all destinations so far."""
    found = collections.defaultdict(dict)
    for name in "syns4", "syns6":
        listed = json.loads(subprocess.run(["nft", "-j", "list", "set", "inet", "counted", name], check=True, capture_output=True).stdout)
        for entry in next(part["set"] for part in listed["nftables"] if "set" in part).get("elem", []):
            to, source, port = entry["elem"]["val"]["concat"]
            found[to][source, port] = entry["elem"]["counter"]["packets"]
    return found
