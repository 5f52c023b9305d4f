#!/bin/sh
# socat 1.7.4.4, busybox 1.35.0 (wget, nc), redis-cli 7.0.15. One would guess that a client goes on to the next
# address of a name when the first cannot be connected, as bash, curl, openssl and nc do. These take the first address
# only, whatever connect() said.
# Why it matters: a second address of the server is four-tuples for another 28,000 connections; to these clients it is
# of no use.
. "$(dirname "$0")/lib.sh"
packages socat=1.7.4.4-2 busybox=1:1.35.0-4+deb12u1+b1 redis-tools=5:7.0.15-1~deb12u10 netcat-openbsd=1.219-1 \
    libjemalloc2=5.3.0-1 liblzf1=3.6-3 libwrap0=7.6.q-32
namespace
hold 8080
export LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu"
first_only() { # COMMAND...
    run out "$@"
    status 1 "$rc" "$1"
    expect 'Cannot assign requested address' "$root/out"
    absent served "$root/held"
}
first_only "$root/usr/bin/socat" - TCP:both.test:8080
first_only "$root/bin/busybox" wget -O - http://both.test:8080/
first_only "$root/bin/busybox" nc both.test 8080
first_only "$root/usr/bin/redis-cli" -h both.test -p 8080 ping
run out sh -c "printf 'GET / HTTP/1.0\r\n\r\n' | $root/bin/nc.openbsd -w 2 both.test 8080"
expect 'served 127.0.0.2' "$root/held"
found
