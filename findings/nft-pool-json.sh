#!/bin/sh
# nft (nftables 1.0.6), a map of source addresses for SNAT. One would guess that what `nft -j list ruleset` prints can be loaded
# with `nft -j -f`, as the text of `nft list ruleset` can with `nft -f`. It neither prints the "interval" of a map
# whose values are ranges of addresses, nor reads a value with ports: a ruleset with such a pool is refused as a
# whole. If the pool is empty, it is loaded without a word, but as another map, which takes no range.
# Why it matters: a firewall that is saved as JSON cannot be restored, and that is found out at the restart; an empty pool
# that a program fills later cannot be filled.
. "$(dirname "$0")/lib.sh"
packages nftables=1.0.6-2+deb12u2 libnftables1=1.0.6-2+deb12u2 libnftnl11=1.2.4-2 libmnl0=1.0.4-3 libjansson4=2.14-2 \
    libxtables12=1.8.9-2 libedit2=3.1-20221030-2 libbsd0=0.11.7-2
namespace
nft() { run "$1" env LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu" "$root/usr/sbin/nft" $2; }
again() { # VALUES ELEMENT: loads a pool, and what is listed of it as text; then what is listed of it as JSON
    printf 'table ip nat {\n map pool { type ipv4_addr : %s; flags interval; %s }\n chain post {\n' "$1" "${2:+elements = { $2 \};}" >"$root/rules"
    printf '  type nat hook postrouting priority srcnat;\n  meta l4proto tcp snat ip to ip saddr map @pool\n }\n}\n' >>"$root/rules"
    nft none "flush ruleset"
    nft none "-f $root/rules"
    status 0 "$rc" "nft -f with $1"
    nft text "list ruleset"
    nft json "-j list ruleset"
    nft none "flush ruleset"
    nft none "-f $root/text"
    status 0 "$rc" "nft -f of its own text with $1"
    nft same "list ruleset"
    cmp -s "$root/text" "$root/same" || changed "the text is not read as it was written: $(cat "$root/same")"
    nft none "flush ruleset"
    nft answer "-j -f $root/json"
    answer=$rc
    nft loaded "list ruleset"
}
again ipv4_addr '10.0.0.0/8 : 192.0.2.1'
status 0 "$answer" "nft -j -f with one address"
cmp -s "$root/text" "$root/loaded" || changed "one address is not read as it was written: $(cat "$root/loaded")"

again 'interval ipv4_addr' '10.0.0.0/8 : 192.0.2.1-192.0.2.4'
status 1 "$answer" "nft -j -f with a range"
expect 'Error: Value must be a singleton' "$root/answer"
absent . "$root/loaded"

again 'ipv4_addr . inet_service' '10.0.0.0/8 : 192.0.2.1 . 40000'
status 1 "$answer" "nft -j -f with ports"
expect "Error: Invalid map type 'ipv4_addr . inet_service'" "$root/answer"
absent . "$root/loaded"

again 'interval ipv4_addr' ''
status 0 "$answer" "nft -j -f with an empty pool"
absent . "$root/answer"
expect 'type ipv4_addr : interval ipv4_addr' "$root/text"
expect 'type ipv4_addr : ipv4_addr' "$root/loaded"
echo 'add element ip nat pool { 10.0.0.0/8 : 192.0.2.1-192.0.2.4 }' >"$root/element"
nft answer "-f $root/element"
status 1 "$rc" "nft, which adds a range"
nft none "flush ruleset"
nft none "-f $root/text"
nft answer "-f $root/element"
status 0 "$rc" "nft, which adds a range to the pool as it was"
found
