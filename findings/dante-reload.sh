#!/bin/sh
# dante-server 1.4.2. One would guess that a proxy can be reloaded or restarted while source ports are short: it needs none
# until a client asks. danted checks its configuration by a bind() to the external address, port 0. If no port is free on
# that address just then, a start fails, and so does SIGHUP to one that runs: it ends, with all its children.
# Why it matters: a reload is what one tries in an outage, and how its log is rotated (the manual: "will also reopen
# logfiles"); the message, "cannot bind external address", sends one to look for an address that is missing.
. "$(dirname "$0")/lib.sh"
packages dante-server=1.4.2+dfsg-7+b8 libwrap0=7.6.q-32
namespace
start() { # PORT EXTERNAL
    cat >"$root/conf.$1" <<END
logoutput: $root/log.$1
internal: 127.0.0.1 port = $1
external: $2
socksmethod: none
clientmethod: none
user.privileged: root
user.unprivileged: root
client pass {
    from: 0.0.0.0/0 to: 0.0.0.0/0
}
socks pass {
    from: 0.0.0.0/0 to: 0.0.0.0/0
}
END
    LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu" "$root/usr/sbin/danted" -f "$root/conf.$1" >"$root/out" 2>&1 &
    danted=$!
}
until_in_log() { # PORT TEXT
    for _ in $(seq 100); do
        ! grep -q "$2" "$root/log.$1" 2>/dev/null || return 0
        sleep 0.1
    done
    changed "log of $1 lacks: $2"
}
ends() { # PID PORT
    rc=0
    wait "$1" || rc=$?
    [ "$rc" != 0 ] || changed "danted exits with 0"
    expect 'cannot bind address: 127.0.0.1.0 .*Address already in use' "$root/log.$2"
    expect 'cannot bind external address #0: 127.0.0.1/32' "$root/log.$2"
    expect 'shutting down' "$root/log.$2"
}
start 9001 127.0.0.1
first=$danted
until_in_log 9001 'running'
kill -HUP "$first"
until_in_log 9001 'reloading config'
sleep 1
kill -0 "$first" || changed "danted ends at a SIGHUP while ports are free"
hold 8080
start 9002 127.0.0.1
ends "$danted" 9002
start 9003 127.0.0.5
until_in_log 9003 'running'
kill -HUP "$first"
ends "$first" 9001
found
