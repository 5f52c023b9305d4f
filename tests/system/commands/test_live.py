"""connspread stat -w and quads -w on a terminal: what they show, and that the terminal is as it was after every end."""

import os
import re
import resource
import signal
import subprocess
import time

import kernel
import terminal
from fixture import PYTHON, SHIM, TOOL, equal, full, needs

WAIT_S = 15
VIEWS = {"stat": ("last incidents", "no incidents"), "quads": ("capacity of each",)}


def wait(view, what, found, seconds=WAIT_S):
    end = time.monotonic() + seconds
    while not found():
        assert view.process.poll() is None, f"{what}: it ended: {view.end()}"
        assert time.monotonic() < end, f"{what}: not within {seconds} s; last shown:\n" + "\n".join(view.frames()[-1] if view.frames() else [view.written])
        time.sleep(0.01)


def own(t, command):
    """Only this test's instance: others may run beside it."""
    return ("-c", t.conf) if command == "stat" else ()


def started(t, command, *arguments, **size):
    view = terminal.View(t, command, "-w", "1", *(arguments or own(t, command)), **size)
    wait(view, f"{command} -w shows nothing", lambda: any(any(w in "\n".join(f) for w in VIEWS[command]) for f in view.frames()))
    return view


def staged(t):
    """Four sources, the first of which is full; a client that lives on."""
    kernel.port_range(40000, 40007)
    t.config('pool "p" { addresses = { "10.0.0.11", "10.0.0.12" } }\npool "few" { addresses = { "10.0.0.13" } }\n'
             'rule "full" { to = { "10.1.0.1:9001" }\n pool = "few"\n on-exhausted = "error" }\nrule "free" { to = { "*" }\n pool = "p" }\n')
    t.sources()
    port, other = t.server(), t.server()
    agent = t.agent()
    agent(f"hold(8, '10.1.0.1', {port})")
    agent(f"hold(4, '10.1.0.1', {other})")
    return agent, port, other


def row(view, rule, source):
    """The cells of a source's row in what is shown last; None: it is not there."""
    found = [line.split() for line in view.frames()[-1] if line.startswith(rule) and source in line]
    return found[0] if found else None


@full
def test_stat_shows_what_happens(t):
    """Of each source how full it is, at what rate it connects and fails; an incident when it comes."""
    agent, port, other = staged(t)
    view = started(t, "stat")
    wait(view, "the full source", lambda: row(view, "full", "10.0.0.13") and "100.0" in row(view, "full", "10.0.0.13"))
    for source in "10.0.0.11", "10.0.0.12":
        assert "25.0" in row(view, "free", source), (source, view.frames()[-1])
    equal([line for line in view.frames()[-1] if "exhausted" in line], [], "incidents before there is one")
    agent(f"attempt(socket.socket().connect, ('10.1.0.1', {port}))")
    wait(view, "an incident", lambda: any("exhausted" in line and f"10.1.0.1:{port}" in line for line in view.frames()[-1]))
    wait(view, "a rate of failures", lambda: any("failed/s" in line for line in view.frames()[-1]))
    agent(f"hold(2, '10.1.0.1', {other})")
    wait(view, "a rate of connects", lambda: any(re.fullmatch(r"free +10\.0\.0\.1[12] +enforce +[0-9.]*[1-9][0-9.]* .*", line) for f in view.frames() for line in f))
    wait(view, "how full it is then", lambda: row(view, "free", "10.0.0.11") and "37.5" in row(view, "free", "10.0.0.11"))
    view.key("q")
    equal(view.end(), (0, ""), "exit status and stderr after q")


@full
def test_every_instance(t):
    """Without -i and -c each instance that can be seen; one that comes later too, at the next look for them."""
    staged(t)
    view = terminal.View(t, "stat", "-w", "1", lines=200)
    wait(view, "the full source", lambda: view.frames() and row(view, "full", "10.0.0.13") and "100.0" in row(view, "full", "10.0.0.13"))
    view.key("q")
    equal(view.end(), (0, ""), "exit status and stderr after q")


@full
def test_quads_shows_what_happens(t):
    agent, port, _ = staged(t)
    view = started(t, "quads")
    wait(view, "a full source", lambda: any("100.0 %" in line and f"10.1.0.1:{port}" in line for line in view.frames()[-1]))
    agent.end()
    wait(view, "TIME-WAITs", lambda: any(re.search(r"all 3: 0 established, \d+ time-wait", line) for line in view.frames()[-1]))
    view.key("q")
    equal(view.end(), (0, ""), "exit status and stderr after q")


def test_the_terminal_is_as_it_was(t):
    """After q, Ctrl-C, Ctrl-\\, SIGTERM, SIGHUP and a fault."""
    staged(t)
    for command in VIEWS:
        for name, how, status in (("q", lambda v: v.key("q"), 0), ("Ctrl-C", lambda v: v.key("\x03"), 0), ("Ctrl-\\", lambda v: v.key("\x1c"), 0),
                                  ("SIGTERM", lambda v: v.process.send_signal(signal.SIGTERM), 0),
                                  ("SIGHUP", lambda v: v.process.send_signal(signal.SIGHUP), 0),
                                  ("SIGBUS", lambda v: v.process.send_signal(signal.SIGBUS), -signal.SIGBUS)):
            view = started(t, command)
            assert view.modes() != view.before and terminal.ENTER in view.written, f"{command}: the terminal was not taken"
            how(view)
            equal(view.end(), (status, ""), f"{command}, {name}: exit status and stderr")
            kernel.wait_until(view.restored, what=f"{command}, {name}: the terminal is not as it was: {view.written[-80:]!r}")


@full
def test_an_error_is_said_when_the_terminal_is_back(t):
    """The instance's file goes away under the view: exit status 1, the message on stderr, nothing left on the screen."""
    staged(t)
    view = started(t, "stat")
    os.unlink(os.path.join(t.state, "test.state"))
    status, errors = view.end()
    assert status == 1 and "test.state" in errors and errors.startswith("connspread: stat: "), (status, errors)
    kernel.wait_until(view.restored, what="the terminal is not as it was")


@full
def test_stopped_and_continued(t):
    """Ctrl-Z gives the terminal back, fg takes it again and draws."""
    staged(t)
    view = started(t, "stat")
    view.key("\x1a")
    stopped = lambda: open(f"/proc/{view.process.pid}/stat").read().rpartition(")")[2].split()[0] == "T"
    kernel.wait_until(stopped, what="Ctrl-Z does not stop it")
    kernel.wait_until(view.restored, what="the terminal is not as it was while it is stopped")
    shown = len(view.frames())
    view.process.send_signal(signal.SIGCONT)
    wait(view, "it goes on", lambda: len(view.frames()) > shown and view.modes() != view.before)
    view.key("q")
    equal(view.end(), (0, ""), "exit status and stderr")
    kernel.wait_until(view.restored, what="the terminal is not as it was")


@full
def test_resized(t):
    """Each size is filled and not left, at once and not only at the next look."""
    agent, port, _ = staged(t)
    agent(f"attempt(socket.socket().connect, ('10.1.0.1', {port}))")
    for command in VIEWS:
        view = terminal.View(t, command, "-w", "3600", *own(t, command), columns=200, lines=50)
        wait(view, "the first look", lambda: view.frames())
        for columns, lines in (80, 24), (40, 10), (132, 43), (20, 3), (80, 24):
            shown = len(view.frames())
            view.resize(columns, lines)
            wait(view, f"{command}: {columns}x{lines}", lambda: len(view.frames()) > shown)
            frame = view.frames()[-1]
            line = terminal.widest("\n".join(frame))
            assert len(frame) <= lines and terminal.cells(line) <= columns, f"{command} at {columns}x{lines}: {len(frame)} lines, {terminal.cells(line)} columns: {line}"
        assert any("10.1.0.1" in line for line in frame), frame
        view.key("q")
        equal(view.end(), (0, ""), "exit status and stderr")


@full
def test_intervals(t):
    for command in VIEWS:
        for wrong in "0", "50ms", "x", "-1", "100000000":
            done = t.tool(command, "-w", "--", wrong)
            assert done.returncode == 2 and "is not an interval" in done.stderr, (command, wrong, done)
        equal(t.tool(command, "-w", "1", "2").returncode, 2, f"{command} -w 1 2")
    for other in ("--all",), ("--compare",), ("--interval", "1s"), ("-o", "json"):
        equal(t.tool("stat", "-w", *other).returncode, 2, f"stat -w {other}")


@full
def test_into_a_pipe(t):
    """No escapes, no bound: one text after the other."""
    staged(t)
    for command in VIEWS:
        process = subprocess.Popen([TOOL, command, "-w", "100ms", *own(t, command)], env=t.environment(bare=True, TERM="xterm"), stdout=subprocess.PIPE, text=True)
        seen, looks = "", 0
        while looks < 3:
            line = process.stdout.readline()
            assert line, f"{command} ended: {seen}"
            seen += line
            looks += any(line.startswith(w) for w in VIEWS[command])
        process.terminate()
        process.stdout.close()
        process.wait(timeout=WAIT_S)
        assert "\x1b" not in seen and "10.0.0.13" in seen, seen


@full
def test_owners_leave_room_for_the_sum(t):
    """quads -w -p on a small terminal: each pair has a line for its owners, and what is below the table is still shown."""
    t.spread(t.sources())
    agent = t.agent()
    for port in [t.server() for _ in range(14)]:
        agent(f"hold(1, '10.1.0.1', {port})")
    view = terminal.View(t, "quads", "-w", "1", "-p", lines=24, columns=120)
    wait(view, "the first look", lambda: view.frames() and len(view.frames()[-1]) > 1)
    shown = "\n".join(view.frames()[-1])
    assert "capacity of each" in shown and shown.count("10.1.0.1:") >= 2, shown
    view.key("q")
    equal(view.end(), (0, ""), "exit status and stderr")


def first_look(t, *arguments, wrapper=()):
    """The lines of stat -w into a pipe, until there are no more for now."""
    process = subprocess.Popen([*wrapper, TOOL, "stat", "-w", "3600", *arguments], env=t.environment(bare=True), stdout=subprocess.PIPE, text=True)
    lines = []
    while not lines or "incidents" not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1], f"it ended: {lines}"
    process.kill()
    process.stdout.close()
    process.wait(timeout=WAIT_S)
    return lines


def test_the_first_look_has_no_rates(t):
    """What had happened before is no rate of now: not 0.0 a second either, for as long as the interval is."""
    staged(t)
    lines = first_look(t, *own(t, "stat"))
    head = next(line.split() for line in lines if "connects/s" in line)
    cells = next(line.split() for line in lines if line.startswith("free") and "10.0.0.11" in line)
    equal([cells[head.index(name)] for name in ("connects/s", "failed/s", "waits/s")], ["-", "-", "-"], "rates")


@full
@needs("unshare")
def test_more_instances_than_the_view_has_room_for(t):
    """Of 66 it shows 64, and says how many more there are."""
    t.config('log { size = "64k" }')
    script = f"""
        for i in $(seq 66); do
            LD_PRELOAD={SHIM} CONNSPREAD_INSTANCE=n$i CONNSPREAD_CONF={t.conf} sleep 600 &
            until [ -e {t.state}/n$i.state ]; do sleep 0.01; done  # a client that waits too long for the folder does without a file
        done
        until [ "$({TOOL} ls -o json | grep -c '"clients":1,')" = 66 ]; do sleep 0.1; done
        "$@"  # and not exec: what is process 1 here takes the others with it"""
    alone = "unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script, "sh"
    lines = first_look(t, wrapper=alone)
    equal(len([line for line in lines if re.match(r"n\d+ \(uid ", line)]), 64, "instances that are shown")
    equal("".join(lines).lstrip().split("\n")[0], "2 more instances than these 64; try: -i with the name of one", "the first line")


@needs("unshare")
def test_no_process_is_not_said_to_be_no_instance(t):
    """A program has run and ended: the view of all instances has no process to show, and says so."""
    t.sources()
    port = t.server()
    t.config('pool "p" { addresses = { "10.0.0.11" } }\nrule "r" { to = { "*" }\n pool = "p" }\n')
    t.run([PYTHON, "-S", "-c", f"import socket; socket.create_connection(('10.1.0.1', {port}))"])
    alone = "unshare", "--pid", "--fork", "--kill-child", "--mount-proc"  # root sees the instances of all processes
    text = " ".join(" ".join(first_look(t, wrapper=alone)).split())
    assert "no instance that a process runs under now" in text and "nothing has run" not in text, text


@full
@needs("tmux")
def test_in_tmux(t):
    """A terminal that is not ours: start, resize to 80 x 24, quit; and SIGTERM. What was on the screen is there again."""
    staged(t)
    socket = os.path.join(t.folder, "tmux")

    def tmux(*arguments):
        return subprocess.run(["tmux", "-S", socket, "-f", "/dev/null", *arguments], env=t.environment(bare=True, TERM="xterm"), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True, check=True, timeout=WAIT_S).stdout

    def shows(words):
        kernel.wait_until(lambda: words in tmux("capture-pane", "-p"), timeout=WAIT_S, what=f"{words!r} is not shown")
        return tmux("capture-pane", "-p")

    tmux("new-session", "-d", "-x", "150", "-y", "40", "bash --norc")
    try:
        tmux("send-keys", "stty -g | md5sum; echo be''fore", "Enter")
        modes = re.search(r"[0-9a-f]{32}", shows("before"))[0]
        for n, end in enumerate((lambda: tmux("send-keys", "q"), lambda: subprocess.run(["pkill", "-P", tmux("display", "-p", "#{pane_pid}").strip()], check=True))):
            tmux("resize-window", "-x", "150", "-y", "40")
            tmux("send-keys", f"{TOOL} stat -w 1 -c {t.conf}", "Enter")
            shows("10.0.0.13")
            tmux("resize-window", "-x", "80", "-y", "24")
            kernel.wait_until(lambda: "last incidents" in tmux("capture-pane", "-p") or "no incidents" in tmux("capture-pane", "-p"), timeout=WAIT_S, what="nothing after the resize")
            equal(tmux("display", "-p", "#{alternate_on} #{cursor_flag}").strip(), "1 0", "another screen, no cursor")
            end()
            kernel.wait_until(lambda: tmux("display", "-p", "#{alternate_on} #{cursor_flag}").strip() == "0 1", timeout=WAIT_S, what="the screen is not as it was")
            tmux("resize-window", "-x", "150", "-y", "40")
            tmux("send-keys", f"stty -g | md5sum; echo af''ter{n}", "Enter")
            text = shows(f"after{n}")
            equal(re.findall(r"[0-9a-f]{32}", text)[-1], modes, "modes of the terminal")
            assert "before" in text, text
    finally:
        tmux("kill-server")


@full
def test_costs_less_than_a_hundredth_of_a_processor(t):
    """At 20,000 connects a second, by processor time; the client makes them all the same."""
    t.spread(t.sources())
    seconds = 12
    client = t.start([t.program("commands/rate"), "10.1.0.1", "1", "20000"])
    kernel.wait_until(lambda: os.path.exists(os.path.join(t.state, "test.state")), timeout=WAIT_S, what="no state file")
    view = started(t, "stat", lines=40)
    began = time.monotonic()
    wait(view, "the rate", lambda: any(re.search(r"enforce +\d,\d\d\d ", line) for line in view.frames()[-1]))
    time.sleep(max(0, seconds - (time.monotonic() - began)))
    view.key("q")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    equal(view.end(), (0, ""), "exit status and stderr")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    elapsed = time.monotonic() - began
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    client.terminate()
    client.wait(timeout=WAIT_S)
    print(f"{100 * spent / elapsed:.2f} % of a processor over {elapsed:.1f} s, {len(view.frames())} looks")
    print(open(os.path.join(t.folder, "out1")).read().strip(), "connects;", "\n".join(view.frames()[-1]))
    paid = elapsed + float(re.search(r"every ([0-9.]+) s", "\n".join(view.frames()[-1])).group(1))  # the last look is paid by the wait behind it
    assert spent / paid < 0.01, f"{100 * spent / paid:.2f} % of a processor"
