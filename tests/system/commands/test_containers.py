"""connspread install --to, for images that have nothing; wrappers that overwrite LD_PRELOAD."""

import os
import resource
import shutil
import stat
import subprocess

import kernel
from fixture import BUILD, SHIM, TOOL, equal, needs


def home(t, static=True, musl=True):
    """A folder as `make`, `make static` and `make musl` leave it; the shim for musl is glibc's, which nothing here loads."""
    folder = os.path.join(t.folder, "home")
    os.makedirs(folder + "/musl")
    shutil.copy(TOOL, folder)
    shutil.copy(SHIM, folder)
    if static:
        subprocess.run(["gcc", "-static", "-Wl,--no-warnings", f"{BUILD}/tool-obj/tool/main.o", f"{BUILD}/unit/connspread.a", "-lconfuse", "-ljansson",
                        "-o", folder + "/connspread-static"], check=True)
    if musl:
        shutil.copy(SHIM, folder + "/musl/")
    return folder


def install(t, folder, *arguments, check=0):
    done = subprocess.run([folder + "/connspread", "install", *arguments], env={"PATH": "/usr/bin:/bin"}, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    equal(done.returncode, check, f"install {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done


def listing(folder):
    return {os.path.relpath(os.path.join(path, name), folder): oct(stat.S_IMODE(os.stat(os.path.join(path, name)).st_mode))
            for path, _, names in os.walk(folder) for name in names}


def musl_program(t):
    """A program that wants musl's loader: this one's bytes, with that loader's name."""
    path = os.path.join(t.folder, "musl_program")
    with open(t.program("plain_client"), "rb") as f:
        code = f.read()
    assert code.count(b"/lib64/ld-linux-x86-64.so.2\0") == 1, "the loader of another processor"
    with open(path, "wb") as f:
        f.write(code.replace(b"/lib64/ld-linux-x86-64.so.2\0", b"/lib/ld-musl-x86_64.so.1\0\0\0\0"))
    os.chmod(path, 0o755)
    return path


@needs("gcc")
def test_install_to(t):
    """Both shims and a tool that needs nothing, and no file more; twice; each loader's shim alone."""
    folder, volume = home(t), os.path.join(t.folder, "volume")
    for _ in range(2):
        done = install(t, folder, "--to", volume)
        equal(listing(volume), {"connspread": "0o755", "libconnspread.so": "0o644", "musl/libconnspread.so": "0o644"}, "files")
        equal(done.stdout, f"LD_PRELOAD={volume}/libconnspread.so  # glibc\nLD_PRELOAD={volume}/musl/libconnspread.so  # musl\n", "what it says")
        equal(done.stderr, "", "stderr")
    equal(install(t, folder, "--to", t.folder + "/one", t.program("plain_client")).stdout, f"LD_PRELOAD={t.folder}/one/libconnspread.so  # glibc\n", "for glibc")
    equal(set(listing(t.folder + "/one")), {"connspread", "libconnspread.so"}, "files for glibc")
    musl = musl_program(t)
    equal(install(t, folder, "--to", t.folder + "/two", musl).stdout, f"LD_PRELOAD={t.folder}/two/musl/libconnspread.so  # musl\n", "for musl")
    equal(set(listing(t.folder + "/two")), {"connspread", "musl/libconnspread.so"}, "files for musl")
    os.unlink(folder + "/musl/libconnspread.so")
    assert "there is no shim for that" in install(t, folder, "--to", t.folder + "/three", musl, check=1).stderr
    assert "statically linked" in install(t, folder, "--to", t.folder + "/three", folder + "/connspread-static", check=1).stderr
    assert "':'" in install(t, folder, "--to", t.folder + "/a:b", check=2).stderr
    assert "try: connspread install --to DIR" in install(t, folder, check=2).stderr
    assert "cannot be made" in install(t, folder, "--to", "/nowhere/at/all", check=1).stderr
    os.unlink(folder + "/connspread-static")
    assert "try: make static" in install(t, folder, "--to", t.folder + "/four").stderr
    equal(set(listing(t.folder + "/four")), {"libconnspread.so"}, "files without a static tool")


def test_install_where_an_earlier_one_was_killed(t):
    """A container's first process has number 1 each time: what it left half written stops no later one. And no umask shuts a client out."""
    folder, volume = home(t, static=False), os.path.join(t.folder, "volume")
    os.makedirs(volume)
    for name in "libconnspread.so", "connspread":
        kernel.write(f"{volume}/{name}.new-1", "half")
    done = subprocess.run(["unshare", "--pid", "--fork", "sh", "-c", "umask 077; exec \"$@\"", "sh", folder + "/connspread", "install", "--to", volume],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    equal((done.returncode, "cannot" in done.stderr), (0, False), f"the next one: {done.stderr}")
    equal([oct(stat.S_IMODE(os.stat(volume + path).st_mode)) for path in ("/musl", "/musl/libconnspread.so")], ["0o755", "0o644"], "modes")


def test_install_says_what_would_do(t):
    """Nothing half is left, and each message names a way out."""
    folder, volume = home(t, static=False), os.path.join(t.folder, "volume")
    for path, limit, remedy in (("/nowhere/at/all", None, "try: make the folder above it first"), (folder + "/connspread", None, "try: another folder"),
                                ("/proc/self", None, "try: "), (volume, 4096, "try: make room there")):
        done = subprocess.run([folder + "/connspread", "install", "--to", path], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              preexec_fn=limit and (lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))))
        equal((done.returncode, remedy in done.stderr), (1, True), f"into {path}: {done.stderr}")
    equal(os.listdir(volume), [], "files after one that was too large")
    assert "':'" in install(t, folder, "--to", t.folder + "/a:b", check=2).stderr and not os.path.exists(t.folder + "/a:b"), "made for nothing"
    kernel.write(folder + "/libconnspread.so", "")
    assert "is no library" in install(t, folder, "--to", volume, check=1).stderr
    equal(os.listdir(volume), [], "files of a build that was cut short")


@needs("gcc", "ldd")
def test_image_without_libraries(t):
    """A root that has the client, its libc, the volume and the config: it spreads, the tool reads its log there, and nothing lies about."""
    folder, root = home(t), os.path.join(t.folder, "root")
    client = t.program("plain_client")
    install(t, folder, "--to", root + "_volume")
    for name in ("proc", "state", "volume"):
        os.makedirs(os.path.join(root, name))
    needed = [word for word in subprocess.run(["ldd", client], capture_output=True, text=True, check=True).stdout.split() if word.startswith("/")]
    for path in needed + [client]:
        target = root + (path if path in needed else "/client")
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(path, target)
    subprocess.run(["mount", "--bind", "/proc", root + "/proc"], check=True)
    subprocess.run(["mount", "--bind", root + "_volume", root + "/volume"], check=True)
    shutil.copy(t.spread(t.sources()), root + "/client.conf")
    port = t.server()

    def inside(*argv):
        return subprocess.run(["/usr/sbin/chroot", root, *argv], env={"CONNSPREAD_DIR": "/state", "CONNSPREAD_CONF": "/client.conf"}, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)

    done = inside("/volume/connspread", "run", "--", "/client", "10.1.0.1", str(port), "8")
    equal((done.returncode, done.stdout, done.stderr), (0, "", ""), "the client")
    equal(dict(kernel.by_source(port)), {f"10.0.0.{n}": 2 for n in range(11, 15)}, "sources")
    kernel.settle(port)
    done = inside("/volume/connspread", "log", "--event", "time-wait")
    equal((done.returncode, len(done.stdout.splitlines())), (0, 8), f"the log: {done.stderr}")
    equal(sorted(os.listdir(root + "/state")), [".lock", "client.state"], "what is left")


def test_musl_program_without_a_shim_runs_bare(t):
    """glibc's shim would end it at its start: musl's loader finds __register_atfork and others missing."""
    t.spread(t.sources())
    folder, musl = home(t, static=False, musl=False), musl_program(t)
    script = os.path.join(t.folder, "script")
    kernel.write(script, f"#!{musl}\n")
    os.chmod(script, 0o755)
    for program in musl, script:
        done = subprocess.run([folder + "/connspread", "run", "-c", t.conf, "--", program], env=t.environment(bare=True), capture_output=True, text=True)
        assert "uses another C library" in done.stderr and "it runs without one" in done.stderr, done.stderr


@needs("mptcpize")
def test_mptcpize_overwrites(t):
    """In front of us it takes the shim's place, which run and doctor say; behind us, both work."""
    pool = t.sources()
    t.spread(pool)
    ports = t.server(), t.server()
    client = [t.program("burst"), "10.1.0.1"]
    done = t.tool("run", "-c", t.conf, "--", "mptcpize", "run", *client, str(ports[0]), "8")
    assert "try: the other way round, mptcpize ... connspread run" in done.stderr, done.stderr
    equal(set(kernel.by_source(ports[0])), {"10.1.0.1"}, "sources of what mptcpize started")
    assert "program-wrapper" in t.tool("doctor", "mptcpize", check=1).stdout, "doctor does not say so"
    done = subprocess.run(["mptcpize", "run", TOOL, "run", "-c", t.conf, "--", *client, str(ports[1]), "8"], env=t.environment(bare=True),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    equal((done.returncode, done.stderr), (0, ""), "the other way round")
    equal(set(kernel.by_source(ports[1])), set(pool), "sources the other way round")


def test_wrapper_script_is_said(t):
    script = os.path.join(t.folder, "wrap.sh")
    kernel.write(script, "#!/bin/sh\nexport LD_PRELOAD=/usr/lib/x.so\nexec \"$@\"\n")
    os.chmod(script, 0o755)
    t.spread(t.sources())
    assert "in the place of LD_PRELOAD" in t.tool("run", "-c", t.conf, "--", script, "true").stderr
    kernel.write(script, "#!/bin/sh\nexport LD_PRELOAD=/usr/lib/x.so:$LD_PRELOAD\nexec \"$@\"\n")
    assert "in the place of LD_PRELOAD" not in t.tool("run", "-c", t.conf, "--", script, "true").stderr
