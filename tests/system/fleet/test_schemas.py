"""log -o json --schema: the members of events under the names of OpenTelemetry and of the Elastic Common Schema."""

import json
import os
import re

import kernel
from fixture import ROOT, equal

# As the two define them: OpenTelemetry's semantic conventions (host, process, thread, network, error, event) and log record; ECS 8.
OTEL = {"time": "timestamp", "event": "event.name", "host": "host.name", "pid": "process.pid", "tid": "thread.id", "program": "process.executable.name",
        "local_address": "network.local.address", "local_port": "network.local.port", "peer_address": "network.peer.address", "peer_port": "network.peer.port",
        "cause": "error.type", "text": "body"}
ECS = {"time": "@timestamp", "seq": "event.sequence", "event": "event.action", "host": "host.name", "pid": "process.pid", "tid": "process.thread.id", "program": "process.name",
       "direction": "network.direction", "rule": "rule.name", "cause": "error.type", "error": "error.code", "text": "message",
       "local_address": "source.ip", "local_port": "source.port", "peer_address": "destination.ip", "peer_port": "destination.port"}
ACCEPTED = {**ECS, "local_address": "destination.ip", "local_port": "destination.port", "peer_address": "source.ip", "peer_port": "source.port"}


def as_named(event, schema):
    names = OTEL if schema == "otel" else ACCEPTED if event.get("direction") == "inbound" else ECS
    return [(names.get(key, "connspread." + key), value) for key, value in event.items()]


def read(t, *arguments):
    return [json.loads(line, object_pairs_hook=list) for line in t.tool("log", "-o", "json", *arguments, check=0).stdout.splitlines()]


def test_names_of_others(t):
    """Every member of every event, in its order and with its value: time-waits of both directions, exhausted, source-down, attach; of the ring and of a file."""
    sources = t.sources(11, 12)
    t.spread(sources + ["192.0.2.9"], rule='on-exhausted = "error"')
    port = t.server()
    kernel.port_range(40000, 40015)
    agent = t.agent()
    agent(f"burst(40, '10.1.0.1', {port})")
    listener = agent("kept.append(socket.socket()) or kept[-1].bind(('10.1.0.1', 8080)) or kept[-1].listen()")
    equal(listener, None, "a listener")
    peer = t.agent(bare=True)
    peer("kept.append(connect('10.1.0.1', 8080))")
    agent("kept[0].accept()[0].close()")
    peer("kept[0].close()")
    for p in port, 8080:
        kernel.settle(p)  # or what log says of a close differs from one call to the next
    events = t.events()
    equal({"attach", "time-wait", "exhausted", "source-down"} - {e["event"] for e in events}, set(), "kinds of events")
    equal({e["direction"] for e in events if e["event"] == "time-wait"}, {"outbound", "inbound"}, "directions")
    path = os.path.join(t.folder, "file.jsonl")
    kernel.write(path, "".join(json.dumps(e) + "\n" for e in events))
    for schema in ("otel", "ecs"):
        want = [as_named(e, schema) for e in events]
        for found in (read(t, "--schema", schema, "-c", t.conf), read(t, "--schema", schema, path)):
            equal([[key for key, _ in e] for e in found], [[key for key, _ in e] for e in want], f"keys, {schema}")
            equal([[v for k, v in e if not isinstance(v, list)] for e in found], [[v for k, v in e if not isinstance(v, (list, dict))] for e in want], f"values, {schema}")
        for e in want:
            equal(len({key for key, _ in e}), len(e), f"a key twice: {e}")


def test_the_manual_has_the_names(t):
    with open(os.path.join(ROOT, "contrib/man/connspread.1")) as f:
        rows = re.findall(r"^\.It (\w+) Ta (\S+) Ta (\S+)$", f.read(), re.M)[1:]
    equal({member: (otel, ecs) for member, otel, ecs in rows},
          {m: (OTEL.get(m, "connspread." + m), ECS.get(m, "connspread." + m)) for m in {**OTEL, **ECS}}, "connspread(1), EVENTS")


def test_wrong(t):
    for arguments, error in ((("--schema", "otel"), "--schema is about JSON; try: with -o json"), (("--schema", "w3c", "-o", "json"), "--schema w3c is not one; try: otel or ecs")):
        equal(t.tool("log", *arguments, check=2).stderr, f"connspread: log: {error}\n", arguments)
