"""What a rule and a pool can say besides addresses: programs by their script, ranges of destinations."""

import os

import kernel
from fixture import PYTHON, TOOL, equal, full

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


# --- which source for whom ---

SOURCES_OF_TEN = "import socket, sys\nprint(*{socket.create_connection((sys.argv[1], int(sys.argv[2]))).getsockname()[0] for _ in range(10)})\n"


def ten(t, port, code=None, **options):
    """The only source that ten connections of a new process left from."""
    argv = code or [PYTHON, "-S", "-c", SOURCES_OF_TEN]
    used = t.run(argv + ["10.1.0.1", str(port)], **options).stdout.split()
    assert len(used) == 1, f"one process used {used}"
    return used[0]


def test_hash_by_environment(t):
    """hash-by env:TENANT: each tenant has one source, in every process; many tenants use all sources."""
    sources = t.sources()
    port = t.server()
    t.spread(sources, pool='policy = "hash"\nhash-by = { "env:TENANT" }')
    of_tenant = {n: ten(t, port, TENANT=f"tenant-{n}") for n in range(16)}
    equal(set(of_tenant.values()), set(sources), "sources of 16 tenants")
    equal({n: ten(t, port, TENANT=f"tenant-{n}") for n in range(4)}, {n: of_tenant[n] for n in range(4)}, "sources of the same tenants again")
    kernel.settle(port)
    equal(set(kernel.by_source(port)), set(sources), "sources by the kernel")


def test_hash_by_environment_that_could_not_be_read_at_first(t):
    """No descriptor was free at the first connect: the next one asks again."""
    sources = t.sources()
    port = t.server()
    t.spread(sources, pool='policy = "hash"\nhash-by = { "env:TENANT" }')
    for n in range(4):
        agent = t.agent(TENANT=f"tenant-{n}")
        agent("import resource\nhard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\ns = socket.socket()\nresource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))")
        equal(agent(f"attempt(s.connect, ('10.1.0.1', {port}))"), 0, "a connect without a free descriptor")
        agent("resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))")
        equal(agent(f"connect('10.1.0.1', {port}).getsockname()[0]"), ten(t, port, TENANT=f"tenant-{n}"), "its tenant's source afterwards")


def test_hash_by_process_and_program(t):
    """hash-by process: one source a process, fork children have others; program: one a script, whatever the process."""
    sources = t.sources()
    port = t.server()
    t.spread(sources, pool='policy = "hash"\nhash-by = { "process" }')
    forks = "import os\nfor _ in range(64):\n    if os.fork() == 0:\n        connect('10.1.0.1', %d); os._exit(0)\n    os.wait()" % port
    agent = t.agent()
    equal(agent(f"len({{connect('10.1.0.1', {port}).getsockname()[0] for _ in range(10)}})"), 1, "sources of one process")
    agent(f"exec({forks!r}, globals())")
    kernel.settle(port)
    equal(set(kernel.by_source(port)), set(sources), "sources of 64 fork children")
    agent.end()
    t.spread(sources, pool='policy = "hash"\nhash-by = { "program" }', name="programs")
    scripts = [written(t, f"job{n}.py", SOURCES_OF_TEN) for n in range(16)]
    of_script = {s: ten(t, port, [PYTHON, "-S", s]) for s in scripts}
    equal({s: ten(t, port, [PYTHON, "-S", s]) for s in scripts[:4]}, {s: of_script[s] for s in scripts[:4]}, "the same scripts again")
    equal(set(of_script.values()), set(sources), "sources of 16 scripts")


def test_hash_by_user(t):
    """hash-by user: the effective user at the connect, under `run --supervise` too."""
    sources = t.sources()
    port = t.server()
    conf = t.spread(sources, pool='policy = "hash"\nhash-by = { "user" }')
    code = f"[(os.seteuid(u), connect('10.1.0.1', {port}).getsockname()[0], os.seteuid(0))[1] for u in (*range(1000, 1016), *range(1000, 1016))]"
    agent = t.agent()
    agent("exec('import os', globals())")
    got = agent(code)
    equal(got[:16], got[16:], "sources of the same users again")
    equal(set(got), set(sources), "sources of 16 users")
    one = [PYTHON, "-S", "-c", SOURCES_OF_TEN, "10.1.0.1", str(port)]
    supervised = t.run([TOOL, "run", "--supervise", "-c", conf, "--"] + one, bare=True).stdout.split()
    equal(supervised, [ten(t, port)], "root's source, supervised and preloaded")


def test_excluded_addresses(t):
    """Addresses that a pool excludes are used by no connection."""
    t.sources(8, 15)
    port = t.server()
    t.spread(["10.0.0.8/29"], pool='exclude-addresses = { "10.0.0.8", "10.0.0.11-10.0.0.13" }')
    equal(t.agent()(f"burst(40, '10.1.0.1', {port})"), 0, "failures")
    kernel.settle(port)
    equal(kernel.by_source(port), {f"10.0.0.{n}": 10 for n in (9, 10, 14, 15)}, "connections per source")


def test_prefix_step(t):
    """prefix-step: 16 connections from a /60 leave from 16 /64s, and the 17th from a second address of the first."""
    kernel.add_addresses("fd00:2::1")
    kernel.ip("-6 route add local fd00:9::/60 dev lo")
    port = t.server("fd00:2::1")
    t.spread(["fd00:9::/60"], pool="prefix-step = 64\nfreebind = true")
    got = t.agent()(f"[connect('fd00:2::1', {port}, AF_INET6).getsockname()[0] for _ in range(32)]")
    equal(len(set(got)), 32, "addresses")
    equal(len({a.split("::")[0] for a in got[:16]}), 16, f"/64 prefixes of 16 connections: {got}")
    t.spread(["fd00:9::/60"], pool="freebind = true", name="plain")
    got = t.agent()(f"[connect('fd00:2::1', {port}, AF_INET6).getsockname()[0] for _ in range(16)]")
    equal({a.split("::")[0] for a in got}, {"fd00:9"}, "without it, one /64")


# --- an interface while it changes ---

LOAD = """
import socket, sys, os, time
failed = n = 0
while not os.path.exists(sys.argv[3]):
    try:
        s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\\1\\0\\0\\0\\0\\0\\0\\0")
        s.close()
        time.sleep(0.002)  # a SYN that a full listen queue drops would be sent again when its address has gone
    except OSError as e:
        failed += 1
        print(e, file=sys.stderr)
    n += 1
print(failed, n > 0)
"""


def eth1(*addresses):
    kernel.ip("link add eth1 type veth peer name eth1p")
    for end in "eth1", "eth1p":
        kernel.ip(f"link set {end} up")
    change("add", *addresses)


def change(what, *addresses):
    for address in addresses:
        kernel.ip(f"addr {what} {address}/32 dev eth1")


def used_now(t, port, wanted):
    """A client that starts now uses these sources and no others, as the live policy has them."""
    code = f"import socket\nprint(*{{socket.create_connection(('10.1.0.1', {port})).getsockname()[0] for _ in range(20)}})"
    kernel.wait_until(lambda: set(t.run([PYTHON, "-S", "-c", code]).stdout.split()) == set(wanted), timeout=15, what=f"no client uses {wanted} alone")


@full
def test_an_interface_that_loses_and_regains_its_addresses(t):
    """Under load, with a recorder: 0 failed connects while all addresses go, others come, and the first come back; each is used within seconds."""
    first, second = kernel.addresses("10.0.0.", 11, 14), kernel.addresses("10.0.0.", 21, 23)
    kernel.add_addresses("10.1.0.1")
    eth1(*first)
    port = t.server("10.1.0.1", "hold")
    t.spread(["eth1"], top=f'log {{ file = "{t.folder}/log" }}')
    stop = os.path.join(t.folder, "stop")
    load = [t.start([PYTHON, "-S", "-c", LOAD, "10.1.0.1", str(port), stop], via="run") for _ in range(2)]
    used_now(t, port, first)
    change("del", *first)  # none is left: what clients know is not here, and their own call serves
    used_now(t, port, ["10.1.0.1"])
    change("add", *second)
    used_now(t, port, second)
    change("add", *first)
    used_now(t, port, first + second)
    change("del", *second)
    used_now(t, port, first)
    with open(stop, "w"):
        pass
    for process in load:
        process.wait(timeout=30)
    for n in 1, 2:
        with open(os.path.join(t.folder, f"out{n}")) as f:
            equal(f.read().splitlines()[-1], "0 True", "failed connects, and were there any")
    texts = [e["text"] for e in t.events("reload") if "interface" in e.get("text", "")]
    assert len(texts) >= 2, f"reload events: {texts}"


def test_a_recorder_looks_up_what_changed_before_it_came(t):
    """An interface's addresses changed while no recorder ran: the next one publishes those of now, without another change."""
    kernel.add_addresses("10.1.0.1")
    eth1()
    for end in "eth1", "eth1p":  # or their link-local addresses come while the recorder runs
        kernel.ip(f"link set {end} addrgenmode none")
        kernel.ip(f"-6 addr flush dev {end}")
    change("add", "10.0.0.11")
    port = t.server()
    conf = t.spread(["eth1"], top=f'log {{ file = "{t.folder}/log" }}')
    agent = t.agent()
    equal(agent(f"connect('10.1.0.1', {port}).getsockname()[0]"), "10.0.0.11", "source")
    change("add", "10.0.0.12")
    change("del", "10.0.0.11")
    recorder = t.start([TOOL, "record", "-c", conf], via=None)
    kernel.wait_until(lambda: agent(f"connect('10.1.0.1', {port}).getsockname()[0]") == "10.0.0.12", timeout=15, what="the client is not told of the address")
    equal(recorder.poll(), None, "the recorder still runs")


def test_reload_looks_an_interface_up_again(t):
    """Without a recorder nothing polls; `reload` publishes the addresses that the interface has now."""
    kernel.add_addresses("10.1.0.1")
    eth1("10.0.0.11")
    port = t.server()
    conf = t.spread(["eth1"])
    agent = t.agent()
    equal(agent(f"connect('10.1.0.1', {port}).getsockname()[0]"), "10.0.0.11", "source")
    change("add", "10.0.0.12")
    change("del", "10.0.0.11")
    t.tool("reload", "-c", conf, check=0)
    equal(agent(f"connect('10.1.0.1', {port}).getsockname()[0]"), "10.0.0.12", "source after reload")


# --- why a pool has no `device` and no `mark` ---

UNPRIVILEGED = """if 1:
    import errno, os, socket
    os.setgid(65534)
    os.setuid(65534)
    s = socket.socket()
    said = []
    for option, value in ((25, b"lo\\0"), (25, b""), (36, 7)):  # SO_BINDTODEVICE, the same undone, SO_MARK
        try:
            s.setsockopt(socket.SOL_SOCKET, option, value)
            said.append("-")
        except OSError as e:
            said.append(errno.errorcode[e.errno])
    print(*said)"""


def test_a_device_is_not_undone_and_a_mark_not_set_without_privilege(t):
    """The kernel's word: what a fallback or `on-exhausted` could not take back from a client's socket, the shim does not do to it."""
    equal(t.run([PYTHON, "-S", "-c", UNPRIVILEGED], bare=True).stdout, "- EPERM EPERM\n", "bound to a device, undone, marked")
