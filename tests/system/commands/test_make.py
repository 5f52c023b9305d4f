"""make help, lint, format, unit-NAME, compile_commands.json: what those use who change the source."""

import json
import os
import re
import shutil
import subprocess

import kernel
from fixture import ROOT, equal, full, needs

# Nothing is installed, and no variable of the make that runs the tests counts.
ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/", "DEPS": "no"}


def make(*arguments, cwd=ROOT, status=0):
    done = subprocess.run(["make", "-s", *arguments], cwd=cwd, env=ENV, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    equal(done.returncode, status, f"exit status of make {' '.join(arguments)}: {done.stdout}")
    return done.stdout


@needs("make", "gcc")
def test_help_lists_the_targets(t):
    """One line each; every phony target is there, and what is there make knows."""
    lines = make("help").splitlines()
    listed = [re.match(r"  (\S+) +\S", line)[1] for line in lines]
    with open(os.path.join(ROOT, "Makefile")) as f:
        phony = {name for line in re.findall(r"^\.PHONY: (.*)$", f.read(), re.M) for name in line.split()}
    equal(phony - {"FORCE"} - set(listed), set(), "targets that make help does not list")
    equal(len(listed), len(set(listed)), "lines for as many targets")
    for name in set(listed) - {"unit-NAME"}:
        make("-n", "-o", "all", f"BUILD={t.folder}/b", name)


@needs("make", "gcc")
def test_unit_by_name(t):
    """make unit-ports builds that program and runs it, last of all."""
    equal(make("-n", f"BUILD={t.folder}/b", "unit-ports").splitlines()[-1], f"{t.folder}/b/unit/test_ports", "the last command")
    make("-n", "unit-nonsense", status=2)


@needs("make", "gcc")
def test_compile_commands(t):
    """Each source once, with a command that compiles it."""
    tree = os.path.join(t.folder, "tree")
    os.mkdir(tree)
    for name in "Makefile", "src", "tests":
        os.symlink(os.path.join(ROOT, name), os.path.join(tree, name))
    make("compile_commands.json", cwd=tree)
    with open(os.path.join(tree, "compile_commands.json")) as f:
        commands = {entry["file"]: entry for entry in json.load(f)}
    sources = {os.path.relpath(os.path.join(folder, name), ROOT) for folder, _, names in os.walk(os.path.join(ROOT, "src"))
               for name in names if name.endswith(".c")}
    equal(sources - set(commands), set(), "sources without a command")
    for name in "src/shim/raw.c", "src/tool/main.c", "tests/unit/test_ports.c":
        command = re.sub(r" -MM?[DP]| -l\w+| \S+\.a\b", "", commands[name]["command"]) + " -fsyntax-only"
        equal(subprocess.run(["sh", "-c", command], cwd=tree, env=ENV, capture_output=True, text=True).stderr, "", f"compiling {name}")


@full
@needs("make", "git", "clang-format", "clang-tidy", "cppcheck")
def test_lint_and_format(t):
    """In a small tree: what changed is looked at, what is wrong is named, format mends what it can."""
    tree = os.path.join(t.folder, "tree")
    for name in "src", "contrib", "tests":
        os.makedirs(os.path.join(tree, name))
    for name in "Makefile", ".clang-format", ".clang-tidy", "tests/lint.sh", "contrib/deps.sh":
        shutil.copy(os.path.join(ROOT, name), os.path.join(tree, name))
    odd, text = os.path.join(tree, "src/odd.c"), "int odd(int n);\nint odd(int n) {\n    return n & 1;\n}\n"
    kernel.write(odd, text)
    for command in "init -q", "add -A", "-c user.name=x -c user.email=x@example.org commit -qm x":
        subprocess.run(["git", *command.split()], cwd=tree, env=ENV, check=True)
    equal(make("lint", "LINT=all", cwd=tree), "", "what lint says of the source")
    kernel.write(odd, text.replace("int n", "int  n"))
    assert "src/odd.c" in make("lint", cwd=tree, status=2), "lint does not name the file"
    make("format", cwd=tree)
    with open(odd) as f:
        equal(f.read(), text, "the file after make format")
    kernel.write(odd, text.replace("return n & 1", "int a[2] = {0}, *p = 0;\n    return n ? a[5] : *p"))
    said = make("lint", cwd=tree, status=2)
    for what, found in ("format", False), ("cppcheck", True), ("tidy", True):
        equal(f"lint: {what} found something" in said, found, f"{what}: {said}")
    subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-qam", "y"], cwd=tree, env=ENV, check=True)
    equal(make("lint", cwd=tree), "", "what lint says when nothing has changed")
    make("lint", "LINT=HEAD~1", cwd=tree, status=2)
    make("lint", "LINT=nonsense", cwd=tree, status=2)
