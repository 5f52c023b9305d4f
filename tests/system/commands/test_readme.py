"""README and contrib/doc: tour, demo and log line show what one sees; what they claim of other ways is so; what they name exists."""

import glob
import os
import re
import shutil
import socket
import subprocess
import sys
import xml.etree.ElementTree

import kernel
from fixture import BUILD, ROOT, TOOL, equal, needs

sys.path.insert(0, os.path.join(ROOT, "tests"))
import tour  # noqa: E402


DEMO = os.path.join(ROOT, "contrib/doc/demo.md")
# What a newcomer reads, and who carries on.
PAGES = ["README.md", "src/README.md", "src/DESIGN.md", "tests/README.md", "contrib/CONTRIBUTING.md"]


def text_of(path):
    with open(os.path.join(ROOT, path)) as f:
        return f.read()


def readme():
    return text_of("README.md")


def pages():
    return PAGES + [os.path.relpath(path, ROOT) for path in glob.glob(os.path.join(ROOT, "contrib/doc/*.md"))]


@needs("curl", "bash")
def test_tour(t):
    """The console blocks, as this build's user would type them, beside a server that lets its clients close first."""
    t.server("127.0.0.1", "http", 8000)
    env = t.environment(bare=True)
    env["PATH"] = BUILD + ":" + env["PATH"]
    wrong = tour.tour(["bash"], cwd=t.folder, env=env)
    assert not wrong, wrong
    equal(dict(kernel.by_source(8000)), {f"127.0.0.{n}": 1 for n in range(1, 6)}, "sources")


def test_tour_can_fail(t):
    """The comparison of the tour is one."""
    shown = ["a", tour.ELLIPSIS, "z"]
    equal([tour.matches(shown, got) for got in (["a", "z"], ["a", "b", "z"], ["a", "b"], ["b", "z"], [])], [True, True, False, False, False], "matches")
    equal(tour.plain("2026-11-21T07:27:23.758254Z curl[811] 127.0.0.2:47113 -> 127.0.0.1:8000 age 5.9ms"),
          "TIME curl[PID] 127.0.0.2:PORT -> 127.0.0.1:8000 age DURATION", "plain")


@needs("unshare", "bash")
def test_demo(t):
    """The text block of contrib/doc/demo.md is what `make demo` prints."""
    done = subprocess.run([os.path.join(ROOT, "tests/demo.sh")], env=dict(os.environ, BUILD=BUILD, TMPDIR=t.folder), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    equal(done.returncode, 0, done.stdout)
    got = [tour.plain(line) for line in done.stdout.splitlines()]
    shown = [tour.plain(line) for block in tour.blocks("text", DEMO) for line in block.splitlines() if line != tour.ELLIPSIS]
    assert len(shown) >= 5, shown
    equal([line for line in shown if line not in got], [], f"lines of demo.md that the demo did not print: {done.stdout}")


@needs("python3")
def test_server_of_the_tour(t):
    """The server that README proposes lets its clients close first."""
    command = re.search(r"`(python3 -m http.server [^`]*)`", readme())[1].split()
    server = t.start(command, bare=True)

    def listens():
        assert server.poll() is None, f"{command} ended"
        return any(s.local_port == 8000 for s in kernel.sockets("LISTEN"))

    kernel.wait_until(listens, 10, "the server does not listen")
    with socket.create_connection(("127.0.0.1", 8000)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(15) == b"HTTP/1.1 200 OK"
        client.settimeout(0.3)
        try:
            while client.recv(65536):
                pass
            raise AssertionError("the server closed first")
        except TimeoutError:
            pass
    server.kill()
    server.wait()


@needs("nft")
def test_snat_does_not_help_on_the_host_itself(t):
    """Four addresses by SNAT, 16 ports: the 17th connection fails all the same, and over a pool of four the 64th does not."""
    kernel.port_range(40000, 40015)
    t.sources()
    port = t.server()
    kernel.nft(f"add table ip nat\nadd chain ip nat out {{ type nat hook postrouting priority srcnat; }}\n"
               f"add rule ip nat out tcp dport {port} snat to 10.0.0.11-10.0.0.14\n")
    code = ("import errno, socket, sys\nfailed = 0\nfor _ in range(int(sys.argv[2])):\n s = socket.socket()\n"
            " try: s.connect(('10.1.0.1', int(sys.argv[1])))\n except OSError as e: failed += e.errno == errno.EADDRNOTAVAIL\n s.close()\nprint(failed)")
    equal(t.python(code, port, 20, bare=True).stdout, "4\n", "connections of 20 that failed behind SNAT")
    kernel.nft("flush ruleset\n")
    t.spread(["10.0.0.11", "10.0.0.12", "10.0.0.13", "10.0.0.14"])
    equal(t.python(code, port, 64).stdout, "0\n", "connections of 64 that failed over a pool of four")


def test_config_and_its_log_line(t):
    """The six lines of config, as they stand there, and the log line that a client of that name leaves under them."""
    (config,), (log,) = tour.blocks("conf"), tour.blocks("log")
    equal(len(config.splitlines()), 6, "lines of config")
    t.sources()
    kernel.add_addresses("10.2.0.1")
    t.server("10.2.0.1", port=6379)
    t.conf = os.path.join(t.folder, "redis.conf")
    kernel.write(t.conf, config)
    t.tool("check", "-c", t.conf, check=0)
    client = shutil.copy(t.program("plain_client"), os.path.join(t.folder, "php-fpm"))
    t.run([client, "10.2.0.1", "6379", "1"], via="run")
    kernel.settle(6379)  # or log does not say yet that it is verified
    (command, shown), = tour.steps(log)
    env = dict(t.environment(bare=True), PATH=os.path.dirname(TOOL) + ":" + os.environ["PATH"])
    done = subprocess.run(["sh", "-c", command], cwd=t.folder, env=env, capture_output=True, text=True)
    equal([tour.plain(line) for line in done.stdout.splitlines()], [tour.plain(line) for line in shown], f"the log: {done.stderr}")


def test_readme_is_short(t):
    """One screen says what it is, with a picture, the commands, a config and a log line; all of it is 130 lines of 120 columns."""
    lines = readme().splitlines()
    equal([line for line in lines if len(line) > 120], [], "lines of more than 120 columns")
    assert len(lines) <= 130, f"README has {len(lines)} lines"
    screen = "\n".join(lines[:lines.index("## Install")])
    assert screen.count("\n") < 48, "the first screen has grown"
    for words in "**For**", "**Not for**", "apt install git make", "make demo", "make check", "```conf", "```log":
        assert words in screen, f"the first screen lacks {words}"
    assert screen.index("apt install git make") < screen.index("\nmake demo"), "what a minimal Debian lacks comes after the first command"


def commands_of(text):
    return set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", text, re.M))))


def test_what_it_names_exists(t):
    """Files, commands, make targets; what a page links to, and heads that it links to."""
    text = readme()
    for page in pages():
        for path in set(re.findall(r"`((?:conf|contrib|src|tests)/[\w./-]*)`", text_of(page))):
            assert os.path.exists(os.path.join(ROOT, path)), f"{page} names {path}"
        for path in set(re.findall(r"\]\(((?!https?:)[^)#]+)", text_of(page))):
            assert os.path.exists(os.path.join(ROOT, os.path.dirname(page), path)), f"{page} links to {path}"
    with open(os.path.join(ROOT, "Makefile")) as f:
        targets = set(re.findall(r"^([a-z0-9_.-]+):", f.read(), re.M))
    named = set(re.findall(r"(?:`|^)make ([a-z0-9-]+)", text, re.M))
    assert named >= {"demo", "check", "install", "uninstall", "deb"}, named
    for page in pages():
        named |= set(re.findall(r"(?:`|^)make ([a-z0-9_.-]*[a-z0-9])(?![\w-]*[A-Z])", text_of(page), re.M))
    equal(named - targets, set(), "make targets that are named and there are not")
    commands = re.findall(r"^  (\w+) ", t.tool("--help", check=0).stdout.split("commands:\n")[1].split("\n\n")[0], re.M)
    equal(set(commands) - commands_of(text), set(), "commands that README's table has not")


def test_pictures(t):
    """README's pictures are what the tool makes: `make pictures` would change nothing. They are well formed and have a description."""
    subprocess.run([os.path.join(ROOT, "contrib/doc/pictures"), TOOL, t.folder], check=True)
    for name in "report.svg", "parts.svg":
        with open(os.path.join(t.folder, name), encoding="utf-8") as f:
            made = f.read()
        assert made == text_of("contrib/doc/" + name), f"contrib/doc/{name} is not what the source makes; try: make pictures"
        picture = xml.etree.ElementTree.fromstring(made)
        assert len(picture.findtext("{*}desc")) > 80 and f"](contrib/doc/{name})" in readme(), name
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|<script|href", made), name
    text = "".join(picture.itertext())
    for part in "libconnspread.so", "connspread.conf", "state file", "report", "doctor":
        assert part in text, f"{part} is not in parts.svg"
