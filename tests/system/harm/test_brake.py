"""The emergency brake: whichever way a client was started, `set mode=off` brakes it within one connection, or exits with 1, changes
nothing and says where the client is and what reaches it."""

import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
import traceback

import kernel
from fixture import BUILD, PYTHON, ROOT, SHIM, TOOL, Skip, equal

KERNEL = "10.1.0.1"  # the source that the kernel chooses towards 10.1.0.1
CLONE_NEWNS, CLONE_NEWPID = 0x20000, 0x20000000
UID = 65534

# A connection every 10 ms, over which it says when its connect began. With a third argument it forks a worker that becomes this uid first, as php-fpm does.
CLIENT = """
import os, socket, sys, time
if len(sys.argv) > 3 and os.fork() == 0:
    os.setgid(int(sys.argv[3]))
    os.setuid(int(sys.argv[3]))
elif len(sys.argv) > 3:
    os.wait()
while True:
    began = time.monotonic()
    s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
    s.sendall(str(began).encode())
    s.close()
    time.sleep(0.01)
"""


class Sources(list):
    """The sources of a server's connections, in order, which go on growing, and when each connect began."""

    def __init__(self):
        super().__init__()
        self.began = []

    def since(self, moment):
        return [source for source, began in zip(self, self.began) if began > moment]


def listen(port):
    """A server; returns the sources of its connections."""
    sources = Sources()
    listener = socket.create_server((KERNEL, port), backlog=1024)

    def serve():
        while True:
            connection, peer = listener.accept()
            said = b""
            while part := connection.recv(100):
                said += part
            connection.close()
            if said:  # a client may be killed before
                sources.began.append(float(said))
                sources.append(peer[0])

    threading.Thread(target=serve, daemon=True).start()
    return sources


def on_a_host_of_its_own(test):
    """Decorator: test(host) runs as the first process of a pid namespace, with /run and /dev/shm of its own."""
    def perform(t):
        if os.geteuid() != 0 or kernel.libc.unshare(CLONE_NEWNS | CLONE_NEWPID) != 0:
            raise Skip("only root can have a pid namespace and folders of its own")
        why = os.path.join(t.folder, "why")
        child = os.fork()
        if child == 0:
            try:
                test(Host(t))
                os._exit(0)
            except BaseException:
                kernel.write(why, traceback.format_exc())
                os._exit(1)
        status = os.waitpid(child, 0)[1]
        assert status == 0, open(why).read() if os.path.exists(why) else f"status {status}"

    perform.__name__, perform.__doc__ = test.__name__, test.__doc__
    perform.limit, perform.needs = 100, ("bash", "setpriv", "unshare")
    return perform


class Host:
    """The programs and CONF lie where every user can read them."""

    def __init__(self, t):
        mounts = "mount --make-rprivate / && mount -t proc proc /proc && mount -t tmpfs -o mode=755 none /run && mount -t tmpfs -o mode=1777 none /dev/shm"
        subprocess.run(["sh", "-ec", mounts], check=True)
        self.pool, self.port, self.folder = t.sources(), 9400, "/run/lib"
        os.mkdir(self.folder)
        for path in (SHIM, os.path.join(BUILD, "connspread-config.so"), TOOL):
            shutil.copy(path, self.folder)
        self.conf = shutil.copy(t.spread(self.pool, name="web"), "/run/web.conf")
        self.shim = os.path.join(self.folder, "libconnspread.so")
        kernel.write("/run/client.py", CLIENT)

    def environment(self, **extra):
        return {"PATH": self.folder + ":/usr/sbin:/usr/bin:/sbin:/bin", **extra}

    def preload(self, **extra):
        return self.environment(LD_PRELOAD=self.shim, CONNSPREAD_CONF=self.conf, **extra)

    def start(self, env, *before, after=(), spreads=True):
        """Starts a client behind the words in before; returns it and the sources of its connections."""
        self.port += 1
        sources = listen(self.port)
        argv = [*before, PYTHON, "-S", "/run/client.py", KERNEL, str(self.port), *after]
        if before[-1:] == ("-c",):
            argv = [*before, " ".join([PYTHON, "-S", "/run/client.py", KERNEL, str(self.port)])]
        client = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, cwd="/")
        kernel.wait_until(lambda: len(sources) > 20, 15, f"{before}: the client does not connect")
        equal(set(sources) == {KERNEL}, not spreads, f"{before}: whether the client is not spread: {set(sources)}")
        return client, sources

    def tool(self, *arguments, **extra):
        return subprocess.run([os.path.join(self.folder, "connspread"), *arguments], env=self.environment(**extra), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=20, cwd="/")

    def shell(self, command):
        return subprocess.run(["bash", "-c", command], env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=20, cwd="/")

    def files(self):
        return sorted(os.path.join(folder, name) for top in ("/run", "/dev/shm") for folder, _, names in os.walk(top) for name in names if name.endswith(".state"))


def from_now_on(sources, what):
    """The sources of 30 connects that have not begun yet."""
    now = time.monotonic()
    return kernel.wait_until(lambda: len(sources.since(now)) >= 30 and sources.since(now), 15, f"{what}: the client does not go on")


def is_braked(sources, what):
    """From now on: at most a connect that was under way is spread."""
    found = from_now_on(sources, what)
    equal([s for s in found if s != KERNEL], [], f"{what}: sources of connects after the brake that were spread, of {len(found)}")


def is_spread(sources, what):
    assert KERNEL not in from_now_on(sources, what), f"{what}: the client was braked"


def tries(done):
    return re.findall(r"try: (CONNSPREAD_DIR=.* mode=off)$", done.stderr, re.M)


def brakes(done, sources, followers, what):
    equal((done.returncode, done.stderr), (0, ""), f"{what}: {done}")
    assert f"followed by {followers} process" in done.stdout, f"{what}: {done.stdout}"
    is_braked(sources, what)


def says_where(host, done, sources, what):
    """Exit 1, the client goes on as before, and the command that is named brakes it."""
    equal(done.returncode, 1, f"{what}: exit status: {done}")
    assert "nothing was changed" in done.stderr, f"{what}: {done.stderr}"
    is_spread(sources, what)
    equal(len(tries(done)), 1, f"{what}: commands that are named: {done}")
    command = tries(done)[0]
    again = host.shell(command)
    equal((again.returncode, again.stderr), (0, ""), f"{what}: {command}: {again}")
    is_braked(sources, what)


def drop_in(host, name):
    """The environment that contrib/systemd gives to service NAME, with this build's paths."""
    with open(os.path.join(ROOT, "contrib/systemd/connspread.conf")) as f:
        text = f.read().replace("%N", name).replace("/usr/local/lib/connspread", host.folder).replace(f"/etc/connspread/{name}.conf", host.conf)
    return dict(line.split("=", 2)[1:] for line in text.splitlines() if line.startswith("Environment="))


@on_a_host_of_its_own
def test_systemd(host):
    """With User=: README's line for the service's folder brakes; without the folder it says where. The same with a mistyped -i."""
    os.mkdir("/run/connspread-web", 0o700)
    os.chown("/run/connspread-web", UID, UID)
    user = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups"]  # systemd becomes the user before it executes
    _, sources = host.start(host.environment(**drop_in(host, "web")), *user)
    says_where(host, host.tool("set", "-c", host.conf, "mode=off"), sources, "the folder of the service was left out")
    equal(host.tool("set", "-i", "web", "mode=config", CONNSPREAD_DIR="/run/connspread-web").returncode, 0, "set mode=config")
    is_spread_again = len(sources)
    kernel.wait_until(lambda: set(sources[is_spread_again:]) & set(host.pool), 15, "the client is not spread again")
    says_where(host, host.tool("set", "-i", "wbe", "mode=off", CONNSPREAD_DIR="/run/connspread-web"), sources, "a mistyped -i")
    equal(host.tool("set", "-i", "web", "mode=config", CONNSPREAD_DIR="/run/connspread-web").returncode, 0, "set mode=config")
    brakes(host.tool("set", "-c", host.conf, "mode=off", CONNSPREAD_DIR="/run/connspread-web"), sources, 1, "README's line")
    equal(host.files(), ["/run/connspread-web/web.state"], "state files")


@on_a_host_of_its_own
def test_service_that_changes_its_user_itself(host):
    """The folder is root's, so the client has no state file: nothing reaches it, and that is said."""
    os.mkdir("/run/connspread-web", 0o700)
    _, sources = host.start(host.environment(**drop_in(host, "web")), "setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups")
    for extra in ({"CONNSPREAD_DIR": "/run/connspread-web"}, {}):
        done = host.tool("set", "-i", "web", "mode=off", **extra)
        equal(done.returncode, 1, f"exit status: {done}")
        assert re.search(rf"instance web: 1 process \(python3\[\d+\], uid {UID}\) cannot be reached: it could not have a state file; try: restart it", done.stderr), done.stderr
    is_spread(sources, "setpriv in a service of root")


@on_a_host_of_its_own
def test_php_pool(host):
    """A master that starts as root, and workers that it makes another user's: they follow the master's file."""
    os.mkdir("/run/connspread-web", 0o700)
    _, sources = host.start(host.environment(**drop_in(host, "web")), after=[str(UID)])
    brakes(host.tool("set", "-c", host.conf, "mode=off", CONNSPREAD_DIR="/run/connspread-web"), sources, 2, "the drop-in")


@on_a_host_of_its_own
def test_php_pool_under_run(host):
    _, sources = host.start(host.environment(), "connspread", "run", "-c", host.conf, "--", after=[str(UID)])
    brakes(host.tool("set", "-c", host.conf, "mode=off"), sources, 2, "connspread run")


def change(host, what, *before):
    """Root starts a client that runs as another user; root brakes it, in root's own folder."""
    _, sources = host.start(host.preload(), *before)
    done = host.tool("set", "-c", host.conf, "mode=off")
    equal(done.returncode, 1, f"{what}: exit status: {done}")
    is_spread(sources, what)
    equal(len(tries(done)), 1, f"{what}: commands that are named: {done}")
    command = tries(done)[0]
    assert f"/dev/shm/connspread-{UID}" in command, f"{what}: {command}"
    equal(host.shell(command).returncode, 0, f"{what}: {command}")
    is_braked(sources, what)
    assert f"uid {UID}" in done.stderr, f"{what}: {done.stderr}"
    return done


@on_a_host_of_its_own
def test_setpriv(host):
    """As gosu, su-exec and chpst do it: this process becomes another user, then executes the client."""
    done = change(host, "setpriv", "setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups")
    assert "nothing was changed" in done.stderr, done.stderr
    equal(host.files(), [f"/dev/shm/connspread-{UID}/web.state", "/run/connspread/web.state"], "state files")


@on_a_host_of_its_own
def test_runuser(host):
    """runuser itself stays root and follows root's file: that the client does not is told all the same."""
    done = change(host, "runuser", "runuser", "-u", "nobody", "--")
    assert "followed by 1 process" in done.stdout, done.stdout


@on_a_host_of_its_own
def test_su(host):
    change(host, "su", "su", "-s", "/bin/sh", "nobody", "-c")


@on_a_host_of_its_own
def test_container(host):
    """The recipe of contrib/container: from within as `docker compose exec` does; from the host, whose folders are others."""
    inside = "mount --make-rprivate / && mkdir -p /run/connspread && mount -t tmpfs -o mode=1777 none /run/connspread && exec setpriv --reuid=%d --regid=%d --clear-groups env \"$@\"" % (UID, UID)
    env = host.preload(CONNSPREAD_DIR="/run/connspread/state")  # of that user's processes alone, as `user:` in compose.yaml has it
    _, sources = host.start(host.environment(), "unshare", "--mount", "sh", "-ec", inside, "sh", *(f"{name}={value}" for name, value in env.items()))
    says_where(host, host.tool("set", "-i", "web", "mode=off", CONNSPREAD_DIR="/run/connspread/state"), sources, "from the host")
    within = ["nsenter", "--mount", "--target", host.shell(f"pgrep -f 'client.py {KERNEL} {host.port}'").stdout.split()[0], "setpriv", f"--reuid={UID}",
              f"--regid={UID}", "--clear-groups", "connspread", "set", "-i", "web"]
    equal(host.shell(" ".join(["CONNSPREAD_DIR=/run/connspread/state", *within, "mode=config"])).returncode, 0, "set mode=config from within")
    n = len(sources)
    kernel.wait_until(lambda: set(sources[n:]) & set(host.pool), 15, "the client is not spread again")
    brakes(host.shell(" ".join(["CONNSPREAD_DIR=/run/connspread/state", *within, "mode=off"])), sources, 1, "from within")


@on_a_host_of_its_own
def test_sidecar(host):
    """The tool in a pid namespace beside the client's sees no process that follows: by the client's own word there may be one, so it
    brakes, and says that it cannot tell."""
    _, sources = host.start(host.preload())
    beside = "unshare --mount --pid --fork --mount-proc connspread"
    done = host.shell(f"{beside} set -c {host.conf} mode=off")
    equal((done.returncode, "followed by 0 processes" in done.stdout), (0, True), f"set from beside: {done}")
    assert "1 process that cannot be looked into from here had connections open" in done.stderr, done.stderr
    is_braked(sources, "from beside")


@on_a_host_of_its_own
def test_a_mode_in_the_environment(host):
    """No override reaches such a client: that is said, with exit status 1; a canary reaches it."""
    _, sources = host.start(host.environment(), "connspread", "run", "-m", "enforce", "-c", host.conf, "--")
    for what in (["-c", host.conf], ["--all"]):
        done = host.tool("set", *what, "mode=off")
        equal((done.returncode, "followed by 1 process\n" in done.stdout), (1, True), f"{what}: {done}")
        assert "1 of these processes keeps the mode of CONNSPREAD_MODE" in done.stderr, done.stderr
    is_spread(sources, "a client with CONNSPREAD_MODE=enforce")
    brakes(host.tool("set", "-c", host.conf, "canary=0"), sources, 1, "canary=0")


@on_a_host_of_its_own
def test_all(host):
    """--all: every instance, wherever its folder is; with none it exits with 1. stat --all finds the same ones."""
    done = host.tool("set", "--all", "mode=off")
    equal((done.returncode, "no instance is running" in done.stderr), (1, True), f"set --all without clients: {done}")
    os.mkdir("/run/odd folder\n", 0o700)
    started = [host.start(host.preload(CONNSPREAD_DIR="/run/elsewhere")), host.start(host.preload(CONNSPREAD_INSTANCE="other")),
               host.start(host.preload(), "setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups")]
    files = ["/run/elsewhere/web.state", "/run/connspread/other.state", f"/dev/shm/connspread-{UID}/web.state"]
    found = [json.loads(line)["state_file"] for line in host.tool("stat", "--all", "-o", "json").stdout.splitlines()]
    assert set(files) <= set(found), f"stat --all: {found}"
    done = host.tool("set", "--all", "mode=off")
    equal((done.returncode, done.stderr, done.stdout.count("followed by 1 process\n")), (0, "", 3), f"set --all: {done}")
    for (_, sources), path in zip(started, files):
        assert path in done.stdout, f"{path} is not named: {done.stdout}"
        is_braked(sources, path)
    # One that runs on a file that is gone is beyond reach.
    os.unlink(files[0])
    done = host.tool("set", "--all", "mode=off")
    equal((done.returncode, "cannot be reached: its state file was removed" in done.stderr), (1, True), f"set --all after a removal: {done}")


@on_a_host_of_its_own
def test_nothing_is_made_or_changed(host):
    """No command of the tool makes a state file; none that nobody follows is written to, unless it is for later."""
    commands = (["set", "mode=off"], ["set", "--for-later", "mode=off"], ["set", "--all", "mode=off"], ["reload"], ["stat"], ["log"], ["report"], ["prune"])
    for command in commands:
        done = host.tool(*command, CONNSPREAD_CONF=host.conf)
        assert done.returncode != 0 or command == ["prune"], f"{command}: {done}"
    equal(host.files(), [], "state files")
    equal(os.path.exists("/run/connspread"), False, "the folder is there")
    client, sources = host.start(host.preload())
    client.kill()
    client.wait()
    follower = subprocess.Popen([os.path.join(host.folder, "connspread"), "log", "-f"], env=host.environment(CONNSPREAD_CONF=host.conf),
                                stdout=subprocess.PIPE, text=True)
    follower.stdout.readline()  # it maps the file, and is no client
    with open("/run/connspread/web.state", "rb") as f:
        before = f.read(32 << 20)
    for command in (["set", "mode=off"], ["reload"]):
        done = host.tool(*command, CONNSPREAD_CONF=host.conf)
        equal((done.returncode, "no living process follows it: nothing was changed" in done.stderr), (1, True), f"{command}: {done}")
    with open("/run/connspread/web.state", "rb") as f:
        equal(f.read(32 << 20) == before, True, "whether the state file is as it was")
    done = host.tool("set", "--for-later", "mode=off", CONNSPREAD_CONF=host.conf)
    equal((done.returncode, "clients to come will follow" in done.stdout), (0, True), f"--for-later: {done}")
    follower.kill()
    follower.wait()
    host.start(host.preload(), spreads=False)


@on_a_host_of_its_own
def test_a_client_without_a_connection_counts(host):
    idle = subprocess.Popen(["sleep", "60"], env=host.preload())
    kernel.wait_until(lambda: host.files(), 15, "the client makes no state file")
    for command in (["set", "mode=off"], ["reload"]):
        done = host.tool(*command, CONNSPREAD_CONF=host.conf)
        equal((done.returncode, "followed by 1 process\n" in done.stdout), (0, True), f"{command}: {done}")
    idle.kill()
    idle.wait()
    equal(host.tool("set", "mode=off", CONNSPREAD_CONF=host.conf).returncode, 1, "exit status when it has gone")


@on_a_host_of_its_own
def test_further_files_of_the_instance_are_named(host):
    """log, stat and report of root, which named no folder: a note on stderr, with the command that reads the other file."""
    host.start(host.preload())
    host.start(host.preload(), "setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups")
    for command in ("log", "stat", "report"):
        done = host.tool(command, "-c", host.conf)
        (line,) = [line for line in done.stderr.splitlines() if "of this instance too" in line]
        assert f"/dev/shm/connspread-{UID}/web.state (uid {UID})" in line, line
        equal(host.shell(line.partition("try: ")[2]).returncode, 0, line)
        equal(host.tool(command, "-c", host.conf, CONNSPREAD_DIR="/run/connspread").stderr, "", f"stderr of {command} with a folder")


@on_a_host_of_its_own
def test_a_name_that_would_harm_a_terminal(host):
    """Whoever starts a client chooses the folder's name: it reaches root's terminal and root's shell as harmless text."""
    folder = "/run/a b'\x1b[2J$(touch owned)"
    os.mkdir(folder, 0o700)
    _, sources = host.start(host.preload(CONNSPREAD_DIR=folder))
    done = host.tool("set", "-i", "web", "mode=off")
    assert "\x1b" not in done.stderr, repr(done.stderr)
    says_where(host, done, sources, "a folder with an odd name")
    equal(os.path.exists("/owned"), False, "what the name would run")
