"""What the client sees of the shim: nothing. Results and errno of calls are compared, bare against shim."""

import difflib
import os

import kernel
from fixture import PYTHON, equal

CONFIGS = ("default", "loopback pool", "pool")


def scene(t, config):
    """Server, packet filter that keeps port 7 silent, one of the configs; returns address and port."""
    t.sources()
    kernel.nft("table inet silent { chain input { type filter hook input priority 0; tcp dport 7 drop; }; }")
    if config == "loopback pool":
        address = "127.0.0.1"
        t.spread(kernel.addresses("127.0.0.", 2, 5))
    else:
        address = "10.1.0.1"
        if config == "pool":
            t.spread(kernel.addresses("10.0.0.", 11, 14) + ["::1", "127.0.0.2-127.0.0.5"])
    return address, t.server(address)


# With a source of ours the kernel's stale port of a dissolved connection does not show in getsockname: the undo binds the
# wildcard, and that clears it. No other difference is accepted.
STALE_PORT = {
    f"{what}: family 2, length 16, no address, a port, peer 0": f"{what}: family 2, length 16, no address, no port, peer 0"
    for what in ("after unspec", "connecting, unspec")
}


def same(want, got, what):
    """Two lists of lines; a difference is shown as diff does."""
    difference = list(difflib.unified_diff(want, got, "want", "got", n=1, lineterm=""))
    assert not difference, f"{what}:\n    " + "\n    ".join(difference)


def compare(t, program, config):
    address, port = scene(t, config)
    argv = [t.program(program), address, str(port)]
    bare = t.run(argv, bare=True).stdout.splitlines()
    assert len(bare) > 100, f"only {len(bare)} lines"
    same(bare, t.run(argv, bare=True).stdout.splitlines(), "two bare runs differ, the program is no good as a referee")
    if config != "default":
        bare = [STALE_PORT.get(line, line) for line in bare]
    same(bare, t.run(argv).stdout.splitlines(), f"shim against bare, {config}")
    t.attached(program=os.path.basename(argv[0]))


def test_connects_default(t):
    compare(t, "compare_connects", "default")


def test_connects_loopback_pool(t):
    compare(t, "compare_connects", "loopback pool")


def test_connects_pool(t):
    compare(t, "compare_connects", "pool")


def test_calls_default(t):
    compare(t, "compare_calls", "default")


def test_calls_loopback_pool(t):
    compare(t, "compare_calls", "loopback pool")


def test_calls_pool(t):
    compare(t, "compare_calls", "pool")


def test_rest_default(t):
    compare(t, "compare_rest", "default")


def test_rest_loopback_pool(t):
    compare(t, "compare_rest", "loopback pool")


def test_rest_pool(t):
    compare(t, "compare_rest", "pool")


def test_rest_before_constructors(t):
    """Every wrapped call before our constructor has run: the bare system call answers."""
    address, port = scene(t, "pool")
    argv = [t.program("compare_rest"), address, str(port)]
    bare, shim = (t.run(argv, bare=b, COMPARE_EARLY="1").stdout.splitlines() for b in (True, False))
    assert len(bare) > 100, f"only {len(bare)} lines"
    same(bare, shim, "shim against bare")
    equal(t.events("time-wait", program="compare_rest"), [], "events of connections made before we were there")


def test_descriptors(t):
    """/proc/self/fd is the same with and without us: at the start, connected, and after the close."""
    address, port = scene(t, "pool")
    code = f"""
import os, socket
def look():
    here = '/proc/self/fd/'
    print(sorted((int(n), os.readlink(here + n).split(':')[0]) for n in os.listdir(here) if os.path.exists(here + n)))
look()
s = [socket.create_connection(('{address}', {port})) for _ in range(20)]
look()
[x.close() for x in s]
look()"""
    equal(t.python(code).stdout, t.python(code, bare=True).stdout, "descriptors, shim against bare")
    t.attached()


def test_environment(t):
    """What the client has in its environment is what it was given."""
    scene(t, "pool")
    env = t.environment()
    lines = t.run(["/usr/bin/env", "-0"]).stdout.rstrip("\0").split("\0")
    equal(dict(line.split("=", 1) for line in lines), env, "environment")


def test_process(t):
    """No thread, no child, no signal disposition, no working directory, no umask, no memory that is writable and executable."""
    address, port = scene(t, "pool")
    code = f"""
import os, socket
c = [socket.create_connection(('{address}', {port})) for _ in range(20)]
status = dict(line.split(':', 1) for line in open('/proc/self/status'))
print([status[k].strip() for k in ('Threads', 'SigBlk', 'SigIgn', 'SigCgt', 'Umask', 'NoNewPrivs', 'Seccomp')])
print(os.getcwd(), open(f'/proc/self/task/{{os.getpid()}}/children').read(), [l for l in open('/proc/self/maps') if 'rwx' in l])"""
    equal(t.python(code).stdout, t.python(code, bare=True).stdout, "traits of the process")
    t.attached()


def silent(t, port, **extra):
    """A client, half of whose connects are refused; its exit status, stdout and stderr."""
    code = f"""
import socket
for i in range(100):
    s = socket.socket()
    s.connect_ex(('10.1.0.1', {port} if i % 2 else 9))
    s.close()"""
    done = t.python(code, check=False, **extra)
    return done.returncode, done.stdout, done.stderr


def test_silent(t):
    """Nothing on stdout or stderr, whatever goes wrong: no config, an unreadable one, no place for the state file, exhaustion."""
    scene(t, "pool")
    port = t.server()
    garbage = os.path.join(t.folder, "garbage")
    os.mkdir(garbage, 0o700)
    kernel.write(os.path.join(garbage, "test.state"), "not a state file " * 1000)
    kernel.port_range(40000, 40015)
    for what, extra in (("exhaustion", {}),
                        ("no such config", {"conf": "/nonexistent.conf"}),
                        ("a folder as config", {"conf": t.folder}),
                        ("no place for a state file", {"CONNSPREAD_DIR": "/proc/none"}),
                        ("garbage as state file", {"CONNSPREAD_DIR": garbage}),
                        ("disabled", {"CONNSPREAD_DISABLE": "1"}),
                        ("an instance with a bad name", {"CONNSPREAD_INSTANCE": "../x"}),
                        ("another instance", {"CONNSPREAD_INSTANCE": "other"})):
        equal(silent(t, port, **extra), (0, "", ""), f"exit status, stdout and stderr: {what}")
    t.attached()
    with open(os.path.join(garbage, "test.state")) as f:
        equal(f.read(), "not a state file " * 1000, "content of the file that is not ours")


def test_verbose(t):
    """CONNSPREAD_VERBOSE=1: one line on stderr that names version, config, instance, mode and arm."""
    address, port = scene(t, "pool")
    done = t.python(f"import socket; socket.create_connection(('{address}', {port}))", check=False, CONNSPREAD_VERBOSE="1")
    lines = done.stderr.splitlines()
    equal((done.returncode, done.stdout, len(lines)), (0, "", 1), f"exit status, stdout, lines on stderr ({lines})")
    for part in (t.conf, "test", "enforce"):
        assert part in lines[0], f"{part} is missing in: {lines[0]}"


def test_disabled(t):
    """CONNSPREAD_DISABLE=1: the connection leaves as it would without us, and leaves no event."""
    address, port = scene(t, "pool")
    t.python(f"import socket; socket.create_connection(('{address}', {port})).close()", CONNSPREAD_DISABLE="1")
    kernel.settle(port)
    equal(dict(kernel.by_source(port)), {address: 1}, "sources")
    equal(t.files(), [], "state files")


def test_unusable_state_file(t):
    """No place for a state file, or garbage in it: connections are spread all the same."""
    address, port = scene(t, "pool")
    kernel.write(os.path.join(t.state, "test.state"), "not a state file " * 1000)
    code = f"import socket\nfor _ in range(8): socket.create_connection(('{address}', {port})).close()"
    for extra in {}, {"CONNSPREAD_DIR": "/proc/none"}:
        t.python(code, **extra)
    kernel.settle(port)
    equal(dict(kernel.by_source(port)), {s: 4 for s in kernel.addresses("10.0.0.", 11, 14)}, "sources")


def test_inherited_stdio(t):
    """A client started with stdin, stdout and stderr closed gets no descriptor of ours in their place."""
    address, port = scene(t, "pool")
    report = os.path.join(t.folder, "report")
    inner = (f"import os, socket; c = socket.create_connection(('{address}', {port})); c.close(); "
             f"n = os.open({report!r}, os.O_WRONLY | os.O_CREAT | os.O_TRUNC); os.write(n, str(n).encode())")
    outer = f"import os\nos.closerange(0, 3)\nos.execv({PYTHON!r}, [{PYTHON!r}, '-S', '-c', {inner!r}])"
    numbers = []
    for bare in True, False:
        t.python(outer, bare=bare)
        with open(report) as f:
            numbers.append(f.read())
    equal(numbers[1], numbers[0], "first free descriptor, shim against bare")
    t.attached()
