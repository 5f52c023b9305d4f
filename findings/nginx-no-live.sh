#!/bin/sh
# nginx 1.22.1, defaults. One would guess that a second server in `upstream` can only help when connect() fails, and that a
# lack of source ports, which is nginx's own trouble, is not held against a server. It counts as a failure of each server
# that was tried; then all are left alone for 10 seconds (`max_fails`, `fail_timeout`), and every request is answered with 502,
# "no live upstreams", though ports are free again. With one server alone the first request after the shortage is served.
# Why it matters: a moment without ports is an outage of 10 seconds, for a backend that is well, just where it was made
# redundant; `localhost` with ::1 and 127.0.0.1 is two servers, too. The later messages do not name the cause.
. "$(dirname "$0")/lib.sh"
packages nginx=1.22.1-9+deb12u11
namespace
sysctl -qw net.ipv4.ip_local_port_range="32768 60999"
tell_source 8080
start_nginx <<'END'
    upstream one { server 127.0.0.1:8080; }
    upstream two { server 127.0.0.1:8080; server 127.0.0.2:8080; }
    server {
        listen 127.0.0.1:9001;
        location /one { proxy_pass http://one; }
        location /two { proxy_pass http://two; }
    }
END
get http://127.0.0.1:9001/one
expect '^200 ' "$root/got"
cat >"$root/shortage.py" <<'END'
import http.client, itertools, socket, struct, time
own_ports = itertools.count(20000)
def ask(path):
    client = http.client.HTTPConnection("127.0.0.1", 9001, source_address=("127.0.0.9", next(own_ports)), timeout=5)
    client.request("GET", path)
    return client.getresponse().status
def ports(text):
    with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as file:
        file.write(text)
print("before", ask("/one"), ask("/two"), flush=True)
ports("40000 40003")
held = []
for server in "127.0.0.1", "127.0.0.2":
    try:
        while True:
            held.append(socket.create_connection((server, 8080)))
    except OSError:
        pass
print("without ports", ask("/one"), ask("/two"), flush=True)
ended = time.monotonic()
for connection in held:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
ports("32768 60999")
print("after", ask("/one"), ask("/two"), flush=True)
while ask("/two") != 200 and time.monotonic() - ended < 15:
    time.sleep(0.2)
print("served after", round(time.monotonic() - ended), "seconds")
END
run out python3 "$root/shortage.py"
expect '^before 200 200$' "$root/out"
expect '^without ports 502 502$' "$root/out"
expect '^after 200 502$' "$root/out"
expect '^served after (9|1[01]) seconds$' "$root/out"
expect 'connect\(\) to 127.0.0.2:8080 failed \(99: Cannot assign requested address\) while connecting to upstream' "$root/log"
expect 'no live upstreams while connecting to upstream' "$root/log"
found
