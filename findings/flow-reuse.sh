#!/bin/sh
# softflowd 1.1.0, nfpcapd (nfdump 1.7.1), on a capture of three connections from one source port, 65 seconds apart. One would
# guess that a flow of TCP ends with its FINs, or with the next SYN: three flows each way, as tcptrace 6.6.7 finds three
# connections. To softflowd the next connection continues the flow that is closed: one each way, of 130 seconds. nfpcapd ends a
# flow at a FIN, but the client's last ACK begins another, which the next connection continues: three from the server, one to it.
# Why it matters: where source ports are short, each is taken again as soon as its TIME-WAIT ends: what is counted as connections
# is the number of ports, and connections of milliseconds seem to last for minutes.
. "$(dirname "$0")/lib.sh"
packages softflowd=1.1.0-1+b1 nfdump=1.7.1-2+deb12u1 tcptrace=6.6.7-6+b1 libpcap0.8=1.10.3-1
namespace
export LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu"
cat >"$root/capture.py" <<'END'
import socket, struct, sys
CLIENT, SERVER = socket.inet_aton("192.0.2.1"), socket.inet_aton("192.0.2.2")
SYN, ACK, FIN_ACK, SYN_ACK, PSH_ACK = 2, 16, 17, 18, 24
def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff
def packet(source, target, ports, seq, ack, flags, data):
    head = struct.pack(">HHIIBB", *ports, seq, ack, 5 << 4, flags)
    pseudo = source + target + struct.pack(">BBH", 0, socket.IPPROTO_TCP, 20 + len(data))
    tcp = head + struct.pack(">HHH", 8192, checksum(pseudo + head + struct.pack(">HHH", 8192, 0, 0) + data), 0) + data
    start, end = struct.pack(">BBHHHBB", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, socket.IPPROTO_TCP), source + target
    return bytes(12) + b"\x08\0" + start + struct.pack(">H", checksum(start + b"\0\0" + end)) + end + tcp
with open(sys.argv[1], "wb") as file:
    file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
    for i in range(3):
        sent, received, time = 1000 + i * 100000, 500000 + i * 100000, 65000 * i
        def client(flags, data=b""):
            return CLIENT, SERVER, (40000, 80), flags, data
        def server(flags, data=b""):
            return SERVER, CLIENT, (80, 40000), flags, data
        exchange = (client(SYN), server(SYN_ACK), client(ACK), client(PSH_ACK, b"GET /a\r\n\r\n"), server(PSH_ACK, b"good"),
                    client(ACK), client(FIN_ACK), server(FIN_ACK), client(ACK))
        for source, target, ports, flags, data in exchange:
            seq, ack = (sent, received) if source is CLIENT else (received, sent)
            frame = packet(source, target, ports, seq, 0 if flags == SYN else ack, flags, data)
            length = len(data) + (flags & 3 != 0)
            sent, received = (sent + length, received) if source is CLIENT else (sent, received + length)
            file.write(struct.pack("<IIII", 1700000000 + time // 1000, time % 1000 * 1000, len(frame), len(frame)) + frame)
            time += 1
END
python3 "$root/capture.py" "$root/capture"
run tcptrace "$root/usr/bin/tcptrace" -n "$root/capture"
[ "$(grep -c ' 192.0.2.1:40000 - 192.0.2.2:80 .* 6>    3<  (complete)$' "$root/tcptrace")" = 3 ] || changed "tcptrace finds: $(cat "$root/tcptrace")"
cat >"$root/collect.py" <<'END'
import socket, struct
collector = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
collector.bind(("127.0.0.1", 9995))
print("ready", flush=True)
data = collector.recv(2000)
for i in range(struct.unpack(">HH", data[:4])[1]):
    flow = data[24 + 48 * i:72 + 48 * i]
    packets, _, first, last, source, target = struct.unpack(">IIIIHH", flow[16:36])
    print(f"{source} to {target}: {packets} packets in {(last - first) // 1000} s", flush=True)
print("end", flush=True)
END
serve collect.py
run softflowd "$root/usr/sbin/softflowd" -r "$root/capture" -n 127.0.0.1:9995 -v 5
for _ in $(seq 50); do
    ! grep -q '^end' "$root/collect.py.out" || break
    sleep 0.1
done
printf '%s\n' ready '40000 to 80: 18 packets in 130 s' '80 to 40000: 9 packets in 130 s' end >"$root/wanted"
cmp -s "$root/wanted" "$root/collect.py.out" || changed "softflowd exports: $(cat "$root/collect.py.out")"
mkdir "$root/flows"
run nfpcapd "$root/usr/bin/nfpcapd" -r "$root/capture" -w "$root/flows"
run nfdump "$root/usr/bin/nfdump" -q -C none -R "$root/flows" -o 'fmt:%sp %dp %pkt %td'
tr -s ' ' <"$root/nfdump" | sed 's/^ //; s/ $//' | sort >"$root/sorted"
{ echo "40000 80 18 00:02:10.008"; for _ in 1 2 3; do echo "80 40000 3 00:00:00.006"; done; } >"$root/wanted"
cmp -s "$root/wanted" "$root/sorted" || changed "nfpcapd writes: $(cat "$root/nfdump")"
found
