"""Trust domains: each row of the table in src/DESIGN.md, from both sides."""

import fcntl
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import kernel
from fixture import equal, limit, waits
from users import ALICE, BOB, Users, fingerprint, owners


def rules(u, name, log=""):
    path = os.path.join(u.t.folder, name)
    kernel.write(path, f'log {{ file = "{log}" }}\n')
    os.chmod(path, 0o644)
    return path


def ended(done, status, what):
    equal(done.returncode, status, f"{what}: {done.stderr}")
    return done


# --- state file ---

def test_state_root_reads_all_others_only_their_own(t):
    u = Users(t, kernel)
    path = u.instance(ALICE)
    u.client(ALICE)
    before = fingerprint(u.folder(ALICE))
    seen = ended(u.run(0, "connspread", "stat", "--all", "-o", "json"), 0, "stat --all").stdout
    equal([json.loads(line)["uid"] for line in seen.splitlines()], [ALICE], f"uids that root sees: {seen}")
    for command in (["log"], ["stat"], ["check"], ["prune", "-n"], ["report"]):
        ended(u.run(0, "connspread", *command, "-i", "web", CONNSPREAD_DIR=u.folder(ALICE)), 0, " ".join(command))
    equal(fingerprint(u.folder(ALICE)), before, "the user's folder after root's readers")
    for command in (["log"], ["stat"], ["set", "--for-later", "mode=off"], ["reload"]):
        ended(u.run(BOB, "connspread", *command, "-i", "web", CONNSPREAD_DIR=u.folder(ALICE)), 1, f"another user's {command}")
    os.chmod(u.folder(ALICE), 0o755)
    os.chmod(path, 0o644)
    for command in (["log"], ["stat"], ["set", "--for-later", "mode=off"], ["reload"]):
        ended(u.run(BOB, "connspread", *command, "-i", "web", CONNSPREAD_DIR=u.folder(ALICE)), 1, f"another user's {command}, all readable")


def test_state_pages_that_cannot_be_had(t):
    """Sparse on a full file system, or cut: named and passed over, the others are read; no signal."""
    u = Users(t, kernel)
    u.instance(ALICE, "good")
    small = "/run/connspread-small"
    os.mkdir(small)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", small], check=True)
    with open(f"{u.folder(ALICE)}/good.state", "rb") as f:
        header, size = f.read(4096), os.stat(f.name).st_size
    for uid, name in ((0, "mine"), (ALICE, "sparse")):
        path = f"{small}/{name}.state"
        with open(path, "wb") as f:
            f.write(header)
            f.truncate(size)
        os.chmod(path, 0o600)
        os.chown(path, uid, uid)
    subprocess.run(["dd", "if=/dev/zero", f"of={small}/full", "bs=4k"], stderr=subprocess.DEVNULL, check=False)
    cut = f"{u.folder(ALICE)}/cut.state"
    with open(cut, "wb") as f:
        f.write(header)
        f.truncate(70000)
    for form in ("text", "json", "prometheus"):
        done = ended(u.run(0, "connspread", "stat", "--all", "-o", form), 0, f"stat --all -o {form}")
        assert "good" in done.stdout and cut in done.stdout + done.stderr, done.stdout + done.stderr
    for name in ("mine", "sparse"):
        for command in (["log"], ["stat"], ["report"], ["set", "--for-later", "mode=off"], ["reload"], ["prune", "-n"], ["check"]):
            done = u.run(0, "connspread", *command, "-i", name, CONNSPREAD_DIR=small)
            assert done.returncode in (0, 1), f"{name}, {command}: {done.returncode} {done.stderr}"
            if command[0] in ("set", "reload"):
                equal(done.returncode, 1, f"{command} with no room for the file")
                assert f"{name}.state" in done.stderr, done.stderr


# Makes TIME-WAITs until it is killed.
CLIENT = """import socket, sys, time
while True:
    socket.create_connection(("127.0.0.1", int(sys.argv[1]))).close()
    time.sleep(0.005)"""


def content(path):
    with open(path) as f:
        return f.read()


def mapping(path):
    """The first argument of each process that maps it."""
    found = glob.glob("/proc/[0-9]*/maps")
    return sorted(content(f"{os.path.dirname(maps)}/cmdline").split("\0")[1] for maps in found if path in content(maps))


def stop(process):
    process.send_signal(signal.SIGSTOP)
    equal(os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT).si_code, os.CLD_STOPPED, f"how {process.args} is")


def test_state_cut_while_it_is_written_to(t):
    """A client writes events, a recorder and two readers take them, then it is cut under all four. The client dies, as libconnspread(7)
    says. The tool says which file was cut, status 1: the owner's, which maps it, and root's, which reads a copy."""
    u = Users(t, kernel)
    own = os.path.join(t.folder, "own")
    os.mkdir(own)
    os.chown(own, ALICE, ALICE)
    log, theirs = f"{own}/web.jsonl", u.folder(ALICE)
    state = u.instance(ALICE)  # by a config without log.file, so that `run` starts no recorder
    conf = rules(u, "web.conf", log)
    port = t.server("127.0.0.1", "hold")
    client = u.start(ALICE, sys.executable, "-c", CLIENT, str(port), LD_PRELOAD=u.shim, CONNSPREAD_CONF=conf)
    tools = {}
    for name, uid in (("reader", ALICE), ("root's reader", 0)):
        tools[name] = u.start(uid, "connspread", "log", "-f", "-o", "json", "-i", "web", CONNSPREAD_DIR=theirs)
        assert '"event":' in tools[name].stdout.readline(), f"the {name} read nothing"
    tools["recorder"] = recorder(u, conf, ALICE)
    kernel.wait_until(lambda: os.path.exists(log) and '"event":"time-wait"' in content(log), 15, "no TIME-WAIT in the recorder's file")

    using = (client, *tools.values())
    for process in using:
        stop(process)
    equal(mapping(state), ["-c", "log", "record"], "what maps it at the moment of the cut: the client, the owner's reader, the recorder")
    os.truncate(state, 4096)
    for process in using:
        process.send_signal(signal.SIGCONT)

    equal((client.communicate(timeout=15)[1], client.returncode), ("", -signal.SIGBUS), "the client")
    ends = {name: (process.communicate(timeout=15)[1], process.returncode) for name, process in tools.items()}
    cut = "was cut by another process while it was in use, or its disk is broken: start again"
    equal(ends["recorder"], (f"connspread: {state} or {theirs}/web.recorder: {cut}\n", 1), "the recorder")
    equal(ends["reader"], (f"connspread: {state}: {cut}\n", 1), "the reader")
    assert ends["root's reader"][0].startswith(f"connspread: {state}: was cut"), ends
    equal(ends["root's reader"][1], 1, f"root's reader: {ends}")


def test_state_root_writes_with_the_owners_rights(t):
    """set and reload as root: all that is made there is the user's, who goes on."""
    u = Users(t, kernel)
    u.instance(ALICE)
    os.unlink(f"{u.folder(ALICE)}/.lock")
    u.client(ALICE)
    here = {"CONNSPREAD_DIR": u.folder(ALICE)}
    secret = os.path.join(t.folder, "new.conf")
    kernel.write(secret, "canary = 7\n")
    os.chmod(secret, 0o600)
    ended(u.run(0, "connspread", "set", "-i", "web", "mode=observe", **here), 0, "set")
    done = ended(u.run(0, "connspread", "reload", "-i", "web", "-c", secret, **here), 0, "reload")
    assert "policy generation" in done.stdout, done.stdout
    equal(set(owners(u.folder(ALICE)).values()), {ALICE}, f"owners: {owners(u.folder(ALICE))}")
    equal({name: oct(os.stat(f"{u.folder(ALICE)}/{name}").st_mode & 0o777) for name in os.listdir(u.folder(ALICE))},
          {".lock": "0o600", "web.state": "0o600"}, "modes")
    said = u.run(0, "connspread", "log", "-i", "web", "-o", "json", **here).stdout
    assert '"event":"reload"' in said and "by uid 0" in said, said
    ended(u.run(ALICE, "connspread", "set", "-i", "web", "mode=config"), 0, "the user's own set")
    ended(u.run(0, "connspread", "set", "--all", "mode=off"), 0, "set --all")
    ended(u.run(ALICE, "connspread", "reload", "-i", "web"), 0, "the user's own reload")
    u.instance(ALICE, "third")


def test_state_links_lead_nowhere(t):
    """A link in the user's folder instead of a file: root writes nothing through it."""
    u = Users(t, kernel)
    theirs, roots = u.instance(ALICE), "/dev/shm/root.state"
    shutil.copy(u.instance(0, "root"), roots)
    before = fingerprint("/dev/shm/root.state")
    here = {"CONNSPREAD_DIR": u.folder(ALICE)}
    os.unlink(theirs)
    for make in (os.symlink, os.link):
        make(roots, theirs)
        for command in (["set", "--for-later", "mode=off"], ["reload"]):
            ended(u.run(0, "connspread", *command, "-i", "web", **here), 1, f"{command} through {make.__name__}")
        os.unlink(theirs)
        equal(fingerprint("/dev/shm/root.state"), before, f"root's own file after {make.__name__}")


# --- folder ---

def test_folder_that_others_may_write_to(t):
    """Refused for files that exist, too, by client and tool."""
    u = Users(t, kernel)
    path = u.instance(ALICE)
    os.chmod(u.folder(ALICE), 0o777)
    done = ended(u.run(ALICE, "connspread", "set", "--for-later", "-i", "web", "mode=off"), 1, "set")
    assert "others may write" in done.stderr, done.stderr
    done = ended(u.run(ALICE, "true", LD_PRELOAD=u.shim, CONNSPREAD_INSTANCE="web", CONNSPREAD_VERBOSE="1"), 0, "a client")
    assert "working without a state file" in done.stderr, done.stderr
    os.chmod(u.folder(ALICE), 0o700)
    done = ended(u.run(ALICE, "true", LD_PRELOAD=u.shim, CONNSPREAD_INSTANCE="web", CONNSPREAD_VERBOSE="1"), 0, "a client")
    assert "attached" in done.stderr, done.stderr
    assert os.path.exists(path)


def test_folder_that_is_a_link(t):
    """root looks through no user's link, and prunes nothing behind one."""
    u = Users(t, kernel)
    u.instance(0, "root")
    os.mkdir("/run/elsewhere")
    os.rename("/run/connspread/root.state", "/run/elsewhere/root.state")
    os.symlink("/run/elsewhere", f"/dev/shm/connspread-{BOB}")
    os.lchown(f"/dev/shm/connspread-{BOB}", BOB, BOB)
    done = ended(u.run(0, "connspread", "stat", "--all"), 0, "stat --all")
    assert "root.state" not in done.stdout, done.stdout
    before = fingerprint("/run/elsewhere")
    for command in (["prune"], ["prune", "-f"], ["set", "--for-later", "mode=off"], ["reload"]):
        ended(u.run(0, "connspread", *command, "-i", "root", CONNSPREAD_DIR=f"/dev/shm/connspread-{BOB}"), 1, f"{command} through a link")
    equal(fingerprint("/run/elsewhere"), before, "what the link leads to")


def test_folder_of_a_umask_that_takes_everything(t):
    u = Users(t, kernel)
    done = u.run(ALICE, "sh", "-c", f"umask 0777; exec env LD_PRELOAD={u.shim} CONNSPREAD_INSTANCE=web CONNSPREAD_VERBOSE=1 true")
    assert "attached" in done.stderr, done.stderr
    equal((oct(os.stat(u.folder(ALICE)).st_mode & 0o7777), owners(u.folder(ALICE))), ("0o700", {".lock": ALICE, "web.state": ALICE}), "the folder")
    done = u.run(ALICE, "true", LD_PRELOAD=u.shim, CONNSPREAD_INSTANCE="web", CONNSPREAD_VERBOSE="1")
    assert "attached" in done.stderr, done.stderr


def test_folder_relative_to_where_run_was_called(t):
    """CONNSPREAD_DIR is absolute for the command, wherever that goes."""
    u = Users(t, kernel)
    done = u.run(0, "sh", "-c", f"cd /run && CONNSPREAD_DIR=here {u.tool} run -i web -- sh -c 'cd /; echo $CONNSPREAD_DIR; {u.tool} log -i web >&2'")
    equal(done.stdout, "/run/here\n", "CONNSPREAD_DIR of the command")
    assert done.stderr.startswith("connspread: no client has made a TCP connection under instance web in /run/here."), done.stderr
    equal((done.returncode, done.stderr.count("\n"), sorted(set(os.listdir("/run")) - {"mount"})), (0, 1, ["here"]), "folders made")


# --- lock ---

def test_lock_is_the_owners(t):
    """Whoever may read the folder cannot hold its lock."""
    u = Users(t, kernel)
    u.instance(ALICE)
    u.client(ALICE)
    os.chmod(u.folder(ALICE), 0o755)
    stranger = os.open(u.folder(ALICE), os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(stranger, fcntl.LOCK_EX)
    u.instance(ALICE, "second")
    ended(u.run(ALICE, "connspread", "reload", "-i", "web"), 0, "reload")
    ended(u.run(BOB, "flock", "-n", f"{u.folder(ALICE)}/.lock", "true"), 66, "another user's flock of the lock file")
    ended(u.run(ALICE, "flock", "-n", f"{u.folder(ALICE)}/.lock", "true"), 0, "its owner's")
    os.close(stranger)


def test_lock_that_is_something_else(t):
    """A link or FIFO of that name: refused, and what it leads to stays as it is."""
    u = Users(t, kernel)
    u.instance(ALICE)
    u.client(ALICE)
    victim = "/run/victim"
    kernel.write(victim, "root's")
    lock = f"{u.folder(ALICE)}/.lock"
    os.unlink(lock)
    for make in (lambda: os.symlink(victim, lock), lambda: os.mkfifo(lock), lambda: os.mkdir(lock)):
        make()
        began = time.monotonic()
        ended(u.run(0, "connspread", "reload", "-i", "web", CONNSPREAD_DIR=u.folder(ALICE)), 1, "reload")
        assert time.monotonic() - began < 5, "waited for a lock that is none"
        if os.path.isdir(lock) and not os.path.islink(lock):
            os.rmdir(lock)
        else:
            os.unlink(lock)
    equal(open(victim).read(), "root's", "what the link led to")


# --- journal ---

def recorder(u, conf, uid=0, **extra):
    return u.start(uid, "connspread", "record", "--keep", "-c", conf, **extra)


def events_in(path):
    if not os.path.exists(path):
        return 0
    with open(path) as f:
        return sum('"event":"reload"' in line or '"event":"control"' in line for line in f)


def test_journal_of_roots_recorder_is_the_users(t):
    """Root records a service's events: the log is root's, the journal beside the state file the user's, whose own recorder goes on."""
    u = Users(t, kernel)
    os.mkdir("/run/log", 0o700)
    conf = rules(u, "web.conf", "/run/log/web.jsonl")
    theirs = rules(u, "theirs.conf")
    u.instance(ALICE)
    u.client(ALICE)
    here = {"CONNSPREAD_DIR": u.folder(ALICE), "CONNSPREAD_INSTANCE": "web"}
    process = recorder(u, conf, **here)
    ended(u.run(ALICE, "connspread", "reload", "-c", theirs, "-i", "web"), 0, "the user's reload")
    kernel.wait_until(lambda: events_in("/run/log/web.jsonl") > 0, what="an event in root's log")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    equal((process.returncode, err), (0, ""), "root's recorder")
    equal(os.stat("/run/log/web.jsonl").st_uid, 0, "the owner of root's log")
    equal(owners(u.folder(ALICE)), {".lock": ALICE, "web.state": ALICE, "web.recorder": ALICE}, "owners in the user's folder")
    own = os.path.join(t.folder, "own")
    os.mkdir(own)
    os.chown(own, ALICE, ALICE)
    mine = rules(u, "mine.conf", f"{own}/web.jsonl")
    ended(u.run(ALICE, "connspread", "reload", "-c", mine, "-i", "web"), 0, "reload")
    process = recorder(u, mine, ALICE, CONNSPREAD_INSTANCE="web")
    kernel.wait_until(lambda: events_in(f"{own}/web.jsonl") > 0, what="an event in the user's log")
    process.send_signal(signal.SIGINT)
    equal(process.communicate(timeout=10)[1], "", "the user's recorder after root's")


def test_journal_that_leads_elsewhere(t):
    """A link, a second name or another kind of file in its place: refused, nothing is written there."""
    u = Users(t, kernel)
    os.mkdir("/run/log", 0o700)
    conf = rules(u, "web.conf", "/run/log/web.jsonl")
    u.instance(ALICE)
    kernel.write("/dev/shm/victim", "root's")
    before = fingerprint("/dev/shm/victim")
    journal = f"{u.folder(ALICE)}/web.recorder"
    for make in (lambda: os.symlink("/dev/shm/victim", journal), lambda: os.link("/dev/shm/victim", journal), lambda: os.mkfifo(journal)):
        make()
        process = recorder(u, conf, CONNSPREAD_DIR=u.folder(ALICE), CONNSPREAD_INSTANCE="web")
        _, err = process.communicate(timeout=15)
        equal(process.returncode, 1, f"recorder: {err}")
        assert "web.recorder" in err, err
        os.unlink(journal)
    equal((fingerprint("/dev/shm/victim"), open("/dev/shm/victim").read()), (before, "root's"), "what the links led to")


# --- log.file ---

def test_log_file_is_the_callers_choice(t):
    """What the owner of a state file publishes does not move root's recorder; without a choice of root's it writes nothing."""
    u = Users(t, kernel)
    os.mkdir("/run/log", 0o700)
    conf, evil = rules(u, "web.conf", "/run/log/web.jsonl"), rules(u, "evil.conf", "/run/evil.jsonl")
    u.instance(ALICE)
    u.client(ALICE)
    here = {"CONNSPREAD_DIR": u.folder(ALICE), "CONNSPREAD_INSTANCE": "web"}
    process = recorder(u, conf, **here)
    for _ in range(3):
        ended(u.run(ALICE, "connspread", "reload", "-c", evil, "-i", "web"), 0, "the user's reload")
        time.sleep(0.5)
    kernel.wait_until(lambda: events_in("/run/log/web.jsonl") >= 3, what="events in root's log")
    assert process.poll() is None, "root's recorder ended"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert not os.path.exists("/run/evil.jsonl"), "root's recorder wrote where the user said"
    none = rules(u, "none.conf")
    done = ended(u.run(0, "connspread", "record", "--keep", "-c", none, **here), 2, "a recorder with no log.file of root's")
    assert "log.file" in done.stderr and not os.path.exists("/run/evil.jsonl"), done.stderr
    own = os.path.join(t.folder, "own.jsonl")
    ended(u.run(0, "connspread", "run", "-c", rules(u, "own.conf", own), "--", "true"), 0, "root's own")
    kernel.wait_until(lambda: os.path.exists(f"{u.folder(0)}/own.recorder"), what="root's own recorder")


def test_log_file_is_regular_has_one_name_and_is_ours(t):
    u = Users(t, kernel)
    log = "/run/log/web.jsonl"
    os.mkdir("/run/log", 0o755)
    conf = rules(u, "web.conf", log)
    kernel.write("/run/other", "")

    def others():
        kernel.write(log, "")
        os.chown(log, ALICE, ALICE)

    for make, why in ((lambda: os.link("/run/other", log), "second name"), (others, "another user"), (lambda: os.mkfifo(log), "regular"),
                      (lambda: os.symlink("/run/other", log), "symbolic")):
        make()
        done = u.run(0, "connspread", "run", "-c", conf, "--", "echo", "ran", timeout=15)
        equal((done.returncode, done.stdout), (0, "ran\n"), f"run with {why}")
        assert why in done.stderr, f"{why}: {done.stderr}"
        os.unlink(log)
    equal(open("/run/other").read(), "", "the other name")


@limit(90)
@waits
def test_log_file_that_cannot_be_written_keeps_no_recorder(t):
    """When its clients have gone, a recorder ends though not all is written, and says so."""
    u = Users(t, kernel)
    os.mkdir("/run/log")
    conf = rules(u, "web.conf", "/run/log/web.jsonl")
    ended(u.run(0, "true", LD_PRELOAD=u.shim, CONNSPREAD_CONF=conf), 0, "a client")
    os.rename("/run/log", "/run/gone")
    process = u.start(0, "connspread", "record", "-c", conf)
    ended(u.run(0, "connspread", "set", "--for-later", "-c", conf, "canary=3"), 0, "set")
    _, err = process.communicate(timeout=60)
    equal(process.returncode, 1, f"the recorder: {err}")
    assert "stay in the state file" in err, err


def test_report_reads_what_the_caller_names(t):
    """log.file of another user's policy is not read; of our own only a regular file, and holes are skipped."""
    u = Users(t, kernel)
    fifo = os.path.join(t.folder, "fifo")
    os.mkfifo(fifo, 0o666)
    os.chmod(fifo, 0o666)
    u.instance(ALICE)
    u.client(ALICE)
    ended(u.run(ALICE, "connspread", "reload", "-c", rules(u, "evil.conf", fifo), "-i", "web"), 0, "reload")
    done = u.run(0, "connspread", "report", "-i", "web", CONNSPREAD_DIR=u.folder(ALICE), timeout=15)
    assert done.stderr.startswith("connspread: no client has made a TCP connection under instance web in "), done.stderr
    equal((done.returncode, done.stderr.count("\n")), (0, 1), "root's report of another user's instance")
    hole = os.path.join(t.folder, "hole")
    kernel.write(hole, "")
    os.truncate(hole, 200 << 30)
    for path in (fifo, "/dev/zero", hole):
        conf = rules(u, "mine.conf", path)
        ended(u.run(0, "true", LD_PRELOAD=u.shim, CONNSPREAD_CONF=conf), 0, "a client")
        done = u.run(0, "connspread", "report", "-c", conf, timeout=15)
        assert done.returncode in (0, 2), f"{path}: {done.returncode} {done.stderr}"
        assert ("regular" in done.stderr) == (path != hole), f"{path}: {done.stderr}"


# --- standard descriptors ---

def test_closed_descriptors_receive_nothing(t):
    """Messages go nowhere, above all not into the state file."""
    u = Users(t, kernel)
    path = u.instance(0)
    for command in ("set --for-later mode=off", "set mode=strange", "stat", "reload", "prune -n", "log"):
        u.run(0, "sh", "-c", f"exec {u.tool} {command} -i web 0<&- 1>&- 2>&-")
        with open(path, "rb") as f:
            data = f.read()
        assert b"connspread: " not in data and b"instance web" not in data, f"{command}: an answer is in the state file"
    done = u.run(0, "sh", "-c", f"exec {u.tool} stat -i web 1>&-")
    equal(done.returncode, 1, f"stat with nowhere to go: {done.stderr}")
    done = u.run(0, "sh", "-c", f"{u.tool} run -i web -- ls -l /proc/self/fd 0<&-")
    assert "/dev/null" not in done.stdout, f"the command got a descriptor: {done.stdout}"
