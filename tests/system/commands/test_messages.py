"""doctor --message: what a program's message means. contrib/doc/messages.md is what it knows, cell by cell."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess

import kernel
from fixture import PYTHON, ROOT, equal, full, limit, missing


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


def test_a_long_trace(t):
    """The line with the error is found below more than it reads of one line."""
    trace = "".join(f"    at org.example.Pool.frame{n}(Pool.java:{n})\n" for n in range(400))
    found = look_up(t, trace + "Ncat: Cannot assign requested address.\n" + trace)
    equal([r.get("program") for r in found], ["ncat 7.93", None], "programs")


def test_what_only_looks_like_it(t):
    """A number that goes on, a number of something else, and what a program of the table says of itself."""
    for line in "worker 7 failed: error 990", "errno 999", "grew by error 99.9 percent", "GET /x 200 (99) bytes":
        equal(t.tool("doctor", "--message", line, check=1).stdout, "", f"answer to {line!r}")
    for line in "nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)", "node[7]: Error: connect EADDRINUSE 10.0.0.1:80":
        found = look_up(t, line)
        assert [r.get("program") for r in found] == [None] and "EADDRINUSE" in found[0]["meaning"], (line, found)


def test_more_than_a_person_reads(t):
    line = "Cannot assign requested address"
    programs = [r["program"] for r in look_up(t, line) if "program" in r]
    text = t.tool("doctor", "--message", line, check=0).stdout
    assert len(programs) > 6 and f"and {len(programs) - 6} more that say the same; try: -o json" in text, (programs, text)
    equal([p for p in programs if p.split()[0] in text], programs[:6], "those shown")


AT = ["127.0.0.1", "8080"]
URL = "http://127.0.0.1:8080/"
# How each program of Debian's is made to meet it, by how its row begins; and the package, where its name is another.
PROGRAMS = {
    "ab": (["ab", "-n", "1", URL], "apache2-utils"),
    "bash": (["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080"], None),
    "busybox 1.35.0 wget": (["busybox", "wget", "-O-", URL], None),
    "curl 7.88.1": (["curl", "-sS", URL], None),
    "curl 7.88.1 `--local-port": (["curl", "-sS", "--local-port", "40000-40003", URL], None),
    "elinks": (["links", "-source", URL], None),
    "gnutls-cli": (["gnutls-cli", "-p", "8080", "127.0.0.1"], "gnutls-bin"),
    "h2load": (["h2load", "-n", "1", URL], "nghttp2-client"),
    "httperf": (["httperf", "--server", "127.0.0.1", "--port", "8080", "--num-conns", "1"], None),
    "httping": (["httping", "-c", "1", "-g", URL], None),
    "inetutils-telnet": (["inetutils-telnet", *AT], None),
    "iperf3": (["iperf3", "-c", "127.0.0.1", "-p", "8080"], None),
    "lynx": (["lynx", "-dump", URL], None),
    "memcstat": (["memcstat", "--servers=127.0.0.1:8080"], "libmemcached-tools"),
    "ncat": (["ncat", *AT], None),
    "nc.openbsd": (["nc.openbsd", *AT], "netcat-openbsd"),
    "nc.traditional": (["nc.traditional", "-v", *AT], "netcat-traditional"),
    "nghttp": (["nghttp", URL], "nghttp2-client"),
    "openssl": (["openssl", "s_client", "-connect", "127.0.0.1:8080"], None),
    "perl": (["perl", "-MIO::Socket::INET", "-e", "IO::Socket::INET->new('127.0.0.1:8080') or die $@"], None),
    "python": ([PYTHON, "-S", "-c", "import socket; socket.create_connection(('127.0.0.1', 8080))"], "python3"),
    "redis-cli": (["redis-cli", "-h", "127.0.0.1", "-p", "8080", "ping"], "redis-tools"),
    "siege": (["siege", "-b", "-c1", "-r1", URL], None),
    "socat": (["socat", "-", "TCP:127.0.0.1:8080"], None),
    "Tcl": (["sh", "-c", "echo 'socket 127.0.0.1 8080' >t.tcl; exec tclsh t.tcl"], "tcl"),
    "w3m": (["w3m", "-dump", URL], None),
    "wget": (["wget", "-t1", "-O-", URL], None),
    "whois": (["whois", "-h", "127.0.0.1", "-p", "8080", "x"], None),
    "wrk": (["wrk", "-c", "1", "-t", "1", "-d", "1", URL], None),
}


def pattern(message):
    """Of what the row shows first, beside options; an address, a name and a number may be others."""
    text = next(s for s in re.findall(r"`([^`]*)`", message) if len(re.findall(r"[A-Za-z]{2,}", s)) > 1)
    return ".*".join(map(re.escape, re.split(r"HOST|URL|127\.0\.0\.1|(?<= )-?\d{6,}|(?<=after )\d+", text)))


def row_of(begins):
    return next(r for r in rows() if re.match(re.escape(begins) + (r"(?! `--)" if "`" not in begins else ""), r[0]))


def four_ports_all_taken(t):
    """Four source ports, all taken towards 127.0.0.1:8080, and none towards other addresses. Returns what takes them."""
    for argv, package in PROGRAMS.values():
        if not shutil.which(argv[0]):
            missing(package or argv[0])
    t.server("0.0.0.0", port=8080)
    kernel.port_range(40000, 40003)
    return [socket.create_connection(("127.0.0.1", 8080)) for _ in range(4)]


@full
@limit(180)
def test_next_addresses_are_tried_still(t):
    """Of a name with two addresses, the first of which has no port left: is there a connection to the second, as the row's last cell says?"""
    held, wrong, asked = four_ports_all_taken(t), [], 0
    seconds = {begins: f"127.0.1.{i}" for i, begins in enumerate(PROGRAMS, 1)}
    hosts = os.path.join(t.folder, "hosts")
    kernel.write(hosts, "".join(f"127.0.0.1 p{i}.test\n{second} p{i}.test\n" for i, second in enumerate(seconds.values(), 1)))
    subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)
    for i, (begins, (argv, _)) in enumerate(PROGRAMS.items(), 1):
        want = re.match(r"(yes|\*\*no\*\*)", row_of(begins)[4])
        if not want:
            continue
        asked += 1

        def seen(second=seconds[begins]):
            return any(str(s.peer) == second for s in kernel.sockets() if s.peer_port == 8080)

        process = subprocess.Popen([word.replace("127.0.0.1", f"p{i}.test") for word in argv], cwd=t.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, env={"PATH": os.environ["PATH"], "HOME": t.folder, "LC_ALL": "C", "TERM": "dumb"}, start_new_session=True)
        try:
            kernel.wait_until(lambda: process.poll() is not None or seen(), 15, f"end of {argv[0]}")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if seen() != (want[1] == "yes"):
            wrong.append(f"{row_of(begins)[0]}: the row says {want[1]}, a connection to the second address: {seen()}")
    assert asked >= 25, asked
    equal(wrong, [], f"of {asked} programs")
    for s in held:
        s.close()


@full
@limit(180)
def test_programs_say_so_still(t):
    """Each where no source port is left: its message and its exit status are the row's."""
    held, wrong = four_ports_all_taken(t), []
    for begins, (argv, _) in PROGRAMS.items():
        row = row_of(begins)
        done = subprocess.run(argv, cwd=t.folder, env={"PATH": os.environ["PATH"], "HOME": t.folder, "LC_ALL": "C", "TERM": "dumb"}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=30)
        if "**nothing**" in row[1]:
            said = done.stdout == ""
        else:
            said = re.search(pattern(row[1]), done.stdout)
        if not said or (re.match(r"[*\d]", row[2]) and done.returncode != int(re.search(r"\d+", row[2])[0])):
            wrong.append(f"{row[0]}: exit {done.returncode}, want {row[2]}; want {row[1]!r}, said {done.stdout[-400:]!r}")
    assert len(PROGRAMS) >= 25, len(PROGRAMS)
    equal(wrong, [], f"of {len(PROGRAMS)} programs")
    for s in held:
        s.close()
