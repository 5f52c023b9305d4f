#!/bin/sh
# ss (iproute2 6.1.0), the filter `autobound`. Its manual: the port "was automatically allocated (rather than explicitly
# specified)". One would guess that `ss autobound` and `ss not autobound` share out all sockets. The kernel asks whether the
# program named the port, ss whether it lies in ip_local_port_range, and a socket is listed where both agree. In neither list: a
# connection that a server accepted, and one whose program bound a port of that range. That one is autobound once it is in
# TIME-WAIT.
# Why it matters: a client that chooses source ports itself, as curl --local-port does, is missing from both counts of ports in
# use, and its TIME-WAITs are counted as the kernel's choice.
. "$(dirname "$0")/lib.sh"
packages iproute2=6.1.0-3 libbpf1=1:1.1.2-0+deb12u1 libelf1=0.188-2.1
namespace
zcat "$root/usr/share/man/man8/ss.8.gz" | tr '\n' ' ' >"$root/manual"
expect 'autobound Match if the port .* automatically allocated \(rather than explicitly specified\)' "$root/manual"
cat >"$root/clients.py" <<'END'
import socket, subprocess, sys, time
listener = socket.create_server(("127.0.0.1", 7777))
def connect(port):
    client = socket.socket()
    if port:
        client.bind(("127.0.0.1", port))
    client.connect(("127.0.0.1", 7777))
    return client, listener.accept()[0]
def ss(*which):
    return subprocess.run([sys.argv[1], "-Htan", *which], capture_output=True, text=True, check=True).stdout.splitlines()
def show(*which):
    shown = []
    for state, _, _, local, *_ in map(str.split, ss(*which)):
        port = local.rpartition(":")[2]
        shown.append(f"{state}/{'kernel' if port == str(chosen) else port}")
    print(" ".join(which) or "all", "gives", *sorted(shown), flush=True)
inside, outside, kernel = connect(40002), connect(5555), connect(0)
chosen = kernel[0].getsockname()[1]
for which in (), ("autobound",), ("not", "autobound"):
    show(*which)
for client, peer in inside, outside, kernel:
    client.close()
    peer.close()
end = time.monotonic() + 10
while len(ss("state", "time-wait")) < 3 and time.monotonic() < end:
    time.sleep(0.1)
for which in (), ("autobound",), ("not", "autobound"):
    show(*which)
END
run out env LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu" python3 "$root/clients.py" "$root/bin/ss"
cat >"$root/wanted" <<'END'
all gives ESTAB/40002 ESTAB/5555 ESTAB/7777 ESTAB/7777 ESTAB/7777 ESTAB/kernel LISTEN/7777
autobound gives ESTAB/kernel
not autobound gives ESTAB/5555 LISTEN/7777
all gives LISTEN/7777 TIME-WAIT/40002 TIME-WAIT/5555 TIME-WAIT/kernel
autobound gives TIME-WAIT/40002 TIME-WAIT/kernel
not autobound gives LISTEN/7777
END
cmp -s "$root/wanted" "$root/out" || changed "ss lists: $(cat "$root/out")"
found
