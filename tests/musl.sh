#!/usr/bin/env bash
# The shim built against musl and preloaded into a musl client, in a network namespace of its own: it spreads, and its
# state file is the one that the glibc-built tool reads. tests/musl.sh FOLDER; called by tests/full.sh.
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-$PWD/build}
out=$1
mkdir -p "$out"
# The kernel's headers lie among glibc's; musl's own come first.
make -s BUILD="$out" CC="musl-gcc -idirafter /usr/include -idirafter /usr/include/$(uname -m)-linux-gnu" "$out/libconnspread.so"
musl-gcc -O1 tests/system/plain_client.c -o "$out/client"
cat >"$out/musl.conf" <<'CONF'
pool "p" { addresses = { "127.0.0.2-127.0.0.5" } }
rule "r" { to = { "127.0.0.1" } pool = "p" }
CONF
export OUT=$out TOOL=$BUILD/connspread CONNSPREAD_DIR=$out/state
rm -rf "$CONNSPREAD_DIR"
unshare -n bash -eu <<'RUN'
ip link set lo up
sysctl -qw net.ipv4.tcp_tw_reuse=0
python3 tests/system/echo_server.py 7000 >/dev/null 2>&1 </dev/null &
server=$!
trap 'kill $server' EXIT
for _ in $(seq 100); do
    [ -z "$(ss -Htln 'sport = 7000')" ] || break
    sleep 0.05
done
"$TOOL" run -c "$OUT/musl.conf" -- true # compiles the policy
CONNSPREAD_CONF=$OUT/musl.conf LD_PRELOAD=$OUT/libconnspread.so "$OUT/client" 127.0.0.1 7000 8
sleep 0.3
"$TOOL" log -c "$OUT/musl.conf" --event time-wait
events=$("$TOOL" log -c "$OUT/musl.conf" --event time-wait | wc -l)
per_source=$(ss -Htan state time-wait 'dport = 7000' | awk '{print $3}' | cut -d: -f1 | sort | uniq -c | awk '{print $1}' | sort -u)
echo "events $events, TIME-WAITs per source $per_source"
[ "$events" = 8 ] && [ "$per_source" = 2 ]
RUN
