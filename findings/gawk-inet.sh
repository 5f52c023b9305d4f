#!/bin/sh
# gawk 5.2.1, "/inet/tcp/0/HOST/PORT". One would guess that a connection which fails is reported with the error of connect(),
# as gawk does with "/inet4/...". After the failure gawk goes on to bind the IPv6 wildcard address to a socket of IPv4, and
# reports the error of that: a server that is down, and a lack of source ports, are both "Address family not supported by
# protocol", with IPv6 on the host or without.
# Why it matters: the message sends one looking for IPv6, which has no part in it; different faults look the same.
. "$(dirname "$0")/lib.sh"
packages gawk=1:5.2.1-2 libsigsegv2=2.14-1 libmpfr6=4.2.0-1 libreadline8=8.2-1.3
namespace
sysctl -qw net.ipv6.conf.lo.disable_ipv6=0
tell_source 8081
ask() { # FAMILY HOST PORT
    run out env LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu" "$root/usr/bin/gawk" -v peer="/$1/tcp/0/$2/$3" '
        BEGIN { printf "GET / HTTP/1.0\r\n\r\n" |& peer; while ((peer |& getline) > 0) print }'
}
fails() { # FAMILY HOST PORT MESSAGE
    ask "$1" "$2" "$3"
    status 2 "$rc" "gawk, /$1 to $2 port $3"
    expect "cannot open two way pipe .* for input/output: $4\$" "$root/out"
}
ask inet one.test 8081
status 0 "$rc" "gawk, to a server"
expect '^from 127.0.0.1 port' "$root/out"
fails inet4 one.test 9 'Connection refused'
fails inet one.test 9 'Address family not supported by protocol'
hold 8080
fails inet4 one.test 8080 'Address already in use'
fails inet one.test 8080 'Address family not supported by protocol'
sysctl -qw net.ipv6.conf.lo.disable_ipv6=1
fails inet one.test 9 'Address family not supported by protocol'
found
