"""Two ordinary users and root, in a mount namespace with its own /run and /dev/shm, and a pid namespace, so that `set --all` and
`stat --all` meet no other test."""

import hashlib
import os
import shutil
import stat
import subprocess

from fixture import SHIM, TOOL, Skip

ALICE, BOB = 2001, 2002
CLONE_NEWNS, CLONE_NEWPID = 0x00020000, 0x20000000


def namespace(kernel):
    if os.geteuid() != 0:
        raise Skip("only root can become another user")
    with open("/proc/self/uid_map") as f:
        if sum(int(line.split()[2]) for line in f) < 3000:
            raise Skip("this user namespace has no other users")
    kernel.libc.unshare(CLONE_NEWNS | CLONE_NEWPID)
    init = subprocess.Popen(["sleep", "100000"], stdin=subprocess.DEVNULL)  # all end with it
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "proc", "proc", "/proc"], check=True)
    return init


class Users:
    def __init__(self, t, kernel):
        self.init = namespace(kernel)
        self.t = t
        self.wait_until = kernel.wait_until
        for path, mode in (("/run", "755"), ("/dev/shm", "1777")):
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"mode={mode},size=400m", "tmpfs", path], check=True)
        os.chmod(t.folder, 0o755)
        self.lib = os.path.join(t.folder, "lib")
        os.mkdir(self.lib, 0o755)
        for path in (TOOL, SHIM, os.path.join(os.path.dirname(SHIM), "connspread-config.so"), t.program("event_storm"), t.program("trust/fill")):
            shutil.copy(path, self.lib)
        self.tool = os.path.join(self.lib, "connspread")
        self.shim = os.path.join(self.lib, "libconnspread.so")

    def folder(self, uid):
        return f"/dev/shm/connspread-{uid}" if uid else "/run/connspread"

    def environment(self, extra):
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/"}
        env.update((key, value) for key, value in os.environ.items() if key.endswith("SAN_OPTIONS"))
        env.update(extra)
        return env

    def run(self, uid, *argv, timeout=30, text=True, **extra):
        """As that user, with nothing in the environment but extra. connspread: the tool."""
        argv = [self.tool if argv[0] == "connspread" else argv[0], *argv[1:]]
        who = dict(user=uid, group=uid, extra_groups=[]) if uid else {}
        return subprocess.run(argv, env=self.environment(extra), stdin=subprocess.DEVNULL, capture_output=True, text=text, timeout=timeout,
                              errors="surrogateescape" if text else None, cwd="/", **who)

    def instance(self, uid, name="web", **extra):
        """A state file of that user, made by a client that does nothing."""
        done = self.run(uid, "connspread", "run", "-i", name, "--", "true", **extra)
        assert done.returncode == 0 and done.stderr == "", done.stderr
        path = f"{self.folder(uid)}/{name}.state"
        assert os.stat(path).st_uid == uid, "the owner of a new state file"
        return path

    def client(self, uid, name="web", **extra):
        """A client that lives on and does nothing: set and reload reach those alone."""
        client = self.start(uid, "sleep", "50", LD_PRELOAD=self.shim, CONNSPREAD_INSTANCE=name, **extra)
        path = f"{extra.get('CONNSPREAD_DIR', self.folder(uid))}/{name}.state"
        self.wait_until(lambda: self.mapped(path), what=f"a client of uid {uid}")
        return client

    def mapped(self, path):
        return self.run(0, "sh", "-c", f"grep -lFs {path} /proc/[0-9]*/maps").stdout != ""

    def start(self, uid, *argv, **extra):
        argv = [self.tool if argv[0] == "connspread" else argv[0], *argv[1:]]
        who = dict(user=uid, group=uid, extra_groups=[]) if uid else {}
        return subprocess.Popen(argv, env=self.environment(extra), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                cwd="/", **who)


def fingerprint(*roots):
    """Every file below: what it is, whose, its names, its content."""
    found = {}
    for root in roots:
        for folder, names, files in os.walk(root):
            for name in names + files + [""]:
                path = os.path.join(folder, name)
                s = os.lstat(path)
                content = ""
                if stat.S_ISREG(s.st_mode):
                    with open(path, "rb") as f:
                        digest = hashlib.sha256()
                        while data := f.read(1 << 20):
                            digest.update(data)
                        content = digest.hexdigest()
                found[path] = (oct(s.st_mode), s.st_uid, s.st_gid, s.st_nlink if stat.S_ISREG(s.st_mode) else 0, content)
    return found


def owners(folder):
    return {name: os.lstat(os.path.join(folder, name)).st_uid for name in os.listdir(folder)}
