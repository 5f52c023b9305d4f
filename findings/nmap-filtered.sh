#!/bin/sh
# nmap 7.93, connect scan (-sT). One would guess that a probe that could not be sent for want of a source port counts
# as an error or is tried again. nmap prints "Strange read error", then reports the port as "filtered", with the
# reason "no-response", and exits 0.
# Why it matters: with no source port left, a port that is open looks as if a firewall dropped its packets.
. "$(dirname "$0")/lib.sh"
packages nmap=7.93+dfsg1-1 nmap-common=7.93+dfsg1-1 libpcap0.8=1.10.3-1 \
    liblinear4=2.3.0+dfsg-5 lua-lpeg=1.0.2-2 libblas3=3.11.0-2 liblua5.3-0=5.3.6-2
namespace
hold 8080
scan() {
    libs=$root/usr/lib/x86_64-linux-gnu
    run out env LD_LIBRARY_PATH="$libs:$libs/blas" NMAPDIR="$root/usr/share/nmap" \
        "$root/usr/bin/nmap" -sT -Pn -n --reason -p 8080 "$1"
    status 0 "$rc" nmap
}
scan 127.0.0.2
expect '8080/tcp open +[^ ]+ +syn-ack' "$root/out"
scan 127.0.0.1
expect "Strange read error from 127.0.0.1 \(99 - 'Cannot assign requested address'\)" "$root/out"
expect '8080/tcp filtered +[^ ]+ +no-response' "$root/out"
found
