"""The tool on a terminal: a pseudo-terminal of a given size, and what was written to it."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import threading
import time
import unicodedata

from fixture import TOOL

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def resize(fd, columns, lines=24):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


def read_all(master, process, seconds=30):
    """What process writes to the terminal behind master until it ends. The caller keeps the other end open as long: where the last one
    closes it, Linux may say EIO to a reader before it has had everything."""
    got, poll, end = b"", select.poll(), os.pidfd_open(process.pid)
    for fd in master, end:
        poll.register(fd, select.POLLIN)
    os.set_blocking(master, False)
    deadline, ended = time.monotonic() + seconds, False
    while not ended:
        assert time.monotonic() < deadline, f"{process.args} has not ended after {seconds} s; it wrote {got!r}"
        ended = end in [fd for fd, _ in poll.poll(100)]
        try:
            while block := os.read(master, 65536):
                got += block
        except BlockingIOError:
            pass
    os.close(end)
    return got


def written(t, columns, *arguments, check=None, **extra):
    """What `connspread ARGUMENTS` writes to a terminal of so many columns; COLUMNS is not in its environment, TERM is xterm."""
    master, slave = pty.openpty()
    resize(slave, columns)
    process = subprocess.Popen([TOOL, *arguments], env=t.environment(bare=True, **{"TERM": "xterm", **extra}), stdin=subprocess.DEVNULL,
                               stdout=slave, stderr=subprocess.PIPE)
    got = read_all(master, process)
    os.close(slave)
    os.close(master)
    errors = process.stderr.read().decode()
    status = process.wait(timeout=30)
    assert check is None or status == check, f"connspread {arguments}: exit {status}, want {check}: {errors}"
    return got.decode().replace("\r\n", "\n")


def cells(line):
    """Columns that a line takes."""
    plain = ESCAPE.sub("", line)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in plain)


def widest(text):
    return max(text.split("\n"), key=cells)


ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"


class View:
    """`connspread ARGUMENTS` that goes on, with a terminal of its own; a thread reads what it writes."""

    def __init__(self, t, *arguments, columns=120, lines=30, **extra):
        self.master, self.slave = pty.openpty()
        resize(self.slave, columns, lines)
        self.before = termios.tcgetattr(self.slave)
        self.written = ""

        def begin():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen([TOOL, *arguments], env=t.environment(bare=True, **{"TERM": "xterm", **extra}), stdin=self.slave,
                                        stdout=self.slave, stderr=subprocess.PIPE, preexec_fn=begin)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            while block := os.read(self.master, 65536):
                self.written += block.decode(errors="replace")
        except OSError:
            pass

    def frames(self):
        """What it showed, each time, as lines."""
        return [ESCAPE.sub("", f).replace("\r", "").split("\n") for f in re.findall(r"\x1b\[H(.*?)\x1b\[J", self.written, re.S)]

    def key(self, text):
        os.write(self.master, text.encode())

    def resize(self, columns, lines):
        resize(self.slave, columns, lines)

    def modes(self):
        return termios.tcgetattr(self.slave)

    def restored(self):
        """Are its modes what they were, its own screen and its cursor back, and is nothing written after that?"""
        return self.modes() == self.before and self.written.endswith("\x1b[?25h" + LEAVE)

    def end(self):
        """Its exit status (negative: the signal), and what it wrote to standard error."""
        errors = self.process.stderr.read().decode()
        return self.process.wait(timeout=30), errors
