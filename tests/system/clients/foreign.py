"""For test_foreign.py: runs other people's test suites, bare and preloaded, and compares them test by test."""

import collections
import os
import re
import subprocess
import xml.etree.ElementTree

from fixture import PACKAGES, PYTHON, equal, missing

PACKAGES.update({"test.regrtest": "libpython3.11-testsuite", "trial3": "python3-twisted"})

RETRIES = 3
KINDS = ("bare", "observe", "enforce")

# Tests that must differ under a pool of other addresses, each with the reason. Every one is run again with a pool of 127.0.0.1
# alone, where it has to end as it does bare.
EXPLAINED = {
    r"test_asyncio\.test_events\.\w+EventLoopTests\.test_create_server$": "asserts that a client of 127.0.0.1 comes from 127.0.0.1",
    r"test_tcp\.(AdoptStreamConnection|TCPTransport)TestsBuilder_\w+\.test_serverAddressTCP4$": "asserts that a client of 127.0.0.1 comes from 127.0.0.1",
}


class Suite:
    """command(tests, out): the argv that runs tests and leaves its results in or beside the file out; read(out): {test: result};
    alone(test): what command takes to run that one test."""

    def __init__(self, command, read, alone):
        self.command, self.read, self.alone = command, read, alone


def start(t, suite, kind, tests, out):
    """Starts the suite in a network namespace of its own; output goes beside out."""
    env = t.environment(bare=kind == "bare", LANG="C.UTF-8", TZ="UTC")
    if kind != "bare":
        env["CONNSPREAD_MODE"] = kind
    folder = out + ".d"
    os.makedirs(folder, exist_ok=True)
    # lo up before the shim is there; env(1) brings it in for the suite alone.
    inner = ["env"] + [f"{key}={env.pop(key)}" for key in ("LD_PRELOAD",) if key in env] + suite.command(tests, out)
    script = "ip link set lo up && sysctl -qw net.ipv4.tcp_tw_reuse=0 && exec \"$@\""
    with open(out + ".log", "w") as log:
        return subprocess.Popen(["unshare", "-n", "sh", "-c", script, "sh"] + inner, env=env, cwd=folder, stdin=subprocess.DEVNULL,
                                stdout=log, stderr=log)


def results(t, suite, kinds, tests, name, timeout):
    """{kind: {test: result}}; the kinds run at the same time."""
    outs = {kind: os.path.join(t.folder, f"{name}-{kind}") for kind in kinds}
    running = {kind: start(t, suite, kind, tests, outs[kind]) for kind in kinds}
    found = {}
    for kind, process in running.items():
        process.wait(timeout=timeout)
        found[kind] = suite.read(outs[kind])
        if not found[kind]:
            with open(outs[kind] + ".log") as f:
                raise AssertionError(f"{kind}: exit {process.returncode}, no results: {f.read()[-2000:]}")
    return found


def differ(found, test, kind):
    return found["bare"].get(test, "not run") != found[kind].get(test, "not run")


def retried(t, suite, test, kind, n):
    """A test that differed, alone, bare and preloaded in turn, until both agree. Returns the outcomes if they never do."""
    seen = []
    for i in range(RETRIES):
        again = {}
        for one in "bare", kind:
            again.update(results(t, suite, (one,), suite.alone(test), f"again{n}-{i}", 120))
        seen.append(f"bare {again['bare'].get(test, 'not run')}, {kind} {again[kind].get(test, 'not run')}")
        if not differ(again, test, kind):
            print(f"retried: {test}: {'; '.join(seen)}")
            return None
    return seen


def pool_of(t, addresses):
    t.config(f'pool "p" {{ addresses = {{ "{addresses}" }} }}\nrule "r" {{ to = {{ "*" }} pool = "p" }}\n')


def compare(t, suite, tests, least, timeout=280):
    """The suite gives the same results bare, in observe mode and in enforce mode with a pool of loopback addresses."""
    pool_of(t, "127.0.0.2-127.0.0.5")
    found = results(t, suite, KINDS, tests, "all", timeout)
    equal({e["arm"] for e in t.events("attach")}, {"observe", "enforce"}, "arms that attached")
    everything = sorted(set().union(*found.values()))
    suspects = [(test, kind) for kind in KINDS[1:] for test in everything if differ(found, test, kind)]
    differences, explained = {}, []
    for n, (test, kind) in enumerate(suspects):
        reason = [text for pattern, text in EXPLAINED.items() if re.search(pattern, test)] if kind == "enforce" else []
        pool_of(t, "127.0.0.1" if reason else "127.0.0.2-127.0.0.5")
        seen = retried(t, suite, test, kind, n)
        if seen:
            differences[f"{kind}: {test}"] = seen
        elif reason:
            explained.append(f"{test}: {reason[0]}")
    counts = ", ".join(f"{n} {what}" for what, n in sorted(collections.Counter(found["bare"].values()).items()))
    print("".join(f"explained: {line}\n" for line in explained) + f"{len(everything)} tests ({counts}), {len(explained)} explained, "
          f"{len(differences)} differences")
    assert len(everything) >= least, f"only {len(everything)} tests"
    equal(differences, {}, "tests whose result differs")


# --- CPython's own tests ---

def regrtest_command(arguments, out):
    """VSOCK: two of its tests fail or hang where the host has no such device, which nobody here looks at."""
    return [PYTHON, "-m", "test", "--junit-xml", out, "-u", "network", "--timeout", "250", "-i", "*VSOCK*"] + arguments


def regrtest_read(out):
    if not os.path.exists(out):
        return {}
    found = {}
    for case in xml.etree.ElementTree.parse(out).iter("testcase"):
        bad = {child.tag for child in case} & {"failure", "error", "skipped"}
        found[case.get("name")] = "+".join(sorted(bad)) or "ok"
    return found


def regrtest_alone(test):
    """test.test_socket.Class.method, test.test_asyncio.test_x.Class.method -> module, and the rest as a pattern."""
    return [test.split(".")[1], "-m", test]


def regrtest():
    if subprocess.run([PYTHON, "-c", "import test.regrtest, test.test_socket"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
        missing(PACKAGES["test.regrtest"])
    return Suite(regrtest_command, regrtest_read, regrtest_alone)


# --- Twisted's ---

def trial_command(arguments, out):
    return ["/usr/bin/trial3", "--temp-directory", out + ".trial", "--reporter", "verbose"] + arguments


def trial_read(out):
    """The verbose reporter prints a tree: a class flush left or indented by module, then "  test_x ...   [OK]"."""
    found, path = {}, []
    with open(out + ".log", errors="replace") as f:
        for line in f:
            if re.match(r"={10}", line):
                break
            result = re.match(r"( *)(test\w*) \.\.\.(.*?)\[(OK|SKIPPED|FAIL|ERROR|TODO|SUCCESS!\?!)\]", line)
            name = re.match(r"( *)([\w.]+)$", line)
            if result:
                found[".".join(path[:len(result[1]) // 2] + [result[2]])] = result[4].lower()
            elif name:
                path[len(name[1]) // 2:] = [name[2]]
    return found


def twisted():
    if not os.path.exists("/usr/bin/trial3"):
        missing(PACKAGES["trial3"])
    return Suite(trial_command, trial_read, lambda test: [test])
