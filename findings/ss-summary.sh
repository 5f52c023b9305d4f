#!/bin/sh
# ss (iproute2 6.1.0), `ss -s`. One would guess that its summary is of the network namespace that it runs in, as all other
# output of ss is. "estab" and "timewait" are; the total of TCP and "closed" count the sockets of all namespaces. In a
# namespace without a single socket it reports hundreds of closed ones, under "Total: 0".
# Why it matters: in a container, "closed" looks like a leak of sockets there. It belongs to the neighbours: it goes up and
# down with their connections, and with this container's own that are open, it is too large all the same.
. "$(dirname "$0")/lib.sh"
packages iproute2=6.1.0-3 libbpf1=1:1.1.2-0+deb12u1 libelf1=0.188-2.1
namespace
sysctl -qw net.ipv4.ip_local_port_range="32768 60999"
cat >"$root/neighbour.py" <<'END'
import socket, time
listener = socket.create_server(("127.0.0.1", 7777), backlog=500)
held = []
for _ in range(200):
    held += [socket.create_connection(("127.0.0.1", 7777)), listener.accept()[0]]
print("holds", len(held), flush=True)
time.sleep(30)
END
summary() { # FILE
    LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu" unshare -n "$root/bin/ss" -s >"$root/$1"
    expect '^Total: 0$' "$root/$1"
    expect '^TCP: .*\(estab 0, closed [0-9]+, orphaned [0-9]+, timewait 0\)' "$root/$1"
    expect '^TCP\s+0\s+0\s+0' "$root/$1"
    closed=$(sed -n 's/^TCP: .*closed \([0-9]*\),.*/\1/p' "$root/$1")
}
: >"$root/neighbour"
python3 "$root/neighbour.py" >"$root/neighbour" &
neighbour=$!
for _ in $(seq 50); do
    ! grep -q '^holds 400' "$root/neighbour" || break
    sleep 0.1
done
expect '^holds 400' "$root/neighbour"
summary beside
[ "$closed" -ge 400 ] || changed "only $closed are closed beside 400 sockets of another namespace"
kill "$neighbour"
wait "$neighbour" 2>/dev/null || :
found
