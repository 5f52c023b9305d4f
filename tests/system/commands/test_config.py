"""A config with mistakes is refused, clearly and whole; a service that is preloaded with it runs all the same."""

import os
import re

import kernel
from fixture import equal

# Ten mistakes. What must be told: line, a word of the message.
BAD = """mode = "enforced"
canary = 140
colour = "red"
log { size = "8X" }
pool "a" {
    addresses = { "10.0.0.300" }
    ports = { "2000-1000" }
    policy = "roundrobin"
}
rule "r" {
    to = { "10.1.0.0/33" }
    pool = "b"
    attempts = 0
}
rule "s" {
    to = { "*" }
    pool = "a"
    on-exhausted = "give-up"
}
pool "a" { addresses = { "10.0.0.1" } }
"""
TOLD = {1: "enforced", 2: "140", 3: "colour", 4: "8X", 6: "10.0.0.300", 7: "2000-1000", 8: "roundrobin", 11: "10.1.0.0/33", 13: "attempts", 18: "give-up", 20: '"a"'}


def told(t, conf, output):
    """line -> message of each line FILE:LINE: ... of the output"""
    found = {}
    for line in output.splitlines():
        match = re.match(re.escape(conf) + r":(\d+): (.*)", line)
        if match:
            found.setdefault(int(match.group(1)), []).append(match.group(2))
    return found


def all_mistakes(t, *command):
    conf = t.config(BAD)
    done = t.tool(*command, "-c", conf, check=2)
    found = told(t, conf, done.stderr)
    for line, word in TOLD.items():
        assert any(word in message for message in found.get(line, [])), f"line {line}: no message with {word!r}: {done.stderr}"
    assert sum(map(len, found.values())) >= 10, f"fewer than ten messages: {done.stderr}"
    equal(done.stdout, "", "stdout")
    equal(t.files(), [], "state files")


def test_check_finds_ten_mistakes(t):
    all_mistakes(t, "check")


def test_run_finds_ten_mistakes_and_runs_nothing(t):
    conf = t.config(BAD)
    mark = os.path.join(t.folder, "started")
    done = t.tool("run", "-c", conf, "--", "touch", mark, check=2)
    assert len(told(t, conf, done.stderr)) >= 10, done.stderr
    assert not os.path.exists(mark), "the command was started"


def test_rule_without_its_pool(t):
    conf = t.config('pool "a" { addresses = { "10.0.0.1" } }\nrule "r" {\n to = { "*" }\n pool = "b"\n}\nrule "s" {\n to = { "*" }\n}\n')
    found = told(t, conf, t.tool("check", "-c", conf, check=2).stderr)
    assert any('"b"' in m for m in found.get(4, [])), f"pool b: {found}"
    assert any("pool" in m for line in (6, 7, 8) for m in found.get(line, [])), f"rule s without a pool: {found}"


def test_repeated_keys(t):
    conf = t.config('mode = "enforce"\nmode = "off"\npool "a" {\n policy = "hash"\n policy = "random"\n addresses = { "127.0.0.2" }\n}\n')
    found = told(t, conf, t.tool("check", "-c", conf, check=2).stderr)
    equal(sorted(found), [2, 5], "lines with a message")


def test_syntax(t):
    for text, line in ('pool "a" {\n addresses = { "127.0.0.2" }\n', 1), ("mode = \n\n}", 3), ('mode "enforce"\n', 1), ("\x00\x01", 1):
        conf = t.config(text)
        found = told(t, conf, t.tool("check", "-c", conf, check=2).stderr)
        assert found and abs(min(found) - line) <= 1, f"{text!r}: {found}"


def test_missing_file(t):
    for command in ("check",), ("run",):
        done = t.tool(*command, "-c", "/nonexistent.conf", *(["--", "true"] if command == ("run",) else []), check=2)
        assert "/nonexistent.conf" in done.stderr, done.stderr


def preloaded_with(t, conf):
    """Bare and preloaded clients do the same: exit status, output, source address."""
    kernel.add_addresses("10.1.0.1")
    port = t.server()
    code = f"import socket\nfor _ in range(8):\n s = socket.create_connection(('10.1.0.1', {port}))\n print(s.getsockname()[0])\n s.close()"
    bare, shim = t.python(code, bare=True), t.python(code, conf=conf)
    equal((shim.returncode, shim.stdout, shim.stderr), (0, bare.stdout, ""), "the preloaded client's exit status, stdout and stderr")


def test_preloaded_client_runs_with_a_bad_config(t):
    preloaded_with(t, t.config(BAD))
    texts = [e["text"] for e in t.events("reload")]
    assert texts and "config refused" in texts[0] and ":1: mode:" in texts[0], f"what the state file records: {texts}"


def test_preloaded_client_runs_without_its_config(t):
    preloaded_with(t, "/nonexistent.conf")


def test_verbose_names_the_mistakes(t):
    """CONNSPREAD_VERBOSE=1: each mistake is a line on stderr, with its place."""
    conf = t.config(BAD)
    kernel.add_addresses("10.1.0.1")
    port = t.server()
    done = t.python(f"import socket; socket.create_connection(('10.1.0.1', {port}))", check=False, CONNSPREAD_VERBOSE="1")
    equal((done.returncode, done.stdout), (0, ""), "exit status and stdout")
    assert len(told(t, conf, done.stderr)) >= 3, f"stderr: {done.stderr}"


def test_check_of_a_good_config(t):
    """Exit 0 and the capacity: 4 sources x 28232 ports."""
    t.spread(t.sources())
    kernel.port_range(32768, 60999)
    done = t.tool("check", "-c", t.conf, check=0)
    for part in ("112928", "4", "28232"):
        assert part in done.stdout.replace(",", "").replace(" ", " "), f"{part} is missing: {done.stdout}"


def test_check_warns_of_an_address_that_is_not_here(t):
    t.sources(11, 12)
    t.spread(["10.0.0.11", "10.0.0.99"])
    done = t.tool("check", "-c", t.conf, check=1)
    assert "10.0.0.99" in done.stdout + done.stderr, f"{done.stdout}{done.stderr}"


def test_deprecated_addresses_of_an_interface_are_left_out(t):
    """A pool that names the interface takes what the kernel itself would connect from; check says what it left out, and where."""
    kernel.ip("link add v0 type veth peer name v1")
    kernel.ip("link set v0 up")
    kernel.ip("addr add fd00:7::1/64 dev v0 nodad")
    kernel.ip("addr add fd00:7::9/64 dev v0 nodad preferred_lft 0")
    conf = t.config('pool "a" {\n addresses = { "v0" }\n}\nrule "r" { to = { "fd00::/8" } pool = "a" }\n')
    said = t.tool("check", "-c", conf, check=1).stdout
    assert re.search(re.escape(conf) + ':2: addresses: "v0": its address fd00:7::9 is left out: deprecated', said), said
    assert "fd00:7::1" not in said.replace("fd00:7::1 ", ""), said
    # Named by itself it is used all the same; check says what it is.
    conf = t.config('pool "a" { addresses = { "fd00:7::9" } }\nrule "r" { to = { "fd00::/8" } pool = "a" }\n')
    said = t.tool("check", "-c", conf, check=1).stdout
    assert 'pool "a": fd00:7::9 is deprecated' in said, said
    kernel.ip("link set v1 up")
    kernel.ip("addr add fd00:8::9/64 dev v1 nodad preferred_lft 0")
    conf = t.config('pool "a" { addresses = { "v1" } }\nrule "r" { to = { "*" } pool = "a" }\n')
    equal(list(told(t, conf, t.tool("check", "-c", conf, check=2).stderr)), [1], "lines of a pool without any address")


def test_a_config_without_a_rule_is_said(t):
    conf = t.config("# nothing\n")
    assert f"{conf}: no rule: nothing is spread" in t.tool("check", "-c", conf, check=1).stdout


def test_changed_config_is_taken_by_new_processes(t):
    """A process whose config differs from the compiled one publishes it; what runs on follows."""
    sources = t.sources()
    t.spread(sources[:1])
    one, two = t.server(), t.server()
    old = t.agent()
    equal(old(f"burst(4, '10.1.0.1', {one})"), 0, "failures")
    equal(set(kernel.by_source(one)), {sources[0]}, "sources before")
    t.spread(sources[1:2])
    new = t.agent()
    equal(new(f"burst(4, '10.1.0.1', {two})") + old(f"burst(4, '10.1.0.1', {two})"), 0, "failures")
    equal(dict(kernel.by_source(two)), {sources[1]: 8}, "sources after")
    t.config(BAD)
    three = t.server()
    equal(old(f"burst(4, '10.1.0.1', {three})"), 0, "failures")
    equal(dict(kernel.by_source(three)), {sources[1]: 4}, "sources of a running process after a bad config")
