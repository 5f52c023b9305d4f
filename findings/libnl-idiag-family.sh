#!/bin/sh
# libnl-idiag 3.7.0, idiagnl_msg_alloc_cache(). It takes an address family, AF_INET or AF_INET6. One would guess that the
# cache holds that family's sockets. It holds both families', whichever is asked for: the library sends the older request
# of the kernel (TCPDIAG_GETSOCK), whose dump does not look at the family.
# Why it matters: a program that asks once for each family, to add them up, counts each socket and TIME-WAIT twice.
. "$(dirname "$0")/lib.sh"
packages libnl-idiag-3-200=3.7.0-0.2+b1 libnl-3-200=3.7.0-0.2+b1
namespace
sysctl -qw net.ipv4.ip_local_port_range="32768 60999"
cat >"$root/idiag.py" <<'END'
import ctypes, socket, sys
core = ctypes.CDLL(sys.argv[1] + "/lib/x86_64-linux-gnu/libnl-3.so.200", ctypes.RTLD_GLOBAL)
nl = ctypes.CDLL(sys.argv[1] + "/usr/lib/x86_64-linux-gnu/libnl-idiag-3.so.200")
for name in "nl_socket_alloc", "nl_cache_get_first", "nl_cache_get_next":
    getattr(core, name).restype = ctypes.c_void_p
core.nl_cache_get_first.argtypes = core.nl_cache_get_next.argtypes = core.nl_cache_nitems.argtypes = [ctypes.c_void_p]
nl.idiagnl_msg_get_family.argtypes = [ctypes.c_void_p]
sock = ctypes.c_void_p(core.nl_socket_alloc())
assert nl.idiagnl_connect(sock) == 0
four, six = socket.create_server(("127.0.0.1", 7001)), socket.create_server(("::1", 7002), family=socket.AF_INET6)
for name, family in ("AF_INET", socket.AF_INET), ("AF_INET6", socket.AF_INET6):
    cache = ctypes.c_void_p()
    every_state = 0xfff
    assert nl.idiagnl_msg_alloc_cache(sock, int(family), every_state, ctypes.byref(cache)) == 0
    found, entry = [], core.nl_cache_get_first(cache)
    while entry:
        found.append(socket.AddressFamily(nl.idiagnl_msg_get_family(entry)).name)
        entry = core.nl_cache_get_next(entry)
    print(name, "gives", *sorted(found))
END
run out python3 "$root/idiag.py" "$root"
expect '^AF_INET gives AF_INET AF_INET6$' "$root/out"
expect '^AF_INET6 gives AF_INET AF_INET6$' "$root/out"
found
