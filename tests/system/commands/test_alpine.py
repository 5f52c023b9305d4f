"""contrib/alpine: the recipe, as far as it can be tried without Alpine."""

import hashlib
import os
import re
import subprocess
import tarfile

from fixture import ROOT, equal, full, limit, needs


def sh(*argv, **options):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    assert done.returncode == 0, f"{argv}: exit {done.returncode}: {done.stdout[-2000:]}"
    return done.stdout


def version():
    with open(os.path.join(ROOT, "Makefile")) as f:
        return re.search(r"^VERSION = (\S+)$", f.read(), re.M)[1]


def made(t):
    """What `make apk` makes where there is no abuild."""
    out = os.path.join(t.folder, "apk")
    path = os.path.join(t.folder, "no_abuild")
    os.mkdir(path)
    for command in ("git", "tar", "gzip", "sha512sum", "sed", "cut", "cp", "rm", "mkdir", "dirname"):
        os.symlink(sh("sh", "-c", f"command -v {command}").strip(), os.path.join(path, command))
    sh(os.path.join(ROOT, "contrib/alpine/build"), version(), out, env={"PATH": path, "HOME": t.folder, "SOURCE_DATE_EPOCH": "1234567890"})
    return out


def files(folder):
    return sorted(os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names)


@needs("git")
def test_recipe(t):
    """It is a shell's, has what abuild asks for, and the sum is the archive's, which has nothing of when, where and by whom it was made."""
    out, archive = made(t), f"connspread-{version()}.tar.gz"
    equal(files(out), sorted(["APKBUILD", archive, "connspread.pre-deinstall"]), "what abuild is given")
    for script in ("APKBUILD", "connspread.pre-deinstall"):
        sh("sh", "-n", os.path.join(out, script))
    with open(os.path.join(out, "APKBUILD")) as f:
        text = f.read()
    assert not re.search(r"@\w+@|^ +", text, re.M), "left to be put in, or indented by spaces, which abuild's style is not"
    says = 'for v in pkgname pkgver pkgrel pkgdesc url arch license makedepends subpackages source install; do eval "[ -n \\"\\$$v\\" ]" || echo "$v"; done; ' \
           'for f in build check package; do command -v $f >/dev/null || echo "$f()"; done'
    equal(sh("sh", "-euc", f". {out}/APKBUILD; {says}"), "", "lacking")
    with open(os.path.join(out, archive), "rb") as f:
        assert f"{hashlib.sha512(f.read()).hexdigest()}  {archive}\n" in text, "the sum is another archive's"
    with tarfile.open(os.path.join(out, archive)) as tar:
        members = tar.getmembers()
    equal({(m.mtime, m.uid, m.gid, m.mode & 0o022) for m in members}, {(1234567890, 0, 0, 0)}, "time, user, group, and who else may write")
    names = [m.name.split("/") for m in members]
    equal(names, sorted(names), "the order")


@full
@limit(240)
@needs("git", "make", "gcc")
def test_package_has_the_files_of_make_install(t):
    """build() and package() as abuild runs them, from the archive alone; what the subpackages do not take is what runs, the config, and the schemas."""
    out, package, plain = made(t), os.path.join(t.folder, "package"), os.path.join(t.folder, "plain")
    sh("tar", "-xzf", os.path.join(out, f"connspread-{version()}.tar.gz"), "-C", t.folder)
    tree = os.path.join(t.folder, f"connspread-{version()}")
    env = {"PATH": os.environ["PATH"], "HOME": t.folder, "CFLAGS": "-O0", "pkgdir": package, "MAKEFLAGS": f"-j{os.cpu_count()}"}
    sh("sh", "-euc", f". {out}/APKBUILD; build; package", cwd=tree, env=env)
    env["MAKEFLAGS"] = ""
    sh("make", "-s", "DEPS=no", "PREFIX=/usr", f"DESTDIR={plain}", "install", cwd=tree, env=env)
    equal(files(package), files(plain), "files of the package, of make install")
    main = [f for f in files(package) if not f.startswith(("usr/share/doc/", "usr/share/man/", "usr/share/bash-completion/", "usr/share/connspread/schema/"))]
    equal(main, ["etc/connspread.conf", "usr/bin/connspread", "usr/lib/connspread/connspread-config.so", "usr/lib/connspread/libconnspread.so"], "the main package")
    os.mkdir("/run/connspread")  # the test's own /run
    with open("/run/connspread/.lock", "w"):
        pass
    sh("sh", os.path.join(out, "connspread.pre-deinstall"), env={**env, "PATH": package + "/usr/bin:" + env["PATH"]})
    assert not os.path.exists("/run/connspread"), "removal leaves the folder of the state files"
