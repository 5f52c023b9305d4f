#!/bin/sh
# prometheus-node-exporter 1.5.0, tcpstat collector. One would guess that node_tcp_connection_states ("Number of connection
# states") counts connections, by state, and that its sum is the number of connections. Two of its states are
# rx_queued_bytes and tx_queued_bytes: the bytes that lie in the queues of all connections.
# Why it matters: a sum, a share of time_wait in it or a graph of all states jumps by thousands when a reader is slow, as if
# so many connections had come.
. "$(dirname "$0")/lib.sh"
packages prometheus-node-exporter=1.5.0-1+b6
namespace
cat >"$root/unread.py" <<'END'
import socket, time
listener = socket.create_server(("127.0.0.1", 7777))
client = socket.create_connection(("127.0.0.1", 7777))
peer = listener.accept()[0]
client.sendall(bytes(20000))
print("unread", flush=True)
time.sleep(30)
END
: >"$root/unread"
python3 "$root/unread.py" >"$root/unread" &
reader=$!
for _ in $(seq 50); do
    ! grep -q unread "$root/unread" || break
    sleep 0.1
done
"$root/usr/bin/prometheus-node-exporter" --web.listen-address=127.0.0.1:9100 --collector.disable-defaults --collector.tcpstat >"$root/log" 2>&1 &
exporter=$!
get http://127.0.0.1:9100/metrics
kill "$exporter" "$reader"
expect '^# HELP node_tcp_connection_states Number of connection states' "$root/got"
awk '/^node_tcp_connection_states/ { sum += $2; if (!/bytes/) connections += $2 } END { print "sum", sum, "connections", connections }' \
    "$root/got" >"$root/sums"
expect '^node_tcp_connection_states\{state="rx_queued_bytes"\} (2[0-9]{4}|2e\+04)$' "$root/got"
expect '^node_tcp_connection_states\{state="tx_queued_bytes"\} ' "$root/got"
expect '^sum [0-9]{5,} connections [0-9]{1,2}$' "$root/sums"
found
