"""System calls that the shim adds to a client's own: a small C client (calls.c) under strace, bare and preloaded.

What a process does once is left out with the first round: at the first connect or accept SO_NETNS_COOKIE, gettid and a stat
of /proc/self/ns/pid, for its events and its entry that survives a kill; where a pool names ports, open, read and close of the
sysctl of the ephemeral range. And, at the first TCP socket, mmap of the pages of its tables.
"""

import collections
import os
import re
import selectors
import socket
import threading
import time

from fixture import equal, needs

ROUNDS = 12


def peer():
    """A server that closes a connection when it has read something from it, but not when it has only come to its end."""
    listener = socket.create_server(("10.1.0.1", 9000), backlog=128)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)

    def loop():
        while True:
            for key, _ in selector.select():
                if key.fileobj is listener:
                    selector.register(listener.accept()[0], selectors.EVENT_READ)
                else:
                    selector.unregister(key.fileobj)
                    if key.fileobj.recv(100):
                        key.fileobj.close()
    threading.Thread(target=loop, daemon=True).start()
    return 9000


def rounds(path):
    """What strace wrote -> for each round, the system calls after each mark: {mark: [call, ...]}."""
    found, word = [], "-"
    with open(path) as f:
        for line in f:
            mark = re.search(r'write\(-1, "([a-z-]+)"', line)
            call = re.match(r"(?:\d+ +)?(\w+)\((?:\d+, (SO?L_?\w*|IPPROTO_\w+|0x\w+), (\w+))?", line)
            if mark:
                word = mark[1]
                if word == "round":
                    found.append({})
                elif word != "-":
                    found[-1][word] = []
            elif call and found and word not in ("-", "round", "end"):
                name = call[3] if "sockopt" in call[1] and call[3] else call[1]
                found[-1][word].append({"0x33": "IP_LOCAL_PORT_RANGE"}.get(name, name))  # strace 6.1 has no name for it
    return found


def trace(t, port, bare):
    path = os.path.join(t.folder, "bare" if bare else "shim")
    env = ["-E", "LD_PRELOAD=" + t.environment()["LD_PRELOAD"]] if not bare else []
    for _ in range(5):  # the sysctl of the ephemeral range is read again after a second: a trace that took so long has that in a later round
        began = time.monotonic()
        t.run(["strace", "-f", "-o", path] + env + [t.program("calls"), "10.1.0.1", str(port), str(ROUNDS)],
              bare=True, CONNSPREAD_CONF=t.conf)
        if time.monotonic() - began < 0.9:
            break
    found = rounds(path)
    equal(len(found), ROUNDS, "rounds in the trace")
    return found


def added(t, port):
    """{mark: the calls that the shim adds}, the same in every round but the first."""
    bare, shim = trace(t, port, True), trace(t, port, False)
    total = {}
    for word in bare[1]:
        extra = []
        for b, s in zip(bare[1:], shim[1:]):
            more = collections.Counter(s[word]) - collections.Counter(b[word])
            assert not collections.Counter(b[word]) - collections.Counter(s[word]), f"{word}: {b[word]} became {s[word]}"
            extra.append(sorted(more.elements()))
        total[word] = max(extra, key=len)
        print(f"{word:20} {len(total[word])}  {' '.join(total[word])}")
        equal([e for e in extra if e != extra[0]], [], f"{word}: rounds other than the first of {extra[0]}")
    for word in shim[0]:
        once = collections.Counter(shim[0][word]) - collections.Counter(shim[1][word])
        if once:
            print(f"once, {word}: {' '.join(once.elements())}")
    return total


def at_most(calls, **limits):
    for word, most in limits.items():
        word = word.replace("_", "-")
        assert len(calls[word]) <= most, f"{word}: {len(calls[word])} system calls added ({calls[word]}), want at most {most}"


@needs("strace")
def test_spread_and_logged(t):
    t.spread(t.sources())
    calls = added(t, peer())
    for word in "close-unix", "close-udp", "close-accepted-unix", "connect-unix", "connect-udp":
        equal(calls[word], [], word)
    at_most(calls, close_file=1, close_tcp=3, close_unconnected=1, close_passive=3, close_nonblocking=4, close_shut=4,
            connect_tcp=3, connect_nonblocking=3)
    t.attached()


@needs("strace")
def test_ports_of_a_pool(t):
    """A pool that names its ports costs no more."""
    t.spread(t.sources(), pool='    ports = { "40000-50000" }')
    at_most(added(t, peer()), close_tcp=3, connect_tcp=3, connect_nonblocking=3)


@needs("strace")
def test_ports_outside_the_ephemeral_range(t):
    """They are bound one by one: a second bind, and SO_REUSEADDR around it."""
    t.spread(t.sources(), pool='    ports = { "20000-30000" }')
    at_most(added(t, peer()), close_tcp=3, connect_tcp=5, connect_nonblocking=5)


@needs("strace")
def test_ignored(t):
    """No rule: a connect is only watched, its close is logged."""
    t.sources()
    t.config("log {\n}\n")
    at_most(added(t, peer()), close_file=1, close_tcp=3, connect_tcp=0, connect_nonblocking=0)
    equal(len(t.events("time-wait")), 3 * ROUNDS, "time-wait events")


@needs("strace")
def test_off(t):
    """Mode off: nothing is asked at a connect."""
    t.spread(t.sources(), top='mode = "off"')
    at_most(added(t, peer()), connect_tcp=0, connect_nonblocking=0)
    equal(t.events("time-wait"), [], "events")
