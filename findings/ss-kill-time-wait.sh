#!/bin/sh
# ss (iproute2 6.1.0) with a kernel that has INET_DIAG_DESTROY. One would guess that `ss -K` only kills sockets that
# are open: a TIME-WAIT has no owner and no descriptor left. It ends TIME-WAITs too, at once, and their source ports
# can be used again.
# Why it matters: it frees source ports in an outage without a restart or a setting. It takes CAP_NET_ADMIN, and late
# packets of the old connection may meet the new one.
. "$(dirname "$0")/lib.sh"
packages iproute2=6.1.0-3 libbpf1=1:1.1.2-0+deb12u1 libelf1=0.188-2.1
namespace
cat >"$root/clients.py" <<'END'
import socket, subprocess, sys
listener = socket.socket()
listener.bind(("127.0.0.3", 7777))
listener.listen(9)
def connect():
    client = socket.socket()
    client.connect(("127.0.0.3", 7777))
    peer = listener.accept()[0]
    client.close()
    peer.close()
for _ in range(4):
    connect()
try:
    connect()
    print("a fifth connection")
except OSError as error:
    print("fifth:", error.strerror)
print(subprocess.run([sys.argv[1], "-K", "-Htan", "state", "time-wait", "dst", "127.0.0.3"], capture_output=True, text=True).stdout)
connect()
print("connected again")
END
run out env LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu" python3 "$root/clients.py" "$root/bin/ss"
expect 'fifth: Cannot assign requested address' "$root/out"
[ "$(grep -c '127.0.0.3:7777' "$root/out")" = 4 ] || changed "ss -K did not end four TIME-WAITs"
expect 'connected again' "$root/out"
found
