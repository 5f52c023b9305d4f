# Sourced by each finding: fetches pinned packages into a temp folder, and makes a namespace whose source ports have run out.
#   packages NAME=VERSION...   Debian packages, unpacked into $root; their libraries come first
#   npm_packages NAME@VERSION  npm packages, in $root/node_modules
#   namespace                  runs the rest of the script in a network namespace of its own, with four source ports and
#                              no reuse of TIME-WAIT
#   hold PORT                  then serves a small HTTP on 0.0.0.0:PORT and takes all four ports towards 127.0.0.1:PORT
#                              one.test is 127.0.0.1 (full); both.test is 127.0.0.1 (full) and 127.0.0.2 (free)
#   serve SCRIPT ARGUMENT...   runs a server in Python, $root/SCRIPT, and goes on when it has printed "ready"
#   tell_source PORT           serves HTTP/1.1 on 0.0.0.0:PORT and [::]:PORT, keeps connections, and answers with the address and port
#                              that the request came from, on one line; as a proxy, it answers in the name of any server
#   start_nginx                starts nginx of $root; standard input is what its http { } has besides paths
#   get URL                    its status and body in $root/got; waits for the server to listen
#   expect TEXT FILE, absent TEXT FILE, status WANT GOT NAME, found   checks; a difference ends the script with 1
set -eu
export LC_ALL=C

inside() { [ -n "${FINDING_ROOT:-}" ]; }
changed() { echo "$(basename "$0"): changed: $*" >&2; exit 1; }
expect() { grep -Eq -- "$1" "$2" || { cat "$2" >&2; changed "no longer prints: $1"; }; }
absent() { ! grep -Eq -- "$1" "$2" || { cat "$2" >&2; changed "now prints: $1"; }; }
status() { [ "$1" = "$2" ] || changed "$3 exits with $2, not $1"; }
found() { echo "$(basename "$0"): as found"; }
# run NAME COMMAND...: output in $root/NAME, exit status in $rc, 20 seconds at most
run() {
    name=$1
    shift
    rc=0
    timeout -k 1 20 "$@" </dev/null >"$root/$name" 2>&1 || rc=$?
}

if inside; then
    root=$FINDING_ROOT
else
    root=$(mktemp -d)
    chmod 755 "$root"
    trap 'rm -rf "$root"' EXIT
    trap 'exit 1' INT TERM
fi
export HOME="$root"

packages() {
    inside && return
    (cd "$root" && timeout 40 apt-get -qq -o APT::Sandbox::User="$(id -un)" download "$@") || changed "cannot download: $*"
    for deb in "$root"/*.deb; do dpkg-deb -x "$deb" "$root"; done
}
npm_packages() {
    inside && return
    timeout 40 npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$root" "$@" || changed "cannot install: $*"
}

namespace() {
    if ! inside; then
        rc=0
        FINDING_ROOT=$root timeout -k 2 50 unshare -rnmpf --kill-child sh "$0" || rc=$?
        exit "$rc"
    fi
    ip link set lo up
    sysctl -qw net.ipv4.ip_local_port_range="40000 40003" net.ipv4.tcp_tw_reuse=0
    printf '127.0.0.1 localhost one.test both.test\n127.0.0.2 both.test\n' >"$root/hosts"
    mount --bind "$root/hosts" /etc/hosts
    mount -t proc proc /proc
}

hold() {
    cat >"$root/hold.py" <<'END'
import socket, sys, threading
port = int(sys.argv[1])
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("0.0.0.0", port))
listener.listen(100)
held = []
try:
    while True:
        client = socket.socket()
        client.connect(("127.0.0.1", port))
        held += [client, listener.accept()[0]]
except OSError:
    print("full", len(held) // 2, flush=True)
def serve(peer):
    if peer.recv(65536):
        print("served", peer.getsockname()[0], flush=True)
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n")
    peer.close()
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
END
    : >"$root/held"
    python3 "$root/hold.py" "$1" >>"$root/held" 2>/dev/null &
    for _ in $(seq 50); do
        grep -q '^full 4' "$root/held" && return
        sleep 0.1
    done
    changed "the four ports could not be taken"
}

serve() {
    script=$1
    shift
    : >"$root/$script.out"
    python3 "$root/$script" "$@" >"$root/$script.out" 2>"$root/$script.log" &
    for _ in $(seq 50); do
        ! grep -q ready "$root/$script.out" || return 0
        sleep 0.1
    done
    changed "$script does not serve"
}

tell_source() {
    cat >"$root/source.py" <<'END'
import http.server, socket, sys
class Tell(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = f"from {self.client_address[0].removeprefix('::ffff:')} port {self.client_address[1]}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_CONNECT(self):
        self.send_response(200)
        self.end_headers()
        self.close_connection = False
    def log_message(self, *_):
        pass
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
server = Server(("::", int(sys.argv[1])), Tell)
print("ready", flush=True)
server.serve_forever()
END
    serve source.py "$1"
}

start_nginx() {
    cat >"$root/conf" <<END
user root root;
daemon off;
master_process off;
pid $root/pid;
events {}
http {
    access_log off;
    client_body_temp_path $root/t1;
    proxy_temp_path $root/t2;
    fastcgi_temp_path $root/t3;
    uwsgi_temp_path $root/t4;
    scgi_temp_path $root/t5;
$(cat)
}
END
    "$root/usr/sbin/nginx" -c "$root/conf" -p "$root" -e "$root/log" &
}

get() {
    python3 - "$1" >"$root/got" <<'END'
import sys, time, urllib.error, urllib.request
for _ in range(100):
    try:
        answer = urllib.request.urlopen(sys.argv[1], timeout=5)
    except urllib.error.HTTPError as error:
        answer = error
    except OSError:
        time.sleep(0.1)
        continue
    print(answer.status, answer.read().decode(errors="replace"), end="")
    break
END
}
