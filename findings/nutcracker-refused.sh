#!/bin/sh
# nutcracker (twemproxy) 0.5.0, `auto_eject_hosts`. One would guess that a client is told why its request failed, at least that
# no server is left. After one connect() to its only server that found no source port, and until `server_retry_timeout`
# ends (30 s if not set), each answer is "Connection refused", though the server listens, has refused nothing, and was not
# asked again; the log has the true reason once.
# Why it matters: it is the message of a server that is down: one looks there, for a lack of ports that is here, and over.
. "$(dirname "$0")/lib.sh"
packages nutcracker=0.5.0+dfsg-2 libyaml-0-2=0.2.5-1
namespace
cat >"$root/conf" <<END
pool:
  listen: 127.0.0.1:9001
  hash: fnv1a_64
  redis: true
  auto_eject_hosts: true
  server_failure_limit: 1
  server_retry_timeout: 3000
  servers:
    - 127.0.0.1:7001:1
END
cat >"$root/shortage.py" <<'END'
import itertools, socket, struct, threading, time
own_ports = itertools.count(20000)
listener = socket.create_server(("127.0.0.1", 7001), backlog=50)
def serve(peer):
    while peer.recv(4096):
        peer.sendall(b"$2\r\nok\r\n")
def accept():
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
threading.Thread(target=accept, daemon=True).start()
def ask(port):
    while True:
        try:
            client = socket.create_connection(("127.0.0.1", port), timeout=5, source_address=("127.0.0.9", next(own_ports)))
            break
        except ConnectionRefusedError:
            assert port == 9001
            time.sleep(0.1)
    client.sendall(b"*2\r\n$3\r\nGET\r\n$1\r\nx\r\n")
    return client.recv(4096).decode().replace("\r\n", " ").strip()
held = []
try:
    while True:
        held.append(socket.create_connection(("127.0.0.1", 7001)))
except OSError:
    pass
print("short:", ask(9001), flush=True)
print("short:", ask(9001), flush=True)
for connection in held:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
socket.create_connection(("127.0.0.1", 7001)).close()
print("over:", ask(9001), flush=True)
print("server:", ask(7001), flush=True)
ended = time.monotonic()
while "ok" not in (answer := ask(9001)) and time.monotonic() - ended < 10:
    time.sleep(0.2)
print("later:", answer, flush=True)
END
LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu" "$root/usr/sbin/nutcracker" -c "$root/conf" -o "$root/log" -p "$root/pid" >"$root/nutcracker" 2>&1 &
run out python3 "$root/shortage.py"
[ "$(sed -n 1p "$root/out")" = "short: -ERR Cannot assign requested address" ] || changed "$(cat "$root/out")"
[ "$(sed -n 2p "$root/out")" = "short: -ERR Connection refused" ] || changed "$(cat "$root/out")"
expect '^over: -ERR Connection refused$' "$root/out"
expect '^server: \$2 ok$' "$root/out"
expect '^later: \$2 ok$' "$root/out"
[ "$(grep -c 'failed: Cannot assign requested address' "$root/log")" = 1 ] || changed "log: $(cat "$root/log")"
found
