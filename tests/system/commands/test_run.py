"""connspread run: what the command gets, and how it ends."""

import os
import re
import subprocess

import kernel
from fixture import PYTHON, SHIM, TOOL, equal


def run(t, *command, **extra):
    return t.tool("run", "-c", t.conf, "--", *command, **extra)


def stage(t):
    t.spread(t.sources())


def test_exit_status(t):
    """The command's own; 126 when it cannot be executed, 127 when there is none."""
    stage(t)
    equal(run(t, "sh", "-c", "exit 7").returncode, 7, "exit status")
    equal(run(t, "sh", "-c", "kill -9 $$").returncode, -9, "status of a command that died of a signal")
    equal(run(t, "/nonexistent").returncode, 127, "no such command")
    equal(run(t, "/etc/passwd").returncode, 126, "not executable")
    equal(run(t, t.folder).returncode, 126, "a folder")


def test_exec(t):
    """It becomes the command: same pid, no process in between."""
    stage(t)
    done = t.start([PYTHON, "-S", "-c", "import os; print(os.getpid())"], via="run")
    equal(done.wait(timeout=10), 0, "exit status")
    with open(f"{t.folder}/out{t.count}") as f:
        equal(f.read(), f"{done.pid}\n", "pid")


def test_preload_is_prepended(t):
    """Absolute, first, once, also when run is nested or was started by a relative path."""
    stage(t)
    other = t.program("chain.so")
    show = ["sh", "-c", "echo $LD_PRELOAD"]
    equal(run(t, *show).stdout.strip(), SHIM, "LD_PRELOAD")
    equal(run(t, *show, LD_PRELOAD=other).stdout.strip().replace(" ", ":"), f"{SHIM}:{other}", "LD_PRELOAD with another library")
    equal(run(t, TOOL, "run", "-c", t.conf, "--", *show).stdout.strip(), SHIM, "LD_PRELOAD of a nested run")
    os.chdir(os.path.dirname(TOOL))
    done = t.run(["sh", "-c", f"./connspread run -c {t.conf} -- sh -c 'echo $LD_PRELOAD'"], bare=True)
    equal(done.stdout.strip(), SHIM, "LD_PRELOAD of ./connspread")


def test_sanitizers_come_first(t):
    """A program built with AddressSanitizer runs, spread, with its runtime before the shim, as does one under a user's own LD_PRELOAD of it."""
    sources = t.sources()
    port = t.server()
    t.spread(sources)
    client = [t.program("asan_client"), "10.1.0.1", str(port), "20"]
    runtime = re.search(r"(/\S*libasan\.so\S*)", subprocess.run(["ldd", client[0]], stdout=subprocess.PIPE, text=True, check=True).stdout)[1]
    for extra in {}, {"LD_PRELOAD": runtime}:
        done = run(t, *client, **extra)
        equal((done.returncode, done.stderr), (0, ""), f"a client with ASan, {extra}")
    t.same_time_waits(port, 40)
    done = run(t, "sh", "-c", "echo $LD_PRELOAD", LD_PRELOAD=f"{runtime}:{t.program('chain.so')}", ASAN_OPTIONS="detect_leaks=0")
    equal(done.stdout.strip().replace(" ", ":"), f"{runtime}:{SHIM}:{t.program('chain.so')}", "LD_PRELOAD")


def test_environment(t):
    """The rest of the environment and the arguments arrive as they were; stdin, stdout and stderr are the caller's."""
    stage(t)
    done = run(t, "sh", "-c", 'printf "%s|" "$0" "$@"; echo "$X"', "a b", "", "-c", X="y z")
    equal((done.stdout, done.stderr), ("a b||-c|y z\n", ""), "arguments and environment")


def test_relative_config(t):
    """-c with a relative path still means that file after the command has changed its folder."""
    sources = t.sources()
    t.spread(sources)
    port = t.server()
    os.chdir(t.folder)
    code = f"import socket; socket.create_connection(('10.1.0.1', {port})).close()"
    script = f'cd / && for i in 1 2 3 4; do {PYTHON} -S -c "{code}"; done'
    t.tool("run", "-c", "test.conf", "--", "sh", "-c", script, check=0)
    kernel.settle(port)
    equal(set(kernel.by_source(port)), set(sources), "sources")


def test_children_are_spread_too(t):
    sources = t.sources()
    t.spread(sources)
    port = t.server()
    code = f"import socket; socket.create_connection(('10.1.0.1', {port})).close()"
    t.run(["sh", "-c", f'for i in 1 2 3 4; do {PYTHON} -S -c "{code}"; done; {PYTHON} -S -c "{code}" &\nwait; true'], via="run")
    kernel.settle(port)
    equal(set(kernel.by_source(port)), set(sources), "sources")


def test_mode_off(t):
    """run -m off: the whole process tree is told, and nothing is spread."""
    t.sources()
    stage_conf = t.spread(["10.0.0.11"])
    port = t.server()
    code = f"import os, socket; socket.create_connection(('10.1.0.1', {port})).close(); print(os.environ['CONNSPREAD_MODE'])"
    done = t.tool("run", "-m", "off", "-c", stage_conf, "--", PYTHON, "-S", "-c", code, check=0)
    equal(done.stdout, "off\n", "CONNSPREAD_MODE")
    kernel.settle(port)
    equal(dict(kernel.by_source(port)), {"10.1.0.1": 1}, "sources")


def test_usage(t):
    """Exit 2 for what is no command, no option, no instance name; 0 for help."""
    stage(t)
    for arguments in ["nonsense"], ["run", "--nonsense"], ["log", "-o", "xml"], ["log", "--since", "yesterdayish"], ["log", "-i", "../x"]:
        assert t.tool(*arguments).returncode == 2, f"exit status of connspread {arguments}: {t.tool(*arguments)}"
    for command in [], ["run"], ["check"], ["log"]:
        done = t.tool(*command, "--help", check=0)
        assert done.stdout and not done.stderr, f"connspread {command} --help: {done}"
    assert "0." in t.tool("--version", check=0).stdout


def test_a_state_file_that_cannot_be_made(t):
    """The program runs, and the message names a way out: a read-only folder, a full disk, a limit of file sizes, a link."""
    t.spread(t.sources())

    def said(*before):
        done = subprocess.run([*before, TOOL, "run", "-c", t.conf, "--", "true"], env=t.environment(bare=True), stdin=subprocess.DEVNULL, capture_output=True, text=True)
        equal(done.returncode, 0, f"exit status: {done.stderr}")
        return done.stderr

    assert "try: ulimit -f unlimited; the program runs" in said("prlimit", f"--fsize={4 << 20}"), "a limit of file sizes"
    link = os.path.join(t.state, "test.state")
    os.symlink("/nowhere", link)
    assert "follows none; try: remove it; the program runs" in said(), "a link"
    os.unlink(link)
    env = dict(t.environment(bare=True), CONNSPREAD_DIR="/nowhere/at/all")
    done = subprocess.run([TOOL, "run", "-c", t.conf, "--", "true"], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert "the one above it is missing; try: make that" in done.stderr, done.stderr
    for option, remedy in (("size=1M", "try: make room there, or another folder (CONNSPREAD_DIR); "), ("ro", "try: another folder (CONNSPREAD_DIR); ")):
        subprocess.run(["mount", "-t", "tmpfs", "-o", option + ",mode=0700", "tmpfs", t.state], check=True)
        assert remedy in said(), option
        subprocess.run(["umount", t.state], check=True)


def test_log_filters(t):
    """--event, --pid, --since, --until and text output show what they should."""
    stage(t)
    port = t.server()
    one, two = t.agent(), t.agent()
    one(f"burst(3, '10.1.0.1', {port})")
    two(f"burst(2, '10.1.0.1', {port})")

    def count(*options):
        return len(t.tool("log", "-o", "json", "-c", t.conf, *options, check=0).stdout.splitlines())

    equal(count("--event", "time-wait"), 5, "--event time-wait")
    equal(count("--event", "time-wait", "--pid", str(one.pid)), 3, "--pid")
    equal(count("--event", "time-wait,attach"), 7, "two kinds")
    equal(count("--event", "time-wait", "--since", "1h"), 5, "--since 1h")
    equal(count("--event", "time-wait", "--until", "1h"), 0, "--until 1h")
    text = t.tool("log", "-c", t.conf, "--event", "time-wait", check=0).stdout
    equal((len(text.splitlines()), text.count("10.1.0.1")), (5, 5), "text lines and peer addresses")
