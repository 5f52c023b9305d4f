#!/bin/sh
# ss and ip (iproute2 6.1.0). Almost all programs read "127.1" as 127.0.0.1, since inet_aton() does. One would guess that ss
# finds a connection to it under that name. ss and ip fill up at the other end: to them it is 127.1.0.0. `ss dst 127.1` lists
# nothing, without a word, and `ip address add 127.9/32` adds 127.9.0.0.
# Why it matters: "no connection" is the answer to a question that was not asked.
. "$(dirname "$0")/lib.sh"
packages iproute2=6.1.0-3 libbpf1=1:1.1.2-0+deb12u1 libelf1=0.188-2.1
namespace
cat >"$root/client.py" <<'END'
import os, socket, subprocess
root = os.environ["FINDING_ROOT"]
listener = socket.create_server(("127.0.0.1", 7777))
client = socket.create_connection(("127.1", 7777))
print("connected to", client.getpeername()[0])
def show(*command):
    done = subprocess.run([root + command[0], *command[1:]], capture_output=True, text=True)
    print(" ".join(command[-2:]), "gives", done.returncode, len(done.stdout.splitlines()), done.stderr)
    return done.stdout
show("/bin/ss", "-Htn", "dport", "=", ":7777", "and", "dst", "127.0.0.1")
show("/bin/ss", "-Htn", "dport", "=", ":7777", "and", "dst", "127.1")
show("/bin/ip", "address", "add", "127.9/32", "dev", "lo")
print(show("/bin/ip", "-o", "address", "show", "to", "127.9.0.0/32"))
END
run out env LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu" python3 "$root/client.py"
expect '^connected to 127.0.0.1$' "$root/out"
expect '^dst 127.0.0.1 gives 0 1 ' "$root/out"
expect '^dst 127.1 gives 0 0 $' "$root/out"
expect ' inet 127.9.0.0/32 ' "$root/out"
found
