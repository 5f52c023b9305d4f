#!/bin/sh
# systeminformation 5.33.26 (npm), networkConnections(). It runs netstat, or ss (here iproute2 6.1.0) where there is no netstat.
# One would guess that the answer is the same. ss writes FIN-WAIT-1 and FIN-WAIT-2; lines are picked by FIN-WAIT1 and
# FIN-WAIT2, which it never writes: such connections are missing. CLOSE-WAIT stays as ss writes it, though TIME-WAIT becomes
# TIME_WAIT.
# Why it matters: hosts and containers without net-tools count fewer connections that hold source ports; and a search for
# CLOSE_WAIT, the state of connections that a program forgot to close, finds none there.
. "$(dirname "$0")/lib.sh"
packages iproute2=6.1.0-3 libbpf1=1:1.1.2-0+deb12u1 libelf1=0.188-2.1 net-tools=2.10-0.1+deb12u2
npm_packages systeminformation@5.33.26
namespace
sysctl -qw net.ipv4.ip_local_port_range="32768 60999"
cat >"$root/clients.py" <<'END'
import socket, time
listener = socket.create_server(("127.0.0.1", 7777))
held = []
def connect():
    client = socket.create_connection(("127.0.0.1", 7777))
    return client, listener.accept()[0]
held += connect()
closed, waits = connect()
closed.close()
held.append(waits)
for end in connect():
    end.close()
print("ready", flush=True)
time.sleep(60)
END
serve clients.py
mkdir "$root/tools"
for tool in node grep; do ln -s "$(command -v "$tool")" "$root/tools/"; done
cat >"$root/list.js" <<'END'
require("systeminformation").networkConnections().then((all) => {
    const states = all.filter((one) => [one.localPort, one.peerPort].includes("7777")).map((one) => one.state);
    console.log(all.length, states.sort().join(" "));
});
END
list() { # NAME
    run "$1" env LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu" PATH="$root/tools" node "$root/list.js"
    status 0 "$rc" "node with $1"
}
ln -s "$root/bin/netstat" "$root/tools/netstat"
list netstat
rm "$root/tools/netstat"
ln -s "$root/bin/ss" "$root/tools/ss"
list ss
run all env LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu" "$root/bin/ss" -Htan
expect '^FIN-WAIT-2 ' "$root/all"
expect '^6 CLOSE_WAIT ESTABLISHED ESTABLISHED FIN_WAIT2 LISTEN TIME_WAIT$' "$root/netstat"
expect '^5 CLOSE-WAIT ESTABLISHED ESTABLISHED LISTEN TIME_WAIT$' "$root/ss"
found
