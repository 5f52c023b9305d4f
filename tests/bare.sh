# Sourced by arm64.sh, debian.sh, musl_root.sh and rpm.sh: this host's own mirror, and commands in a bare system in $root.
. tests/per_source.sh
fail() {
    echo "FAILED: $*"
    exit 1
}
say() { printf '== %3d s: %s\n' "$SECONDS" "$*"; }

# A command in the bare system: its own processes, which end with it, and none of our environment.
reads_in_root() {
    unshare --mount --pid --fork --kill-child --mount-proc="$root/proc" chroot "$root" /usr/bin/env -i \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}
in_root() { reads_in_root "$@" </dev/null; }
# A command in a network namespace of its own, beside a web server on 127.0.0.1:8000 that leaves the closing to its clients.
served() {
    TOP=$PWD unshare --net --pid --fork --kill-child bash -eu -c '
        ip link set lo up
        python3 -c "import sys, time; sys.path.insert(0, \"tests/system\"); import servers
servers.start(\"127.0.0.1\", \"http\", 8000)
time.sleep(600)" &
        for _ in $(seq 200); do [ -n "$(ss -Htln "sport = 8000")" ] && break; sleep 0.05; done
        "$@"' bash "$@"
}
# README's tour in the bare system, by its shell $1, in a folder that goes with it.
tour() {
    served tests/tour.py console bash -c 'reads_in_root sh -c "mkdir -p /root/tour && cd /root/tour && exec $0"' "$1" || fail "the tour is not as README shows it"
    rm -r "$root/root/tour"
}
files() {
    in_root find / -xdev \( -path /proc -o -path /tmp -o -path /var/cache -o -path /var/lib/apt -o -path /var/lib/dpkg -o -path /var/log \) \
        -prune -o -print | sort
}

. /etc/os-release
mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
    awk -v name="$VERSION_CODENAME" '$2 == name && $3 == "main" { print $1; exit }')
[ -n "$mirror" ] || fail "this host's apt has no source for $VERSION_CODENAME main"
export -f reads_in_root in_root
