"""What somebody meets who has never used it: the first command, the first mistakes, programs that cannot be served, waiting."""

import os
import pty
import re
import shutil
import subprocess

import kernel
import terminal
from fixture import PYTHON, TOOL, equal, needs, waits
from matrix import is_full_root


def commands(t):
    return re.findall(r"^  (\w+) ", t.tool("--help", check=0).stdout.split("commands:\n")[1].split("\n\n")[0], re.M)


def test_alone_it_says_what_to_do_next(t):
    done = t.tool(check=0)
    equal(done.stderr, "", "stderr")
    named = re.findall(r"^  connspread (\w+)", done.stdout, re.M)
    assert {"check", "run", "log"} <= set(named), done.stdout
    equal(set(named) - set(commands(t)), set(), "commands that there are not")


def test_mistakes_end_with_what_would_help(t):
    """Each names the command, the option, the folder or the page to go on with."""
    t.config('log { sise = "1M" }\n')
    damaged = os.path.join(t.state, "damaged.state")
    kernel.write(damaged, "x" * 100000)
    os.chmod(damaged, 0o600)
    for arguments, status, words in [
            (["lgo"], 2, "try: log, or connspread --help"), (["frobnicate"], 2, "try: connspread --help"),
            (["--frob"], 2, "try: connspread --help"), (["run"], 2, "try: connspread run -- COMMAND"), (["run", "-m", "on", "true"], 2, "try: enforce, observe or off"),
            (["check", "-c", t.conf], 2, "try: man connspread.conf"), (["run", "-c", t.conf, "true"], 2, "man connspread.conf"),
            (["log", "-i", "nobody"], 1, "connspread run -- PROGRAM"), (["stat", "-i", "nobody"], 1, "connspread stat --all"),
            (["log", "-i", "damaged"], 1, "connspread prune"), (["log", "--since", "noonish"], 2, "10m or 2h (ago)"),
            (["set", "mode=on", "-i", "x"], 2, "enforce, observe, off or config"), (["stat", "-o", "xml"], 2, "try: text, json or prometheus")]:
        done = t.tool(*arguments)
        equal(done.returncode, status, f"exit status of connspread {arguments}: {done}")
        assert words in done.stderr, f"connspread {arguments} does not say {words!r}: {done.stderr}"
    os.chmod(t.state, 0o777)
    done = t.tool("run", "-i", "x", "--", "true", check=0)
    assert "CONNSPREAD_DIR" in done.stderr, done
    os.chmod(t.state, 0o700)
    t.tool("prune", check=0)
    assert not os.path.exists(damaged), "prune, as it was told, leaves the damaged file"


def program(t, name, *flags):
    path = os.path.join(t.folder, name)
    kernel.write(path + ".c", '#include <stdio.h>\nint main(void) { puts("ran"); fclose(stdin); return 3; }\n')
    subprocess.run(["gcc", *flags, path + ".c", "-o", path], check=True)
    return path


def ran(t, path, *words):
    """It runs all the same; what run says of it has these words, or nothing."""
    done = t.tool("run", "--", path)
    equal((done.returncode, done.stdout), (3, "ran\n"), f"exit status and output of {path}")
    if words:
        assert done.stderr.startswith(f"connspread: {path} ") and done.stderr.count("\n") == 1, done.stderr
    equal([w for w in words if w not in done.stderr], [], f"words that {done.stderr!r} does not have")
    assert words or done.stderr == "", done.stderr


@needs("gcc")
def test_programs_that_cannot_be_preloaded(t):
    """run says that nothing will be spread, and why, once; and runs them."""
    ran(t, program(t, "dynamic"))
    static = program(t, "static", "-static")
    ran(t, static, "statically linked", "no library can be preloaded")
    script = os.path.join(t.folder, "script")
    kernel.write(script, f"#!{static}\n")
    os.chmod(script, 0o755)
    ran(t, script, "statically linked")
    os.environ["PATH"] = t.folder + ":" + os.environ["PATH"]
    done = subprocess.run([TOOL, "run", "--", "static"], env=dict(t.environment(bare=True), PATH=os.environ["PATH"]), capture_output=True, text=True)
    assert "statically linked" in done.stderr, done
    if is_full_root():
        setuid = shutil.copy(os.path.join(t.folder, "dynamic"), os.path.join(t.folder, "setuid"))
        os.chown(setuid, 65534, 65534)
        os.chmod(setuid, 0o4755)
        os.chmod(t.folder, 0o755)
        ran(t, setuid, "setuid", "ignores LD_PRELOAD")


def on_terminal(argv, env, stdout=None):
    """(exit status, what it wrote to the terminal) of a command whose stdin and stderr, and stdout unless given, are one."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(argv, env=env, stdin=theirs, stdout=stdout or theirs, stderr=theirs)
    text = terminal.read_all(ours, process)
    os.close(theirs)
    os.close(ours)
    return process.wait(timeout=10), text.decode()


@waits
def test_waiting_shows_progress_on_a_terminal_only(t):
    t.spread(t.sources())
    t.run(["true"], via="run")
    env = t.environment(bare=True, TERM="xterm-256color")
    with open(os.devnull, "w") as null:
        status, text = on_terminal([TOOL, "stat", "--interval", "2s", "-c", t.conf], env, stdout=null)
    equal(status, 0, "exit status")
    assert re.search(r"connspread: stat: counting, \d s to go", text), repr(text)
    assert text.endswith("\r") and text.rsplit("\r", 2)[1].strip() == "", f"it is not taken away: {text!r}"
    done = t.tool("stat", "--interval", "2s", "-c", t.conf, check=0)
    equal(done.stderr, "", "stderr that is no terminal")


def test_reading_a_file_shows_progress(t):
    """JSON Lines that come slowly, through a pipe."""
    t.spread(t.sources())
    t.run([t.program("burst"), "10.1.0.1", str(t.server()), "1"])
    line = t.tool("log", "-o", "json", "-c", t.conf, check=0).stdout.splitlines()[-1] + "\n"
    fifo = os.path.join(t.folder, "fifo")
    os.mkfifo(fifo)
    feeder = subprocess.Popen([PYTHON, "-S", "-c", "import sys, time\nf = open(sys.argv[1], 'w')\nfor _ in range(5):\n"
                               " f.write(sys.argv[2] * 2048); f.flush(); time.sleep(0.5)", fifo, line], stdin=subprocess.DEVNULL)
    with open(os.devnull, "w") as null:
        status, text = on_terminal([TOOL, "log", fifo], t.environment(bare=True), stdout=null)
    feeder.wait(timeout=10)
    equal(status, 0, "exit status")
    assert re.search(r"connspread: log: \S+, [1-9]\d+ lines", text), repr(text)


def test_no_colour(t):
    """No escape sequence, whatever the terminal; so NO_COLOR has nothing to forbid."""
    t.spread(t.sources())
    t.run([t.program("burst"), "10.1.0.1", str(t.server()), "3"])
    env = t.environment(bare=True, TERM="xterm-256color", CLICOLOR_FORCE="1")
    for arguments in [], ["--help"], ["check"], ["log"], ["stat"], ["stat", "--all"], ["prune", "-n"], ["nonsense"]:
        conf = ["-c", t.conf] if arguments and arguments[0] in commands(t) else []
        _, text = on_terminal([TOOL, *arguments, *conf], env)
        assert text and "\x1b" not in text, f"connspread {arguments}: {text!r}"
        equal(on_terminal([TOOL, *arguments, *conf], dict(env, NO_COLOR="1"))[1].count("\x1b"), 0, "escapes with NO_COLOR")
