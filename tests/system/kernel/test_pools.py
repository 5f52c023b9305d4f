"""What a rule and a pool can say besides addresses: programs by their script, ranges of destinations."""

import os

import kernel
from fixture import PYTHON, TOOL, equal

ONCE = "import socket, sys\nprint(socket.create_connection((sys.argv[1], int(sys.argv[2]))).getsockname()[0])\n"


def written(t, name, text, mode=0o644):
    path = os.path.join(t.folder, name)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)
    return path


# --- rules ---

def test_program_is_a_script(t):
    """`program` takes the script of an interpreter, argv[0] and the executed file; another script of the same interpreter is left alone."""
    source, = t.sources(11, 11)
    port = t.server()
    app = written(t, "app.py", ONCE)
    other = written(t, "other.py", ONCE)
    direct = written(t, "direct.py", f"#!{PYTHON} -S\n{ONCE}", 0o755)
    to = ["10.1.0.1", str(port)]
    as_worker = ["bash", "-c", 'exec -a worker "$@"', "bash", PYTHON, "-S", other] + to
    ways = {
        "script": ([PYTHON, "-S", "-W", "ignore", app] + to, 'program = { "app.p?" }'),
        "shebang": ([direct] + to, 'program = { "direct.py" }'),
        "argv[0]": (as_worker, 'program = { "worker" }'),
        "executed": (as_worker, f'program = {{ "{os.path.basename(PYTHON)}" }}'),
    }
    for what, (argv, rule) in ways.items():
        t.spread([source], rule=rule)
        equal(t.run(argv).stdout.strip(), source, f"source by {what}")
        bare = t.run([PYTHON, "-S", "-c", ONCE] + to) if what != "executed" else t.run(argv, bare=True)
        equal(bare.stdout.strip(), "10.1.0.1", f"source of a program that the rule of {what} does not name")
    t.spread([source], rule='program = { "app.py" }')
    equal(t.run([PYTHON, "-S", other] + to).stdout.strip(), "10.1.0.1", "source of the other script")


def test_program_is_a_script_under_supervise(t):
    """The same for programs that the supervisor serves: two scripts of one interpreter, in one tree, are told apart."""
    source, = t.sources(11, 11)
    port = t.server()
    app, other = written(t, "app.py", ONCE), written(t, "other.py", ONCE)
    conf = t.spread([source], rule='program = { "app.py" }')
    both = f'for s in "{app}" "{other}" "{app}"; do {PYTHON} -S "$s" 10.1.0.1 {port}; done'
    done = t.run([TOOL, "run", "--supervise", "-c", conf, "--", "sh", "-c", both], bare=True)
    equal(done.stdout.split(), [source, "10.1.0.1", source], "source of each script")


def test_ranges_in_to(t):
    """A range of destinations, and one of exceptions: exactly what lies between both ends."""
    source, = t.sources(11, 11)
    kernel.add_addresses(*kernel.addresses("10.1.1.", 8, 23), *[f"fd00:3::{n}" for n in range(1, 7)])
    kernel.add_addresses("fd00:1::11")
    port = t.server("")
    t.spread([source, "fd00:1::11"], to=["10.1.1.10-10.1.1.20", f"[fd00:3::2-fd00:3::5]:{port}"], rule='except = { "10.1.1.15-10.1.1.16" }')
    agent = t.agent()
    got = agent(f"[n for n in range(8, 24) if connect('10.1.1.%d' % n, {port}).getsockname()[0] == '{source}']")
    equal(got, [10, 11, 12, 13, 14, 17, 18, 19, 20], "destinations that the rule took")
    got = agent(f"[n for n in range(1, 7) if connect('fd00:3::%d' % n, {port}, AF_INET6).getsockname()[0] == 'fd00:1::11']")
    equal(got, [2, 3, 4, 5], "IPv6 destinations that the rule took")
