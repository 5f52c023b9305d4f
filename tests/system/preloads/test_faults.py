"""Every system call of the shim's own fails, each in turn, with each errno that the kernel might give: an unmodified client
sees what it sees without us, line by line of its transcript.

faults.so, preloaded behind the shim, hands the calls whose instruction lies in libconnspread.so to faults.c, which lets
one of them fail, or all of a kind (a call, or one socket option)."""

import collections
import concurrent.futures
import errno
import os
import shutil
import subprocess

from fixture import SHIM, Skip, equal, full, limit
from test_transparent import STALE_PORT, scene

ERRNOS = ("EPERM", "EACCES", "ENOMEM", "EMFILE", "ENFILE", "EINTR", "EAGAIN", "EINVAL", "ENOSYS", "EBADF", "ENOBUFS", "EADDRNOTAVAIL",
          "EADDRINUSE", "ENOPROTOOPT", "EIO", "ENOSPC")
BIND = 49  # the system call's number, here
VERIFY = 'log { verify = "always" size = "128k" }'


# The kernel's address lock after bind, undo, connect and AF_UNSPEC; see the manual. What is bound is undone here because what
# should have followed the bind failed.
ADDRESS_LOCK = {line.replace("no address", "an address"): STALE_PORT[line] for line in STALE_PORT}


class Lab:
    """One client program under one config: its transcript bare, and with a fault."""

    def __init__(self, t, program, config):
        self.t = t
        address, port = scene(t, config)
        with open(t.conf) as f:
            text = f.read()
        t.config(VERIFY + "\n" + text)
        self.argv = [t.program(program), address, str(port)]
        self.bare = self.lines(t.run(self.argv, bare=True).stdout)
        self.runs, self.wrong = 0, []

    @staticmethod
    def lines(text):
        return [ADDRESS_LOCK.get(line, STALE_PORT.get(line, line)) for line in text.splitlines()]

    def run(self, number, listing, what, error):
        """In a state folder of its own, so that what one run learns another does not know."""
        folder = os.path.join(self.t.folder, f"faults-{number}")
        os.mkdir(folder, 0o700)
        env = self.t.environment(bare=True, FAULTS_PRELOAD=f"{SHIM} {self.t.program('faults.so')}", CONNSPREAD_CONF=self.t.conf, CONNSPREAD_DIR=folder,
                                 CONNSPREAD_SECCOMP="trust")
        try:
            return subprocess.run([self.t.program("faults"), listing, what, str(error)] + self.argv, env=env, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=10)
        finally:
            shutil.rmtree(folder)

    def calls(self):
        """The kinds of the shim's calls, in their order."""
        listing = os.path.join(self.t.folder, "calls")
        done = self.run("list", listing, "0", 0)
        if done.returncode == 97:
            raise Skip("faults.c knows the registers of x86-64 only")
        equal((done.returncode, done.stderr, self.lines(done.stdout)), (0, "", self.bare), "without a fault")
        with open(listing) as f:
            return f.read().split()

    def fault(self, number, what, name):
        try:
            done = self.run(number, "-", what, getattr(errno, name))
        except subprocess.TimeoutExpired:
            return "hang", what, name, []
        if done.returncode == 98:
            return "not met", what, name, []
        got = self.lines(done.stdout)
        if (done.returncode, done.stderr, got) == (0, "", self.bare):
            return "same", what, name, []
        return "leak", what, name, [f"exit {done.returncode} {done.stderr[-200:]}"] + [f"{a!r} -> {b!r}" for a, b in zip(self.bare, got) if a != b][:3]

    def all(self, faults):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda f: self.fault(*f), [(i, *f) for i, f in enumerate(faults)]))
        return found


# A port that a client's bind(address, 0) was promised must be bound in the end. Where the kernel lets nobody bind, the client's
# own bind would have failed as well, and nothing but an error could be the same.
HOPELESS = {("compare_calls", str(BIND))}


def inject(t, program, config, kinds_with, calls_with):
    """Each kind of call with so many of the errnos, then each single call with so many."""
    lab = Lab(t, program, config)
    calls = lab.calls()
    kinds = sorted(set(calls))
    faults = [(kind, ERRNOS[(i + k) % len(ERRNOS)]) for i, kind in enumerate(kinds) for k in range(kinds_with) if (program, kind) not in HOPELESS]
    faults += [(f"#{n + 1}", ERRNOS[(n + 5 * k) % len(ERRNOS)]) for n in range(len(calls)) for k in range(calls_with)]
    found = lab.all(faults)
    count = collections.Counter(f[0] for f in found)
    print(f"{program}, {config}: {len(calls)} calls of {len(kinds)} kinds; {len(found) - count['not met']} faults injected, {count['leak']} errors leaked, "
          f"{count['hang']} hangs")
    bad = [f for f in found if f[0] in ("leak", "hang")]
    for outcome, what, name, lines in bad[:40]:
        kind = calls[int(what[1:]) - 1] if what[0] == "#" else what
        print(f"{outcome} {what} ({kind}) {name}: " + "; ".join(lines))
    equal(len(bad), 0, "errors that the client would not have had")
    assert count["same"] > 0.9 * len(found), f"{count}: most faults were not met"


@limit(120)
def test_calls(t):
    inject(t, "compare_calls", "pool", 4, 1)


@limit(240)
@full
def test_ends(t):
    inject(t, "compare_ends", "pool", 4, 1)


@full
@limit(300)
def test_every_errno_calls(t):
    inject(t, "compare_calls", "pool", len(ERRNOS), 5)


@full
@limit(300)
def test_every_errno_ends(t):
    inject(t, "compare_ends", "pool", len(ERRNOS), 5)


@full
@limit(300)
def test_every_errno_connects(t):
    inject(t, "compare_connects", "pool", len(ERRNOS), 2)


@full
@limit(300)
def test_every_errno_loopback(t):
    inject(t, "compare_calls", "loopback pool", len(ERRNOS), 5)
