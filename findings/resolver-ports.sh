#!/bin/sh
# unbound 1.17.1 (`outgoing-port-permit`), dnsmasq 2.90 (`--min-port`, `--max-port`). Their manuals speak of the ports that
# queries are sent from, and dnsmasq's says that they will "always" be within the bounds; one would guess that this holds
# for queries over TCP, too. It holds for UDP alone: over TCP (a truncated answer, a client that asked over TCP, DNS over
# TLS) both leave the port to the kernel.
# Why it matters: a firewall that lets out the permitted ports stops just the large answers; and a range that was kept
# free for another program is not.
. "$(dirname "$0")/lib.sh"
packages unbound=1.17.1-2+deb12u4 libprotobuf-c1=1.4.1-1+b1 libevent-2.1-7=2.1.12-stable-8+deb12u1 dnsmasq-base=2.90-4~deb12u2 \
    libnetfilter-conntrack3=1.0.9-3 libnfnetlink0=1.0.2-2
namespace
sysctl -qw net.ipv4.ip_local_port_range="40000 40063"
cat >"$root/dns.py" <<'END'
import socket, struct, sys, threading
QUERY = b"\0\1\1\0\0\1\0\0\0\0\0\0\2%s\7example\0\0\1\0\1"
def answer(query):
    return query[:2] + b"\x85\x80\0\1\0\1\0\0\0\0" + query[12:28] + b"\xc0\x0c\0\1\0\1\0\0\0\5\0\4\xc0\0\2\1"
def read(stream):
    return stream.read(struct.unpack(">H", stream.read(2))[0])
def serve_udp(server):
    while True:
        query, client = server.recvfrom(4096)
        print("udp", client[1], flush=True)
        server.sendto(answer(query), client)
def serve_tcp(peer):
    stream = peer.makefile("rb")
    while stream.peek(1):
        reply = answer(read(stream))
        peer.sendall(struct.pack(">H", len(reply)) + reply)
def ask(kind, port, name):
    client = socket.socket(socket.AF_INET, kind)
    client.settimeout(5)
    client.connect(("127.0.0.1", port))
    query = QUERY % name.encode()
    client.sendall(struct.pack(">H", len(query)) + query if kind == socket.SOCK_STREAM else query)
    reply = read(client.makefile("rb")) if kind == socket.SOCK_STREAM else client.recv(4096)
    print("answered" if reply.endswith(b"\xc0\0\2\1") else "no answer")
if sys.argv[1] == "serve":
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", 5300))
    listener = socket.create_server(("127.0.0.1", 5300))
    threading.Thread(target=serve_udp, args=(datagrams,), daemon=True).start()
    print("ready", flush=True)
    while True:
        peer, client = listener.accept()
        print("tcp", client[1], flush=True)
        threading.Thread(target=serve_tcp, args=(peer,), daemon=True).start()
for i in range(4):
    ask(socket.SOCK_STREAM if sys.argv[1] == "tcp" else socket.SOCK_DGRAM, int(sys.argv[2]), f"{sys.argv[3]}{i}")
END
listens() { # PORT
    for _ in $(seq 100); do
        ! bash -c "exec 3<>/dev/tcp/127.0.0.1/$1" 2>/dev/null || return 0
        sleep 0.1
    done
    changed "nothing listens on port $1"
}
permitted='^(udp|tcp) 500([0-5][0-9]|6[0-3])$'
: >"$root/ports"
python3 "$root/dns.py" serve >>"$root/ports" &
listens 5300
export LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu"
resolver() { # PORT COMMAND...
    port=$1
    shift
    : >"$root/ports"
    "$@" >"$root/log" 2>&1 &
    listens "$port"
}
check_ports() { # KIND
    expect '^answered$' "$root/answers"
    absent 'no answer' "$root/answers"
    grep "^$1 " "$root/ports" >"$root/seen" || changed "no query over $1"
}
outside() { absent "$permitted" "$root/seen"; }
within() { [ "$(grep -Ec "$permitted" "$root/seen")" = "$(wc -l <"$root/seen")" ] || changed "UDP: $(cat "$root/seen")"; }

for over in udp tcp; do
    [ "$over" = tcp ] && port=5302 upstream=yes || { port=5301; upstream=no; }
    cat >"$root/unbound.$over" <<END
server:
    do-daemonize: no
    username: ""
    chroot: ""
    directory: "$root"
    pidfile: "$root/pid.$over"
    use-syslog: no
    logfile: ""
    interface: 127.0.0.1@$port
    do-not-query-localhost: no
    module-config: "iterator"
    outgoing-port-avoid: 0-65535
    outgoing-port-permit: 50000-50063
    outgoing-range: 16
    num-queries-per-thread: 8
    tcp-upstream: $upstream
forward-zone:
    name: "."
    forward-addr: 127.0.0.1@5300
END
    resolver "$port" "$root/usr/sbin/unbound" -d -c "$root/unbound.$over"
    python3 "$root/dns.py" udp "$port" u >"$root/answers"
    check_ports "$over"
    [ "$over" = tcp ] && outside || within
done

resolver 5303 unshare -U "$root/usr/sbin/dnsmasq" -k -C /dev/null --user= --group= --no-resolv --no-hosts --port=5303 --pid-file= \
    --listen-address=127.0.0.1 --bind-interfaces --server=127.0.0.1#5300 --min-port=50000 --max-port=50063 --cache-size=0 --log-facility=-
for over in udp tcp; do
    python3 "$root/dns.py" "$over" 5303 "${over%??}" >"$root/answers"
    check_ports "$over"
    [ "$over" = tcp ] && outside || within
done
zcat "$root/usr/share/man/man8/dnsmasq.8.gz" >"$root/manual"
expect 'the ports used will always be larger' "$root/manual"
found
