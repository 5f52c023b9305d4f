#!/usr/bin/python3
"""Does what README says, and compares what comes with what README (or another page) shows.

    tests/tour.py sh COMMAND...        runs the ```sh blocks (installing) in COMMAND, a shell; stops at the first error
    tests/tour.py console COMMAND...   runs the ```console blocks (the tour) in COMMAND, one after the other in one shell

In a console block `$ ` begins a command, which goes on to the end of its here-document; what follows is its output, in which a line
of ... stands for any lines. Times, durations, process and ephemeral port numbers differ from run to run; all else is compared.
"""

import os
import re
import subprocess
import sys

README = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "README.md")
ELLIPSIS = "..."

# Before each command: until no connection of the tour's server is between two states, for what log says of a close differs until then.
SETTLE = r"for _ in $(seq 1500); do grep -qsE ' [0-9A-F]+:1F40 0[4589B] |:1F40 [0-9A-F]+:[0-9A-F]+ 0[4589B] ' /proc/net/tcp || break; sleep 0.01; done"


def blocks(kind, path=README):
    with open(path) as f:
        return re.findall(rf"^```{kind}\n(.*?)^```$", f.read(), re.M | re.S)


def plain(line):
    """What differs from run to run is replaced."""
    line = re.sub(r"(?:\d{4}-\d\d-\d\dT)?\d\d:[\d:.]+Z", "TIME", line)
    line = re.sub(r"\[\d+\]", "[PID]", line)
    line = re.sub(r"\b(\d+\.\d+\.\d+\.\d+):\d{5}\b", r"\1:PORT", line)
    return re.sub(r"\b\d+(\.\d+)?(us|ms|s)\b", "DURATION", line).rstrip()


def steps(block):
    """[(command, [line of output, ...]), ...]"""
    found, end = [], None
    for line in block.splitlines():
        if end:
            found[-1][0] += "\n" + line
            end = None if line == end else end
        elif line.startswith("$ "):
            found.append([line[2:], []])
            here = re.search(r"<<'(\w+)'", line)
            end = here and here[1]
        else:
            found[-1][1].append(line)
    return found


def matches(shown, got):
    """Is `got` what `shown` says? Both are lists of plain lines."""
    if not shown:
        return not got
    if shown[0] == ELLIPSIS:
        return any(matches(shown[1:], got[i:]) for i in range(len(got) + 1))
    return bool(got) and got[0] == shown[0] and matches(shown[1:], got[1:])


def tour(shell, **options):
    """Runs all steps in one shell; returns what was not as shown, as text, or ""."""
    todo = [step for block in blocks("console") for step in steps(block)]
    script = "".join(f"{SETTLE}\nprintf '\\001'\n{command}\n" for command, _ in todo)
    done = subprocess.run(shell, input=script, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=100, **options)
    said = done.stdout.split("\001")[1:]
    wrong = "" if len(said) == len(todo) >= 6 else f"{len(said)} of {len(todo)} commands were reached\n"
    for (command, shown), output in zip(todo, said):
        print("$ " + command + "\n" + output, end="")
        got = [plain(line) for line in output.splitlines()]
        if not matches([plain(line) for line in shown], got):
            wrong += f"$ {command}\nREADME shows:\n" + "\n".join(shown) + "\nwhat came:\n" + output
    return wrong


def main():
    kind, shell = sys.argv[1], sys.argv[2:]
    if kind == "sh":
        sys.exit(subprocess.run(shell + ["-e"], input="".join(blocks("sh")), text=True).returncode)
    wrong = tour(shell)
    print(wrong, end="")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
