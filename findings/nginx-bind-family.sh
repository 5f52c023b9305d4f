#!/bin/sh
# nginx 1.22.1, `proxy_bind` with an IPv4 address, towards a name with an IPv6 and an IPv4 address. One would guess that it
# leaves out the addresses of the other family, or that `proxy_next_upstream` goes on to the next one, as it does for an
# address that refuses. Every second request is answered with 500, though `proxy_next_upstream` names error and http_500:
# a bind() that fails ends the request.
# Why it matters: half of the requests fail from the day that the backend's name (or localhost) gets an AAAA record; the
# same ends the request where an address of a pool has gone from the host.
. "$(dirname "$0")/lib.sh"
packages nginx=1.22.1-9+deb12u11
namespace
printf '127.0.0.1 one.test\n::1 one.test\n' >"$root/hosts"
tell_source 8080
sysctl -qw net.ipv4.ip_local_port_range="32768 60999"
start_nginx <<'END'
    proxy_next_upstream error timeout http_500;
    upstream refusing { server 127.0.0.1:9; server 127.0.0.1:8080; }
    server {
        listen 127.0.0.1:9001;
        location /both { proxy_bind 127.0.0.11; proxy_pass http://one.test:8080; }
        location /free { proxy_pass http://one.test:8080; }
        location /refusing { proxy_bind 127.0.0.11; proxy_pass http://refusing; }
    }
END
six() { # PATH
    : >"$root/all"
    for _ in 1 2 3 4 5 6; do
        get "http://127.0.0.1:9001/$1"
        grep -E '^[2-5]' "$root/got" >>"$root/all"
    done
}
six free
[ "$(grep -c '^200 from ::1 ' "$root/all")" = 3 ] || changed "::1 is not every second peer"
six refusing
[ "$(grep -c '^200 from 127.0.0.11 ' "$root/all")" = 6 ] || changed "a peer that refuses is not passed over"
six both
[ "$(grep -c '^200 from 127.0.0.11 ' "$root/all")" = 3 ] || changed "not every second request is served: $(cat "$root/all")"
[ "$(grep -c '^500 ' "$root/all")" = 3 ] || changed "not every second request fails: $(cat "$root/all")"
expect 'bind\(127.0.0.11\) failed \(22: Invalid argument\) while connecting to upstream' "$root/log"
found
