#!/bin/sh
# Installs the Debian packages that a step needs: contrib/deps.sh build|demo|check|lint|full|deb
# Prints what is missing and the command; runs it as root, or through sudo where that asks no password. DEPS=no: does nothing.
# DEPS=list: prints their names.
set -eu

build="gcc make libc6-dev libconfuse-dev libjansson-dev"
demo="$build iproute2 procps python3"
# At most 20: what `make check` needs beyond a minimal Debian. Tests that need another are left to check-full (tests/system/fixture.py).
check="$demo check strace nftables binutils curl wget netcat-openbsd socat git mandoc"
# The programs that the tests of check-full preload, and what serves them.
clients="redis-server redis-tools nodejs default-jdk-headless libjemalloc2 libtcmalloc-minimal4 nginx haproxy php-cli perl
         postgresql postgresql-client openssh-server openssh-client openssl memcached libmemcached-tools apache2-utils wrk
         tmux siege httperf nghttp2-client netcat-traditional
         prometheus prometheus-alertmanager prometheus-node-exporter clickhouse-server clickhouse-client npm logrotate systemd chromium firefox-esr bubblewrap mptcpize"
deb="$build debhelper dpkg-dev fakeroot"
lint="clang-format clang-tidy cppcheck git make"
full="$check $clients $lint clang libclang-rt-dev debhelper dpkg-dev fakeroot lintian mmdebstrap arch-test valgrind musl-tools llvm
      rpm rpmlint
      python3-twisted jq python3-testsuite python3-yaml golang-go rustc fp-compiler liburing-dev"
[ "$(uname -m)" != x86_64 ] || full="$full gcc-multilib"

case "${1:-}" in
build) packages=$build ;;
demo) packages=$demo ;;
check) packages=$check ;;
lint) packages=$lint ;;
full) packages=$full ;;
deb) packages=$deb ;;
*) echo "usage: contrib/deps.sh build|demo|check|lint|full|deb" >&2; exit 2 ;;
esac

case "${DEPS:-yes}" in
no) exit 0 ;;
list) printf '%s\n' $packages; exit 0 ;;
esac
if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "deps: not a Debian system; these packages' equivalents are needed:" $packages >&2
    exit 0
fi

# The tests of Debian's python3 come with its version in their name.
python_testsuite() {
    apt-cache depends python3 2>/dev/null | sed -n 's/.*Depends: \(python3\.[0-9]*\)$/lib\1-testsuite/p' | head -n 1
}

# What counts is the program, not who packaged it: node and java may come from elsewhere.
provided() {
    case "$1" in
    nodejs) command -v node ;;
    npm) command -v npm ;;
    rustc) command -v rustc ;;
    default-jdk-headless) command -v javac ;;
    clang-format) command -v clang-format ;;
    clang-tidy) command -v clang-tidy ;;
    python3-yaml) /usr/bin/python3 -c 'import yaml' ;;
    python3-testsuite) /usr/bin/python3 -c 'import test.test_socket' ;;
    *) dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed' ;;
    esac >/dev/null 2>&1
}

missing=
for package in $packages; do
    provided "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

case "$missing" in *" python3-testsuite"*)
    suite=$(python_testsuite)
    missing="${missing% python3-testsuite*} ${suite:-libpython3.11-testsuite}${missing#* python3-testsuite}"
    ;;
esac
command="apt-get install -y --no-install-recommends$missing"
echo "deps: missing:$missing"
if [ "$(id -u)" = 0 ]; then
    sudo=
elif sudo -n true 2>/dev/null; then
    sudo=sudo
else
    echo "deps: run as root: apt-get update && $command" >&2
    exit 1
fi
echo "deps: ${sudo:+sudo }$command"
$sudo apt-get update -q >/dev/null
# Daemons that come with a package must not start on this host because somebody ran its tests.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null
    $sudo chmod 755 $policy
    trap '$sudo rm -f $policy' EXIT
fi
DEBIAN_FRONTEND=noninteractive $sudo ${sudo:+env DEBIAN_FRONTEND=noninteractive} $command >/dev/null
