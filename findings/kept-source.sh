#!/bin/sh
# nginx 1.22.1 (`proxy_bind` with a variable, and `keepalive`); LWP 6.68 (`local_address` and `keep_alive`). One would guess
# that a kept connection serves again only for a request that asks for the same source address. Both look at the peer
# alone: the second request, which asks for another source, leaves over the first one's connection and address.
# Why it matters: sources that are spread by client, tenant or turn are the first one's for all, as long as its
# connection lives; the peer's log and limits name the wrong client.
. "$(dirname "$0")/lib.sh"
packages nginx=1.22.1-9+deb12u11 libwww-perl=6.68-1 libnet-http-perl=6.22-1 libhttp-message-perl=6.44-1 libhttp-date-perl=6.05-2 \
    liburi-perl=5.17-1 libencode-locale-perl=1.05-3 libio-html-perl=1.004-3 liblwp-mediatypes-perl=6.04-2 libtry-tiny-perl=0.31-2 \
    libclone-perl=0.46-1 libtimedate-perl=2.3300-2 libhtml-parser-perl=3.81-1+deb12u1 libhttp-cookies-perl=6.10-1
namespace
tell_source 8080
start_nginx <<'END'
    upstream app { server 127.0.0.1:8080; keepalive 4; }
    server {
        listen 127.0.0.1:9001;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        location / { proxy_bind $arg_source; proxy_pass http://app; }
    }
END
get http://127.0.0.1:9001/?source=127.0.0.11
expect '^200 from 127.0.0.11 ' "$root/got"
cp "$root/got" "$root/first"
get http://127.0.0.1:9001/?source=127.0.0.12
cmp -s "$root/first" "$root/got" || changed "nginx answers with $(cat "$root/got")"

cat >"$root/client.pl" <<'END'
use LWP::UserAgent;
my $client = LWP::UserAgent->new(keep_alive => 4);
for my $source ("127.0.0.21", "127.0.0.22") {
    $client->local_address($source);
    print $client->get("http://127.0.0.1:8080/")->content;
}
END
run out perl -I"$root/usr/share/perl5" -I"$(echo "$root"/usr/lib/x86_64-linux-gnu/perl5/5.*)" "$root/client.pl"
[ "$(grep -c '^from 127.0.0.21 ' "$root/out")" = 2 ] || changed "LWP: $(cat "$root/out")"
[ "$(sort -u "$root/out" | wc -l)" = 1 ] || changed "LWP made a second connection"
found
