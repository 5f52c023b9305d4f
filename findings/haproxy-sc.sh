#!/bin/sh
# HAProxy 2.6.12. Its manual gives the termination state RC to a connect that fails because the proxy's host lacks
# something, source ports among it, so one would guess RC in the log when they run out. The log says SC, which stands
# for a refusal by the server, and the answer is 503; only a separate alert, "no free ports", tells the truth.
# Why it matters: a filter on RC finds nothing, and the server is blamed.
. "$(dirname "$0")/lib.sh"
packages haproxy=2.6.12-1+deb12u4 liblua5.3-0=5.3.6-2 libopentracing-c-wrapper0=1.1.3-3+b1
namespace
hold 8080
cat >"$root/cfg" <<'END'
global
    log stdout format raw local0
defaults
    mode http
    log global
    option httplog
    retries 0
    timeout connect 2s
    timeout client 2s
    timeout server 2s
listen proxy
    bind 127.0.0.1:9001
    server app 127.0.0.1:8080
END
zcat "$root/usr/share/doc/haproxy/configuration.txt.gz" >"$root/manual"
expect '^ +RC +A local resource has been exhausted \(memory, sockets, source ports\)' "$root/manual"
LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu "$root/usr/sbin/haproxy" -f "$root/cfg" >"$root/log" 2>&1 &
proxy=$!
for _ in $(seq 50); do
    bash -c 'exec 3<>/dev/tcp/127.0.0.1/9001; printf "GET / HTTP/1.0\r\n\r\n" >&3;
        timeout 5 cat <&3' >"$root/answer" 2>/dev/null &&
        break
    sleep 0.1
done
sleep 0.5
kill "$proxy"
expect '^HTTP/1.. 503' "$root/answer"
expect 'no free ports' "$root/log"
expect ' proxy/app .* 503 .* SC-- ' "$root/log"
absent ' RC-- ' "$root/log"
found
