#!/bin/bash
# What connspread is for, in ten seconds, on programs that know nothing of it. Everything happens in a network namespace of
# its own, with 64 source ports instead of 28,232, so that they run out while you watch. Nothing outside is touched.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
build=${BUILD:-$here/../build}
connspread=$build/connspread
low=40000 high=40063 ports=64
server=127.0.0.1:7000

stop() {
    echo "demo: $*" >&2
    exit 1
}

if [ -z "${CONNSPREAD_DEMO_INSIDE:-}" ]; then
    for tool in python3 ip ss unshare; do
        command -v "$tool" >/dev/null || stop "$tool is missing: make deps"
    done
    [ -x "$connspread" ] || stop "$connspread is missing: make"
    user=
    [ "$(id -u)" = 0 ] || user=-Ur
    unshare $user -n true 2>/dev/null || stop "this user may not create a network namespace: run it as root"
    exec env CONNSPREAD_DEMO_INSIDE=1 unshare $user -n "$0"
fi

work=$(mktemp -d)
export CONNSPREAD_DIR=$work/state
unset CONNSPREAD_CONF CONNSPREAD_INSTANCE CONNSPREAD_MODE CONNSPREAD_DISABLE CONNSPREAD_VERBOSE LD_PRELOAD
server_pid=
clean_up() {
    [ -z "$server_pid" ] || kill "$server_pid" 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

ip link set lo up
echo 0 >/proc/sys/net/ipv4/tcp_tw_reuse || stop "this namespace's sysctls cannot be written: run it as root"
echo "$low $high" >/proc/sys/net/ipv4/ip_local_port_range

# An HTTP server that leaves the closing to its clients, as most servers with keep-alive do.
cat >"$work/server.py" <<'END'
import socket, sys
listener = socket.create_server(("127.0.0.1", 7000), backlog=512)
open(sys.argv[1], "w").close()
while True:
    connection, _ = listener.accept()
    connection.settimeout(5)
    try:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n")
        while connection.recv(4096):
            pass
    except OSError:
        pass
    connection.close()
END

# An ordinary client: one connection a request, and no idea of source addresses.
cat >"$work/client.py" <<'END'
import errno, socket, sys
wanted, made, refused = int(sys.argv[1]), 0, 0
for _ in range(wanted):
    try:
        with socket.create_connection(("127.0.0.1", 7000), timeout=5) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: demo\r\n\r\n")
            connection.recv(4096)
            made += 1
    except OSError as error:
        if error.errno != errno.EADDRNOTAVAIL:
            raise
        refused += 1
print(made, refused)
END

cat >"$work/demo.conf" <<'END'
pool "demo" { addresses = { "127.0.0.2-127.0.0.5" } }
rule "demo" { to = { "127.0.0.1:7000" } pool = "demo" }
END

python3 "$work/server.py" "$work/ready" >/dev/null 2>&1 &
server_pid=$!
for _ in $(seq 100); do
    [ -e "$work/ready" ] && break
    sleep 0.05
done
[ -e "$work/ready" ] || stop "the demo's server did not start"

title() { printf '\n== %s\n' "$*"; }
show() { # prints a command as one would type it, and runs it
    echo "\$ ${*//$work\//}"
    timeout 20 "$@" 2>&1 || echo "(exit status $?)"
}
connspread() { timeout 20 "$connspread" "$@"; }
one_curl() { command -v curl >/dev/null; }

title "The problem: $ports source ports towards $server, and every close keeps one for 60 seconds"
echo '$ python3 client.py 100'
read -r made_before failed_before < <(timeout 20 python3 "$work/client.py" 100)
echo "$made_before connections made, $failed_before failed: EADDRNOTAVAIL, Cannot assign requested address"
! one_curl || show curl -sS "http://$server/"

title "The same programs and the same server under connspread, which may use 127.0.0.2 to 127.0.0.5"
sed 's/^/    /' "$work/demo.conf"
echo '$ connspread run -c demo.conf -- python3 client.py 200'
read -r made_after failed_after < <(connspread run -c "$work/demo.conf" -- python3 "$work/client.py" 200)
echo "$made_after connections made, $failed_after failed"
if one_curl; then
    echo "\$ connspread run -c demo.conf -- curl -sS http://$server/"
    connspread run -c "$work/demo.conf" -- curl -sS "http://$server/" || echo "(exit status $?)"
fi

title 'Which closes left a TIME-WAIT here, and whose they were: connspread log --event time-wait, the last three'
connspread log -i demo --event time-wait | tail -n 3

title 'When even four sources are full, it says so: 100 more connections'
echo '$ connspread run -c demo.conf -- python3 client.py 100'
read -r made_full failed_full < <(connspread run -c "$work/demo.conf" -- python3 "$work/client.py" 100)
echo "$made_full connections made, $failed_full failed"
echo '$ connspread log --event exhausted, the last of them'
connspread log -i demo --event exhausted | awk '/^[0-9]/ { text = "" } { text = text $0 "\n" } END { printf "%s", text }'

title 'In short'
printf '%-20s %15s %10s\n' '' connections failed
printf '%-20s %8s of %3s %10s\n' 'without connspread' "$made_before" 100 "$failed_before"
printf '%-20s %8s of %3s %10s\n' 'with it' "$made_after" 200 "$failed_after"
echo
printf '%-20s %15s %10s\n' 'closes by source' "connspread log" "ss"
connspread log -i demo -o json --event time-wait >"$work/events.jsonl"
ss -Htan state time-wait "dport = 7000" >"$work/ss"
for source in 127.0.0.1 127.0.0.2 127.0.0.3 127.0.0.4 127.0.0.5; do
    logged=$(grep -cF "\"local_address\":\"$source\"" "$work/events.jsonl" || true)
    sockets=$(awk -v source="$source:" 'index($3, source) == 1' "$work/ss" | wc -l)
    printf '    %-16s %15s %10s\n' "$source" "$logged" "$sockets"
done
echo '(ss counts the sockets in TIME-WAIT; those of 127.0.0.1 are from before, without connspread)'

if [ "$failed_before" -eq 0 ] || [ "$failed_after" -ne 0 ] || [ "$made_after" -ne 200 ]; then
    stop "this is not what should have happened here: please report it with the output above"
fi
