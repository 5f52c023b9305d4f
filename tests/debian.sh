#!/usr/bin/env bash
# A bare Debian of this host's release, from this host's own mirror, and in it: the package (make deb) installs, works, leaves nothing but
# its config; then what README says, literally, from a fresh clone. tests/debian.sh FOLDER; called by tests/full.sh; needs root. RELEASE=trixie
# takes another release than the host's, to which the packages of this one must fit.
set -eu
cd "$(dirname "$0")/.."
out=$1
export root=$1/root
umask 022
rm -rf "$out"
mkdir -p "$out"
debootstrap=
clean_up() {
    [ -z "$debootstrap" ] || kill "$debootstrap" 2>/dev/null || true
    wait
    rm -rf --one-file-system "$root"
}
trap clean_up EXIT
. tests/bare.sh
release=${RELEASE:-$VERSION_CODENAME}
say "a bare $release, while the packages are built"
mmdebstrap --quiet --variant=minbase --architectures=amd64,i386 --include=libc6:i386,curl "$release" "$root" "$mirror" &
debootstrap=$!
for build in again build; do
    DEPS=no make -s deb BUILD="$out/$build" >"$out/deb.log" 2>&1 || { tail -n 40 "$out/deb.log"; fail "make deb"; }
done
[ "$(cd "$out/again/deb" && sha256sum *.deb)" = "$(cd "$out/build/deb" && sha256sum *.deb)" ] || fail "two builds of one commit differ"
rm -r "$out/again"
make -s BUILD="$out/build32" CC="gcc -m32" "$out/build32/libconnspread.so"
gcc -m32 -O1 tests/system/plain_client.c -o "$out/client32"
said=$(lintian --quiet --display-info --pedantic --fail-on none "$out"/build/deb/*.changes 2>&1 | grep -v '^running with root' || true)
[ -z "$said" ] || fail "lintian: $said"
wait $debootstrap || fail "mmdebstrap"
debootstrap=
cp /etc/resolv.conf "$root/etc/resolv.conf"

say "the package"
files >"$out/before"
cp "$out"/build/deb/{connspread,libconnspread}_*.deb "$root/tmp/"
in_root sh -c 'apt-get update -q && apt-get install -qy --no-install-recommends /tmp/*.deb' >"$out/apt.log" 2>&1 ||
    { tail -n 20 "$out/apt.log"; fail "the package does not install"; }
cat >"$root/root/mine.conf" <<'CONF'
pool "p" { addresses = { "127.0.0.2-127.0.0.5" } }
rule "r" { to = { "127.0.0.1:8000" } pool = "p" }
CONF
check_installed() {
    served bash -eu -c '
        r() { "$@" || { echo "FAILED ($?): $*"; exit 1; }; }
        r in_root connspread --version
        r in_root connspread check -c /root/mine.conf
        in_root connspread doctor /usr/bin/curl || [ $? = 1 ] # 1: something of this host is an error
        for _ in 1 2 3 4; do r in_root connspread run -c /root/mine.conf -- curl -sS http://127.0.0.1:8000/ 2>&1; done
        r in_root connspread log -c /root/mine.conf --event time-wait
        per_source 8000 >"$out/sources"'
    [ "$(cat "$out/sources")" = "1x127.0.0.2 1x127.0.0.3 1x127.0.0.4 1x127.0.0.5" ] || fail "sources: $(cat "$out/sources")"
}
export out
check_installed
say "its tour"
tour bash
! grep -rl /usr/local "$root"/lib/systemd/system/connspread-* "$root/usr/bin/connspread-textfile" "$root/usr/share/connspread" || fail "paths of make install in the package"
for file in SECURITY.md contrib/doc/upgrade.md; do [ -s "$root/usr/share/doc/connspread/$file" ] || fail "the package lacks $file"; done

say "32-bit children"
install -D -m 644 "$out/build32/libconnspread.so" "$root/usr/lib/i386-linux-gnu/connspread/libconnspread.so"
cp "$out/client32" "$root/root/"
served bash -eu -c '
    in_root connspread run -c /root/mine.conf -- sh -c "echo \$LD_PRELOAD; /root/client32 127.0.0.1 8000 4" >"$out/said" 2>&1
    in_root connspread run -c /root/mine.conf -- /root/client32 127.0.0.1 8000 4 >>"$out/said" 2>&1
    per_source 8000 >"$out/sources"'
grep -v '^hello' "$out/said" || true
[ "$(sed -n 1p "$out/said")" = '/usr/$LIB/connspread/libconnspread.so' ] || fail "LD_PRELOAD: $(sed -n 1p "$out/said")"
! grep -qE 'ld.so|connspread:' "$out/said" || fail "a 32-bit child is not served: $(cat "$out/said")"
[ "$(cat "$out/sources")" = "2x127.0.0.2 2x127.0.0.3 2x127.0.0.4 2x127.0.0.5" ] || fail "sources of 32-bit children: $(cat "$out/sources")"
rm -r "$root/usr/lib/i386-linux-gnu/connspread" "$root/root/client32"

in_root apt-get remove -qy connspread libconnspread >"$out/apt.log" 2>&1 || fail "the package cannot be removed: $(tail "$out/apt.log")"
in_root apt-get autoremove -qy >"$out/apt.log" 2>&1
rm "$root/root/mine.conf"
files >"$out/after"
# What deb-systemd-helper notes of the units stays until purge, as the configs do.
left=$(comm -13 "$out/before" "$out/after" | grep -v '^/var/lib/systemd/deb-systemd-helper-enabled/' || true)
[ "$left" = "/etc/connspread.conf
/etc/logrotate.d/connspread" ] || fail "left by the package: $left"
in_root apt-get purge -qy connspread >"$out/apt.log" 2>&1
files >"$out/after"
[ -z "$(comm -13 "$out/before" "$out/after")" ] || fail "left after purge: $(comm -13 "$out/before" "$out/after")"
say "README, from a fresh clone"
# What it says that a minimal Debian lacks is lacking, and is there.
packages=$(sed -n 's/^apt install \([a-z ]*[a-z]\) *#.*/\1/p' README.md)
[ -n "$packages" ] || fail "README names no packages"
for package in $packages; do ! in_root sh -c "command -v $package" >/dev/null || fail "a minimal Debian has $package"; done
# shellcheck disable=SC2086
in_root apt-get install -qy --no-install-recommends $packages >"$out/apt.log" 2>&1 || fail "$packages: $(tail "$out/apt.log")"
in_root apt-get install -qy --no-install-recommends python3 iproute2 >"$out/apt.log" 2>&1 || fail "python3, for the server: $(tail "$out/apt.log")"
mkdir "$root/root/connspread"
git ls-files -z -co --exclude-standard | tar -c --null -T - | tar -x -C "$root/root/connspread"
# Our standard input reaches it here: the commands of README.
in_clone() { reads_in_root sh -c 'cd /root/connspread && exec bash "$@"' sh "$@"; }
export -f in_clone
files >"$out/before"
tests/tour.py sh bash -c 'in_clone "$@"' bash >"$out/install.log" 2>&1 || { tail -n 20 "$out/install.log"; fail "installing as README says"; }
say "its tour"
served tests/tour.py console bash -c 'in_clone "$@"' bash || fail "the tour is not as README shows it"
say "make uninstall"
in_root sh -c 'cd /root/connspread && connspread prune && make -s uninstall' >"$out/uninstall.log" 2>&1 || fail "$(cat "$out/uninstall.log")"
files >"$out/after"
# Folders of the system's own that were not there, such as /usr/local/share/man/man1, may stay.
left=$(comm -13 "$out/before" "$out/after" | grep -v '^/root/connspread/' | while read -r path; do
    [ -d "$root$path" ] || case $path in *connspread*) echo "$path" ;; esac
done)
[ ! -e "$root/usr/local/lib/connspread" ] && [ ! -e "$root/usr/local/share/doc/connspread" ] || fail "make uninstall leaves its folders"
[ "$left" = /etc/connspread.conf ] || fail "left by make uninstall: $left"
say "done"
