"""make install, uninstall, dist: what lies where, and that it works from there."""

import glob
import gzip
import io
import os
import re
import shutil
import subprocess
import tarfile
import threading

import kernel
from fixture import BUILD, PYTHON, ROOT, equal, full, limit, needs

# What is built is installed as it is, whatever flags it was built with.
AS_BUILT = ["-o", "all", f"BUILD={BUILD}"]
ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/"}


def make(*arguments, check=True, cwd=ROOT):
    done = subprocess.run(["make", "-s", *arguments], cwd=cwd, env=ENV, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    assert not check or done.returncode == 0, f"make {' '.join(arguments)}: {done.stdout}"
    return done


def files(folder):
    return sorted(os.path.relpath(os.path.join(path, name), folder) for path, _, names in os.walk(folder) for name in names)


def version():
    with open(os.path.join(ROOT, "Makefile")) as f:
        return re.search(r"^VERSION = (\S+)$", f.read(), re.M)[1]


EXAMPLES = sorted(os.listdir(os.path.join(ROOT, "conf/examples"))) if os.path.isdir(os.path.join(ROOT, "conf/examples")) else []

PAGES = sorted(os.path.relpath(path, ROOT) for form in ("md", "svg") for path in glob.glob(os.path.join(ROOT, f"contrib/doc/*.{form}")))


def expected(prefix, libdir, etc, build=BUILD):
    doc = f"{prefix}/share/doc/connspread"
    found = [f"{prefix}/bin/connspread", f"{libdir}/connspread/libconnspread.so", f"{libdir}/connspread/connspread-config.so",
             f"{prefix}/share/man/man1/connspread.1", f"{prefix}/share/man/man5/connspread.conf.5", f"{prefix}/share/man/man7/libconnspread.7",
             f"{prefix}/share/bash-completion/completions/connspread", f"{etc}/connspread.conf"]
    # What was built by make musl, make static.
    found += [f"{libdir}/connspread/{name}" for name in ("musl/libconnspread.so", "connspread-static") if os.path.exists(os.path.join(build, name))]
    found += [f"{doc}/{name}" for name in ["README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md", "connspread.conf"] + ["examples/" + e for e in EXAMPLES] + PAGES]
    found += [f"{prefix}/share/connspread/schema/{name}" for name in os.listdir(os.path.join(ROOT, "contrib/schema")) if name.endswith(".json")]
    return sorted(found)


@needs("make", "gcc")
def test_destdir(t):
    """As built: every file in its place under DESTDIR, modes, and nothing left of it but the config."""
    dest = os.path.join(t.folder, "dest")
    make("install", *AS_BUILT, f"DESTDIR={dest}")
    equal(files(dest), expected("usr/local", "usr/local/lib", "etc"), "files")
    modes = {path: os.stat(os.path.join(dest, path)).st_mode & 0o777 for path in files(dest)}
    modes.pop("usr/local/lib/connspread/connspread-static", None)
    equal({path: mode for path, mode in modes.items() if mode != 0o644}, {"usr/local/bin/connspread": 0o755}, "modes other than 644")
    with open(dest + "/usr/local/share/man/man1/connspread.1") as f:
        assert f'.Os "connspread {version()}"' in f.read(), "the page does not name the version"
    kernel.write(dest + "/etc/connspread.conf", "# mine\n")
    make("install", *AS_BUILT, f"DESTDIR={dest}")
    make("uninstall", *AS_BUILT, f"DESTDIR={dest}")
    equal(files(dest), ["etc/connspread.conf"], "files after uninstall")
    with open(dest + "/etc/connspread.conf") as f:
        equal(f.read(), "# mine\n", "the config of the administrator")
    assert not os.path.exists(dest + "/usr/local/lib/connspread"), "our folder is still there"


@needs("make")
def test_units(t):
    """What packages install besides: with the paths of their build, and gone with the rest."""
    dest = os.path.join(t.folder, "dest")
    paths = ["PREFIX=/usr", "LIBDIR=/usr/lib64", "UNITDIR=/lib/systemd/system", f"DESTDIR={dest}"]
    make("install-units", *AS_BUILT, *paths)
    there = files(dest)
    for name in ("lib/systemd/system/connspread-recorder@.service", "lib/systemd/system/connspread-textfile.timer", "usr/bin/connspread-textfile",
                 "usr/share/connspread/prometheus/connspread.rules.yml", "usr/share/connspread/systemd/connspread.conf", "etc/logrotate.d/connspread"):
        assert name in there, f"{name} is not installed: {there}"
    for name in there:
        with open(os.path.join(dest, name)) as f:
            assert "/usr/local" not in f.read(), f"a path of another build in {name}"
    with open(dest + "/usr/share/connspread/systemd/connspread.conf") as f:
        assert "LD_PRELOAD=/usr/lib64/connspread/libconnspread.so" in f.read(), "the drop-in's library"
    make("uninstall", *AS_BUILT, *paths)
    equal(files(dest), [], "files after uninstall")


@needs("make", "gcc")
@limit(600)
@full
def test_other_paths_work(t):
    """PREFIX, LIBDIR and SYSCONFDIR after a build for others: recompiled, and the tool finds shim and config there."""
    root = os.path.join(t.folder, "r")
    paths = [f"PREFIX={root}/usr", f"LIBDIR={root}/usr/lib64", f"SYSCONFDIR={root}/etc"]
    build = os.path.join(t.folder, "build")
    flags = [f"BUILD={build}", "CFLAGS=-O0", "SHIM_LTO="]
    make(*flags, f"{build}/tool-obj/tool/preload.o", f"{build}/shim-obj/shim/attach.o")
    make("-j2", "install", *flags, *paths)
    equal(files(root), expected("usr", "usr/lib64", "etc", build), "files")
    pool = t.sources()
    kernel.write(root + "/etc/connspread.conf", f'pool "p" {{ addresses = {{ "10.0.0.11-10.0.0.14" }} }}\nrule "r" {{ to = {{ "*" }} pool = "p" }}\n')
    port = t.server()
    shutil.rmtree(build)
    code = f"import os, socket\nfor i in range(8): socket.create_connection(('10.1.0.1', {port})).close()\nprint(os.environ['LD_PRELOAD'])"
    done = subprocess.run([root + "/usr/bin/connspread", "run", "--", PYTHON, "-S", "-c", code], env=dict(ENV, CONNSPREAD_DIR=t.state),
                          capture_output=True, text=True)
    equal((done.returncode, done.stdout, done.stderr), (0, f"{root}/usr/lib64/connspread/libconnspread.so\n", ""), "connspread run")
    equal(set(kernel.by_source(port)), set(pool), "sources")
    for page in "man1/connspread.1", "man5/connspread.conf.5", "man7/libconnspread.7":
        with open(f"{root}/usr/share/man/{page}") as f:
            text = f.read()
        assert "/usr/local" not in text and f"{root}/etc/connspread.conf" in text, f"paths in {page}"
    done = subprocess.run([root + "/usr/bin/connspread", "run", "--help"], env=ENV, capture_output=True, text=True)
    assert f"else {root}/etc/connspread.conf, else" in done.stdout, done.stdout
    make("uninstall", *flags, *paths)
    equal(files(root), ["etc/connspread.conf"], "files after uninstall")


@needs("make", "gcc")
def test_library_is_replaced_under_running_clients(t):
    """A new file in the old one's place: a client that has the old one mapped works on."""
    dest = os.path.join(t.folder, "dest")
    make("install", *AS_BUILT, f"DESTDIR={dest}")
    shim = dest + "/usr/local/lib/connspread/libconnspread.so"
    t.spread(t.sources())
    port = t.server()
    agent = t.agent(preload=shim)
    equal(agent(f"burst(4, '10.1.0.1', {port})"), 0, "failures")
    before, missing, stop = os.stat(shim).st_ino, [], threading.Event()

    def watch():
        while not stop.is_set():
            if not os.path.exists(shim) or os.path.getsize(shim) == 0:
                missing.append(True)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(3):
        make("install", *AS_BUILT, f"DESTDIR={dest}")
    stop.set()
    watcher.join()
    assert os.stat(shim).st_ino != before, "the file was overwritten"
    equal(missing, [], "moments without a whole library")
    equal(agent(f"burst(4, '10.1.0.1', {port})"), 0, "failures afterwards")
    agent.end()


def test_version_stands_in_one_place(t):
    equal(t.tool("--version", check=0).stdout, f"connspread {version()}\n", "--version")
    done = subprocess.run(["git", "-C", ROOT, "grep", "-lE", rf"(^|[^.0-9]){re.escape(version())}([^.0-9]|$)", "--", ":!tests/unit", ":!tests/system", ":!tests/fuzz"], stdout=subprocess.PIPE, text=True)
    if done.returncode == 0:  # in a work tree; the change log and the table of upgrades, which a test holds to Makefile, tell of versions
        equal(set(done.stdout.split()) - {"Makefile", "contrib/CHANGELOG.md", "contrib/doc/upgrade.md"}, set(), "files with the version")


@needs("git")
def test_dist(t):
    """The same bytes from two clones, at two times, with two umasks and users' settings; it holds what git holds, and builds."""
    if subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True).returncode != 0:
        return  # from a tarball there is none to be made
    archives = []
    for name, umask in ("a", 0o022), ("b", 0o077):
        clone = os.path.join(t.folder, name)
        os.umask(umask)
        subprocess.run(["git", "-c", "safe.directory=*", "clone", "-q", ROOT, clone], check=True)
        os.umask(0o022)
        if name == "b":
            subprocess.run(["git", "-C", clone, "config", "tar.umask", "0002"], check=True)
            os.utime(os.path.join(clone, "README.md"), (1, 1))
        make("dist", f"BUILD={clone}/out", cwd=clone)
        with open(f"{clone}/out/connspread-{version()}.tar.gz", "rb") as f:
            archives.append(f.read())
    assert archives[0] == archives[1], "two archives of one commit differ"
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(archives[0]))) as tar:
        names = {m.name for m in tar.getmembers() if m.isfile()}
    listed = subprocess.run(["git", "-C", os.path.join(t.folder, "a"), "ls-files"], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    equal(names, {f"connspread-{version()}/{name}" for name in listed}, "files in the archive")


@full
@needs("make", "gcc")
@limit(600)
def test_dist_builds(t):
    make("dist", f"BUILD={t.folder}")
    subprocess.run(["tar", "xf", f"{t.folder}/connspread-{version()}.tar.gz", "-C", t.folder], check=True)
    make("-j2", "CFLAGS=-O0", cwd=f"{t.folder}/connspread-{version()}")
    done = subprocess.run([f"{t.folder}/connspread-{version()}/build/connspread", "--version"], capture_output=True, text=True)
    equal(done.stdout, f"connspread {version()}\n", "--version of what was built from the archive")
