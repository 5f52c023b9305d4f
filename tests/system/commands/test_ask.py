"""Asking before it happens: check --to, ls, run --require; and why nothing was recorded."""

import json
import os
import shutil
import subprocess

import kernel
from fixture import equal, needs

RULES = """pool "four" {{ addresses = {{ "10.0.0.11-10.0.0.14" }} policy = "{policy}" ports = {{ "1024-65535" }} }}
rule "left" {{ to = {{ "10.9.0.0/16" }} action = "ignore" }}
rule "php" {{ to = {{ "10.1.0.0/16" }} except = {{ "10.1.0.2" }} program = {{ "php*" }} pool = "four" }}
rule "rest" {{ to = {{ "10.1.0.0/16" }} pool = "four" on-exhausted = "error" wait = "20ms" }}
"""


def ask(t, to, *words, check=0):
    return json.loads(t.tool("check", "-o", "json", "-c", t.conf, "--to", to, *words, check=check).stdout)


def test_what_check_says_is_what_happens(t):
    """The next connect comes from the source that check names first, under each policy that can be foretold."""
    t.sources()
    kernel.port_range(32768, 60999)
    for policy in "round-robin", "hash", "random":
        t.config(RULES.format(policy=policy), name=policy)
        for _ in range(6):
            port = t.server()
            said = ask(t, f"10.1.0.1:{port}", "--program", "burst")
            if policy == "random" and not said["foretold"]:  # before there is a state file, whose numbers it draws
                t.run(["true"], via="run")
                said = ask(t, f"10.1.0.1:{port}", "--program", "burst")
            equal(said["foretold"], True, "foretold")
            equal((said["rule"], said["pool"], said["policy"], said["sources_total"]), ("rest", "four", policy, 4), "rule and pool")
            t.run([t.program("burst"), "10.1.0.1", str(port), "1"])
            equal(list(kernel.by_source(port)), [said["sources"][0]["address"]], f"{policy}: source")


def test_why_a_rule_is_passed_over(t):
    t.sources()
    kernel.port_range(32768, 60999)
    t.config(RULES.format(policy="round-robin"))
    said = ask(t, "10.1.0.1:80", "--program", "/usr/bin/php-fpm8.2")
    equal((said["rule"], said["passed_over"]), ("php", [{"rule": "left", "reason": "to"}]), "of php")
    said = ask(t, "10.1.0.2:80", "--program", "php")
    equal((said["rule"], said["passed_over"][1]), ("rest", {"rule": "php", "reason": "except"}), "of an exception")
    said = ask(t, "10.1.0.1:80")
    equal((said["rule"], said["passed_over"][1]), ("rest", {"rule": "php", "reason": "program"}), "of no program")
    equal((said["ports"], said["explicit_ports"]), (["32768-60999"], ["1024-32767", "61000-65535"]), "ports")
    equal((said["on_exhausted"], said["wait_ms"], said["attempts"]), ("error", 20, 16), "if full")
    said = ask(t, "10.9.0.1:80")
    equal((said["rule"], said["spread"]), ("left", False), "ignored")
    said = ask(t, "192.0.2.1:80")
    equal((said["rule"], said["spread"], len(said["passed_over"])), (None, False, 3), "no rule")
    text = t.tool("check", "-c", t.conf, "--to", "10.1.0.2:80", "--program", "php", check=0).stdout
    for part in ('rule        "rest"', 'rule "php" is passed over: an exception has this destination', "10.0.0.11", "at most 16 connects, then again for 20 ms",
                 "32768-60999", "mode        enforce"):
        assert part in text, f"{part!r} is missing: {text}"


def test_sources_that_cannot_be_used(t):
    t.sources(11, 12)
    t.config(RULES.format(policy="round-robin"))
    equal([s["trouble"] for s in ask(t, "10.1.0.1:80")["sources"]], [None, None, "not on this host", "not on this host"], "troubles")
    t.config('pool "a" { addresses = { "10.0.0.99" } }\nrule "r" { to = { "*" } pool = "a" }\n')
    said = ask(t, "10.1.0.1:80", check=1)
    equal([s["trouble"] for s in said["sources"]], ["not on this host"], "the only one")


def test_what_cannot_be_asked(t):
    t.config(RULES.format(policy="random"))
    for words in (["--to", "10.1.0.1"], ["--to", "10.0.0.0/8:80"], ["--to", "*:80"], ["--to", "fd00::1:80"], ["--program", "php"], ["--to", "host:80"]):
        assert "try: " in t.tool("check", "-c", t.conf, *words, check=2).stderr, words


def rows(t, *words, check=0):
    """Of this test alone: other tests may run beside it, and root sees what they run."""
    found = [json.loads(line) for line in t.tool("ls", "-o", "json", *words, check=check).stdout.splitlines()]
    return [r for r in found if r["folder"] and r["folder"].startswith(t.folder)]


def clients(t, *words, **wanted):
    """rows(), once they say this of the clients: a tool of root in another test maps every file for a moment, to know which it is."""
    def found():
        listed = rows(t, *words)
        return listed if {r["instance"]: r["clients"] for r in listed} == wanted else None
    return kernel.wait_until(found, what=f"ls does not say that so many clients use them: {wanted}")


def test_ls(t):
    assert "nothing has run" in t.tool("ls", "-i", "of-no-name", check=1).stderr
    t.sources()
    t.spread(["10.0.0.11"], name="one")
    agent = t.agent()
    agent(f"burst(1, '10.1.0.1', {t.server()})")
    t.spread(["10.0.0.12"], name="two")
    t.run(["true"], via="run")
    t.tool("set", "--for-later", "-i", "two", "mode=observe", check=0)
    found = {r["instance"]: r for r in clients(t, one=1, two=0)}
    equal(sorted(found), ["one", "two"], "instances")
    equal({r["folder"] for r in found.values()}, {os.path.join(t.folder, "state")}, "folders")
    equal(found["one"]["config"], os.path.join(t.folder, "one.conf"), "config")
    assert "enforce (config)" in found["one"]["mode"] and "observe (set)" in found["two"]["mode"], found
    equal([r["instance"] for r in rows(t, "-i", "two")], ["two"], "of one name")
    equal(rows(t, "-i", "of-no-name", check=1), [], "of no name")
    text = t.tool("ls", check=0).stdout.splitlines()
    equal(text[0].split(), ["INSTANCE", "CLIENTS", "UID", "MODE", "FOLDER"], "heading")
    agent.end()
    clients(t, "-i", "one", one=0)


def test_require(t):
    t.sources()
    t.spread(["10.0.0.11"])
    mark = os.path.join(t.folder, "mark")
    t.tool("run", "--require", "-c", t.conf, "--", "touch", mark, check=0)
    assert os.path.exists(mark), "what can be attached to is started"
    script = os.path.join(t.folder, "script")
    with open(script, "w") as f:
        f.write(f"#!/bin/sh\ntouch {mark}2\n")
    os.chmod(script, 0o755)
    t.tool("run", "--require", "-c", t.conf, "--", script, check=0)
    assert os.path.exists(mark + "2"), "a script is started"
    for words, part, extra in ((["/sbin/ldconfig", "-V"], "statically linked", {}), (["touch", mark + "3"], "CONNSPREAD_DISABLE", {"CONNSPREAD_DISABLE": "1"})):
        done = t.tool("run", "--require", "-c", t.conf, "--", *words, check=126, **extra)
        assert f"not started: " in done.stderr and part in done.stderr, done.stderr
        equal(done.stdout, "", "output of what was not started")
    assert not os.path.exists(mark + "3"), "what would not be attached to was started"
    equal(t.tool("run", "--require", "-c", t.conf, "--", "/nonexistent", check=127).returncode, 127, "no command")


@needs("gcc")
def test_require_of_a_program_whose_libraries_lie_elsewhere(t):
    """LD_LIBRARY_PATH says where: the linker is asked with it."""
    t.spread(["127.0.0.2"])
    folder = os.path.join(t.folder, "lib")
    os.mkdir(folder)
    for source, options in (("int f(void) { return 0; }", ["-shared", "-fPIC", "-o", f"{folder}/libelsewhere.so"]),
                            ("int f(void); int main(void) { return f(); }", ["-o", f"{t.folder}/program", "-L" + folder, "-lelsewhere"])):
        subprocess.run(["gcc", "-xc", "-", "-xnone", *options], input=source, text=True, check=True)
    t.tool("run", "--require", "-c", t.conf, "--", f"{t.folder}/program", check=0, LD_LIBRARY_PATH=folder)
    assert "cannot be looked into" in t.tool("run", "--require", "-c", t.conf, "--", f"{t.folder}/program", check=126).stderr


def test_silence_is_explained(t):
    t.spread(["127.0.0.2"])
    for command in "log", "stat", "report":
        said = t.tool(command, "-c", t.conf).stderr
        assert "no client has made a TCP connection" in said and "env -i" in said and "connspread ls" in said, f"{command}: {said}"
    # Started, but without the library.
    kernel.add_addresses("10.1.0.1")
    t.run(["env", "-i", t.program("burst"), "10.1.0.1", str(t.server()), "1"], via="run", check=False)
    assert "no client has made a TCP connection" in t.tool("log", "-c", t.conf, check=0).stderr
    t.run([t.program("burst"), "10.1.0.1", str(t.server()), "1"], via="run")
    for command in "log", "stat", "report":
        assert "no client has made" not in t.tool(command, "-c", t.conf).stderr, command


def test_programs_that_go_past_a_library(t):
    t.spread(["127.0.0.2"])
    copy = os.path.join(t.folder, "su")
    shutil.copy(t.program("burst"), copy)
    os.chmod(copy, 0o4755)
    for path, finding in ((t.program("commands/no_calls"), "program-raw-calls"), (t.program("commands/uring"), "program-io-uring"), (copy, "program-setuid")):
        found = [json.loads(line) for line in t.tool("doctor", "-o", "json", path).stdout.splitlines()]
        ours = [f["finding"] for f in found if f["finding"].startswith("program-")]
        equal(ours, [finding], f"findings about {path}")
        done = t.tool("run", "-c", t.conf, "--", path)
        assert "try: " in done.stderr and path in done.stderr, f"run {path}: {done.stderr}"
    for words in (["env", "true"], ["cat", "/dev/null"], ["sh", "-c", ":"]):
        equal(t.tool("run", "-c", t.conf, "--", *words).stderr, "", f"what is said of {words}")
    assert "clear the environment" in t.tool("run", "-c", t.conf, "--", "env", "-i", "true", check=0).stderr


@needs("setpriv")
def test_a_program_that_rebuilds_the_environment(t):
    t.spread(["127.0.0.2"])
    found = [json.loads(line)["finding"] for line in t.tool("doctor", "-o", "json", "setpriv").stdout.splitlines()]
    assert "program-environment" in found, found
    assert "clear the environment" in t.tool("run", "-c", t.conf, "--", "setpriv", "--reset-env", "true").stderr
    equal(t.tool("run", "-c", t.conf, "--", "setpriv", "true", check=0).stderr, "", "setpriv that leaves it alone")
