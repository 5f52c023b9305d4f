"""The history section of a state file, read byte by byte (src/state/layout.h draws it)."""

import collections
import os
import struct
import time

import kernel

SECTION, MINUTES, FLOWS, PAGE, ENTRY = 11, 1440, 31, 4096, 120
COUNTERS = ("time_waits", "closes", "recovered", "fallback", "failed", "unknown", "range-full", "port-busy",
            "address-not-local", "family-disabled", "unreachable")
MASK = (1 << 64) - 1
HEADER = 168  # bytes before the first (offset, size) of a section
SEGMENT = 640  # and before the kinds of the segments

# One flow in one minute. source "::" is the kernel's choice; counts has connects, connect_us, peak and COUNTERS.
Flow = collections.namedtuple("Flow", "minute netns source destination port program counts")


def _address(raw):
    return kernel._text(kernel.socket.AF_INET6, raw)


def _spread(word, odd):
    return (word ^ word >> 32) * odd


def _key(netns, source, destination, port, program):
    """history_key of a flow (pair_key, history_program): readers believe no entry whose labels do not make its key."""
    words = (netns + 1, *struct.unpack("=4Q", source + destination), port + 1)
    odd = (0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb, 0xff51afd7ed558ccd, 0xc4ceb9fe1a85ec53, 0xd6e8feb86659fd93)
    h = sum(map(_spread, words, odd)) & MASK
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93 & MASK
    h = (h ^ h >> 29) & MASK >> 1 or 1
    p = 0x9e3779b97f4a7c15
    for c in program[:20]:
        p = (p ^ c) * 0x100000001b3 & MASK
    return ((h ^ p ^ p >> 29) * 0xff51afd7ed558ccd & MASK) >> 32 or 1


def _flow(page, i):
    at = 256 + i * ENTRY
    key, minute = struct.unpack_from("=II", page, i * 8)
    packed, *numbers = struct.unpack_from("=Q12I", page, at)
    netns, = struct.unpack_from("=Q", page, at + 56)
    source, destination = page[at + 64:at + 80], page[at + 80:at + 96]
    program = page[at + 96:at + 116].rstrip(b"\0")
    port, = struct.unpack_from("=H", page, at + 116)
    assert key == _key(netns, source, destination, port, program), "an entry's labels do not make its key"
    counts = dict(zip(COUNTERS, numbers), connects=packed >> 38, connect_us=packed & (1 << 38) - 1, peak=numbers[11])
    return Flow(minute, netns, _address(source), _address(destination), port, program.decode(), counts)


def read(t, instance="test", now=None):
    """The flows of the last 1440 minutes, oldest first, and how many counts the rest holds."""
    with open(os.path.join(t.state, instance + ".state"), "rb") as f:
        f.seek(HEADER + SECTION * 16)
        offset, size = struct.unpack("=QQ", f.read(16))
        assert size == MINUTES * PAGE, f"history section of {size} bytes"
        f.seek(offset)
        data = f.read(size)
        further = collections.defaultdict(list)  # pages of the segments, by their minute
        f.seek(SEGMENT)
        kinds = f.read(252)
        f.seek(24)
        behind, = struct.unpack("=Q", f.read(8))
        for i in (i for i, kind in enumerate(kinds) if kind == 3):
            f.seek(behind + (i << 20))
            block = f.read(1 << 20)
            for page in (block[at:at + PAGE] for at in range(0, 1 << 20, PAGE)):
                further[struct.unpack_from("=II", page, FLOWS * 8)[1]].append(page)
    now = int(now or time.time()) // 60
    flows, rest = [], 0
    for minute in range(now - MINUTES + 1, now + 1):
        page = data[minute % MINUTES * PAGE:][:PAGE]
        for one in [page] + further[minute]:
            for i in range(FLOWS):
                key, of = struct.unpack_from("=II", one, i * 8)
                if of == minute and key:
                    flows.append(_flow(one, i))
        for word in struct.unpack_from("=13Q", page, 256 + FLOWS * ENTRY):
            rest += word & (1 << 40) - 1 if word >> 40 == minute & 0xffffff else 0
    return flows, rest


def total(flows, counter, **match):
    return sum(f.counts[counter] for f in flows if all(getattr(f, k) == v for k, v in match.items()))


class Clock:
    """The clocks of clients that are started with `environment()`: ahead of the real ones by as much as told."""

    def __init__(self, t):
        self.t, self.ahead, self.path = t, 0, os.path.join(t.folder, "ahead")
        self.advance(0)

    def advance(self, seconds):
        self.ahead += seconds
        with open(self.path, "r+b" if os.path.exists(self.path) else "wb") as f:
            f.write(struct.pack("=q", self.ahead))

    def next_minute(self):
        """To the first seconds of the next minute, so that what follows is in one."""
        self.advance(60 - int(self.now()) % 60)

    def now(self):
        return time.time() + self.ahead

    def options(self, shim):
        return {"preload": f"{self.t.program('clock_ahead.so')} {shim}", "CLOCK_AHEAD": self.path}
