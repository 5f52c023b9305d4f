#!/usr/bin/env bash
# arm64: cross-built without a warning; the library has the BTI property, vfork.S that and PAC; unit tests run under qemu-user, which answers
# TCP_INFO with four bytes and has neither sock_diag nor seccomp. tests/arm64.sh FOLDER; by hand so far, not yet in tests/full.sh; needs root for mmdebstrap.
set -eu
cd "$(dirname "$0")/.."
out=$1 root=$1/root
umask 022
rm -rf --one-file-system "$out"
mkdir -p "$out"
# Whoever still fills it has the host's /proc in it.
trap 'wait; rm -rf --one-file-system "$root"' EXIT
. tests/bare.sh

say "headers and libraries of arm64's $VERSION_CODENAME: unpacked, nothing of it runs"
mmdebstrap --quiet --variant=extract --architectures=arm64 --include=libc6-dev,libgcc-12-dev,libconfuse-dev,libjansson-dev,check,libsubunit-dev \
    "$VERSION_CODENAME" "$root" "$mirror" >"$out/root.log" 2>&1 || fail "mmdebstrap: $(tail "$out/root.log")"
say "build"
make -s -j2 DEPS=no WERROR=-Werror BUILD="$out/build" CC="aarch64-linux-gnu-gcc --sysroot=$root" all units >"$out/build.log" 2>&1 ||
    { grep -v '^  ' "$out/build.log"; fail "it does not build"; }
for file in libconnspread.so shim-obj/shim/vfork.o; do
    found=$(aarch64-linux-gnu-readelf -nW "$out/build/$file" | sed -n 's/.*AArch64 feature: //p')
    echo "$file: $found"
    # Debian 12's own start files lack PAC, which the linker then takes from the whole; no loader asks for it.
    case $file:$found in *.so:BTI | *:"BTI, PAC") ;; *) fail "properties of $file: ${found:-none}" ;; esac
done
# A function of C that the client calls: its first instruction takes a call.
aarch64-linux-gnu-objdump -d --no-show-raw-insn "$out/build/libconnspread.so" >"$out/code"
for name in vfork connect close; do
    first=$(sed -n "/^[0-9a-f]* <$name>:/{n;s/^[^:]*:[[:space:]]*//;s/[[:space:]].*\$//;p;q}" "$out/code")
    case $first in bti | paciasp) ;; *) fail "$name begins with $first" ;; esac
done
[ "$(aarch64-linux-gnu-readelf -dW "$out/build/libconnspread.so" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | grep -v '^ld-linux' | paste -sd ' ')" = libc.so.6 ] || fail "needs more than libc"

say "unit tests"
# What qemu-user does not have, as it answers: netlink's sock_diag and rtnetlink's routes, namespaces as root of them.
skip=" ${SKIP:-test_diag} "
passed=0
for program in "$out"/build/unit/test_*; do
    name=${program##*/}
    case $name in *.d | *.o) continue ;; esac
    case $skip in *" $name "*) continue ;; esac
    CK_DEFAULT_TIMEOUT=120 timeout 150 qemu-aarch64-static -L "$root" "$program" >"$out/unit.log" 2>&1 || bad="${bad:-} $name: $(tail -n 5 "$out/unit.log")"
    passed=$((passed + 1))
done
[ -z "${bad:-}" ] || fail "$bad"
say "$passed unit tests"
