"""For test_matrix.py: servers run by hand, and the comparison of the log with what `ss` shows.

A connection has two ends in a namespace that holds both the program under test and its peer. A TIME-WAIT belongs to the
preloaded program if its peer port is one that the program connects to (`out`), or its local port is one that the program
accepts on (`into`); the same two swapped belong to the bare peers.
"""

import collections
import os
import pwd
import shutil
import subprocess

import kernel
from fixture import PACKAGES, equal, quadruplet_of

HOST = "10.1.0.1"

PACKAGES.update({
    "nginx": "nginx", "haproxy": "haproxy", "php": "php-cli", "perl": "perl", "psql": "postgresql-client", "git": "git",
    "ssh": "openssh-client", "sshd": "openssh-server", "openssl": "openssl", "memcached": "memcached",
    "memcstat": "libmemcached-tools", "memcping": "libmemcached-tools", "ssh-keygen": "openssh-client",
    "redis-benchmark": "redis-tools", "ab": "apache2-utils", "wrk": "wrk", "ss": "iproute2",
    "unshare": "util-linux",
})

os.environ["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin"  # daemons, for whoever is not root


def ss_time_waits():
    """The quadruplets of the TIME-WAIT sockets of this namespace, by ss, sorted."""
    out = subprocess.run(["ss", "-Htn", "state", "time-wait"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                         check=True).stdout
    ends = [[end.rsplit(":", 1) for end in line.split()[2:4]] for line in out.splitlines()]
    return sorted(kernel.Quadruplet(plain(l), int(lp), plain(p), int(pp)) for (l, lp), (p, pp) in ends)


def plain(address):
    address = address.strip("[]")
    return address[7:] if address.startswith("::ffff:") else address


def told(t, quads, peers):
    """What the log says of these quadruplets in words, for a failure."""
    keys = ("direction", "via", "state", "fate", "verified", "decided_by", "program")
    rows = []
    for e in t.events("time-wait") + t.events("close"):
        q = quadruplet_of(e)
        if q in quads:
            at_peer = kernel.Quadruplet(q.peer, q.peer_port, q.local, q.local_port) in peers
            rows.append(" ".join(str(e.get(k)) for k in keys) + (", TIME-WAIT at the peer" if at_peer else ""))
    return "".join(f"\n  {count} x {row}" for row, count in collections.Counter(rows).items())


def same(t, what, out=(), into=(), other=(), least=1, sources=()):
    """TIME-WAITs of the program = its time-wait events, one to one by quadruplet, with the right direction; at least so many;
    over all these sources. out, into: ports that it connects to, that it accepts on; other: ports that its peers connect to.
    Returns the quadruplets of both."""
    for port in (*out, *into, *other):
        kernel.settle(port)
    waits = ss_time_waits()
    ours = [q for q in waits if q.peer_port in out or q.local_port in into]
    peers = [q for q in waits if q.local_port in out or q.peer_port in into or {q.local_port, q.peer_port} & set(other)]
    equal(sorted(ours + peers), waits, "every TIME-WAIT is the program's or its peers'")
    events = t.events("time-wait")
    logged = sorted(quadruplet_of(e) for e in events)
    print(f"{what}: {kernel.counter('TcpActiveOpens')} connections in the namespace; "
          f"TIME-WAITs of the program {len(ours)}, its events {len(logged)}; TIME-WAITs of its peers {len(peers)}")
    if logged != ours:
        missed = collections.Counter(ours) - collections.Counter(logged)
        extra = collections.Counter(logged) - collections.Counter(ours)
        raise AssertionError(f"{what}: {len(ours)} TIME-WAITs, {len(logged)} events; no event for {list(missed)[:3]} "
                             f"({missed.total()}), no TIME-WAIT for {list(extra)[:3]} ({extra.total()})"
                             f"{told(t, (*extra, *missed), peers)}")
    for e in events:
        equal(e["direction"], "outbound" if e["peer_port"] in out else "inbound", f"direction of {quadruplet_of(e)}")
    assert len(ours) >= least, f"{what}: {len(ours)} TIME-WAITs, want at least {least}"
    assert set(sources) <= {q.local for q in ours}, f"{what}: sources used: {collections.Counter(q.local for q in ours)}"
    return ours, peers


def listens(port):
    return any(s.local_port == port for s in kernel.sockets("LISTEN"))


def serve(t, argv, port, bare=True, **options):
    """Starts a server, which is not preloaded unless told so, and waits until it listens."""
    process = t.start(argv, bare=bare, **options)
    output = os.path.join(t.folder, f"out{t.count}")

    def ready():
        assert process.poll() is None, f"{argv[0]} ended with {process.returncode}: {text(output)}"
        return listens(port)
    kernel.wait_until(ready, 20, f"{argv[0]} does not listen")
    return process


def text(path):
    with open(path, errors="replace") as f:
        return f.read()


def put(t, name, content, mode=0o600):
    path = os.path.join(t.folder, name)
    with open(path, "w") as f:
        f.write(content)
    os.chmod(path, mode)
    return path


def end(process, number, what):
    """Ends it with that signal, gently: it must leave by itself."""
    process.send_signal(number)
    process.wait(timeout=20)
    assert process.returncode in (0, -number, 128 + number), f"{what} left with {process.returncode}"


def as_user(name):
    """The start of a command that runs it as that user, but with our rights to the test's files: by a user namespace, so
    that nothing needs to be given away, and no second user need exist in ours. For daemons that refuse to be root."""
    uid = pwd.getpwnam(name).pw_uid
    return ["unshare", "--user", f"--map-user={uid}", f"--map-group={uid}", "--"]


def is_full_root():
    """Root over all users, who may become another: not the root of a user namespace that has only one."""
    with open("/proc/self/uid_map") as f:
        return os.geteuid() == 0 and int(f.read().split()[2]) > 65534


def postgres_home():
    """The folder of initdb and postgres, which Debian keeps out of PATH."""
    for folder in sorted(os.listdir("/usr/lib/postgresql") if os.path.isdir("/usr/lib/postgresql") else ()):
        path = f"/usr/lib/postgresql/{folder}/bin"
        if os.path.exists(f"{path}/initdb"):
            return path
    found = shutil.which("initdb")
    return os.path.dirname(found) if found else None
