#!/bin/sh
# siege 4.0.7. One would guess that "socket: NUMBER address is unavailable" shows a socket or a port, and that a run
# without one answer fails. The number is neither (ten digits or so, often negative, another one in each run), and
# siege exits 0 with "Availability: 0.00 %".
# Why it matters: this is what a load test says when source ports run out. The number leads nowhere, and a script that
# looks at the exit status sees a good run.
. "$(dirname "$0")/lib.sh"
packages siege=4.0.7-1+b1
namespace
hold 8080
echo 'verbose = false' >"$root/siegerc"
for i in 1 2 3; do
    run "out$i" "$root/usr/bin/siege" -R "$root/siegerc" -c 1 -r 1 http://one.test:8080/
    status 0 "$rc" siege
    expect 'Availability:.* 0\.00 %' "$root/out$i"
    expect 'socket: -?[0-9]{6,} address is unavailable.: Cannot assign requested address' "$root/out$i"
done
numbers=$(grep -ho 'socket: -\{0,1\}[0-9]*' "$root/out1" "$root/out2" "$root/out3" | sort -u | wc -l)
[ "$numbers" -gt 1 ] || changed "the number stays the same"
found
