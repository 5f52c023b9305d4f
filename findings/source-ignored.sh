#!/bin/sh
# httpx 0.23.3 (HTTPTransport's `local_address` with `proxy`), undici 6.29.1 (ProxyAgent's `localAddress`, one of the options that
# it takes over from Agent), Faraday 1.1.0 (`bind` with its default adapter, net_http). Each takes a source address, and uses it:
# httpx and undici without a proxy, Faraday with the adapter for httpclient. One would guess that the rest uses it, too, or refuses
# the option. It connects from the host's own address, and says nothing.
# Why it matters: the proxy or server that lets in one address turns the program away; a second address that was meant to
# spread the connections is never used, and the ports of the first run out as before.
. "$(dirname "$0")/lib.sh"
packages python3-httpx=0.23.3-1 python3-httpcore=0.16.3-1 python3-h11=0.14.0-1.1~deb12u1 python3-anyio=3.6.2-1 python3-sniffio=1.2.0-1 \
    python3-certifi=2022.9.24-1 python3-rfc3986=1.5.0-2 python3-idna=3.3-1+deb12u1 ruby3.1=3.1.7+really3.1.2-0+deb12u1 \
    libruby3.1=3.1.7+really3.1.2-0+deb12u1 libyaml-0-2=0.2.5-1 ruby-faraday=1.1.0-7 ruby-faraday-net-http=3.0.2-2 \
    ruby-httpclient=2.8.3+git20211122.4658227-1 ruby-multipart-post=2.0.0-2 ruby-ruby2-keywords=0.0.5-1
npm_packages undici@6.29.1
namespace
sysctl -qw net.ipv4.ip_local_port_range="32768 60999"
tell_source 8080
lines() { # NAME LINE...: the whole output
    name=$1
    shift
    status 0 "$rc" "$name"
    printf '%s\n' "$@" >"$root/wanted"
    sed 's/ port [0-9]*$//' "$root/$name" | grep . | cmp -s - "$root/wanted" || changed "$name prints: $(cat "$root/$name")"
}

cat >"$root/client.py" <<'END'
import httpx
for proxy, url in (None, "http://127.0.0.1:8080/"), (httpx.Proxy("http://127.0.0.1:8080"), "http://192.0.2.1/"):
    with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.11", proxy=proxy, verify=False)) as client:
        print(client.get(url).text.strip())
END
run httpx env PYTHONPATH="$root/usr/lib/python3/dist-packages" python3 "$root/client.py"
lines httpx "from 127.0.0.11" "from 127.0.0.1"

cat >"$root/client.js" <<'END'
const { Agent, ProxyAgent, request } = require("undici");
const options = { localAddress: "127.0.0.11", uri: "http://127.0.0.1:8080" };
(async () => {
    for (const [kind, url] of [[Agent, "http://127.0.0.1:8080/"], [ProxyAgent, "http://192.0.2.1/"]]) {
        const dispatcher = new kind(options);
        console.log((await (await request(url, { dispatcher })).body.text()).trim());
        await dispatcher.destroy();
    }
})();
END
run undici node "$root/client.js"
lines undici "from 127.0.0.11" "from 127.0.0.1"

cat >"$root/client.rb" <<'END'
require "faraday"
[:httpclient, Faraday.default_adapter].each do |adapter|
  connection = Faraday.new("http://127.0.0.1:8080", request: { bind: { host: "127.0.0.11", port: 0 } }) { |faraday| faraday.adapter adapter }
  puts adapter, connection.get("/").body
end
END
set -- "-I$root/usr/lib/ruby/vendor_ruby" "-I$root/usr/lib/ruby/3.1.0" "-I$root/usr/lib/x86_64-linux-gnu/ruby/3.1.0"
for gem in "$root"/usr/share/rubygems-integration/all/gems/*/lib; do set -- "$@" "-I$gem"; done
run faraday env LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu" "$root/usr/bin/ruby3.1" --disable-gems "$@" "$root/client.rb"
lines faraday httpclient "from 127.0.0.11" net_http "from 127.0.0.1"
found
