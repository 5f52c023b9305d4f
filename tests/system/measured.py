"""What a run of the tool takes: time, processor time, memory."""

import subprocess
import time

from fixture import PYTHON, TOOL

MEASURED = """import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(status, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, file=sys.stderr)"""


def measured(t, *arguments):
    """Runs the tool: what it prints, seconds, MB resident at most. The process that starts it is small, for what that has counts as well."""
    began = time.monotonic()
    done = subprocess.run([PYTHON, "-S", "-c", MEASURED, TOOL, *arguments, "-c", t.conf], env=t.environment(bare=True), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300, check=True)
    took, (status, busy, peak) = time.monotonic() - began, map(float, done.stderr.splitlines()[-1].split())
    print(f"{' '.join(arguments)}: exit {status:.0f}, {took:.1f} s, {busy:.1f} s of processor time, {peak:.0f} MB")
    assert status in (0, 1), done.stderr
    return done.stdout, took, peak
