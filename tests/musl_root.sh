#!/usr/bin/env bash
# A root where everything is musl's: libc, busybox, curl, python3 and the libraries, built from Debian's sources by musl-gcc, since Debian has no packages
# of them. In it Alpine's package is built as abuild does, its unit tests pass, it installs, README's tour goes as README shows it, and removal
# leaves nothing but a config that was changed; then those system tests of musl_root.tests, whose clients are all musl's. tests/musl_root.sh FOLDER
# [FILTER...]; `make check-musl`. Needs root and what is said below. The harness, its servers and `ss` are this machine's.
set -eu
cd "$(dirname "$0")/.."
out=$1
export root=$1/root
shift
umask 022
. tests/bare.sh
for needed in musl-gcc autoreconf libtoolize autopoint flex git; do
    command -v $needed >/dev/null || fail "there is no $needed; try: apt install musl-tools autoconf automake libtool autopoint flex git"
done
machine=$(gcc -dumpmachine | sed 's/-.*//')
loader=/lib/ld-musl-$machine.so.1 triplet=$machine-linux-musl
mkdir -p "$out/from" "$out/work" "$root"

# --- what is there before us ---

# Debian's sources, as they came from upstream: apt compares their sums.
sources() {
    local options=(-o "Dir::Etc::SourceList=$out/from/sources.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$out/from/lists" -o APT::Sandbox::User=root)
    mkdir -p "$out/from/lists/partial"
    echo "deb-src $mirror $VERSION_CODENAME main" >"$out/from/sources.list"
    apt-get -q "${options[@]}" update
    (cd "$out/from" && apt-get -q "${options[@]}" source --tar-only --download-only "$@")
}
# It finds the kernel's headers behind musl's own, and no other of glibc's.
mkdir -p "$out/kernel"
for headers in linux asm-generic mtd; do ln -sfn "/usr/include/$headers" "$out/kernel/$headers"; done
ln -sfn "/usr/include/$(gcc -print-multiarch)/asm" "$out/kernel/asm"
cat >"$out/gcc" <<CC
#!/bin/sh
case \$* in *-print-multiarch*) echo $triplet ;; *) exec musl-gcc -idirafter $out/kernel -idirafter $root/usr/include -L$root/usr/lib -Wl,-rpath-link,$root/usr/lib "\$@" ;; esac
CC
chmod +x "$out/gcc"
export CC=$out/gcc
# once NAME FUNCTION: unpacks NAME into a folder of its own and calls FUNCTION there.
once() {
    [ -e "$out/work/$1.done" ] && return
    rm -rf "$out/work/$1" && mkdir "$out/work/$1"
    tar -x -C "$out/work/$1" --strip-components=1 -f "$(ls "$out/from/$1"*.orig.tar.*[2z])"
    (cd "$out/work/$1" && bash -eu -c "$2") >"$out/work/$1.log" 2>&1 </dev/null || fail "$1: $(tail -n 20 "$out/work/$1.log")"
    touch "$out/work/$1.done"
}
autotools() {
    [ -x configure ] || autoreconf -fi
    ./configure --prefix=/usr --libdir=/usr/lib --disable-nls --disable-examples --disable-static --disable-subunit --disable-docs --disable-multi-os-directory "$@"
    # Jansson's manual wants a program more.
    make -j "$(nproc)" ${folder:+-C "$folder"}
    make ${folder:+-C "$folder"} install DESTDIR="$root"
}
build_jansson() { folder=src autotools; }
build_libffi() { autotools --enable-static --disable-shared; }
# The modules that clients use are linked in; it reads no other.
build_python() {
    {
        echo '*static*'
        for module in _bisect _blake2 _contextvars _ctypes _datetime _heapq _json _md5 _opcode _pickle _posixsubprocess _queue _random _sha1 _sha256 _sha3 _sha512 \
            _socket _statistics _struct array fcntl grp math mmap resource select syslog termios unicodedata; do
            sed -n "s/^#\($module \)/\1/p" Modules/Setup
        done
    } >Modules/Setup.local
    ./configure --prefix=/usr --build="$("$CC" -print-multiarch)" --without-ensurepip --disable-test-modules CFLAGS=-O1
    make -j "$(nproc)" python
    version=$(./python -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    install -D python "$root/usr/bin/$version" && ln -sfn "$version" "$root/usr/bin/python3"
    mkdir -p "$root/usr/lib/$version/lib-dynload" && cp -r Lib/. "$root/usr/lib/$version/"
}
build_curl() {
    ./configure --prefix=/usr --disable-shared --without-ssl --without-zlib --without-libpsl --without-brotli --without-zstd --without-nghttp2 --without-libidn2 --disable-ldap --disable-manual
    make -j "$(nproc)" -C lib
    make -j "$(nproc)" -C src
    install -D src/curl "$root/usr/bin/curl"
}
build_busybox() {
    make defconfig
    # RPC is not musl's; `tc` knows of what newer kernels have dropped.
    sed -i -E 's/^(CONFIG_(FEATURE_HAVE_RPC|FEATURE_MOUNT_NFS|FEATURE_INETD_RPC|STATIC|TC))=y/# \1 is not set/' .config
    make -j "$(nproc)" CC="$CC" busybox
    install -D busybox "$root/bin/busybox"
    for applet in $(./busybox --list-full); do
        [ -e "$root/$applet" ] || { mkdir -p "$root/${applet%/*}" && ln -s /bin/busybox "$root/$applet"; }
    done
}
export -f autotools build_jansson build_libffi build_python build_curl build_busybox
say "libraries, python3, curl and busybox, from source"
[ -e "$out/from/done" ] || { sources libconfuse jansson check libffi python3.11 curl busybox >"$out/from/log" 2>&1 && touch "$out/from/done"; } || fail "$(tail "$out/from/log")"
once libconfuse autotools
once jansson build_jansson
once check autotools
once libffi build_libffi
once python3.11 build_python
once curl build_curl
once busybox build_busybox
ar crs "$root/usr/lib/libsubunit.a" # check does without it
mkdir -p "$root"/{dev,proc,tmp,root,run,etc,var/tmp,lib}
cp -L "$loader" "$root/lib/"
[ -e "$root/dev/null" ] || mknod -m 666 "$root/dev/null" c 1 3
echo root:x:0:0:root:/root:/bin/sh >"$root/etc/passwd"
strangers=$(find "$root" -type f -perm -100 -exec readelf -lW {} + 2>/dev/null | sed -n 's/.*interpreter: \(.*\)\]/\1/p' | grep -v -x "$loader" || true)
[ -z "$strangers" ] || fail "programs of other loaders in the root: $strangers"

# --- Alpine's package ---

say "the package, as abuild builds it"
for build in one two; do
    make -s apk BUILD="$out/$build" >"$out/apk.log" 2>&1 || fail "make apk: $(tail "$out/apk.log")"
    sleep 1 # another second, another time of the files
done
diff -r "$out/one/apk" "$out/two/apk" || fail "two archives of one commit differ"
tree=$out/tree package=$out/package
if ! cmp -s "$out/one/apk/APKBUILD" "$tree/APKBUILD"; then
    rm -rf "$tree" && mkdir "$tree"
    tar -x -C "$tree" --strip-components=1 -f "$out"/one/apk/*.tar.gz
    cp "$out/one/apk/APKBUILD" "$tree/"
fi
rm -rf "$package"
abuild() { (cd "$tree" && env -u MAKEFLAGS -u MAKELEVEL -u BUILD CC="$CC" MAKEFLAGS="-j$(nproc)" pkgdir="$package" sh -euc '. ./APKBUILD; "$@"' sh "$@") >>"$out/build.log" 2>&1; }
rm -f "$out/build.log"
abuild build || fail "build(): $(grep -A 5 error "$out/build.log")"
abuild package || fail "package(): $(tail "$out/build.log")"
for object in "$package"/usr/bin/connspread "$package"/usr/lib/connspread/*.so; do
    needs=$(readelf -dW "$object" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p')
    for library in $needs; do [ "$library" = libc.so ] || [ -e "$root/usr/lib/$library" ] || fail "$object needs $library"; done
done
[ "$(readelf -dW "$package/usr/lib/connspread/libconnspread.so" | grep -c NEEDED)" = 1 ] || fail "the shim needs more than libc"

passed=0 failed=0
say "its unit tests"
(cd "$tree" && make -s -k -j "$(nproc)" DEPS=no PREFIX=/usr SYSCONFDIR=/etc MANDIR=/usr/share/man DOCDIR=/usr/share/doc/connspread programs) >"$out/programs.log" 2>&1 || true
# Programs of the system tests that use what musl has not, and no others, are not built.
lacking=$(cd tests/system && for source in *.c */*.c; do [ -e "$tree/build/tests/${source%.c}" ] || echo "${source%.c}"; done | sort)
[ "$lacking" = "$(sed -n 's/^# not built: \([^ ]*\) .*/\1/p' tests/musl_root.tests | sort)" ] || fail "programs that musl-gcc does not build: $lacking"
mkdir -p "$root/tree"
cat >"$root/root/units" <<'IN'
cd /tree
for test in build/unit/test_*; do
    case $test in *.d) continue ;; esac
    timeout 300 "$test" || echo "FAIL $test: $?"
done
IN
tree=$tree unshare --net --mount bash -euc 'ip link set lo up; mount --bind "$tree" "$root/tree"; in_root CK_DEFAULT_TIMEOUT=120 sh /root/units' >"$out/unit.log" 2>&1 || true
grep -E '^FAIL|:[FE]:' "$out/unit.log" || true
passed=$(sed -n 's/.*Checks: \([0-9]*\), Failures.*/\1/p' "$out/unit.log" | awk '{ n += $1 } END { print n + 0 }')
failed=$(grep -cE '^[^ ]*\.c:[0-9]*:[FE]:' "$out/unit.log") || true
passed=$((passed - failed))
[ "$(grep -c 'Checks: ' "$out/unit.log")" = "$(find tests/unit -name 'test_*.c' | wc -l)" ] || fail "a unit test did not reach its end: $out/unit.log"
[ "$failed" != 0 ] || ! grep -q '^FAIL' "$out/unit.log" || fail "a unit test ended badly: $out/unit.log"
echo "$passed passed, $failed failed"

say "install"
files >"$out/before"
cp -r --preserve=mode "$package/." "$root/"
say "its tour"
tour sh

say "removal, as apk does it: the script, then each file that is as it was"
cp "$out/one/apk/connspread.pre-deinstall" "$root/tmp/"
echo '# mine' >>"$root/etc/connspread.conf"
in_root sh /tmp/connspread.pre-deinstall || fail "the script ends with $?"
(cd "$package" && find . -type f) | while read -r file; do ! cmp -s "$package/$file" "$root/$file" || rm "$root/$file"; done
(cd "$package" && find . -depth -mindepth 1 -type d) | while read -r folder; do rmdir --ignore-fail-on-non-empty "$root/$folder"; done
files >"$out/after"
left=$(comm -13 "$out/before" "$out/after" | paste -sd ' ')
[ "$left" = /etc/connspread.conf ] || fail "left by the package: $left"
rm "$root/etc/connspread.conf"

# --- system tests ---

say "system tests"
cp -L /usr/bin/python3 "$out/python3" # the harness's own
over=$out/over/usr
rm -rf "$out/over" && mkdir -p "$over/bin" "$over/lib/$triplet"
cp -P "$root"/usr/lib/*.so.* "$over/lib/$triplet/" # where Debian's loader of musl looks
for program in curl python3; do ln -s "$root/usr/bin/$program" "$over/bin/"; done
for applet in sh wget nc env cat sleep true false; do ln -s "$root/bin/busybox" "$over/bin/$applet"; done
[ $# -gt 0 ] || mapfile -t tests < <(grep '^[a-z]' tests/musl_root.tests)
# FULL: one that runs out of time on a busy machine is run once more, and the last line says so.
BUILD=$tree/build FULL=1 unshare --mount sh -euc 'mount -t overlay overlay -o "lowerdir=$1:/usr" /usr; shift; exec "$@"' sh "$over" \
    "$out/python3" tests/system/run -j 2 "${@:-${tests[@]}}" >"$out/system.log" 2>&1 || true
grep -A 20 -E '^(FAIL|skip)' "$out/system.log" || true
last=$(tail -n 1 "$out/system.log")
echo "$last"
case $last in *" passed, "*) ;; *) fail "did not reach its end: $out/system.log" ;; esac
passed=$((passed + ${last%% passed*})) last=${last#* passed, }
failed=$((failed + ${last%% failed*}))
[ $# -gt 0 ] || [ "$(grep -c '^ok ' "$out/system.log")" -ge 60 ] || fail "fewer than 60 system tests passed"
say "done"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
