"""Browsers with their own sandboxes on, as an ordinary user with a fresh profile: they show what they show bare. Their renderers
forbid themselves most system calls and die, or complain, at one that is not foreseen."""

import os
import shutil
import socket
import subprocess
import time

from fixture import BUILD, PYTHON, Skip, equal, full, limit, needs

NOBODY = 65534
MODES = "enforce", "observe", "off"
PAGE = """<html><body><p id="a"></p><script>document.getElementById('a').textContent = 'made by script ' + 6 * 7;
fetch(location.href).then(r => r.text()).then(t => document.title = 'fetched ' + t.length);</script></body></html>"""


def stage(t):
    """A page from a loopback address for which there is a rule, and what an ordinary user needs to run the shim."""
    if os.geteuid() != 0 or int(open("/proc/self/uid_map").read().split()[2]) <= NOBODY:
        raise Skip("no root: cannot become another user")
    web = os.path.join(t.folder, "web")
    os.mkdir(web)
    with open(os.path.join(web, "index.html"), "w") as f:
        f.write(PAGE)
    sources = t.sources()
    t.spread(sources)
    for name in "libconnspread.so", "connspread-config.so":
        shutil.copy(os.path.join(BUILD, name), t.folder)
    os.chmod(t.folder, 0o755)
    os.chown(t.state, NOBODY, NOBODY)
    code = "import functools, http.server as h, sys; h.ThreadingHTTPServer(('10.1.0.1', 8080), functools.partial(h.SimpleHTTPRequestHandler, " \
           "directory=sys.argv[1])).serve_forever()"
    subprocess.Popen([PYTHON, "-c", code, web], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(500):
        try:
            socket.create_connection(("10.1.0.1", 8080)).close()
            return "http://10.1.0.1:8080/"
        except ConnectionRefusedError:
            time.sleep(0.01)
    raise AssertionError("the page's server does not come up")


def browse(t, argv, mode):
    """As uid nobody with a home of its own. mode None: bare."""
    home = os.path.join(t.folder, f"home-{mode}")
    os.mkdir(home, 0o700)
    os.chown(home, NOBODY, NOBODY)
    env = {**t.environment(bare=mode is None, preload=os.path.join(t.folder, "libconnspread.so")), "HOME": home}
    if mode:
        env["CONNSPREAD_MODE"] = mode
    return subprocess.run([a.replace("HOME", home) for a in argv], env=env, cwd=home, user=NOBODY, group=NOBODY, extra_groups=[],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60), home


@full
@limit(240)
@needs("chromium")
def test_chromium(t):
    url = stage(t)
    argv = ["chromium", "--headless", "--no-first-run", "--user-data-dir=HOME/profile", "--virtual-time-budget=3000", "--dump-dom", url]
    bare, _ = browse(t, argv, None)
    assert "made by script 42" in bare.stdout, f"the page is not shown bare: {bare.stderr}"
    for mode in MODES:
        done, _ = browse(t, argv, mode)
        equal((done.returncode, done.stdout), (bare.returncode, bare.stdout), f"status and page, mode {mode}")
        assert "seccomp-bpf failure" not in done.stderr, done.stderr
    t.attached(arm="enforce")


@full
@limit(240)
@needs("firefox-esr")
def test_firefox(t):
    url = stage(t)
    argv = ["firefox-esr", "--headless", "--no-remote", "--profile", "HOME", "--window-size", "400,300", "--screenshot", "HOME/page.png", url]
    pictures, violations = {}, {}
    done, home = browse(t, [*argv[:-1], "about:blank"], "off")
    equal(done.returncode, 0, f"exit status, no page: {done.stderr}")
    with open(os.path.join(home, "page.png"), "rb") as f:
        blank = f.read()
    shutil.rmtree(home)
    for mode in (None, *MODES):
        done, home = browse(t, argv, mode)
        equal(done.returncode, 0, f"exit status, mode {mode}: {done.stderr}")
        with open(os.path.join(home, "page.png"), "rb") as f:
            pictures[mode] = f.read()
        violations[mode] = done.stderr.count("sandbox violation")
    assert pictures[None] != blank, "bare it does not show the page"
    equal([mode for mode in MODES if pictures[mode] != pictures[None]], [], "modes that show something else")
    equal(violations, dict.fromkeys(violations, violations[None]), "sandbox violations by mode")
    t.attached(arm="enforce")
