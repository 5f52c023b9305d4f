"""The tool beside what people use instead."""

import resource
import shutil
import subprocess
import time

from lab import PORT, ROOT, TOOL, at_least, fill

def took(argv, env):
    """Wall time, and of that the kernel's, in ns, and the output."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN).ru_stime, time.monotonic_ns()
    done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
    wall = time.monotonic_ns() - began
    return wall, (resource.getrusage(resource.RUSAGE_CHILDREN).ru_stime - before) * 1e9, done.stdout


def quads(lab):
    """15,000 connections, both of whose ends are here, and 20,000 TIME-WAITs: `quads` against `ss -tan | awk`, in turn; the system
    test quads.equals_ss_and_awk shows that both tell the same."""
    if not shutil.which("ss"):
        print("bench: quads: ss is not installed")
        return
    lab.server(ports=20)
    assert fill(lab.fillers(15000, "bare"), 15000, PORT) == 0
    closing = lab.client("cycle", "bare")
    for port in range(20):
        assert closing("cycle", 1000, PORT + port)[4] == 0
    env = lab.environment("bare", None)
    pipe = ["sh", "-c", f"ss -tanH | awk -f {ROOT}/tests/system/quads.awk"]
    found, kernel = {"quads": [], "pipe": [], "ss": []}, []
    for _ in range(lab.rounds(30, 10)):
        for name, argv in (("quads", [TOOL, "quads", "-o", "json"]), ("pipe", pipe), ("ss", ["ss", "-tanH"])):
            wall, system, _ = took(argv, env)
            found[name].append(wall)
            if name == "quads":
                kernel.append(system)
    lines = took(["ss", "-tanH"], env)[2].count(b"\n")
    lab.row("quads", "sockets that ss lists", [lines], unit="", target=at_least(50000))
    lab.ratio("quads", "ss -tan | awk / quads", found["pipe"], found["quads"], target=at_least(10))
    lab.ratio("quads", "ss -tan alone, into a pipe / quads", found["ss"], found["quads"])
    lab.ratio("quads", "ss -tan | awk / quads' time in the kernel alone", found["pipe"], kernel)
    lab.row("quads", "quads, start of the process included", [n / 1e6 for n in found["quads"]], unit="ms")
    lab.row("quads", "ss -tan | awk", [n / 1e6 for n in found["pipe"]], unit="ms")
