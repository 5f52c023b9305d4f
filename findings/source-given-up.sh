#!/bin/sh
# Apache httpd 2.4.71 (`ProxySourceAddress`), redis-server 7.0.15 (`bind-source-addr`), rinetd 0.73 (`src=`), lftp 4.9.2
# (`net:socket-bind-ipv4`). One would guess that a connection fails if the source address that was asked for is not (or no
# longer) there, as it does with curl, ssh, socat and nginx. These connect without it: the peer sees the host's own
# address, the answer is a success, and only httpd's log and rinetd's stderr tell. redis and lftp say nothing at all.
# Why it matters: an address goes away in a failover or by a typo, and the traffic arrives at firewalls, limits and logs
# as another client.
. "$(dirname "$0")/lib.sh"
packages apache2-bin=2.4.71-1~deb12u1 libapr1=1.7.2-3+deb12u1 libaprutil1=1.6.3-1 redis-server=5:7.0.15-1~deb12u10 \
    redis-tools=5:7.0.15-1~deb12u10 libjemalloc2=5.3.0-1 liblzf1=3.6-3 rinetd=0.73-1 lftp=4.9.2-2+b1
namespace
sysctl -qw net.ipv4.ip_local_port_range="32768 60999"
tell_source 8080
export LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu"
gone=192.0.2.9
direct='^(200 )?from 127.0.0.1 '

cat >"$root/httpd" <<END
ServerRoot $root
ServerName localhost
Listen 127.0.0.1:9001
PidFile $root/pid
DefaultRuntimeDir $root
ErrorLog $root/log
Mutex posixsem
LoadModule mpm_event_module $root/usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module $root/usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module $root/usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module $root/usr/lib/apache2/modules/mod_proxy_http.so
ProxySourceAddress $gone
ProxyPass / http://127.0.0.1:8080/
END
unshare -U "$root/usr/sbin/apache2" -f "$root/httpd" -DFOREGROUND 2>/dev/null &
get http://127.0.0.1:9001/
expect "$direct" "$root/got"
expect 'AH00956: http: failed to bind socket to local address' "$root/log"

echo "127.0.0.1 9002 127.0.0.1 8080 [src=$gone]" >"$root/rinetd"
"$root/usr/sbin/rinetd" -f -c "$root/rinetd" >"$root/rinetd.out" 2>&1 &
get http://127.0.0.1:9002/
expect "$direct" "$root/got"
expect 'bind\(\): Cannot assign requested address' "$root/rinetd.out"

run lftp "$root/usr/bin/lftp" -c "set net:socket-bind-ipv4 $gone; cat http://127.0.0.1:8080/"
status 0 "$rc" lftp
expect "$direct" "$root/lftp"
[ "$(wc -l <"$root/lftp")" = 1 ] || changed "lftp says more"

mkdir "$root/one" "$root/two"
server() { # DIRECTORY PORT OPTION...
    directory=$1
    port=$2
    shift 2
    "$root/usr/bin/redis-server" --port "$port" --bind 127.0.0.1 --save '' --dir "$root/$directory" "$@" >"$root/redis.$directory" 2>&1 &
}
ask() { # PORT COMMAND...
    port=$1
    shift
    timeout 5 "$root/usr/bin/redis-cli" -p "$port" "$@" 2>&1 | tr -d '\r'
}
server one 7001
server two 7002 --bind-source-addr "$gone" --replicaof 127.0.0.1 7001
for _ in $(seq 100); do
    ask 7001 info replication >"$root/replicas"
    ! grep -q '^slave0:ip=127.0.0.1,' "$root/replicas" || break
    sleep 0.1
done
expect '^slave0:ip=127.0.0.1,port=7002,' "$root/replicas"
ask 7002 config get bind-source-addr >"$root/setting"
expect "^$gone" "$root/setting"
absent "bind|$gone|assign" "$root/redis.two"
found
