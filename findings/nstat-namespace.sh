#!/bin/sh
# nstat (iproute2 6.1.0). It prints what each counter of the kernel gained since its last run; the figures of that run are in
# a file, one for each user (/tmp/.nstat.uUID). One would guess that it notices when the next run is in another network
# namespace, whose counters are others. It takes the file as it is: after 100 connects in one namespace, 30 in a second one
# are no line at all; and back in the first, where nothing happened, it reports 70 new ones.
# Why it matters: `nsenter -n` or `ip netns exec` with nstat, container by container, shows differences between containers
# as if they were events, and hides events. A file for each (NSTAT_HISTORY) helps, or -a.
. "$(dirname "$0")/lib.sh"
packages iproute2=6.1.0-3
namespace
sysctl -qw net.ipv4.ip_local_port_range="32768 60999"
cat >"$root/connect.py" <<'END'
import socket, sys
listener = socket.create_server(("127.0.0.1", 7777))
for _ in range(int(sys.argv[1])):
    socket.create_connection(("127.0.0.1", 7777)).close()
    listener.accept()[0].close()
END
export NSTAT_HISTORY="$root/history"
python3 "$root/connect.py" 100
"$root/usr/bin/nstat" TcpActiveOpens >"$root/first"
expect '^TcpActiveOpens +100 ' "$root/first"
unshare -n sh -c "ip link set lo up; python3 $root/connect.py 30
    $root/usr/bin/nstat -as TcpActiveOpens >$root/all; $root/usr/bin/nstat TcpActiveOpens >$root/second" 2>"$root/errors"
expect '^TcpActiveOpens +30 ' "$root/all"
absent TcpActiveOpens "$root/second"
[ ! -s "$root/errors" ] || changed "nstat says: $(cat "$root/errors")"
"$root/usr/bin/nstat" TcpActiveOpens >"$root/back"
expect '^TcpActiveOpens +70 ' "$root/back"
found
