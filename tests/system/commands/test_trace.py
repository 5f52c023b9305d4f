"""connspread run --trace and log --trace: what was decided at each connect and close; without them nothing is heard of it."""

import json

import kernel
from fixture import PYTHON, equal, limit, waits
from test_sources import IMPATIENT, PEER, PORT, silence, uplink

ONE = "import socket, sys; s = socket.create_connection((sys.argv[1], int(sys.argv[2]))); s.close()"


def traces(t, kind, *options):
    done = t.tool("log", "-o", "json", "--trace", "-c", t.conf, *options, check=0)
    return [e for e in map(json.loads, done.stdout.splitlines()) if e["event"] == kind]


def said(event):
    return [(s["address"], s["said"]) for s in event["asked"]]


def test_each_decision(t):
    """A connect through its pool and its close: rule, pool, source, port, verdict; log without --trace and report are as without it."""
    source, = t.sources(11, 11)
    t.spread([source])
    port = t.server()
    done = t.tool("run", "--trace", "-c", t.conf, "--", PYTHON, "-S", "-c", ONE, "10.1.0.1", str(port), check=0)
    equal((done.stdout, done.stderr), ("", ""), "what the client prints")
    connect, = traces(t, "trace-connect")
    equal((connect["decision"], connect["reason"], connect["rule"], connect["pool"], connect["attempts"], said(connect)),
          ("spread", "rule", "r", "p", 1, [(source, "chosen")]), "the connect")
    assert "error" not in connect, connect
    close, = traces(t, "trace-close")
    equal((close["via"], close["state"], close["fate"], close["rule"], close["text"]),
          ("close", "established", "time-wait", "r", "by its state alone"), "the close")
    event, = t.events("time-wait")
    equal({(e["local_address"], e["local_port"], e["peer_port"]) for e in (connect, close)},
          {(event["local_address"], event["local_port"], port)}, "quadruplet")
    equal(dict(kernel.by_source(port)), {source: 1}, "the kernel's sockets by source")
    equal({e["event"] for e in t.events()} - {"detach"}, {"attach", "time-wait"}, "without --trace")
    equal(len(traces(t, "trace-close", "--event", "trace-close")), 1, "--event trace-close")
    report = t.tool("report", "-o", "json", "-c", t.conf, check=0).stdout
    assert "trace" not in report, report
    text = t.tool("log", "--trace", "-c", t.conf, check=0).stdout
    assert "spread by rule after 1 attempt in " in text and f"\n    {source}: chosen\n" in text, text


def test_not_asked_for(t):
    """Without --trace there is none."""
    source, = t.sources(11, 11)
    t.spread([source])
    port = t.server()
    t.run([PYTHON, "-S", "-c", ONE, "10.1.0.1", str(port)], via="run")
    t.python(ONE, "10.1.0.1", port, CONNSPREAD_TRACE="0")
    equal(traces(t, "trace-connect") + traces(t, "trace-close"), [], "traces")
    equal(len(t.events("time-wait")), 2, "time-wait events")


def test_children_inherit(t):
    """A shell's child, and the child of that."""
    source, = t.sources(11, 11)
    t.spread([source])
    port = t.server()
    inner = f"import os, sys; os.spawnv(os.P_WAIT, {PYTHON!r}, [{PYTHON!r}, '-S', '-c', {ONE!r}] + sys.argv[1:])"
    t.tool("run", "--trace", "-c", t.conf, "--", "sh", "-c", '"$@"; :', "sh", PYTHON, "-S", "-c", inner, "10.1.0.1", str(port), check=0)
    equal((len(traces(t, "trace-connect")), len(traces(t, "trace-close"))), (1, 1), "traces")


def test_exhausted(t):
    """Each source with the kernel's answer, or with what is known of it without asking; then the client's error."""
    sources = t.sources(11, 12)
    port = t.server()
    kernel.port_range(40000, 40003)
    t.spread(sources, rule='on-exhausted = "error"')
    agent = t.agent(CONNSPREAD_TRACE="1")
    equal(agent(f"hold(10, '10.1.0.1', {port})"), [99, 8], "errno and connections")
    found = traces(t, "trace-connect")
    equal([e["decision"] for e in found if e["decision"] not in ("spread", "recovered")], ["failed"], "decisions")
    last = found[-1]
    equal((last["decision"], last["error"], {a for a, _ in said(last)}), ("failed", "EADDRNOTAVAIL", set(sources)), "the last connect")
    assert {w for _, w in said(last)} <= {"full", "held-down"}, last
    assert all(("error" in s) == (s["said"] == "full") for s in last["asked"]), last


def test_address_not_local(t):
    """What bind refuses, then what is known; the other source is chosen both times."""
    source, = t.sources(11, 11)
    t.spread([source, "10.0.0.99"])
    port = t.server()
    equal(t.agent(CONNSPREAD_TRACE="1")(f"burst(4, '10.1.0.1', {port})"), 0, "failures")
    found = traces(t, "trace-connect")
    answers = [s for e in found for s in e["asked"] if s["address"] == "10.0.0.99"]
    equal({s["said"] for s in answers}, {"address-not-local"}, "what the absent one says")
    assert len(answers) >= 2 and [s.get("error") for s in answers] == ["EADDRNOTAVAIL"] + [None] * (len(answers) - 1), answers
    equal([said(e)[-1] for e in found], [(source, "chosen")] * 4, "chosen")


def test_explicit_port(t):
    """Ports outside the ephemeral range: the one that was bound is named."""
    source, = t.sources(11, 11)
    port = t.server()
    kernel.port_range(40000, 40003)
    t.spread([source], pool='    ports = { "20000-20003" }')
    equal(t.agent(CONNSPREAD_TRACE="1")(f"burst(1, '10.1.0.1', {port})"), 0, "failures")
    connect, = traces(t, "trace-connect")
    equal((connect["decision"], said(connect), connect["asked"][0]["ports"]), ("spread", [(source, "chosen")], "20000-20003"), "the connect")
    assert 20000 <= connect["local_port"] <= 20003, connect


def test_why_not(t):
    """No rule, observe, a port that the client bound itself; in mode off the shim does nothing, so there is no trace either."""
    source, = t.sources(11, 11)
    port = t.server()
    bound = f"s = socket.socket(); s.bind(('10.0.0.11', 29999)); s.connect(('10.1.0.1', {port}))"
    plain = f"s = socket.create_connection(('10.1.0.1', {port}))"
    for name, top, to, code, want in (("none", "", "192.0.2.1", plain, ("watched", "no-rule")), ("bound", "", "*", bound, ("watched", "port-bound")),
                                      ("watch", 'mode = "observe"', "*", plain, ("watched", "observe"))):
        t.spread([source], to=(to,), top=top, name=name)
        t.python(f"import socket; {code}", CONNSPREAD_TRACE="1")
        connect, = traces(t, "trace-connect")
        equal((connect["decision"], connect["reason"], connect["asked"]), (*want, []), name)
    t.spread([source], top='mode = "off"', name="off")
    t.python(f"import socket; {plain}", CONNSPREAD_TRACE="1")
    equal(traces(t, "trace-connect") + traces(t, "trace-close"), [], "mode off")


@limit(60)
@waits
def test_marked_down(t):
    """A source that is not answered: once it is marked down, it is passed over, and said so."""
    far, sources = uplink(t)
    silence(far, f"ip saddr {sources[2]} tcp dport {PORT}")
    t.spread(sources)
    agent = t.agent(CONNSPREAD_TRACE="1")
    agent(IMPATIENT)
    agent(f"impatient(20, 1.2, '{PEER}')")
    down = [e for e in traces(t, "trace-connect") if (sources[2], "marked-down") in said(e)]
    assert down and all(said(e)[-1][1] == "chosen" and said(e)[-1][0] != sources[2] for e in down), down


def test_supervised(t):
    """The connects of a program that is served from outside."""
    source, = t.sources(11, 11)
    t.spread([source])
    port = t.server()
    done = t.tool("run", "--trace", "--supervise", "-c", t.conf, "--", t.program("supervise/client"), "10.1.0.1", str(port), "2", check=0)
    equal([line.split()[0] for line in done.stdout.splitlines()], [source, source, "longest"], "what the client says")
    found = traces(t, "trace-connect")
    equal([(e["program"], e["decision"], said(e)) for e in found], [("client", "spread", [(source, "chosen")])] * 2, "its connects")
