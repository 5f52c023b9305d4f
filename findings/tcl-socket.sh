#!/bin/sh
# Tcl 8.6.13, `socket HOST PORT`. One would guess that ports which are taken towards one server leave other servers
# within reach, and that the message is "cannot assign requested address". Tcl binds each client socket before it
# connects, to any address and a port of the kernel's choice: ports taken towards one peer are lost for all peers, and
# the message is "address already in use", even for a port where nobody listens.
# Why it matters: a Tcl or expect program starves long before others, and its message points at a listener.
. "$(dirname "$0")/lib.sh"
packages tcl8.6=8.6.13+dfsg-2 libtcl8.6=8.6.13+dfsg-2
namespace
cat >"$root/client.tcl" <<'END'
foreach {host port} {127.0.0.1 8080 127.0.0.2 8080 127.0.0.1 8081} {
    if {[catch {socket $host $port} result]} {puts "$host:$port $result"} else {puts "$host:$port connected"}
}
END
tcl() {
    run out env TCL_LIBRARY="$root/usr/share/tcltk/tcl8.6" LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu" \
        "$root/usr/bin/tclsh8.6" "$root/client.tcl"
}
tcl
expect "127.0.0.1:8081 couldn't open socket: connection refused" "$root/out"
hold 8080
bash -c 'exec 3<>/dev/tcp/127.0.0.2/8080' || changed "a client that does not bind cannot reach 127.0.0.2 either"
tcl
expect "127.0.0.1:8080 couldn't open socket: address already in use" "$root/out"
expect "127.0.0.2:8080 couldn't open socket: address already in use" "$root/out"
expect "127.0.0.1:8081 couldn't open socket: address already in use" "$root/out"
found
