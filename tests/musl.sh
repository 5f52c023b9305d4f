#!/usr/bin/env bash
# The shim for musl beside glibc's: in a root that has musl's loader, a musl client and what `connspread install --to` copied, in a network
# namespace of its own, `run` gives each program the shim that its loader takes; both spread, into one state file. tests/musl.sh FOLDER;
# called by tests/full.sh; needs root for the chroot.
set -eu
cd "$(dirname "$0")/.."
. tests/per_source.sh
BUILD=${BUILD:-$PWD/build}
out=$1
rm -rf "$out"
mkdir -p "$out/home"
fail() {
    echo "FAILED: $*"
    exit 1
}
make -s DEPS=no BUILD="$out/build" WERROR= musl all static
cp -r "$out/build"/{connspread,connspread-static,libconnspread.so,musl} "$out/home/"
musl-gcc -O1 tests/system/plain_client.c -o "$out/client"
gcc -O1 tests/system/plain_client.c -o "$out/client-glibc"

# What musl's loader must find: libc, by the name it has there, and nothing for threads' variables but initial-exec.
shim=$out/home/musl/libconnspread.so
[ "$(readelf -dW "$shim" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p')" = libc.so ] || fail "the shim for musl needs $(readelf -dW "$shim" | grep NEEDED)"
! readelf -rsW "$shim" "$out/home/libconnspread.so" | grep -E 'DTPMOD|DTPOFF|TLSDESC|__tls_get_addr' || fail "a thread's variable that is not initial-exec"
# The tool itself, for Alpine's package: compiled against musl, it calls nothing that musl, libconfuse and jansson do not have.
make -s -j "$(nproc)" DEPS=no BUILD="$out/build" WERROR= CFLAGS=-O0 musl-objects >"$out/objects.log" 2>&1 || fail "the tool with musl: $(cat "$out/objects.log")"
objects=$(find "$out/build/musl-build/tool-obj" -name '*.o')
has() { nm -D --defined-only "$@" | awk '{ sub("@.*", "", $3); print $3 }'; }
# shellcheck disable=SC2086
lacking=$(nm -u $objects | sed -n 's/^ *U //p' | sort -u | comm -23 - <({
    has /usr/lib/*-linux-musl/libc.so /usr/lib/*-linux-gnu/libconfuse.so /usr/lib/*-linux-gnu/libjansson.so
    nm --defined-only $objects | awk 'NF == 3 { print $3 }'
} | sort -u) | grep -v -x _GLOBAL_OFFSET_TABLE_ || true)
[ -z "$lacking" ] || fail "the tool with musl lacks" $lacking
nm -u $objects | grep -q ' U cfg_parse_buf' || fail "no undefined symbol was seen"

root=$out/root loader=$(readelf -lW "$out/client" | sed -n 's/.*interpreter: \(.*\)]/\1/p')
case $loader in */ld-musl-*) ;; *) fail "the client's loader is $loader" ;; esac
mkdir -p "$root${loader%/*}" && cp -L "$loader" "$root$loader"
mkdir -p "$root/proc" "$root/state"
cp "$out/client" "$root/client"
"$out/home/connspread" install --to "$root/connspread"
[ "$(cd "$root/connspread" && find . -type f | sort | paste -sd ' ')" = "./connspread ./libconnspread.so ./musl/libconnspread.so" ] || fail "install --to: $(find "$root/connspread")"
cat >"$root/musl.conf" <<'CONF'
pool "p" { addresses = { "127.0.0.2-127.0.0.5" } }
rule "r" { to = { "127.0.0.1" } pool = "p" }
CONF
export out root
unshare --net --mount --pid --fork --kill-child --mount-proc="$root/proc" bash -eu <<'RUN'
fail() {
    echo "FAILED: $*"
    exit 1
}
ip link set lo up
sysctl -qw net.ipv4.tcp_tw_reuse=0
python3 tests/system/echo_server.py 7000 >/dev/null 2>&1 </dev/null &
python3 tests/system/echo_server.py 7001 >/dev/null 2>&1 </dev/null &
for port in 7000 7001; do
    for _ in $(seq 100); do
        [ -z "$(ss -Htln "sport = $port")" ] || break
        sleep 0.05
    done
done
# Its environment is ours: there is no env in there.
export CONNSPREAD_DIR=/state CONNSPREAD_CONF=/musl.conf
chroot "$root" /connspread/connspread run -- /client 127.0.0.1 7000 8 || fail "the musl client"
echo "musl: $(per_source 7000)"
[ "$(per_source 7000)" = "2x127.0.0.2 2x127.0.0.3 2x127.0.0.4 2x127.0.0.5" ] || fail "sources of the musl client"
[ "$(chroot "$root" /connspread/connspread log --event time-wait | wc -l)" = 8 ] || fail "the log of the musl client"
# The same by a plain preload (of chroot too, which says so): the state file has the policy. Glibc's shim in its place would end the client.
LD_PRELOAD=/connspread/musl/libconnspread.so chroot "$root" /client 127.0.0.1 7000 4 2>/dev/null || fail "the musl client, preloaded"
[ "$(per_source 7000)" = "3x127.0.0.2 3x127.0.0.3 3x127.0.0.4 3x127.0.0.5" ] || fail "sources of the musl client, preloaded: $(per_source 7000)"
# Outside, where both loaders are: one tool, one state file, programs of both.
export CONNSPREAD_DIR=$root/state CONNSPREAD_CONF=$root/musl.conf
for client in client client-glibc; do
    said=$("$out/home/connspread" run -- "$out/$client" 127.0.0.1 7001 8 2>&1) || fail "$client: $said"
    [ -z "$said" ] || fail "$client says: $said"
done
echo "both: $(per_source 7001)"
[ "$(per_source 7001)" = "4x127.0.0.2 4x127.0.0.3 4x127.0.0.4 4x127.0.0.5" ] || fail "sources of both"
"$out/home/connspread" doctor "$out/client" | grep -q 'client can be preloaded' || fail "doctor on the musl client"
rm "$out/home/musl/libconnspread.so"
said=$("$out/home/connspread" run -- "$out/client" 127.0.0.1 7001 1 2>&1) || fail "a musl client without a shim does not run: $said"
case $said in *"it runs without one"*) ;; *) fail "run does not say that the musl client runs without a shim: $said" ;; esac
RUN
