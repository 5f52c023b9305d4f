#!/bin/sh
# ss -s (iproute2 6.1.0), sar (sysstat 12.6.1), node_exporter 1.5.0. One would guess that "timewait", "tcp-tw" and
# `node_sockstat_TCP_tw` count connections in TIME-WAIT, the last two those of IPv4. All three are one figure of the kernel
# (tw in /proc/net/sockstat), which has FIN-WAIT-2 without an owner in it, and both families: with no TIME-WAIT it is 5.
# Why it matters: a server that does not close what its clients have closed looks like a TIME-WAIT problem of theirs. What holds
# their ports is tcp_fin_timeout, the setting that is rightly said to have no effect on TIME-WAIT.
. "$(dirname "$0")/lib.sh"
packages iproute2=6.1.0-3 libbpf1=1:1.1.2-0+deb12u1 libelf1=0.188-2.1 sysstat=12.6.1-1 prometheus-node-exporter=1.5.0-1+b6
namespace
sysctl -qw net.ipv4.ip_local_port_range="32768 60999"
cat >"$root/clients.py" <<'END'
import socket, time
listeners = socket.create_server(("127.0.0.1", 7777)), socket.create_server(("::1", 7777), family=socket.AF_INET6)
held = []
for listener in listeners[0], listeners[0], listeners[0], listeners[1], listeners[1]:
    client = socket.create_connection(listener.getsockname()[:2])
    held.append(listener.accept()[0])
    client.close()
print("ready", flush=True)
time.sleep(60)
END
serve clients.py
ss() {
    LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu" "$root/bin/ss" "$@"
}
for _ in $(seq 50); do
    [ "$(ss -Htan state fin-wait-2 | wc -l)" != 5 ] || break
    sleep 0.1
done
[ "$(ss -Htan state fin-wait-2 | wc -l)" = 5 ] || changed "not five connections are in FIN-WAIT-2"
[ "$(ss -Htan state time-wait | wc -l)" = 0 ] || changed "a connection is in TIME-WAIT"
tw=$(sed -n 's/^TCP: .* tw \([0-9]*\) .*/\1/p' /proc/net/sockstat) # one whose ACK met its close may not count: of IPv4 there are three
[ "$tw" -ge 4 ] || changed "tw in /proc/net/sockstat is $tw"
ss -s >"$root/summary"
expect "^TCP: .*, timewait $tw\\)\$" "$root/summary"

"$root/usr/lib/sysstat/sadc" -F 1 2 "$root/activity"
"$root/usr/bin/sar.sysstat" -n SOCK -f "$root/activity" >"$root/sar"
awk '$2 == "totsck" { for (i = 3; i <= NF; i++) if ($i == "tcp-tw") column = i } /^Average/ { print $column }' "$root/sar" >"$root/tcp-tw"
expect "^$tw\$" "$root/tcp-tw"

"$root/usr/bin/prometheus-node-exporter" --web.listen-address=127.0.0.1:9100 --collector.disable-defaults --collector.sockstat \
    >"$root/log" 2>&1 &
get http://127.0.0.1:9100/metrics
expect "^node_sockstat_TCP_tw $tw\$" "$root/got"
absent '^node_sockstat_TCP6_tw ' "$root/got"
found
