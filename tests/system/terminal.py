"""The tool on a terminal: a pseudo-terminal of a given size, and what was written to it."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import unicodedata

from fixture import TOOL

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def resize(fd, columns, lines=24):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


def written(t, columns, *arguments, check=None, **extra):
    """What `connspread ARGUMENTS` writes to a terminal of so many columns; COLUMNS is not in its environment, TERM is xterm."""
    master, slave = pty.openpty()
    resize(slave, columns)
    process = subprocess.Popen([TOOL, *arguments], env=t.environment(bare=True, **{"TERM": "xterm", **extra}), stdin=subprocess.DEVNULL,
                               stdout=slave, stderr=subprocess.PIPE)
    os.close(slave)
    got = b""
    try:
        while block := os.read(master, 65536):
            got += block
    except OSError:  # EIO: the other end is closed
        pass
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
