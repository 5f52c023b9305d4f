"""contrib/schema: the JSON schemas hold for everything that the tool prints as JSON, and come from the source."""

import glob
import json
import os
import re
import subprocess

import kernel
import schemas
from fixture import PYTHON, ROOT, equal, full


def test_schemas_come_from_the_source(t):
    """What contrib/schema/generate writes now is what is there; each is a schema."""
    subprocess.run([PYTHON, os.path.join(schemas.FOLDER, "generate"), t.folder], check=True, timeout=30)
    names = sorted(os.path.basename(p) for p in glob.glob(os.path.join(schemas.FOLDER, "*.json")))
    equal(sorted(os.path.basename(p) for p in glob.glob(os.path.join(t.folder, "*.json"))), names, "schemas")
    for name in names:
        with open(os.path.join(t.folder, name)) as new, open(os.path.join(schemas.FOLDER, name)) as old:
            assert new.read() == old.read(), f"contrib/schema/{name} is not what the source says; try: contrib/schema/generate"
        validator = schemas.validator(name[:-len(".json")])
        validator.check_schema(validator.schema)


@full
def test_every_command_with_json_has_one(t):
    """Each command whose help offers json is named in the title of a schema."""
    listed = re.findall(r"^  (\w+) ", t.tool("--help", check=0).stdout.split("commands:\n")[1].split("\n\n")[0], re.M)
    offering = {name for name in listed if re.search(r"--output FORMAT .*json", t.tool(name, "--help", check=0).stdout)}
    assert {"log", "stat", "report", "ls"} <= offering, offering
    titles = " ".join(schemas.schema(os.path.basename(p)[:-len(".json")])["title"] for p in glob.glob(os.path.join(schemas.FOLDER, "*.json")))
    equal({name for name in offering if f"connspread {name} " not in titles}, set(), "commands without a schema")


def test_every_event(t):
    """Each kind with everything 0, everything at its most and anything between, under each of the three names; every member
    that the schema has was there, and every one that may be absent was absent once."""
    for form, name in ("ours", "event"), ("otel", "event-otel"), ("ecs", "event-ecs"):
        lines = subprocess.run([t.program("every_event"), form], stdout=subprocess.PIPE, text=True, check=True, timeout=30).stdout.splitlines()
        definitions = schemas.schema(name)["$defs"]
        of_kind, direction = {k: [] for k in definitions}, {"ours": "-", "otel": "-", "ecs": "network.direction"}[form]
        for line in lines:
            event = json.loads(line)
            kind = event[{"ours": "event", "otel": "event.name", "ecs": "event.action"}[form]]
            kind += f"-{event[direction]}" if direction in event else ""
            schemas.valid(name, line, kind)
            of_kind[kind].append(event)
        for kind, found in of_kind.items():
            members, required = set(definitions[kind]["properties"]), set(definitions[kind]["required"])
            equal(members - set().union(*found), set(), f"{name}, {kind}: members that no event has")
            equal({m for m in members - required if all(m in e for e in found)}, set(), f"{name}, {kind}: members that may be absent and never are")
        schemas.valid(name, "\n".join(lines[::23]))  # each of them is one kind and no other


def test_a_schema_refuses_what_is_wrong(t):
    line = subprocess.run([t.program("every_event"), "ours"], stdout=subprocess.PIPE, text=True, check=True, timeout=30).stdout.splitlines()[0]
    good = json.loads(line)
    for change in {"arm": "none"}, {"pid": -1}, {"new": 1}, {"time": "yesterday"}, {"event": "closed"}, {"verified": "true"}:
        assert not schemas.validator("event").is_valid({**good, **change}), change
    for member in schemas.schema("event")["$defs"]["time-wait"]["required"]:
        assert not schemas.validator("event").is_valid({k: v for k, v in good.items() if k != member}), f"without {member}"


def printed(t, command, *arguments):
    return t.tool(command, "-o", "json", *arguments).stdout


def test_every_command(t):
    """On a host with incidents, and on one where nothing has happened yet."""
    t.config('pool "p" { addresses = { "10.0.0.11", "10.0.0.12", "fd00:1::11" } }\nrule "r" { to = { "*" }\n pool = "p"\n on-exhausted = "error" }\n'
             'rule "n" { to = { "10.9.0.0/16" }\n action = "ignore" }\n')
    outputs = {
        "check": ("check", "-c", t.conf), "stat": ("stat", "-c", t.conf), "stat-compare": ("stat", "-c", t.conf, "--compare"),
        "report": ("report", "-c", t.conf), "event": ("log", "-c", t.conf), "event-otel": ("log", "-c", t.conf, "--schema", "otel"),
        "event-ecs": ("log", "-c", t.conf, "--schema", "ecs"), "quads": ("quads", "-p"), "doctor": ("doctor", "bash"), "ls": ("ls", "-c", t.conf),
        "check-to": ("check", "-c", t.conf, "--to", "10.1.0.1:9001"), "doctor-message": ("doctor", "--message", "curl: (7) Couldn't connect: Cannot assign requested address"),
    }
    equal(sorted(outputs), sorted(os.path.basename(p)[:-len(".json")] for p in glob.glob(os.path.join(schemas.FOLDER, "*.json"))), "schemas and outputs")
    for name, arguments in outputs.items():
        schemas.valid(name, printed(t, *arguments))
    kernel.port_range(40000, 40007)
    t.sources()
    t.sources6()
    port, port6 = t.server(), t.server("fd00:2::1")
    agent = t.agent()
    equal(agent(f"hold(20, '10.1.0.1', {port})")[1], 16, "connections: two sources of eight ports")
    agent(f"hold(4, 'fd00:2::1', {port6}, AF_INET6)")
    t.tool("set", "-c", t.conf, "mode=observe", "canary=50", check=0)
    found = {name: schemas.valid(name, printed(t, *arguments)) for name, arguments in outputs.items()}
    equal([name for name, lines in found.items() if not lines], [], "outputs that are empty")
    agent.end()
    for name in "event", "report", "stat", "quads", "doctor":
        schemas.valid(name, printed(t, *outputs[name]))
    assert schemas.valid("stat", printed(t, "stat", "-c", t.conf, "--interval", "10ms")), "stat --interval"
    own = [line for line in printed(t, "stat", "--all").splitlines() if t.state in line]  # others may run beside it
    assert schemas.valid("stat", "\n".join(own)), "stat --all"
    for to in "10.9.0.1:80", "[fd00:2::1]:443", "127.0.0.1:80":
        schemas.valid("check-to", printed(t, "check", "-c", t.conf, "--to", to, "--program", "curl"))
    schemas.valid("quads", printed(t, "quads", "--inbound"))


def test_installed_and_in_the_manual(t):
    """make install puts them where connspread(1) says."""
    with open(os.path.join(ROOT, "contrib/man/connspread.1")) as f:
        page = f.read()
    assert "share/connspread/schema" in page and "may be absent" in page, "connspread(1) does not name the schemas"
    with open(os.path.join(ROOT, "Makefile")) as f:
        assert "$(SHARE)/schema/" in f.read(), "make install leaves them out"
