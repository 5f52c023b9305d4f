#!/usr/bin/env bash
# The RPM package: built twice to the same bytes, rpmlint says nothing, and in a root of its own (a bare Debian) it installs, README's tour goes as
# README shows it, and removal leaves nothing but its config. tests/rpm.sh FOLDER; called by tests/full.sh; needs root.
set -eu
cd "$(dirname "$0")/.."
out=$1
export root=$1/root
umask 022
rm -rf "$out"
mkdir -p "$out"
# Whoever still fills it has the host's /proc in it.
trap 'wait; rm -rf --one-file-system "$root"' EXIT
. tests/bare.sh

say "a bare $VERSION_CODENAME, while the package is built"
mmdebstrap --quiet --variant=minbase --include=curl,libconfuse2,libjansson4 "$VERSION_CODENAME" "$root" "$mirror" &
debootstrap=$!
for build in one two; do
    make -s BUILD="$out/$build" rpm >"$out/rpm.log" 2>&1 || { tail -n 40 "$out/rpm.log"; fail "make rpm"; }
    mkdir "$out/$build/packages" && mv "$out/$build"/rpm/RPMS/*/connspread-*.rpm "$out/$build/packages/"
    sleep 1 # another second, another time of the build
done
package=$(echo "$out"/one/packages/*.rpm)
cmp "$package" "$out/two/packages/${package##*/}" || fail "two builds of one commit differ"
said=$(rpmlint --config contrib/rpm/connspread.rpmlintrc "$package" contrib/rpm/connspread.spec 2>&1) || fail "rpmlint: $said"
case $said in *" 0 errors, 0 warnings"*) ;; *) fail "rpmlint: $said" ;; esac
wait $debootstrap || fail "mmdebstrap"

# Debian has what the package requires, but no rpm that knows of it.
r() { rpm --root "$root" --dbpath /var/lib/rpm "$@"; }
say "install"
in_root mkdir -p /var/lib/rpm
r --initdb
files | grep -v '^/var/lib/rpm' >"$out/before"
r -i --nodeps --force-debian "$package" || fail "the package does not install"
r -V --nodeps connspread || fail "what is installed is not what is in the package"
say "its tour"
tour bash
! grep -rl /usr/local "$root/usr/lib/systemd/system" "$root/usr/bin/connspread-textfile" "$root/usr/share/connspread" | grep connspread || fail "paths of make install in the package"

say "removal"
echo '# mine' >>"$root/etc/connspread.conf"
r -e connspread || fail "the package cannot be removed"
files | grep -v '^/var/lib/rpm' >"$out/after"
left=$(comm -13 "$out/before" "$out/after" | paste -sd ' ')
[ "$left" = /etc/connspread.conf.rpmsave ] || fail "left by the package: $left"
say "done"
