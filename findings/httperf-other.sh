#!/bin/sh
# httperf 0.9.0. Its manual has a class of errors for connects without a source port (EADDRNOTAVAIL), addrunavail, and
# says to throw away results in which it is not 0, so one would guess that they are counted there. They are counted as
# "other", addrunavail stays 0, and httperf exits 0.
# Why it matters: whoever checks addrunavail, as told, keeps results that are no good.
. "$(dirname "$0")/lib.sh"
packages httperf=0.9.0-9+b2
namespace
hold 8080
zcat "$root/usr/share/man/man1/httperf.1.gz" | tr '\n' ' ' >"$root/manual"
expect 'addrunavail:.* out of TCP port numbers +.EADDRNOTAVAIL' "$root/manual"
run out "$root/usr/bin/httperf" --server one.test --port 8080 --num-conns 5
status 0 "$rc" httperf
expect 'connection failed with unexpected error 99' "$root/out"
expect '^Errors: fd-unavail 0 addrunavail 0 ftab-full 0 other 5$' "$root/out"
found
