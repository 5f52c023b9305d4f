# Sourced by debian.sh and rpm.sh: a bare Debian in $root, from this host's own mirror, and commands in it.
fail() {
    echo "FAILED: $*"
    exit 1
}
say() { printf '== %3d s: %s\n' "$SECONDS" "$*"; }

# A command in the bare system: its own processes, which end with it, and none of our environment.
in_root() {
    unshare --mount --pid --fork --kill-child --mount-proc="$root/proc" chroot "$root" /usr/bin/env -i \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@" </dev/null
}
# The same in a network namespace of its own, beside a web server on 127.0.0.1:8000 that leaves the closing to its clients.
served() {
    TOP=$PWD unshare --net --pid --fork --kill-child bash -eu -c '
        ip link set lo up
        python3 -c "import sys, time; sys.path.insert(0, \"tests/system\"); import servers
servers.start(\"127.0.0.1\", \"http\", 8000)
time.sleep(600)" &
        for _ in $(seq 200); do [ -n "$(ss -Htln "sport = 8000")" ] && break; sleep 0.05; done
        "$@"' bash "$@"
}
files() {
    in_root find / -xdev \( -path /proc -o -path /tmp -o -path /var/cache -o -path /var/lib/apt -o -path /var/lib/dpkg -o -path /var/log \) \
        -prune -o -print | sort
}

. /etc/os-release
mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
    awk -v name="$VERSION_CODENAME" '$2 == name && $3 == "main" { print $1; exit }')
[ -n "$mirror" ] || fail "this host's apt has no source for $VERSION_CODENAME main"
