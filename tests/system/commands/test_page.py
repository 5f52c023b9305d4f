"""connspread report -o html: one page that holds by itself, whatever the events say."""

import html
import json
import os
import re
import socket
import subprocess
import time

from fixture import PYTHON, equal, full, limit, needs
from page import Page
from test_report import staged
from test_report_files import lines, write

ORDER = ["do", "occupancy", "closers", "connect", "incidents", "held", "repeat"]
HOSTILE = ["<script>alert(1)</script>", "\"'`><svg/onload=x>", "</title></h1></svg>", "a\u001b[2J\u0007b", "&lt;&#x3c;&amp;", "]]>--><!--", "\u202egnp", "{{verdict}}", "x\ufffey"]


def page(t, *arguments, check=1):
    return Page(t.tool("report", "-o", "html", *arguments, check=check).stdout).holds()


def test_from_an_instance(t):
    """Everything that a page has, in order; what the text report says of it as well."""
    destination = staged(t, "short-lived")
    found = page(t, "-i", "default")
    equal(found.sections, ORDER, "sections")
    text = " ".join(t.tool("report", "-i", "default", check=1).stdout.split())
    for words in found.all("p")[:1]:
        assert words in text, f"{words}\nis not in\n{text}"
    for remedy in json.loads(t.tool("report", "-o", "json", "-i", "default", check=1).stdout)["conclusions"][0]["remedies"]:
        assert remedy["id"] in found.remedies, remedy
    equal([a["id"] for tag, a, _ in found.elements if tag == "svg"], ["occupancy-picture", "closers-picture", "connect-picture", "incident-1-picture", "held-1-picture"], "pictures")
    assert any(destination in c for c in found.all("code")), f"no command names {destination}: {found.all('code')}"
    assert "connspread report -o html -i default" in found.all("code"), found.all("code")


def test_the_numbers_of_its_tables_are_those_of_the_report(t):
    path = write(t, "log", lines(5000))
    told, found = json.loads(t.tool("report", "-o", "json", path, check=1).stdout), page(t, path)
    hog = max((c for c in told["closed_first"] if c["program"] == "hog"), key=lambda c: c["time_wait"])
    cells = [text for tag, a, text in found.elements if tag == "td"]
    at = next(i for i in range(len(cells)) if cells[i] == "hog" and cells[i + 1] == hog["destination"])
    equal([int(c.replace(",", "")) for c in cells[at + 2:at + 5]], [hog["time_wait"], hog["otherwise"], hog["failed"]], "the row of hog")
    equal(found.all("th", scope="col")[:6], ["Time (UTC)", "Source", "Destination", "Taken at most", "Of ports", "Failed"], "heads")


def test_what_is_lacking_is_said(t):
    """A log file has no history, and no connect times; an empty one has nothing."""
    found = page(t, write(t, "log", lines(5000)))
    equal(found.sections, ORDER, "sections")
    notes = found.all("p", **{"class": "note"})
    assert any("the history that a state file keeps" in n for n in notes) and any("No file had a history" in n for n in notes), notes
    assert "connect-picture" not in found.ids, "a picture of nothing"
    empty = page(t, write(t, "empty", []), check=0)
    equal((empty.verdict, empty.sections), ("No call failed with EADDRNOTAVAIL.", ORDER), "verdict, sections")
    assert "svg" not in empty.tags and len(empty.all("p", **{"class": "note"})) >= 5, empty.all("p")


def test_what_could_not_be_read_is_no_all_clear(t):
    """A file that is missing, or no log: the page and the text say that they are incomplete, and not that nothing failed."""
    for path in os.path.join(t.folder, "absent"), write(t, "other", ["root:x:0:0"]):
        found = page(t, path, check=2)
        equal(found.verdict, "No call failed with EADDRNOTAVAIL in what could be read.", "verdict")
        assert any("Incomplete: an input could not be read" in p for p in found.all("p")), found.all("p")
        assert not any(p.startswith("Nothing: no call failed") for p in found.all("p")), "an all-clear"
        text = " ".join(t.tool("report", path, check=2).stdout.split())
        assert "in what could be read" in text and "Incomplete: an input could not be read" in text, text
    good = page(t, write(t, "log", lines(5000)), os.path.join(t.folder, "absent"), check=2)
    assert any("Incomplete: an input could not be read" in p for p in good.all("p")), good.all("p")


def test_a_range_of_the_pool_is_not_the_hosts_to_widen(t):
    """The events of a pool with ports of its own: the advice names the pool's key, and no sysctl that changes nothing for it."""
    events = [json.loads(line) for line in lines(5000)[-50:]]
    for e in events:
        if e["event"] == "exhausted":
            e["capacity"] = 50
            e["sources"] = [dict(source, ports="40000-40049") for source in e["sources"]]
    path = write(t, "log", [json.dumps(e) for e in events])
    text = " ".join(t.tool("report", path, check=1).stdout.split())
    assert "what ports says in their pool" in text and "net.ipv4.ip_local_port_range has" not in text, text
    html_text = t.tool("report", "-o", "html", path, check=1).stdout
    assert "sysctl -w net.ipv4.ip_local_port_range" not in html_text and "connspread reload -c CONF" in html_text, "commands of the page"


def test_hostile_names_are_text(t):
    """Programs, hosts, rules, pools and file names that are markup: shown, not obeyed."""
    few = lines(5000)[-50:]  # the last one is a failure
    for number, name in enumerate(HOSTILE):
        evil = [line.replace('"hog"', json.dumps(name)).replace('"web1"', json.dumps(name)) for line in few]
        evil = [line.replace('"rule":"', '"rule":"' + json.dumps(name)[1:-1]).replace('"pool":"', '"pool":"' + json.dumps(name)[1:-1]) for line in evil]
        path = write(t, f"log{number}<b onclick='x'>\"&", evil)
        text = t.tool("report", "-o", "html", path, check=1).stdout
        found = Page(text).holds()
        equal(found.sections, ORDER, f"{name!r}: sections")
        assert not [c for c in text if (ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160 or c in "\u202e\ufffe"], f"{name!r}: control characters"
        shown = re.sub("[\u001b\u0007\u202e\ufffe]", "?", name)[:20]  # an event's program has 20 bytes
        assert found.verdict.startswith(shown), f"{name!r}: {found.verdict}"
        assert any("<b onclick='x'>\"&" in c for c in found.all("td")), found.all("td")[-4:]
        for command in found.all("code")[:-1]:
            assert not any(part in command for part in ("alert", "onload", "lt;")), command


def test_bytes_that_are_no_utf_8(t):
    path = os.path.join(t.folder, "log")
    with open(path, "wb") as f:
        for line in lines(5000)[-50:]:
            f.write(line.encode().replace(b'"hog"', b'"\xc3(\xff\xed\xa0\x80<i>"') + b"\n")
    Page(t.tool("report", "-o", "html", path).stdout).holds()


def test_of_several_hosts(t):
    two = [line.replace('"epoch":"0', '"epoch":"1') for line in lines(5000, "web2")]
    found = page(t, write(t, "one", lines(5000)), write(t, "two", two))
    equal(found.sections, ORDER[:-1] + ["hosts", "repeat"], "sections")
    assert {"web1", "web2"} <= set(found.all("td")), found.all("td")


def test_many_causes_stay_below_a_megabyte(t):
    """Hundreds of destinations that fail in their own ways, with long names, over a day."""
    failed = [line for line in lines(5000) if '"exhausted"' in line][0]
    event, many = json.loads(failed), []
    for i in range(600):
        event.update(seq=100000 + i, time=f"2026-11-21T{i // 60:02d}:{i % 60:02d}:00.000000Z", program='"' * 15 + "%04d" % i, peer_address=f"fd00::{i:x}:1111:2222:3333", peer_port=65535,
                     cause=("range-full", "port-busy", "address-not-local", "unknown")[i % 4])
        many.append(json.dumps(event))
    found = page(t, write(t, "log", many))
    assert found.size < 700_000, found.size
    assert len(found.all("h3")) >= 24, found.all("h3")


# A page around the page, that may have a script: what is cut, what overlaps, what scrolls sideways, at each width.
AROUND = """<!DOCTYPE html><html><body><iframe id="f" style="border:0"></iframe><pre id="found">not done</pre><script>
const f = document.getElementById("f"), found = [], widths = [1280, 390];
function look(width) {
    const d = f.contentDocument;
    for (const e of d.querySelectorAll("details")) e.open = true;
    if (d.documentElement.scrollWidth > width) found.push(`${width}: the page scrolls sideways: ${d.documentElement.scrollWidth}`);
    for (const s of d.querySelectorAll("svg")) {
        const box = s.getBoundingClientRect(), texts = [...s.querySelectorAll("text:not(.mark)")].map(t => [t.textContent, t.getBoundingClientRect()]);
        if (box.width < width / 2) found.push(`${width}: ${s.id} is ${box.width} wide`);
        texts.forEach(([a, p], i) => {
            if (p.left < box.left - 1 || p.right > box.right + 1 || p.top < box.top - 1 || p.bottom > box.bottom + 1) found.push(`${width}: ${s.id} cuts "${a}"`);
            for (const [b, q] of texts.slice(0, i))
                if (Math.min(p.right, q.right) - Math.max(p.left, q.left) > 1 && Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top) > 3) found.push(`${width}: ${s.id}: "${a}" on "${b}"`);
        });
    }
    found.push(`${width}: ${d.querySelectorAll("svg").length} pictures, ${d.querySelector("h1").textContent}`);
}
function next() {
    const width = widths.shift();
    if (!width) { document.getElementById("found").textContent = found.join("\\n"); return; }
    f.style.width = width + "px"; f.style.height = "900px";
    f.onload = () => { look(width); next(); };
    f.src = "page.html?" + width;
}
next();
</script></body></html>"""


def awaited(ready):
    for _ in range(1500):
        try:
            return ready()
        except OSError:
            time.sleep(0.01)
    raise AssertionError("the page's server does not come up")


@full
@limit(120)
@needs("chromium")
def test_in_a_browser(t):
    """On a screen and on a phone: nothing is cut or lies upon something else, and the console stays empty."""
    destination = staged(t, "short-lived")
    web = os.path.join(t.folder, "web")
    os.mkdir(web)
    with open(os.path.join(web, "page.html"), "w", encoding="utf-8") as f:
        f.write(t.tool("report", "-o", "html", "-i", "default", check=1).stdout)
    with open(os.path.join(web, "around.html"), "w", encoding="utf-8") as f:
        f.write(AROUND)
    code = "import functools, http.server as h, sys; h.ThreadingHTTPServer(('127.0.0.1', 8080), functools.partial(h.SimpleHTTPRequestHandler, directory=sys.argv[1])).serve_forever()"
    subprocess.Popen([PYTHON, "-c", code, web], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    awaited(lambda: socket.create_connection(("127.0.0.1", 8080)).close() is None)
    done = subprocess.run(["chromium", "--headless", "--no-sandbox", "--no-first-run", "--disable-gpu", "--enable-logging=stderr", f"--user-data-dir={t.folder}/profile",
                           "--virtual-time-budget=20000", "--dump-dom", "http://127.0.0.1:8080/around.html"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=100, env={**os.environ, "HOME": t.folder})
    said = html.unescape(re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.S)[1]).split("\n")
    equal([re.sub(r"pictures, .*", "pictures", line) for line in said], ["1280: 5 pictures", "390: 5 pictures"], "what the browser found")
    assert all(destination in line and "TIME-WAIT" in line for line in said), said
    # Pages of the browser's own write there too, such as that the network is slow.
    equal([line for line in done.stderr.splitlines() if "CONSOLE" in line and "favicon" not in line and "source: chrome://" not in line], [], "the console")
