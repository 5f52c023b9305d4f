"""Several instances, users, network and pid namespaces on one host; stale state files."""

import json
import mmap
import os
import re
import shutil
import signal
import struct
import subprocess

import exposition
import kernel
from fixture import ROOT, SHIM, TOOL, Skip, equal, needs


def instances(t, **extra):
    """What stat --all says of this test's folder: by the state file's name."""
    done = t.tool("stat", "--all", "-o", "json", "-c", t.conf, check=0, **extra)
    return {os.path.basename(r["state_file"]): r for r in map(json.loads, done.stdout.splitlines()) if os.path.dirname(r["state_file"]) == t.state}


def used(t, **users):
    """instances(t), once NAME.state has so many processes: a tool of root in another test maps every file for a moment, to know which it is."""
    def found():
        all_of_them = instances(t)
        return all_of_them if {name: all_of_them[name + ".state"].get("processes") for name in users} == users else None
    return kernel.wait_until(found, what=f"stat --all does not say that so many processes use the files: {users}")


def who_maps_can_be_seen(t):
    """In a user namespace we may not look into our own processes outside of it: then connspread calls no file dead."""
    t.run(["true"], CONNSPREAD_INSTANCE="visible")
    found = instances(t)["visible.state"]
    os.unlink(found["state_file"])
    if "processes" not in found:
        raise Skip("there are processes of this user that may not be looked into")


def other_users():
    """A uid that is not ours and that we can become."""
    if os.geteuid() != 0:
        raise Skip("only root can become another user")
    with open("/proc/self/uid_map") as f:
        if sum(int(line.split()[2]) for line in f) < 2000:
            raise Skip("this user namespace has no second user")
    return 1234


def test_client_and_tool_give_a_long_name_alike(t):
    """A config's name of up to 63 bytes names the instance, whatever dots it has; with one more, neither the client nor the tool uses it."""
    pool = t.sources(11, 11)
    port = t.server()
    longest = ("long.name." + "n" * 63)[:63]
    for stem in longest[:62], longest, "web.v2":
        t.spread(pool, name=stem)
        t.run(["bash", "-c", f"exec 3<>/dev/tcp/10.1.0.1/{port}"])
        equal(t.files(), [f"{stem}.state"], f"the state file of a client with {stem}.conf")
        equal(t.tool("log", "-c", t.conf, "--event", "attach", check=0).stdout.count("attach"), 1, "attach events that the tool finds by the config's name")
        os.unlink(os.path.join(t.state, t.files()[0]))
    t.spread(pool, name=longest + "n")
    done = t.run(["bash", "-c", f"exec 3<>/dev/tcp/10.1.0.1/{port}"], check=False, CONNSPREAD_VERBOSE="1")
    equal((done.returncode, t.files()), (0, []), "exit status and state files of a client whose config has a name too long")
    assert "an instance's name has 1 to 63 bytes" in done.stderr, done.stderr
    equal(dict(kernel.by_source(port)), {pool[0]: 4}, "it is spread all the same")
    for command in ["log"], ["stat"], ["set", "mode=off"], ["run", "true"]:
        done = t.tool(command[0], "-c", t.conf, *command[1:], check=2)
        assert "a name has 1 to 63 bytes" in done.stderr and "try: -i NAME" in done.stderr, done.stderr


def test_two_instances_are_apart(t):
    """Each with its config, its counters, its override."""
    t.spread(["10.0.0.11"])
    who_maps_can_be_seen(t)
    pool = t.sources()
    one, two = t.server(), t.server()
    first = t.spread(pool[:1], name="first")
    second = t.spread(pool[1:2], name="second")
    agents = [t.agent(conf=first), t.agent(conf=second)]
    equal(agents[0](f"burst(3, '10.1.0.1', {one})") + agents[1](f"burst(4, '10.1.0.1', {two})"), 0, "failures")
    t.tool("set", "-c", first, "mode=off", check=0)
    agents[0](f"burst(2, '10.1.0.1', {one})")
    agents[1](f"burst(2, '10.1.0.1', {two})")
    equal((dict(kernel.by_source(one)), dict(kernel.by_source(two))), ({pool[0]: 3, "10.1.0.1": 2}, {pool[1]: 6}), "sources")
    found = used(t, first=1, second=1)
    equal({name: (r["instance"], r["mode"], r["processes"]) for name, r in found.items()},
          {"first.state": ("first", "off", 1), "second.state": ("second", "enforce", 1)}, "stat --all")
    text = t.tool("stat", "--all", "-o", "prometheus", "-c", t.conf, check=0).stdout
    exposition.check(text)
    assert 'instance="first"' in text and 'instance="second"' in text, "instances in the metrics"
    equal(text.count("# TYPE connspread_connects_total "), 1, "TYPE lines of one metric")


def test_stale_files_are_named_and_pruned(t):
    """A dead owner, another layout, damage: named with the reason; pruned on request; one in use never is."""
    t.sources()
    port = t.server()
    t.spread(["10.0.0.11"], name="dead")
    who_maps_can_be_seen(t)
    t.run([t.program("burst"), "10.1.0.1", str(port), "1"])
    subprocess.run(["cp", "--sparse=always", os.path.join(t.state, "dead.state"), os.path.join(t.state, "old.state")], check=True)
    with open(os.path.join(t.state, "old.state"), "r+b") as f:
        f.seek(8)
        f.write(struct.pack("=I", 9999))
    kernel.write(os.path.join(t.state, "rubbish.state"), "this is none")
    kernel.write(os.path.join(t.state, ".new-0123456789abcdef"), "half")
    os.utime(os.path.join(t.state, ".new-0123456789abcdef"), (1, 1))
    kernel.write(os.path.join(t.state, "notes.txt"), "not ours")
    t.spread(["10.0.0.11"], name="live")
    agent = t.agent()
    agent(f"burst(1, '10.1.0.1', {port})")
    found = used(t, live=1)
    reasons = {"dead.state": "no living process maps it", "old.state": "another version of connspread made it (layout 9999",
               "rubbish.state": "no state file", ".new-0123456789abcdef": "half built"}
    for name, reason in reasons.items():
        assert reason in found[name].get("stale", ""), f"{name}: {found[name]}"
    equal((found["live.state"].get("stale"), found["live.state"]["processes"]), (None, 1), "the live one")
    before = t.files()
    dry = t.tool("prune", "-n", "-c", t.conf, check=0).stdout
    equal((t.files(), dry.count("would be removed")), (before, len(reasons)), "files after a dry run, and what it names")
    done = t.tool("prune", "-c", t.conf, check=0).stdout
    for name, reason in reasons.items():
        assert any(name in line and "removed" in line and reason in line for line in done.splitlines()), f"{name}: {done}"
    equal(t.files(), ["live.state", "notes.txt"], "files after prune")
    equal(agent(f"burst(1, '10.1.0.1', {port})"), 0, "failures after prune")


def test_journals_are_pruned_with_their_state_files(t):
    """A recorder's journal: goes with the state file, or after it; not while the state file stays, nor while a recorder lives."""
    t.spread(t.sources())
    who_maps_can_be_seen(t)
    for name in ("gone", "dead", "kept", "live"):
        conf = t.config(f'log {{ file = "{t.folder}/{name}.json" }}\n', name)
        t.run(["true"])
        recorder = t.start([TOOL, "record", "--keep", "-c", conf], bare=True)
        kernel.wait_until(lambda: os.path.exists(f"{t.state}/{name}.recorder"), what=f"{name}'s journal")
        if name != "live":
            recorder.send_signal(signal.SIGINT)
            equal(recorder.wait(timeout=10), 0, "the recorder's exit status")
    t.tool("set", "--for-later", "-i", "kept", "mode=off", check=0)
    for name in ("gone", "live"):
        os.unlink(f"{t.state}/{name}.state")
    before = t.files()
    dry = t.tool("prune", "-n", "-c", conf, check=0).stdout
    equal((t.files(), dry.count("would be removed")), (before, 3), "files after a dry run, and what it names")
    t.tool("prune", "-c", conf, check=0)
    equal(t.files(), ["kept.recorder", "kept.state", "live.recorder"], "files after prune")
    recorder.send_signal(signal.SIGINT)
    equal(recorder.wait(timeout=10), 0, "the living recorder's exit status")


def test_pruning_is_no_truncation(t):
    """Whoever maps a pruned file all the same lives on: -f is asked for while a bare process holds a mapping."""
    t.sources()
    t.spread(["10.0.0.11"])
    port = t.server()
    t.run([t.program("burst"), "10.1.0.1", str(port), "1"])
    path = os.path.join(t.state, "test.state")
    with open(path, "r+b") as f:
        mapping = mmap.mmap(f.fileno(), 0)
    out = t.tool("prune", "-f", "-c", t.conf, check=0).stdout
    equal((os.path.exists(path), out), (True, ""), "a file in use, after prune -f")
    os.unlink(path)
    equal(mapping[:8], b"connsprd", "the mapping of an unlinked file")


def test_prune_leaves_overrides(t):
    t.spread(["10.0.0.11"])
    who_maps_can_be_seen(t)
    t.run(["true"])
    t.tool("set", "--for-later", "-c", t.conf, "mode=off", check=0)
    out = t.tool("prune", "-c", t.conf, check=0).stdout
    assert "left:" in out and "mode off (set)" in out, out
    equal(t.files(), ["test.state"], "files")
    t.tool("prune", "-f", "-c", t.conf, check=0)
    equal(t.files(), [], "files after prune -f")


def test_prune_of_one_instance(t):
    """-i: that instance's state file and journal, and nothing else."""
    t.spread(["10.0.0.11"])
    who_maps_can_be_seen(t)
    for name in ("web", "batch"):
        t.run(["true"], CONNSPREAD_INSTANCE=name)
    for name in ("web", "gone"):
        kernel.write(f"{t.state}/{name}.recorder", "")
    t.tool("prune", "-i", "web", check=0)
    equal(t.files(), ["batch.state", "gone.recorder"], "files after prune -i web")
    t.tool("prune", "-c", t.conf, check=0)
    equal(t.files(), [], "files after prune")


def test_another_layout_is_not_reused(t):
    """A client that finds the state file of another version works without it and leaves it as it is."""
    pool = t.sources()
    t.spread(pool)
    port = t.server()
    t.run([t.program("burst"), "10.1.0.1", str(port), "1"])
    path = os.path.join(t.state, "test.state")
    with open(path, "r+b") as f:
        f.seek(8)
        f.write(struct.pack("=I", 77))
    with open(path, "rb") as f:
        before = f.read()
    t.run([t.program("burst"), "10.1.0.1", str(port), "8"])
    with open(path, "rb") as f:
        assert f.read() == before, "the file of another version was written to"
    equal(set(kernel.by_source(port)), set(pool), "sources without a state file")
    done = t.tool("set", "-c", t.conf, "mode=off", check=1)
    assert "another version" in done.stderr, done.stderr
    said = t.tool("check", "-c", t.conf, check=1).stdout
    assert "not there yet" not in said and re.search(r"^state file .*test\.state \(cannot be used, see the warning below\)$", said, re.M), said
    assert re.search(r"^warning: .*test\.state: was made by another version", said, re.M), said
    t.tool("prune", "-c", t.conf, check=0)
    t.run([t.program("burst"), "10.1.0.1", str(port), "4"])
    kernel.settle(port)
    equal(len(t.events("time-wait")), 4, "events after prune: those before are nowhere")


def test_layouts_of_upgrades(t):
    """contrib/doc/upgrade.md knows the layout of this version, as the last of its table."""
    text = {}
    for path in "contrib/doc/upgrade.md", "Makefile", "src/state/layout.h":
        with open(os.path.join(ROOT, path)) as f:
            text[path] = f.read()
    version = re.search(r"^VERSION = (\S+)$", text["Makefile"], re.M)[1]
    layout = re.search(r"STATE_LAYOUT = (\d+)", text["src/state/layout.h"])[1]
    equal(re.findall(r"^\| (\d\S*) \| (\d+) \|$", text["contrib/doc/upgrade.md"], re.M)[-1], (version, layout), "version and layout of the last row")


def test_several_users(t):
    """Each user has a folder and a state file of his own; root's stat --all shows both; nobody may use the other's."""
    uid = other_users()
    pool = t.sources()
    os.chmod(t.folder, 0o755)
    t.spread(pool)
    port = t.server()
    folder = f"/dev/shm/connspread-{uid}"
    assert not os.path.exists(folder), f"{folder} is there already"
    shim_folder = os.path.join(t.folder, "lib")  # where that user can read it
    os.mkdir(shim_folder, 0o755)
    for name in ("libconnspread.so", "connspread-config.so"):
        shutil.copy(os.path.join(os.path.dirname(SHIM), name), shim_folder)
    shutil.copy(t.program("burst"), shim_folder)
    tool = shutil.copy(TOOL, shim_folder)
    env = {"PATH": "/usr/bin:/bin", "CONNSPREAD_CONF": t.conf, "LD_PRELOAD": os.path.join(shim_folder, "libconnspread.so")}
    try:
        done = subprocess.run([os.path.join(shim_folder, "burst"), "10.1.0.1", str(port), "8"], env=env, user=uid, group=uid, extra_groups=[], capture_output=True)
        equal((done.returncode, done.stderr), (0, b""), "the other user's client")
        equal(set(kernel.by_source(port)), set(pool), "its sources")
        t.run([t.program("burst"), "10.1.0.1", str(port), "2"])
        done = t.tool("stat", "--all", "-o", "json", "-c", t.conf, check=0)
        found = [json.loads(line) for line in done.stdout.splitlines()]
        assert {(r["state_file"], r.get("uid")) for r in found} >= {(f"{folder}/test.state", uid), (f"{t.state}/test.state", 0)}, done.stdout
        text = t.tool("stat", "--all", "-o", "prometheus", "-c", t.conf, check=0).stdout
        exposition.check(text)
        assert f'instance="{folder}/test.state"' in text and 'instance="test"' in text, "instances in the metrics"
        os.chmod(t.state, 0o755)
        theirs = subprocess.run([tool, "set", "-c", t.conf, "mode=off"], env={"PATH": "/usr/bin:/bin", "CONNSPREAD_DIR": t.state}, user=uid, group=uid,
                                extra_groups=[], capture_output=True, text=True)
        equal(theirs.returncode, 1, f"another user's set on root's state file: {theirs.stderr}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@needs("unshare")
def test_pid_namespaces(t):
    """A client in a pid namespace of its own, as a container's, shares the instance and counts as a user of its file."""
    pool = t.sources()
    t.spread(pool)
    port = t.server()
    unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if subprocess.run(unshare + ["true"], capture_output=True).returncode != 0:
        raise Skip("pid namespaces cannot be made here")
    agent = t.agent(wrapper=unshare)
    equal(agent(f"burst(4, '10.1.0.1', {port})"), 0, "failures")
    equal(agent("os.getpid()"), 1, "its pid")
    equal(set(kernel.by_source(port)), set(pool), "sources")
    assert instances(t)["test.state"].get("stale") is None, "its state file is called stale"
    t.tool("prune", "-c", t.conf, check=0)
    equal(t.files(), ["test.state"], "files after prune")
    t.tool("set", "-c", t.conf, "mode=off", check=0)
    other = t.server()
    equal(agent(f"burst(2, '10.1.0.1', {other})"), 0, "failures")
    equal(dict(kernel.by_source(other)), {"10.1.0.1": 2}, "sources with mode=off")


def test_network_namespaces(t):
    """setns: addresses are those of the namespace that the client is in; what was held down elsewhere says nothing here."""
    pool = t.sources(11, 12)
    t.spread(pool)
    port = t.server()
    agent = t.agent()
    equal(agent(f"burst(4, '10.1.0.1', {port})"), 0, "failures before")
    agent("CLONE_NEWNET = 0x40000000\nresult = libc.unshare(CLONE_NEWNET)")
    equal(agent("result"), 0, "unshare")
    agent("subprocess.run('ip link set lo up; ip addr add 10.1.0.1/32 dev lo; ip addr add 10.0.0.11/32 dev lo', shell=True, check=True)")
    agent("listener = socket.create_server(('10.1.0.1', 7000))")
    sources = agent("[connect('10.1.0.1', 7000).getsockname()[0] for _ in range(6)]")
    equal(sources, ["10.0.0.11"] * 6, "sources where there is only the first")
    down = t.events("source-down")
    assert down and all(e["local_address"] == "10.0.0.12" for e in down), f"source-down events: {down}"
    first = t.agent()
    equal(first(f"burst(4, '10.1.0.1', {port})"), 0, "failures in the first namespace")
    equal(kernel.by_source(port)["10.0.0.12"], 4, "connections from the second source in the first namespace")


def test_events_name_the_namespace_that_they_happened_in(t):
    t.sources(11, 11)
    t.spread(["10.0.0.11"])
    agent = t.agent()
    equal(agent(f"burst(1, '10.1.0.1', {t.server()})"), 0, "failures before")
    agent("result = libc.unshare(0x40000000)")
    equal(agent("result"), 0, "unshare")
    agent("subprocess.run('ip link set lo up; ip addr add 10.1.0.1/32 dev lo; ip addr add 10.0.0.11/32 dev lo', shell=True, check=True)")
    agent("listener = socket.create_server(('10.1.0.1', 7000))")
    equal(agent("burst(1, '10.1.0.1', 7000)"), 0, "failures after")
    equal(len({e["netns"] for e in t.events("time-wait")}), 2, "namespaces of two TIME-WAIT events")


def test_dropped_privileges(t):
    """A client that starts as root and becomes somebody else in an empty root directory works and logs on."""
    uid = other_users()
    pool = t.sources()
    t.spread(pool)
    port = t.server()
    agent = t.agent()
    equal(agent(f"burst(4, '10.1.0.1', {port})"), 0, "failures before")
    empty = os.path.join(t.folder, "empty")
    os.mkdir(empty)
    agent(f"os.chroot('{empty}'); os.chdir('/'); os.setgid({uid}); os.setuid({uid})")
    equal(agent(f"burst(4, '10.1.0.1', {port})"), 0, "failures after")
    t.same_time_waits(port, 8)
    equal(dict(kernel.by_source(port)), {s: 2 for s in pool}, "sources")
    t.tool("set", "-c", t.conf, "mode=off", check=0)
    other = t.server()
    equal(agent(f"burst(2, '10.1.0.1', {other})"), 0, "failures with mode=off")
    equal(dict(kernel.by_source(other)), {"10.1.0.1": 2}, "sources with mode=off")


def test_starting_in_a_chroot_and_as_nobody(t):
    """A client that cannot have a state file spreads all the same."""
    uid = other_users()
    pool = t.sources()
    os.chmod(t.folder, 0o755)
    t.spread(pool)
    port = t.server()
    agent = t.agent(CONNSPREAD_DIR="/proc/none")
    equal(agent(f"burst(4, '10.1.0.1', {port})"), 0, "failures")
    equal(set(kernel.by_source(port)), set(pool), "sources")
    agent(f"os.setgid({uid}); os.setuid({uid})")
    equal(agent(f"burst(4, '10.1.0.1', {port})"), 0, "failures")
