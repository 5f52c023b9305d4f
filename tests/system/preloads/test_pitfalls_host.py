"""How we are loaded, and what the host may do to us; numbers as in the list of pitfalls."""

import errno
import os
import re
import shutil
import subprocess

import harness
import kernel
from fixture import BUILD, PYTHON, ROOT, SHIM, equal, needs
from test_instances import other_users


def stage(t, rule=""):
    sources = t.sources()
    port = t.server()
    t.spread(sources, rule=rule)
    return sources, port


def burst(t, port, n, **options):
    return t.run([t.program("burst"), "10.1.0.1", str(port), str(n)], **options)


def strace(t, calls, argv, bare=False):
    """What a client calls: the lines of strace, from its start to its end."""
    path = os.path.join(t.folder, "trace")
    env = [] if bare else ["-E", f"LD_PRELOAD={SHIM}", "-E", f"CONNSPREAD_CONF={t.conf}", "-E", f"CONNSPREAD_DIR={t.state}"]
    t.run(["strace", "-f", "-o", path, "-e", "trace=" + calls] + env + argv, bare=True, check=False)
    with open(path) as f:
        return [re.sub(r"^\d+ +", "", line) for line in f]


# --- loading ---

def test_dlopen_and_dlclose_around_us(t):
    """Modules that connect in their constructor and close in their destructor, opened and closed by a running client: in our
    namespace each connection is spread and told; in one of its own (dlmopen) it is the module's own, and works."""
    sources, port = stage(t)
    agent = t.agent(MODULE_ADDRESS="10.1.0.1", MODULE_PORT=str(port))
    module = t.program("module.so")
    agent(f"import _ctypes\nfor _ in range(20): _ctypes.dlclose(_ctypes.dlopen({module!r}, 2))")
    t.same_time_waits(port, 20)
    equal(set(kernel.by_source(port)), set(sources), "sources")
    agent("libc.dlmopen.restype = ctypes.c_void_p; libc.dlclose.argtypes = [ctypes.c_void_p]")
    agent(f"h = libc.dlmopen(ctypes.c_long(-1), {module!r}.encode(), 2)")
    assert agent("h"), "dlmopen failed"
    agent(f"libc.dlclose(h); burst(4, '10.1.0.1', {port})")
    agent.end()
    kernel.settle(port)
    equal((len(kernel.time_waits(port)), len(t.time_wait_events(port))), (25, 24), "TIME-WAITs and events")


def test_dlopen_of_the_shim_itself(t):
    """Opened by hand instead of preloaded, and closed again: of no use, and harmless, to the client's last moment too."""
    _, port = stage(t)
    agent = t.agent(bare=True, CONNSPREAD_CONF=t.conf)
    for _ in range(3):
        equal(agent(f"import _ctypes\nh = _ctypes.dlopen({SHIM!r}, 2); 0") or agent(f"burst(2, '10.1.0.1', {port})"), 0, "failures")
        agent("_ctypes.dlclose(h)")
    equal(agent(f"burst(4, '10.1.0.1', {port})"), 0, "failures after dlclose")
    agent.end()
    kernel.settle(port)
    equal(len(kernel.time_waits(port)), 10, "TIME-WAITs")


def test_29_inert_under_at_secure(t):
    """Loaded into a setuid program by /etc/ld.so.preload: no environment is read, no config opened, no state file made."""
    uid = other_users()
    sources, port = stage(t)
    kernel.libc.unshare(0x20000)  # CLONE_NEWNS
    layers = {name: os.path.join(t.folder, "layers", name) for name in ("upper", "work")}
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    os.makedirs(os.path.join(t.folder, "layers"))
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", os.path.join(t.folder, "layers")], check=True)
    for path in layers.values():
        os.mkdir(path)
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir=/etc,upperdir={layers['upper']},workdir={layers['work']}", "/etc"], check=True)
    program, shim, _ = (shutil.copy(path, os.path.join(t.folder, "layers"))
                        for path in (t.program("burst"), SHIM, SHIM.replace("libconnspread", "connspread-config")))
    kernel.write("/etc/ld.so.preload", shim)
    os.chmod(t.folder, 0o755)
    os.chmod(os.path.join(t.folder, "layers"), 0o755)
    os.chmod(program, 0o4755)
    environment = t.environment(bare=True, CONNSPREAD_CONF=t.conf, CONNSPREAD_VERBOSE="1")
    for user, lines in (0, 1), (uid, 0):  # the real user is the owner: an ordinary program; another one: AT_SECURE
        done = subprocess.run([program, "10.1.0.1", str(port), "4"], env=environment, user=user, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
        equal((done.returncode, len(done.stderr.splitlines())), (0, lines), f"exit status and lines of ours on stderr of uid {user}: {done.stderr!r}")
    kernel.settle(port)
    equal(dict(kernel.by_source(port)), {**{s: 1 for s in sources}, "10.1.0.1": 4}, "connections per source")
    equal(len(t.events("time-wait")), 4, "events")


def test_30_installed_by_rename(t):
    """make install under a running client: the file is another one, and the client goes on with the one that it has mapped."""
    _, port = stage(t)
    destination = os.path.join(t.folder, "root")
    shim = os.path.join(destination, "usr/lib/connspread/libconnspread.so")

    def install():
        subprocess.run(["make", "-s", "-o", "all", "-C", ROOT, f"BUILD={BUILD}", f"DESTDIR={destination}", "PREFIX=/usr", "install"], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        return os.stat(shim).st_ino

    first = install()
    agent = t.agent(preload=shim)
    equal(agent(f"burst(4, '10.1.0.1', {port})"), 0, "failures")
    assert install() != first, "the mapped file itself was written to"
    equal(agent(f"burst(4, '10.1.0.1', {port})"), 0, "failures after the second install")
    agent.end()
    t.same_time_waits(port, 8)


def test_31_programs_that_ignore_a_preload(t):
    """A static program runs as it is; `run` says that nothing can be preloaded into it."""
    stage(t)
    source, program = os.path.join(t.folder, "static.c"), os.path.join(t.folder, "static")
    kernel.write(source, "int main(void) { return 7; }\n")
    subprocess.run(["gcc", "-static", "-o", program, source], check=True)
    done = t.tool("run", "-c", t.conf, "--", program)
    equal(done.returncode, 7, "exit status")
    assert program in done.stderr and "statically linked" in done.stderr, f"stderr: {done.stderr!r}"


# --- spreading ---

@needs("strace")
def test_23_retries_are_bounded(t):
    """attempts = 3, ten full sources: three connects of the kernel's and the client's own; all known to be full: the own one."""
    sources = t.sources(11, 20)
    port = t.server()
    t.spread(sources, rule="attempts = 3")
    kernel.port_range(40000, 40003)
    agent = t.agent()
    equal(agent(f"hold(44, '10.1.0.1', {port})"), [0, 44], "errno and connections: ten sources and the client's own address")
    code = f"import socket, time\nfor i in range(2):\n s = socket.socket(); print(s.connect_ex(('10.1.0.1', {port}))); s.close()"
    for pause in 0.2, 0:  # longer than a hold-down: all may be tried again; then not
        agent(f"time.sleep({pause})")
        lines = strace(t, "connect,socket", [PYTHON, "-S", "-c", code])
        connects = "".join("s" if line.startswith("socket(AF_INET,") else "c" for line in lines
                           if line.startswith(("socket(AF_INET,", "connect(")) and "AF_UNIX" not in line)
        tries = [len(part) for part in connects.split("s")[1:]]
        assert len(tries) == 2 and all(1 <= n <= 4 for n in tries), f"connects of the kernel per connect of the client: {tries}"


def test_26_fast_open_by_sendmsg_and_sendmmsg(t):
    """The three calls that connect by MSG_FASTOPEN are spread alike, and told."""
    kernel.sysctl("net.ipv4.tcp_fastopen", 1)
    sources, port = stage(t)
    t.run([t.program("hard_places"), "constant", "10.1.0.1", str(port)])
    t.same_time_waits(port, 11)
    spread = kernel.by_source(port)
    assert max(spread.values()) - min(spread.values()) <= 1 and set(spread) == set(sources), f"per source: {dict(spread)}"


# --- the log ---

@needs("strace")
def test_33_nothing_opened_can_be_inherited(t):
    """Every descriptor that we open for a moment, from config and state file to sock_diag, is close-on-exec."""
    _, port = stage(t)
    client = [t.program("burst"), "10.1.0.1", str(port), "4"]
    ours = []
    for _ in range(2):  # once compiling the config and making the state file, once finding them
        lines = strace(t, "openat,open,socket,memfd_create,eventfd2,epoll_create1,pipe2,dup,dup2,dup3,fcntl", client)
        ours += [line for line in lines if " = -1" not in line and not line.startswith("socket(AF_INET")]
    assert len([line for line in ours if "test.conf" in line or ".state" in line]) >= 3, "strace has not seen us"
    equal([line for line in ours if re.match(r"open|socket|memfd", line) and "CLOEXEC" not in line], [], "opened without O_CLOEXEC")
    equal([line for line in ours if re.match(r"dup|fcntl\(\d+, F_DUPFD,", line)], [], "duplicated")


def test_35_full_disk(t):
    """No room for the state file: the client runs on private memory, and nothing half-made is left in the folder."""
    sources, port = stage(t)
    kernel.libc.unshare(0x20000)  # CLONE_NEWNS
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M,mode=0700", "tmpfs", t.state], check=True)
    burst(t, port, 8)
    equal(t.files(), [], "files in the folder")
    kernel.settle(port)
    equal(dict(kernel.by_source(port)), {s: 2 for s in sources}, "connections per source")
    room = os.statvfs(t.state)
    equal(room.f_bavail, room.f_blocks, "free blocks")


def test_38_under_a_seccomp_filter(t):
    """A client that may only socket, connect and close, behind a filter that the shim was told to trust: each answers as without us, errno included."""
    _, port = stage(t)
    for more in [], ["more"]:
        for bare in True, False:
            t.run([t.program("few_calls"), "10.1.0.1", str(port), "20"] + more, bare=bare, CONNSPREAD_SECCOMP="trust")
        # Where not even mmap is allowed there are no records: what passed is counted.
        equal(len(t.events("attach", program="few_calls")), 1 if more else 0, "attach events")
        assert re.search(r"^connections_untracked +0 +0 +20$", t.tool("stat", "-c", t.conf, check=0).stdout, re.MULTILINE), "connections not counted as untracked"
    kernel.settle(port)
    equal(len(kernel.time_waits(port)), 80, "TIME-WAITs")


def test_38_between_two_namespaces(t):
    """setns before every connection: each is spread in its namespace, told with that namespace's cookie, and what is full
    in one is not in the other."""
    sources, port = stage(t)
    agent = t.agent()
    agent("here = os.open('/proc/self/ns/net', os.O_RDONLY); libc.unshare(0x40000000)")
    for command in ("link set lo up", *(f"addr add {a}/32 dev lo" for a in sources + ["10.1.0.1"])):
        agent(f"subprocess.run(['ip'] + {command.split()!r}, check=True)")
    agent("open('/proc/sys/net/ipv4/tcp_tw_reuse', 'w').write('0'); open('/proc/sys/net/ipv4/ip_local_port_range', 'w').write('40000 40001')")
    agent(f"l = socket.create_server(('10.1.0.1', {port})); there = os.open('/proc/self/ns/net', os.O_RDONLY)")
    failures = {True: 0, False: 0}
    for i in range(36):
        outside = i % 3 != 2
        agent(f"libc.setns({'here' if outside else 'there'}, 0x40000000)")
        failures[outside] += agent(f"burst(1, '10.1.0.1', {port})")
    equal(failures, {True: 0, False: 12 - 10}, "failures outside, and where four sources and the client's own address have two ports each")
    agent("libc.setns(here, 0x40000000)")
    kernel.settle(port)
    waits = kernel.time_waits(port)
    equal(len(waits), 24, "TIME-WAITs outside")
    cookies = {}
    for e in t.events("time-wait"):
        cookies.setdefault(e["netns"], []).append(e)
    equal(sorted(len(c) for c in cookies.values()), [10, 24], "time-wait events by namespace")
    equal({e["local_address"] for e in max(cookies.values(), key=len)}, set(sources), "sources outside")


def test_38_without_a_free_descriptor(t):
    """EMFILE: a client with no descriptor left connects and closes as without us."""
    _, port = stage(t)
    agent = t.agent()
    agent("import resource\ns = [socket.socket() for _ in range(8)]\nspare = []")
    agent("resource.setrlimit(resource.RLIMIT_NOFILE, (s[-1].fileno() + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))")
    equal(agent("attempt(lambda: spare.append(socket.socket()))"), errno.EMFILE, "errno of one more")
    equal(agent(f"[attempt(x.connect, ('10.1.0.1', {port})) for x in s]"), [0] * 8, "errnos of connect")
    agent("fds = [x.detach() for x in s]; [os.close(f) for f in fds]")
    t.same_time_waits(port, 8)


@needs("strace")
def test_39_no_network_of_ours(t):
    """Whatever a client does, the only sockets beside its own are sock_diag's, and nothing is sent but to those."""
    _, port = stage(t)
    kernel.port_range(40000, 40003)
    code = (f"import os, socket\nc = [socket.socket() for _ in range(30)]\nfor s in c: s.connect_ex(('10.1.0.1', {port}))\n"
            "if os.fork() == 0: os._exit(0)\nos.wait()\nfor s in c: s.close()")
    calls = "socket,connect,sendto,sendmsg,sendmmsg,bind"
    lines = strace(t, calls, [PYTHON, "-S", "-c", code])
    families = {re.match(r"socket\((\w+)", line)[1] for line in lines if line.startswith("socket(")}
    assert families <= {"AF_INET", "AF_NETLINK"}, f"families of sockets: {families}"
    netlink = [line for line in lines if line.startswith("socket(AF_NETLINK")]
    equal([line for line in netlink if "NETLINK_SOCK_DIAG" not in line], [], "netlink sockets of another kind")
    peers = {m[1] for m in (re.search(r'^connect\(.*inet_addr\("([^"]*)"', line) for line in lines) if m}
    equal(peers, {"10.1.0.1"}, "destinations")
    equal([line for line in lines if line.startswith("send") and "AF_NETLINK" not in line and "SOCK_DIAG" not in line and "nlmsg" not in line], [],
          "what was sent")


# --- the list ---

def test_the_table_of_pitfalls_names_tests_that_exist(t):
    """tests/README.md has a row for each pitfall, and each row a test of this suite, of Check, or a script."""
    with open(os.path.join(ROOT, "tests/README.md")) as f:
        rows = re.findall(r"^\| (\d+[ab]?) \| .* \| (`.*`) \|$", f.read(), re.MULTILINE)
    equal([number for number, _ in rows], [str(n) for n in range(1, 39)] + ["38a", "38b", "39", "40", "41"], "rows")
    names = {name for name, _ in harness.discover(["."], [])}
    for number, tests in rows:
        for name in re.findall(r"`([^`]*)`", tests):
            assert name in names or name.startswith("tests/") and os.path.exists(os.path.join(ROOT, name)), f"pitfall {number}: no test {name}"
