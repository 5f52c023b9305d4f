#!/usr/bin/env bash
# arm64, built with Debian's cross compiler and run by qemu-user: BTI and PAC hold for the whole shim, the unit tests pass, and those system
# tests that qemu-user can carry (tests/README.md). tests/arm64.sh FOLDER [FILTER...]; `make check-arm64`. Needs root, mmdebstrap, qemu-user-static
# and Linux 6.7. The compiler and arm64's libraries and clients come into trees of their own; the harness, its servers and `ss` are this machine's.
set -eu
cd "$(dirname "$0")/.."
out=$1
shift
. tests/bare.sh
for needed in mmdebstrap qemu-aarch64-static; do
    command -v $needed >/dev/null || fail "there is no $needed; try: apt install mmdebstrap qemu-user-static"
done
tools=$out/trees/tools arm=$out/trees/root
mkdir -p "$out/trees"
# Unpacked only: no script of a package runs.
tree() { [ -e "$1/done" ] || { rm -rf "$1" && mmdebstrap --quiet --variant=extract "${@:2}" "$VERSION_CODENAME" "$1" "$mirror" && touch "$1/done"; }; }
say "compiler, libraries, clients"
tree "$tools" --include=gcc-aarch64-linux-gnu
tree "$arm" --architectures=arm64 --include=libc6-dev,check,libsubunit0,libconfuse-dev,libjansson-dev,libasan8,libjemalloc2,libtcmalloc-minimal4 \
    --include=python3,bash,dash,coreutils,perl-base,curl,wget,netcat-openbsd,socat,redis-tools
for folder in bin sbin lib; do
    [ -L "$arm/$folder" ] || { cp -an "$arm/$folder/." "$arm/usr/$folder/" && rm -r "${arm:?}/$folder" && ln -s "usr/$folder" "$arm/$folder"; }
done

say "build"
gcc="$tools/usr/bin/aarch64-linux-gnu-gcc --sysroot=$arm"
export LD_LIBRARY_PATH=$tools/usr/lib/x86_64-linux-gnu
make --no-print-directory -s -j "$(nproc)" DEPS=no WERROR=-Werror BUILD="$out/build" say=@: CC="$gcc" AR="$tools/usr/bin/aarch64-linux-gnu-ar" programs
# A library that claims what its start files do not keep.
echo 'int claimed;' | $gcc -shared -fPIC -x c - -Wl,-z,force-bti,-w -o "$out/forced.so" 2>/dev/null
unset LD_LIBRARY_PATH

say "BTI and PAC"
shim=$out/build/libconnspread.so
for object in "$shim" "$out/build/shim-obj/shim/vfork.o"; do
    readelf -nW "$object" | grep -q 'AArch64 feature: BTI, PAC$' || fail "$object: $(readelf -nW "$object")"
done
! readelf -dW "$shim" | grep -E '\((INIT|FINI)\)' || fail "the shim has start files' _init or _fini, which have no landing pad"
in_arm() { tests/arm64_root.py "$arm" /usr/bin/env CONNSPREAD_DIR="$out/state" "$@"; }
in_arm LD_PRELOAD="$shim" /usr/bin/true || fail "a client under the shim ends with $?"
status=0
in_arm LD_PRELOAD="$out/forced.so" /usr/bin/true 2>/dev/null || status=$?
[ $status = 132 ] || fail "status $status: a library that forces BTI on parts without it does not end its client by SIGILL: this qemu does not enforce BTI, and the check before proves nothing"

cp -L /usr/bin/python3 "$out/python3" # the harness's own: over /usr there will be arm64's
export BUILD=$out/build CK_DEFAULT_TIMEOUT=300
passed=0 failed=0 skipped=0
add() {
    local last
    last=$(tail -n 1 "$1")
    echo "$last"
    case $last in *" passed, "*) ;; *) fail "did not reach its end: $1" ;; esac
    passed=$((passed + ${last%% passed*})) last=${last#* passed, }
    failed=$((failed + ${last%% failed*}))
}
say "unit tests"
tests/arm64_root.py "$arm" /bin/bash tests/run unit >"$out/unit.log" 2>&1 || true
sed -i '/^== failed$/,/^[0-9]/{/^[0-9]/!d}' "$out/unit.log" # what tests/run tells again at its end
# CASE:NAME of each check that failed; one test in a loop is several.
sed -n 's/^ *[^ ]*\.c:[0-9]*:[FE]:\([a-zA-Z0-9_]*:[a-zA-Z0-9_]*\):.*/\1/p' "$out/unit.log" >"$out/unit.failed"
grep '^[a-z]' tests/arm64.without >"$out/unit.without"
grep -E '^FAIL|:[FE]:' "$out/unit.log" | grep -v -w -F -f "$out/unit.without" || true
skipped=$(grep -c -x -F -f "$out/unit.without" "$out/unit.failed") || true
add "$out/unit.log"
failed=$((failed - skipped))
echo "of these $skipped skipped: $(sort -u "$out/unit.failed" | grep -c -x -F -f "$out/unit.without") tests that tests/arm64.without names"
while read -r test; do echo "this qemu carries $test: take it out of tests/arm64.without"; done < <(grep -v -x -F -f "$out/unit.failed" "$out/unit.without")
say "system tests"
[ $# -gt 0 ] || mapfile -t tests < <(grep -v '^#' tests/arm64.tests)
# FULL: one that runs out of time on a busy machine is run once more, and the last line says so.
LIMIT_TIMES=4 FULL=1 tests/arm64_root.py "$arm" "$out/python3" tests/system/run -j 2 "${@:-${tests[@]}}" >"$out/system.log" 2>&1 || true
grep -A 20 -E '^(FAIL|skip)' "$out/system.log" || true
add "$out/system.log"
[ $# -gt 0 ] || [ "$(grep -c '^ok ' "$out/system.log")" -ge 60 ] || fail "fewer than 60 system tests passed"
say "done"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
