"""contrib/: what is shipped for real surroundings is exercised here, or its README says that it is not."""

import glob
import json
import os
import re
import shutil
import subprocess
import threading

import exposition
import kernel
from fixture import BUILD, ROOT, SHIM, TOOL, Skip, equal, limit, needs

CONTRIB = os.path.join(ROOT, "contrib")


def output(*argv, **options):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    return done.returncode, done.stdout


def unit(t, path, name):
    """A unit as it would be installed, with the paths of this build."""
    with open(os.path.join(CONTRIB, path)) as f:
        text = f.read()
    text = text.replace("/usr/local/bin/connspread-textfile", os.path.join(CONTRIB, "prometheus/connspread-textfile"))
    text = text.replace("/usr/local/bin/connspread ", TOOL + " ").replace("/usr/local/lib/connspread", BUILD)
    target = os.path.join(t.folder, name)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    kernel.write(target, text)
    return target


def test_every_folder_has_a_readme_that_names_its_files(t):
    for folder in sorted(glob.glob(CONTRIB + "/*/")):
        with open(folder + "README.md") as f:
            readme = f.read()
        assert "ested" in readme, f"{folder}README.md does not say what is tested"
        for name in os.listdir(folder):
            known = name in readme or (name.endswith(".timer") and "`.timer`" in readme)
            assert name == "README.md" or known, f"{folder}README.md does not name {name}"


@needs("systemd-analyze")
def test_systemd_units(t):
    """systemd-analyze verify: a service with the drop-in, the recorder, the timer and what it starts."""
    service = os.path.join(t.folder, "web.service")
    kernel.write(service, "[Unit]\nDescription=web\n[Service]\nExecStart=/bin/true\n")
    unit(t, "systemd/connspread.conf", "web.service.d/connspread.conf")
    units = [service, unit(t, "systemd/connspread-recorder@.service", "connspread-recorder@web.service"),
             unit(t, "prometheus/connspread-textfile.service", "connspread-textfile.service"),
             unit(t, "prometheus/connspread-textfile.timer", "connspread-textfile.timer")]
    for path in units:
        status, text = output("systemd-analyze", "verify", "--man=no", path, env=dict(os.environ, SYSTEMD_UNIT_PATH=t.folder + ":"))
        ours = [line for line in text.splitlines() if "connspread" in line or "web.service" in line]
        equal((status, ours), (0, []), f"systemd-analyze verify {os.path.basename(path)}: {text}")


def drop_in(t):
    """The drop-in's environment, for a service named web."""
    with open(unit(t, "systemd/connspread.conf", "drop-in")) as f:
        text = f.read().replace("%N", "web").replace("/etc/connspread", t.folder).replace("/run/connspread-web", t.state)
    return dict(line.split("=", 2)[1:] for line in text.splitlines() if line.startswith("Environment="))


def lines_of(path):
    if not os.path.exists(path):
        return []
    with open(path) as f:
        whole = f.read().split("\n")[:-1]  # a line that is being written is not
    return [json.loads(line) for line in whole]


def time_waits_in(*paths):
    return [e for path in paths for e in lines_of(path) if e["event"] == "time-wait"]


def test_drop_in_and_recorder(t):
    """A client with the drop-in's environment spreads; the recorder's command line writes its events into log.file."""
    pool = t.sources()
    log = os.path.join(t.folder, "web.jsonl")
    conf = t.spread(pool, top=f'log {{ file = "{log}" }}', name="web")
    env = drop_in(t)
    equal(env["CONNSPREAD_CONF"], conf, "the config of the drop-in")
    port = t.server()
    done = subprocess.run([t.program("burst"), "10.1.0.1", str(port), "20"], env=env, stdin=subprocess.DEVNULL, capture_output=True)
    equal((done.returncode, done.stderr), (0, b""), "the client")
    equal(set(kernel.by_source(port)), set(pool), "sources")
    with open(unit(t, "systemd/connspread-recorder@.service", "f.service")) as f:
        command = re.search(r"^ExecStart=(.*)$", f.read(), re.M)[1].replace("/etc/connspread/%i", t.folder + "/web").split()
    recorder = t.start(command, bare=True)
    kernel.wait_until(lambda: len(time_waits_in(log)) == 20, 10, "the recorder does not write the events")
    recorder.terminate()
    equal(recorder.wait(timeout=10), 0, "the recorder's exit status")


@needs("logrotate")
def test_logrotate_under_a_running_recorder(t):
    """Every event is in one of the two files, once."""
    log = os.path.join(t.folder, "web.jsonl")
    t.spread(t.sources(), top=f'log {{ file = "{log}" }}', name="web")
    port = t.server()
    conf = os.path.join(t.folder, "logrotate.conf")
    with open(os.path.join(CONTRIB, "logrotate/connspread")) as f:
        kernel.write(conf, f.read().replace("/var/log/connspread/", t.folder + "/"))
    os.chmod(conf, 0o644)
    recorder = t.start([TOOL, "record", "--keep", "-c", t.conf], bare=True)
    t.run([t.program("burst"), "10.1.0.1", str(port), "30"])
    kernel.wait_until(lambda: len(time_waits_in(log)) == 30, 10, "the first events")
    equal(output("logrotate", "-f", "-s", os.path.join(t.folder, "status"), conf), (0, ""), "logrotate")
    assert os.path.exists(log + ".1"), f"not rotated: {os.listdir(t.folder)}"
    t.run([t.program("burst"), "10.1.0.1", str(port), "30"])
    kernel.wait_until(lambda: len(time_waits_in(log, log + ".1")) == 60, 10, "the events after the rotation")
    equal(len(time_waits_in(log + ".1")), 30, "events in the rotated file")
    seqs = [e["seq"] for e in lines_of(log + ".1") + lines_of(log)]
    equal(len(set(seqs)), len(seqs), "distinct events")
    recorder.terminate()
    recorder.wait(timeout=10)


@needs("logrotate")
def test_logrotate_file_shares_no_log_with_others(t):
    """A log that two sections name makes logrotate drop the whole second section: ours beside those of the distribution's packages, in one run."""
    root, log = t.folder + "/root", "/var/log/connspread"
    sections = os.path.join(t.folder, "logrotate.d")
    os.mkdir(sections)
    theirs = [path for path in glob.glob("/etc/logrotate.d/*") if os.path.basename(path) != "connspread"]
    assert theirs, "nothing to compare with"
    for path in theirs + [os.path.join(CONTRIB, "logrotate/connspread")]:
        with open(path) as f:
            text = f.read().replace("/var/", root + "/var/")
        kernel.write(os.path.join(sections, os.path.basename(path)), text)
        # One file for each pattern, and ours as README has them.
        for name in re.findall(rf"{root}/var/[^\s\"{{}}]+", text) + [root + log + "/web.jsonl", root + log + "/web/web.jsonl"]:
            name = name.replace("*", "x").replace("?", "x")
            os.makedirs(os.path.dirname(name), exist_ok=True)
            kernel.write(name, "line\n")
    conf = os.path.join(t.folder, "conf")
    kernel.write(conf, f"include {sections}\n")
    _, text = output("logrotate", "-d", conf)
    for name in "/web.jsonl", "/web/web.jsonl":
        assert f"considering log {root}{log}{name}" in text, f"{name} is not rotated: {text}"
    assert "duplicate" not in text, text
    shutil.copy(os.path.join(sections, "connspread"), os.path.join(sections, "zzz"))
    assert "duplicate" in output("logrotate", "-d", conf)[1], "logrotate did not say so: this test would see nothing"


@needs("promtool")
def test_alert_rules(t):
    folder = os.path.join(CONTRIB, "prometheus")
    for name in ("connspread.rules", "connspread.fleet.rules"):
        status, text = output("promtool", "check", "rules", name + ".yml", cwd=folder)
        equal(status, 0, text)
        status, text = output("promtool", "test", "rules", name + ".test.yml", cwd=folder)
        equal(status, 0, text)


def test_rules_use_metrics_that_exist(t):
    t.sources()
    t.spread(["10.0.0.11"])
    t.run([t.program("burst"), "10.1.0.1", str(t.server()), "1"])
    metrics = t.tool("stat", "-o", "prometheus", "-c", t.conf, check=0).stdout
    used = set()
    for name in ("connspread.rules.yml", "connspread.fleet.rules.yml"):
        with open(os.path.join(CONTRIB, "prometheus", name)) as f:
            used |= set(re.findall(r"\bconnspread_[a-z_]+\b", f.read())) - {"connspread_instance"}  # a label
    assert len(used) >= 8, used
    for name in used:
        assert f"# TYPE {name} " in metrics, f"{name} is not exported"


@limit(240)
@needs("promtool")
def test_textfile_is_never_seen_half_written(t):
    """The script, 40 times, beside a reader: each reading is whole; what is left over is one file; a failure leaves the old one."""
    t.sources()
    t.spread(["10.0.0.11"])
    t.run([t.program("burst"), "10.1.0.1", str(t.server()), "3"])
    folder = os.path.join(t.folder, "textfile")
    os.mkdir(folder)
    path = os.path.join(folder, "connspread.prom")
    env = t.environment(bare=True, CONNSPREAD=TOOL)
    script = os.path.join(CONTRIB, "prometheus/connspread-textfile")
    equal(output(script, path, env=env), (0, ""), "the script")
    readings, stop = [], threading.Event()

    def read():
        while not stop.is_set():
            for name in glob.glob(folder + "/*.prom"):
                with open(name) as f:
                    text = f.read()
                if readings[-1:] != [text]:  # as many as were written, however fast it reads
                    readings.append(text)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(40):
        equal(output(script, path, env=env), (0, ""), "the script")
    stop.set()
    reader.join()
    # Instances of other users may come and go meanwhile; the metrics are always the same.
    sizes = {(text.count("# TYPE "), text[-1]) for text in readings}
    equal(sizes, {(readings[0].count("# TYPE "), "\n")}, f"numbers of metrics in {len(readings)} readings, and how they end")
    equal(os.listdir(folder), ["connspread.prom"], "files")
    done = subprocess.run(["promtool", "check", "metrics"], input=readings[-1], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    equal((done.returncode, done.stdout), (0, ""), "promtool check metrics")
    for reading in set(readings):
        exposition.check(reading)
    before = os.stat(path).st_ino
    status, _ = output(script, path, env=dict(env, CONNSPREAD="/bin/false"))
    equal((status != 0, os.stat(path).st_ino, os.listdir(folder)), (True, before, ["connspread.prom"]), "after a failure")


@needs("unshare")
def test_container(t):
    """The recipe without a container runtime: client and log in namespaces of their own, one shared state folder."""
    unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if subprocess.run(unshare + ["true"], capture_output=True).returncode != 0:
        raise Skip("pid namespaces cannot be made here")
    with open(os.path.join(CONTRIB, "container/compose.yaml")) as f:
        text = f.read()
    command = json.loads(re.search(r"command: (\[.*\])", text)[1])
    conf = t.spread(t.sources(), name="client")
    command = [TOOL if word == "connspread" else word.replace("/etc/connspread/client.conf", conf) for word in command]
    for name in ("LD_PRELOAD", "CONNSPREAD_CONF", "CONNSPREAD_DIR"):
        assert name + ":" in text, f"the recipe does not set {name}"
    shared = os.path.join(t.folder, "volume")
    os.mkdir(shared)
    os.chmod(shared, 0o1777)
    folder = os.path.join(shared, "state")  # the shim makes it
    port = t.server()
    sidecar = t.start(unshare + command, bare=True, CONNSPREAD_DIR=folder)
    out = f"{t.folder}/out{t.count}"
    agent = t.agent(wrapper=unshare, CONNSPREAD_DIR=folder)
    equal(agent(f"burst(20, '10.1.0.1', {port})"), 0, "failures")
    equal(os.stat(folder).st_mode & 0o777, 0o700, "the state folder's mode")

    def events():
        with open(out) as f:
            return [json.loads(line) for line in f if line.startswith("{") and line.endswith("\n")]  # while it writes

    kernel.wait_until(lambda: len([e for e in events() if e["event"] == "time-wait"]) == 20, 10, "the sidecar's events")
    t.tool("set", "-c", conf, "mode=off", check=0, CONNSPREAD_DIR=folder)
    other = t.server()
    equal(agent(f"burst(2, '10.1.0.1', {other})"), 0, "failures with mode=off")
    equal(dict(kernel.by_source(other)), {"10.1.0.1": 2}, "sources with mode=off")
    sidecar.kill()  # unshare hands no other signal on
    sidecar.wait(timeout=10)


def test_compose_behind_a_filter(t):
    """A container's runtime has a seccomp filter: with what the recipe sets a preloaded client is spread behind one."""
    with open(os.path.join(CONTRIB, "container/compose.yaml")) as f:
        trusted = re.findall(r"^ +(CONNSPREAD_SECCOMP): (\w+)$", f.read(), re.M)
    t.spread(t.sources())
    t.run(["env", f"LD_PRELOAD={SHIM}", *["=".join(pair) for pair in trusted], t.program("burst"), "10.1.0.1", str(t.server()), "4"], bare=True,
          LD_PRELOAD=t.program("no_close_range.so"), CONNSPREAD_CONF=t.conf)
    equal(len({e["local_address"] for e in t.events("time-wait")}), 4, "sources")


def test_kubernetes_file(t):
    """Commands are ours, with options that they have; what is mounted is a volume; the variables are those that the shim reads."""
    with open(os.path.join(CONTRIB, "container/kubernetes.yaml")) as f:
        text = f.read()
    commands = [json.loads(line) for line in re.findall(r"command: (\[.*\])", text)]
    equal(len(commands), 3, "containers")
    for command in commands:
        assert os.path.basename(command[0]) == "connspread", command
        offered = t.tool(command[1], "--help", check=0).stdout
        for word in command[2:]:
            assert not word.startswith("-") or word == "--" or re.search(rf"(^|[ ,]){word}\b", offered, re.M), f"{command[1]} has no {word}"
    volumes = set(re.findall(r"\{name: (\w+), (?:emptyDir|configMap)", text))
    equal(set(re.findall(r"\{name: (\w+), mountPath", text)), volumes, "volumes")
    known = set()
    for page in glob.glob(os.path.join(CONTRIB, "man/*.[17]")):
        with open(page) as f:
            known |= set(re.findall(r"CONNSPREAD_[A-Z]+", f.read()))
    used = set(re.findall(r"name: (CONNSPREAD_\w+)", text))
    assert used <= known and used >= {"CONNSPREAD_CONF", "CONNSPREAD_DIR", "CONNSPREAD_INSTANCE"}, used
    conf = re.search(r"client.conf: \|\n((?:    .*\n)+)", text)[1].replace("eth0", "lo")
    path = os.path.join(t.folder, "client.conf")
    kernel.write(path, "".join(line[4:] for line in conf.splitlines(True)))
    assert t.tool("check", "-c", path).returncode < 2, "the config in it is refused"
    most, volume = (int(re.search(rf'{what}"?(\d+)', text)[1]) for what in (r'size-max = ', r"sizeLimit: "))
    assert 20 <= most < volume, f"the state file may take {most} MB of {volume}"
    # The longest that a namespace and a Deployment's pod may have (RFC 1123 labels).
    value = re.search(r"CONNSPREAD_INSTANCE, (.*)\}", text)[1].replace("$(POD_NAMESPACE)", "n" * 63).replace("$(POD_NAME)", "p" * 63)
    instance = "p" * 63 if "metadata.name}" in value else json.loads(value.split(": ", 1)[1])
    assert t.tool("check", "-c", path, "-i", instance).returncode < 2, f"an instance of {len(instance)} bytes is refused"
    for anchor in ("env", "mounts"):
        equal((text.count("&" + anchor), text.count("*" + anchor)), (1, 1), f"anchor {anchor}")


def test_compose_file(t):
    if not shutil.which("docker") or output("docker", "compose", "version")[0] != 0:
        raise Skip("no docker compose here")
    status, text = output("docker", "compose", "-f", os.path.join(CONTRIB, "container/compose.yaml"), "config", "-q")
    equal((status, text), (0, ""), "docker compose config")
