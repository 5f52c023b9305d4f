"""The manual pages and the completion say what the tool, the config and the events have, no less and no more."""

import fnmatch
import glob
import json
import os
import re
import subprocess

import kernel
from fixture import PYTHON, ROOT, TOOL, equal, needs

PAGES = {"connspread.conf": "conf/connspread.conf.5", "connspread": "contrib/man/connspread.1", "libconnspread": "contrib/man/libconnspread.7"}


def source(path):
    with open(os.path.join(ROOT, path)) as f:
        return f.read()


def sections(page, macro="Sh"):
    """{heading: text up to the next heading} of a page."""
    parts = re.split(r"^\.(?:Sh|%s) (.*)$" % macro, source(PAGES[page]).replace("\\\n", ""), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def items(text, macro):
    """The words that the list items of text mark with this macro: `.It Cm time , seq` -> {time, seq}."""
    found = set()
    for line in re.findall(r"^\.It (.*)$", text, re.M):
        marked = re.split(r"(?:^| )(?:Li|Pq|Qq|Ar|No|Xo) ?", line)[0]
        if marked.startswith(macro + " "):
            found.update(word for word in marked[len(macro):].split() if word != ",")
    return found


def strings(text):
    return set(re.findall(r'"([^"]*)"', text))


def same(got, want, what):
    equal((sorted(got - want), sorted(want - got)), ([], []), f"{what}: too many, missing")


@needs("mandoc")
def test_lint(t):
    for path in PAGES.values():
        done = subprocess.run(["mandoc", "-T", "lint", os.path.join(ROOT, path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        # What mandoc does not find installed: our own pages, or a host's that has no manuals at all.
        said = [line for line in done.stdout.splitlines() if "referenced manual not found" not in line]
        equal(said, [], f"mandoc -T lint {path}")
    pages = {re.search(r"^\.Dt (\S+) (\d)$", source(p), re.M).groups() for p in PAGES.values()}
    for path in PAGES.values():
        ours = set(re.findall(r"^\.Xr (\S*connspread\S*) (\d)", source(path), re.M))
        assert {(name.upper(), number) for name, number in ours} <= pages, f"{path} refers to {ours}"


@needs("mandoc")
def test_pages_are_readable(t):
    """A rendered page has the words that a reader looks for, in its order."""
    text = subprocess.run(["mandoc", "-T", "ascii", os.path.join(ROOT, PAGES["connspread"])], stdout=subprocess.PIPE, text=True).stdout
    text = re.sub(".\b", "", text)
    flowed = " ".join(text.split())
    for words in "connspread COMMAND [ARGUMENT ...]", "run [-c CONF] [-i NAME] [-m MODE] [--require] [--supervise[=HOW]] [--trace] [--] COMMAND ...", "-o, --output FORMAT":
        assert words in flowed, f"{words!r} is not in connspread(1):\n{text[:3000]}"


def test_config_keys(t):
    """Each key of the grammar's tables is an item of its section of connspread.conf(5), and the reverse; each word that a key
    may have is there."""
    text = source("src/config/compile.c")
    pages = sections("connspread.conf")
    for kind, heading in ("root", "KEYS OF THE FILE"), ("log", "KEYS OF log"), ("pool", "KEYS OF pool"), ("rule", "KEYS OF rule"):
        table = re.search(r"config_%s_keys\[\] = \{(.*?)\{0\}\}" % kind, text, re.S)[1]
        same(items(pages[heading], "Ic"), strings(table), f"keys of {kind}")
    for words in re.findall(r"value_choice\(.*?\{(.*?), NULL\}", text):
        for word in strings(words):
            assert re.search(r"^\.(It )?Cm .*\b%s\b" % word, source(PAGES["connspread.conf"]), re.M), f"{word} is not in connspread.conf(5)"
    equal(strings(text) & {"least-used", "override"}, {"least-used", "override"}, "values found at all")


def test_shipped_config_has_every_key(t):
    shipped = source("conf/connspread.conf")
    keys = set().union(*(items(text, "Ic") for text in sections("connspread.conf").values()))
    assert len(keys) > 20, keys
    for key in keys:
        assert re.search(r"^[# ]*%s += " % key, shipped, re.M), f"{key} is not in conf/connspread.conf"


def commands(t):
    text = t.tool("--help", check=0).stdout
    return re.findall(r"^  (\w+) ", text.split("commands:\n")[1].split("\n\n")[0], re.M)


def options_of(help_text):
    found = set()
    for short, long in re.findall(r"^ +(?:-(\w), )?--([\w-]+)", help_text, re.M):
        found.update(o for o in (short, "-" + long) if o)
    return found


def command_source(name):
    """A command with files of its own has a folder."""
    folder = f"src/tool/{name}/{name}.c"
    return source(folder if os.path.exists(os.path.join(ROOT, folder)) else f"src/tool/{name}.c")


def test_commands_and_options(t):
    """What --help lists is in the command's part of connspread(1), as in getopt's table, and the reverse."""
    parts = {heading.split()[0]: text for heading, text in sections("connspread", "Ss").items()}
    names = commands(t)
    assert "run" in names and "log" in names, names
    for name in names:
        assert name in parts, f"connspread(1) has no part about {name}"
        listed = options_of(t.tool(name, "--help", check=0).stdout)
        described = {word for line in re.findall(r"^\.It Fl (.*)$", parts[name], re.M) for word in re.sub(r" (?:Ar|Op) .*", "", line).split(" , ")}
        same(described, listed, f"options of {name} in connspread(1) and in its --help")
        table = re.findall(r'\{"([\w-]+)", (?:no|required|optional)_argument, NULL, (?:\'(\w)\')?', command_source(name))
        taken = {o for long, short in table for o in ("-" + long, short) if o} - {"-help", "h"}
        same(listed - {"-help", "h"}, taken, f"options of {name} in its --help and in its getopt table")


def test_event_fields(t):
    """Each member of the table of fields is in EVENTS: as an item, or, if it lies within another, marked there; and each item is a member."""
    table, events = source("src/tool/events/fields.def"), sections("connspread")["EVENTS"]
    own = set(re.findall(r"^FIELD\((\w+),", table, re.M))
    inner = set(re.findall(r"^(?:SOURCE|KERNEL|RECENT|ASKED)\((\w+),", table, re.M))
    assert {"time", "seq", "sources", "verified"} <= own and {"time_wait", "seconds", "complete"} <= inner, (own, inner)
    described = items(events, "Cm")
    equal(described - own - inner, set(), "described and never written")
    equal(own - described, set(), "written and not an item")
    marked = {w for line in re.findall(r"^\.Cm (.*)$", events, re.M) for w in re.split(r"[ ,]+", line)}
    equal(inner - described - marked, set(), "written and not described")


def test_event_values(t):
    """Each word of an event is in EVENTS: kinds, arms, states, fates, causes, ..."""
    text = source("src/tool/events/names.c").split("static const struct")[0]
    events = sections("connspread")["EVENTS"]
    marked = {w for line in re.findall(r"^\.(?:It )?Cm (.*)$", events, re.M) for w in re.split(r"[ ,;:]+", line)}
    words = {word for word in strings(text) if not word.endswith(".h")}
    assert len(words) > 45, words
    equal(words - marked, set(), "words that EVENTS does not have")


def test_events_that_are_written(t):
    """The same of events as they come, through a client that closes and one that runs out."""
    kernel.port_range(40000, 40003)
    t.sources()
    t.spread(["10.0.0.11"], top='log { closes = "all" }')
    port = t.server()
    code = f"import socket\nfor i in range(12):\n s = socket.socket()\n try: s.connect(('10.1.0.1', {port}))\n except OSError: pass\n s.close()"
    t.run([PYTHON, "-S", "-c", code])
    described = items(sections("connspread")["EVENTS"], "Cm")
    found = t.events()
    equal({"time-wait", "exhausted", "attach"} - {e["event"] for e in found}, set(), "kinds of events")
    for event in found:
        equal(set(event) - described, set(), f"members of {json.dumps(event)}")


def test_metrics(t):
    t.sources()
    t.spread(["10.0.0.11"])
    t.run([t.program("burst"), "10.1.0.1", str(t.server()), "1"])
    text = t.tool("stat", "-o", "prometheus", "-c", t.conf, check=0).stdout
    exported = set(re.findall(r"^# TYPE connspread_(\w+) ", text, re.M))
    assert len(exported) > 40, exported
    same(items(sections("connspread")["METRICS"], "Cm"), exported, "metrics in connspread(1) and in stat's output")


def test_environment_variables(t):
    """Each CONNSPREAD_ variable that the source reads is in connspread(1)."""
    read = set()
    for path in glob.glob(os.path.join(ROOT, "src/**/*.c"), recursive=True):
        read |= set(re.findall(r'(?:getenv|environment)\("(CONNSPREAD_\w+)"', source(path)))
    assert len(read) >= 5, read
    same(set(re.findall(r"CONNSPREAD_\w+", sections("connspread")["ENVIRONMENT"])), read, "variables")


def test_wrapped_calls(t):
    wrapped = set(re.findall(r"^WRAP[A-Z_]*\((\w+),", source("src/shim/wrapped.def"), re.M))
    named = set(re.findall(r"\b\w+\b", " ".join(re.findall(r"^\.Fn (.*)$", sections("libconnspread")["WHAT IS WRAPPED"], re.M))))
    same(named, wrapped, "wrapped calls in libconnspread(7)")


def test_system_calls(t):
    """What the shim calls on its own account is in SYSTEM CALLS, and the reverse. raw.c makes the client's calls, not ours."""
    described = {w for line in re.findall(r"^\.Cm (.*)$", sections("libconnspread")["SYSTEM CALLS"], re.M) for w in re.split(r"[ ,;.]+", line) if w}
    folders = re.search(r"^SHIM_FOLDERS = (.*)$", source("Makefile"), re.M)[1].split()
    paths = [f"{folder}/{name}" for folder in folders for name in os.listdir(os.path.join(ROOT, "src", folder)) if name != "raw.c"]
    called = set()
    for path in paths:
        # wrap_close.c compares with SYS_ numbers of the client's; look.c hands one on.
        called |= set(re.findall(r"(?:sys_call\d|look_name)\(SYS_(\w+)", source("src/" + path)))
    called = {re.sub(r"(?:32|64|2)$", "", c) if c.endswith(("32", "64at", "mmap2", "fstat64", "fstatfs64")) and c != "prlimit64" else c for c in called}
    called = {"newfstatat" if c == "fstatat64" else c for c in called} - {"unshare"}  # unshare: the client's own close_range
    assert len(called) > 25, called
    same(described, called, "system calls in libconnspread(7) and in the shim")


def traced(t, name, **environment):
    """The names of the system calls of a client that connects to a full pool and closes, from its own first socket on."""
    path = os.path.join(t.folder, name)
    t.run(["strace", "-f", "-o", path] + [word for k, v in environment.items() for word in ("-E", f"{k}={v}")] +
          [t.program("burst"), "10.1.0.1", str(t.port), "30"], bare=True, check=False)
    with open(path) as f:
        return set(re.findall(r"^\d+ +(\w+)\(", f.read(), re.M))


@needs("strace")
def test_system_calls_as_traced(t):
    """What strace sees beyond a bare client's own is in SYSTEM CALLS, or the dynamic linker's, which loads us."""
    kernel.port_range(40000, 40003)
    t.sources()
    t.port = t.server()
    t.spread(["10.0.0.11", "10.0.0.12"])
    t.run(["true"], via="run")
    text = sections("libconnspread")["SYSTEM CALLS"]
    described = {w for line in re.findall(r"^\.Cm (.*)$", text, re.M) for w in re.split(r"[ ,;.]+", line) if w}
    env = t.environment()
    more = traced(t, "shim", **{k: env[k] for k in ("LD_PRELOAD", "CONNSPREAD_CONF", "CONNSPREAD_DIR")}) - traced(t, "bare")
    assert {"bind", "setsockopt", "getsockopt"} <= more, more
    equal(more - described - {"mprotect", "pread64", "fstat", "lseek"}, set(), "system calls that libconnspread(7) does not name")


@needs("systemd-analyze")
def test_system_service_filter_allows_them(t):
    """As libconnspread(7) and contrib/systemd say."""
    sets = {}
    for line in subprocess.run(["systemd-analyze", "syscall-filter"], stdout=subprocess.PIPE, text=True).stdout.splitlines():
        word = re.sub(r"\x1b\[[0-9;]*m", "", line).split()
        if word and word[0].startswith("@") and not line.startswith(" "):
            current = sets.setdefault(word[0], set())
        elif word and not word[0].startswith("#"):
            current.update(word[:1])

    def expand(name):
        return set().union(*(expand(w) if w.startswith("@") else {w} for w in sets[name]))

    described = {w for line in re.findall(r"^\.Cm (.*)$", sections("libconnspread")["SYSTEM CALLS"], re.M) for w in re.split(r"[ ,;.]+", line) if w}
    equal(described - expand("@system-service"), set(), "system calls that @system-service does not allow")


def test_map_of_the_source(t):
    """src/README.md has a part about each folder of src, which names each of its files, and none that is not there. `x` stands for x.c and x.h."""
    folder = os.path.join(ROOT, "src")
    there = {}
    for where, _, names in os.walk(folder):
        for name in names:
            if name.endswith((".c", ".h", ".def", ".S")):
                there.setdefault(os.path.relpath(where, folder) + "/", set()).add(re.sub(r"\.[ch]$", "", name))
    parts = re.split(r"^## ", source("src/README.md"), flags=re.M)[1:]
    parts = {part.split("\n", 1)[0]: re.split(r"\n\n(?=The manual pages)", part.split("\n", 1)[1])[0] for part in parts}
    same(set(parts), set(there), "folders that src/README.md has a part about and folders of src")
    for name, files in there.items():
        same(set(re.findall(r"`([\w.]+)`", parts[name])), files, f"files that src/README.md names of {name} and files there")


def test_old_names_are_gone(t):
    """What was renamed before 0.1.0 stands in the list of contrib/CHANGELOG.md and where an old config key is answered, nowhere else."""
    old = re.compile("|".join(("surfa" "ced", "SURFA" "CED", "over" "come", "app[-_]bo" "und", "APP_BO" "UND", "EVENT_CON" "TROL", r"(?<!-)--fo" r"r\b(?!-)",
                               "close ri" "ng", "dial_te" "xt", "SEVERITY_(?:ACT" "ION|ADV" "ICE)",
                               r"connspread_(?:spread|attached|held_down|seen_\w+|sealed_closes)_to" "tal", "exported_inst" "ance")))
    allowed = {"contrib/CHANGELOG.md", "src/config/suggest.c", "tests/unit/test_config_mistakes.c"}
    looked, found = 0, []
    for top in ("README.md", "Makefile", "conf", "contrib", "src", "tests"):
        for folder, _, names in os.walk(os.path.join(ROOT, top)) if os.path.isdir(os.path.join(ROOT, top)) else [(ROOT, [], [top])]:
            for path in (os.path.relpath(os.path.join(folder, name), ROOT) for name in names):
                if path in allowed or "__pycache__" in path:
                    continue
                looked += 1
                with open(os.path.join(ROOT, path), errors="replace") as f:
                    found += [f"{path}:{n}: {line.strip()[:80]}" for n, line in enumerate(f, 1) if old.search(line)]
    assert looked > 400, f"{looked} files looked at"
    equal(found, [], "old names")


def complete(t, line, *commands):
    """What bash offers at the end of a line."""
    words = line.split(" ")
    script = (f"source {ROOT}/contrib/completion/connspread; connspread() {{ {TOOL} \"$@\"; }}; {'; '.join(commands)}\n"
              f"COMP_WORDS=({' '.join(w or chr(39) * 2 for w in words)}); COMP_CWORD={len(words) - 1}; _connspread; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
    done = subprocess.run(["bash", "--norc", "-c", script], env=t.environment(bare=True), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, cwd=t.folder)
    equal((done.returncode, done.stderr), (0, ""), f"completing {line!r}")
    return set(done.stdout.split())


@needs("bash")
def test_completion(t):
    equal(complete(t, "connspread "), set(commands(t)) | {"--help", "--version"}, "commands")
    equal(complete(t, "connspread re"), {c for c in commands(t) if c.startswith("re")}, "commands with re")
    for name in commands(t):
        listed = {"-" + o for o in options_of(t.tool(name, "--help", check=0).stdout)} | {"--help"}
        equal(complete(t, f"connspread {name} -"), listed, f"options of {name}")
    equal(complete(t, "connspread log --event ex"), {"exhausted"}, "kinds of events")
    equal(complete(t, "connspread stat -o "), {"text", "json", "prometheus"}, "formats")
    equal(complete(t, "connspread run -m o"), {"observe", "off"}, "modes")
    equal(complete(t, "connspread set m"), {"mode="}, "what can be set")
    t.config("log {\n}\n", name="here")
    equal(complete(t, "connspread check -c he"), {"here.conf"}, "config files")
    assert "sort" in complete(t, "connspread run -c here.conf sor"), "programs"
    equal(complete(t, "connspread run -- sort he"), {"here.conf"}, "arguments of the program")
    t.run(["true"], via="run")
    equal(complete(t, "connspread stat -i "), {"here"}, "instances")
    equal(complete(t, "connspread run -- handed on", "_command_offset() { COMPREPLY=(offset $1); }"), {"offset", "3"},
          "what bash-completion is asked, where it is loaded")
