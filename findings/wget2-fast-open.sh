#!/bin/sh
# wget2 1.99.1. One would guess that a download without a source port fails as with wget 1 (status 4), and that the
# second address of the name is tried. With TCP Fast Open, its default, the first packet goes with sendto(), and that
# is where the lack of ports is met: wget2 prints "Failed to write", tries no other address, and with --tries=1 exits
# 0 without a file. --tcp-fastopen=off mends both.
# Why it matters: a script that downloads in a row loses files in silence as soon as its ports run out.
. "$(dirname "$0")/lib.sh"
packages wget2=1.99.1-2.2 libwget0=1.99.1-2.2 libgpgme11=1.18.0-3+deb12u1 \
    libassuan0=2.5.5-5 libnghttp2-14=1.52.0-1+deb12u3
namespace
hold 8080
with() { # ARGUMENTS: runs wget2 with the unpacked libraries
    run out env LD_LIBRARY_PATH="$root/usr/lib:$root/usr/lib/x86_64-linux-gnu" \
        "$root/usr/bin/wget2" --no-config --tries=1 --timeout=5 -O "$root/file" "$@"
}
with --tcp-fastopen=off http://one.test:8080/
status 4 "$rc" "wget2 --tcp-fastopen=off"
expect 'Failed to connect \(99\)' "$root/out"

rm -f "$root/file"
with http://both.test:8080/
status 0 "$rc" wget2
expect 'Failed to write .* \(99: Cannot assign requested address\)' "$root/out"
[ ! -s "$root/file" ] || changed "a file has come"
absent served "$root/held"

with --tcp-fastopen=off http://both.test:8080/
status 0 "$rc" "wget2 --tcp-fastopen=off"
expect 'served 127.0.0.2' "$root/held"
[ -s "$root/file" ] || changed "no file without Fast Open"
found
