#!/bin/sh
# proxychains4 (proxychains-ng) 4.16; beside it torsocks 2.4.0. One would guess that connect() goes through the proxy on the
# socket that the program prepared, as with torsocks. proxychains4 connects a socket of its own and puts it in the place of
# the program's: the source address that was bound is gone, and so are keepalive, the user timeout and close-on-exec.
# connect() succeeds, and proxychains4 reports OK (unless it is told to be quiet, as here).
# Why it matters: a proxy that knows its clients by address takes this one for another; dead peers are noticed hours later;
# the connection is inherited by each program that is started.
. "$(dirname "$0")/lib.sh"
packages libproxychains4=4.16-2 torsocks=2.4.0-1
namespace
sysctl -qw net.ipv4.ip_local_port_range="32768 60999"
printf 'strict_chain\n[ProxyList]\nsocks5 127.0.0.1 1080\n' >"$root/proxychains"
printf 'TorAddress 127.0.0.1\nTorPort 1080\n' >"$root/torsocks"
cat >"$root/proxy.py" <<'END'
import socket
listener = socket.create_server(("127.0.0.1", 1080))
print("ready", flush=True)
while True:
    client, address = listener.accept()
    client.settimeout(5)
    client.recv(300)
    client.sendall(b"\5\0")
    client.recv(300)
    client.sendall(b"\5\0\0\1\0\0\0\0\0\0" + address[0].encode())
    client.close()
END
cat >"$root/client.py" <<'END'
import os, socket
client = socket.socket()
client.settimeout(5)
client.bind(("127.0.0.11", 0))
client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 5000)
def state():
    keepalive = client.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    user_timeout = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    return f"{client.getsockname()[0]} keepalive {keepalive} timeout {user_timeout} inherited {os.get_inheritable(client.fileno())}"
print("before:", state())
client.connect(("192.0.2.1", 80))
print("after:", state())
print("proxy sees:", client.recv(100).decode())
END
serve proxy.py
through() { # LIBRARY
    run out env LD_PRELOAD="$(find "$root" -name "$1")" PROXYCHAINS_CONF_FILE="$root/proxychains" PROXYCHAINS_QUIET_MODE=1 \
        TORSOCKS_CONF_FILE="$root/torsocks" python3 "$root/client.py"
    status 0 "$rc" "the client with $1"
    [ "$(wc -l <"$root/out")" = 3 ] || changed "$1 prints: $(cat "$root/out")"
    expect '^before: 127.0.0.11 keepalive 1 timeout 5000 inherited False$' "$root/out"
}
through libtorsocks.so.0.0.0
expect '^after: 127.0.0.11 keepalive 1 timeout 5000 inherited False$' "$root/out"
expect '^proxy sees: 127.0.0.11$' "$root/out"
through libproxychains.so.4
expect '^after: 127.0.0.1 keepalive 0 timeout 0 inherited True$' "$root/out"
expect '^proxy sees: 127.0.0.1$' "$root/out"
found
