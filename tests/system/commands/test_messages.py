"""doctor --message: what a program's message means. contrib/doc/messages.md is what it knows, cell by cell."""

import json
import os
import re

from fixture import ROOT, equal


def read(path):
    with open(os.path.join(ROOT, path)) as f:
        return f.read()


def rows():
    lines = [line for line in read("contrib/doc/messages.md").splitlines() if line.startswith("|")]
    return [[c.strip() for c in line.strip("|").split(" | ")] for line in lines[2:]]


def compiled_in():
    text = re.sub(r'"\s+"', "", read("src/tool/doctor/messages.def"))
    cells = [re.findall(r'"((?:\\.|[^"\\])*)"', entry) for entry in re.findall(r"^MESSAGE\((.*?)\)$", text, re.M | re.S)]
    return [[re.sub(r"\\(.)", r"\1", c) for c in entry] for entry in cells]


def look_up(t, line, check=0):
    return [json.loads(text) for text in t.tool("doctor", "-o", "json", "--message", line, check=check).stdout.splitlines()]


def test_the_table_is_the_page(t):
    assert len(rows()) >= 40, "rows of the page"
    equal(compiled_in(), rows(), "src/tool/doctor/messages.def and contrib/doc/messages.md")


def test_each_is_found_as_it_stands_in_a_log(t):
    """With other addresses, ports and numbers, and what a log puts before it."""
    missed, looked = [], 0
    for program, message, *_ in rows():
        spans = [s for s in re.findall(r"`([^`]*)`", message) if len(re.findall(r"[A-Za-z]{2,}", s)) > 1]
        name = re.split(r"[ :]", program)[0]
        for span in spans[:1]:
            dressed = re.sub(r"127\.0\.0\.1", "10.99.3.17", span.replace("HOST", "db7.example.net")).replace("8080", "6380")
            line = f"Nov 28 08:11:02 web1 {name}[4711]: {dressed} (try 3)"
            looked += 1
            if program not in [r.get("program") for r in look_up(t, line)]:
                missed.append((program, line))
    assert looked >= 35, looked
    equal(missed, [], "lines that are not found")


def test_lines_as_they_were_pasted(t):
    for line, program, meaning in (
            ("Nov 28 08:11:02 lb haproxy[991]: 10.0.0.3:51234 [28/Nov/2026:08:11:02.123] f b/s1 0/0/-1/-1/3 503 217 - - SC-- 1/1/0/0/3 0/0", "HAProxy 2.6.12", "HAProxy"),
            ("Could not connect to Redis at db7.example.net:6380: Cannot assign requested address", "redis-cli 7.0.15", "EADDRNOTAVAIL"),
            ("curl: (7) Failed to connect to api.example.net port 443 after 2 ms: Couldn't connect to server", "curl 7.88.1", None),
            ("    raise err\nOSError: [Errno 99] Cannot assign requested address", "python 3.11 create_connection", "EADDRNOTAVAIL"),
            ("ERROR 2002 (HY000): Can't connect to server on 'db1' (99)", "mariadb 10.11.19", "EADDRNOTAVAIL"),
            ("couldn't open socket: address already in use", "Tcl 8.6.13", "binds before it connects")):
        found = look_up(t, line)
        equal([r["program"] for r in found if "program" in r], [program], f"program of {line!r}")
        equal(any(meaning in r.get("meaning", "") for r in found) if meaning else not any("meaning" in r for r in found), True, f"meaning of {line!r}: {found}")
    text = t.tool("doctor", "--message", "curl: (7) Failed to connect to a.b port 1 after 0 ms: Couldn't connect to server", check=0).stdout
    assert "gives no reason" in text and "`" not in text and "quads -p" in text, text


def test_what_is_not_known(t):
    for line in "", "segfault at 0", "connection refused", "99":
        done = t.tool("doctor", "--message", line, check=1)
        equal((done.stdout, "try: " in done.stderr), ("", True), f"answer to {line!r}")
    assert "try: " in t.tool("doctor", "--message", "x", "curl", check=2).stderr
