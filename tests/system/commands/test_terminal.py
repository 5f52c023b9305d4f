"""What the tool writes fits the terminal that it writes to, and says the same as elsewhere."""

import json
import re

import kernel
import terminal
from fixture import equal, full

WIDTHS = 40, 80, 100, 200
# A rule's title and a program's name of characters that take two columns, one, and none.
WIDE_TITLE = "数据库-ру́-title"
COMMANDS = {"stat": (), "log": (), "report": (), "quads": (), "doctor": ("bash",)}


def staged(t):
    """Both families, every column of stat filled, incidents."""
    kernel.port_range(40000, 40007)
    sources = t.sources() + t.sources6()
    t.config(f'log {{ closes = "all" }}\npool "p" {{ addresses = {{ {", ".join(chr(34) + s + chr(34) for s in sources)} }} }}\n'
             f'pool "few" {{ addresses = {{ "10.0.0.11" }} }}\n'
             f'rule "{WIDE_TITLE}" {{ to = {{ "10.1.0.1:9001" }}\n pool = "few"\n on-exhausted = "error" }}\n'
             f'rule "r" {{ to = {{ "*" }}\n pool = "p" }}\n')
    port, port6 = t.server(), t.server(address="fd00:2::1")
    agent = t.agent()
    agent(f"hold(12, '10.1.0.1', {port})")
    equal(agent(f"hold(8, 'fd00:2::1', {port6}, AF_INET6)"), [0, 16], "connections, those of IPv4 with them")
    agent("attempt(socket.socket().connect, ('10.1.0.1', 1))")
    agent.end()
    for p in port, port6:
        kernel.settle(p)  # or what log says of a close differs from one call to the next


def own(t, command):
    return () if command in ("quads", "doctor") else ("-c", t.conf)


def words(text):
    return re.sub(r"\s+", "", terminal.ESCAPE.sub("", text))


def fit(t, commands, widths):
    for command in commands:
        for width in widths:
            got = terminal.written(t, width, command, *own(t, command), *COMMANDS[command])
            line = terminal.widest(got)
            assert terminal.cells(line) <= width, f"{command} at {width}: {terminal.cells(line)} columns: {line}"
            assert len(got.split("\n")) > 2, got


@full
def test_no_line_is_wider_at_any_width(t):
    staged(t)
    fit(t, COMMANDS, WIDTHS)
    for width in WIDTHS:
        line = terminal.widest(terminal.written(t, width, "stat", "--all"))
        assert terminal.cells(line) <= width, f"stat --all at {width}: {line}"


def test_no_line_is_wider(t):
    staged(t)
    fit(t, ("stat", "log", "report", "quads"), (80,))
    assert "fd00:1::" in t.tool("quads", check=0).stdout, "no IPv6 address"
    assert terminal.cells(terminal.widest(t.tool("log", "-c", t.conf, check=0).stdout)) > 150, "no line needed to be broken"


@full
def test_nothing_is_lost_by_breaking(t):
    """The same characters, but for where a line was broken, the columns that were left out, and what changes by itself."""
    staged(t)
    wide = t.tool("log", "-c", t.conf, check=0).stdout
    for width in WIDTHS:
        equal(words(terminal.written(t, width, "log", "-c", t.conf)), words(wide), f"log at {width}")
    for width in 80, 100, 200:
        got = terminal.written(t, width, "stat", "-c", t.conf)
        titles = set(t.tool("stat", "-c", t.conf, check=0).stdout.split("\n\n")[1].split("\n")[0].split())
        assert {"failed", "syn-timeouts"} <= titles, titles
        equal({title for title in titles if title not in got}, set(), f"columns that stat at {width} does not name")
        assert WIDE_TITLE in got, got


@full
def test_help_fits(t):
    listed = re.findall(r"^  (\w+) ", t.tool("--help", check=0).stdout.split("commands:\n")[1].split("\n\n")[0], re.M)
    assert len(listed) > 10, listed
    for arguments in [("--help",), ()] + [(name, "--help") for name in listed]:
        for width in WIDTHS:
            got = terminal.written(t, width, *arguments, check=0)
            line = terminal.widest(got)
            assert terminal.cells(line) <= width, f"{arguments} at {width}: {line}"
            equal(words(got), words(t.tool(*arguments, check=0).stdout), f"{arguments} at {width}")


def test_width_that_is_asked_for(t):
    """--wide and what is no terminal have no bound; COLUMNS is stronger than the terminal; 100 where it does not know."""
    staged(t)
    everything = t.tool("log", "-c", t.conf, check=0).stdout
    equal(terminal.ESCAPE.sub("", terminal.written(t, 80, "log", "--wide", "-c", t.conf)), everything, "log --wide")
    equal(t.tool("log", "-c", t.conf, check=0, COLUMNS="80").stdout, everything, "log into a pipe, COLUMNS=80")
    for columns, said, want in ((80, "120", 120), (80, "none", 80), (0, "0", 100)):
        line = terminal.widest(terminal.written(t, columns, "log", "-c", t.conf, COLUMNS=said))
        assert want - 20 < terminal.cells(line) <= want, f"terminal of {columns}, COLUMNS={said}: {terminal.cells(line)} columns"


@full
def test_colours(t):
    """On what failed, on a terminal, and nowhere where they are not wanted."""
    staged(t)
    red = "\x1b[31mexhausted\x1b[0m"
    assert red in terminal.written(t, 100, "log", "-c", t.conf), "an exhausted event is not red"
    assert re.search(r"\x1b\[31mFAILED\x1b\[0m", terminal.written(t, 100, "report", "-c", t.conf)), "FAILED is not red"
    for extra in {"NO_COLOR": "1"}, {"TERM": "dumb"}:
        for command in COMMANDS:
            got = terminal.written(t, 100, command, *own(t, command), **extra)
            assert "\x1b" not in got, f"{command}, {extra}: {got!r}"
    for command in COMMANDS:
        assert "\x1b" not in t.tool(command, *own(t, command), TERM="xterm").stdout, f"{command} into a pipe"


@full
def test_json_is_the_same(t):
    staged(t)
    got = terminal.written(t, 80, "log", "-o", "json", "-c", t.conf)
    equal([json.loads(line) for line in got.splitlines()], t.events(), "events as JSON on a terminal")
