"""connspread report over the logs of many hosts: what they have in common, which differ, and clocks that are off."""

import datetime
import json
import os
import re

import kernel
from fixture import equal

START = datetime.datetime(2026, 11, 21, 3, 0, 0, tzinfo=datetime.timezone.utc)
HOSTS = [f"host{i:02}" for i in range(50)]


def line(host, seq, at, **members):
    text = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {"time": text, "epoch": f"{HOSTS.index(host):016x}", "seq": seq, "event": "time-wait", "host": host, "netns": 1, "instance": "web", "arm": "enforce", "pid": 7, "tid": 7,
            "program": "client", "direction": "outbound", "local_address": "10.0.0.1", "local_port": 40000 + seq, "peer_address": "10.2.0.1", "peer_port": 6379,
            "rule": "", "pool": "", "age_us": 5, **members}


def failure(host, seq, at, **members):
    return line(host, seq, at, event="exhausted", call="connect", cause="range-full", outcome="failed", attempts=1, elapsed_us=3, capacity=100, **members)


def write(t, failing, late=(), start=START, hosts=HOSTS):
    """A file for each host: 20 TIME-WAITs; of those that fail, 3 failures, an hour later where the clock is off."""
    paths = []
    for host in hosts:
        at = start + datetime.timedelta(hours=1 if host in late else 0)
        events = [line(host, i, at + datetime.timedelta(seconds=i)) for i in range(20)]
        events += [failure(host, 20 + i, at + datetime.timedelta(seconds=20 + i)) for i in range(3) if host in failing]
        paths.append(os.path.join(t.folder, host))
        kernel.write(paths[-1], "".join(json.dumps(e) + "\n" for e in events))
    return paths


def both(t, paths, check):
    """Member fleet of the JSON; the part of the text, its lines joined."""
    found = json.loads(t.tool("report", "-o", "json", *paths, check=check).stdout)
    text = t.tool("report", *paths, check=check).stdout
    part = re.search(r"\nAcross (.*?)\n\n", text, re.S)
    return found["fleet"], re.sub(r"\s+", " ", part[1]) if part else None


def test_three_of_fifty(t):
    """Which hosts it hit, of those with connections there; the one whose clock is an hour off is named."""
    fleet, text = both(t, write(t, ["host03", "host17", "host40"], late=["host17"]), 1)
    incident, = fleet["incidents"]
    equal((incident["cause"], incident["destination"], incident["source"], incident["failed"]), ("range-full", "10.2.0.1:6379", None, 9), "incident")
    equal([(h["host"], h["failed"], h["apart_s"]) for h in incident["hosts"]], [("host03", 3, 0), ("host17", 3, 3600), ("host40", 3, 0)], "its hosts")
    equal(incident["spared"], [h for h in HOSTS if h not in ("host03", "host17", "host40")], "spared")
    equal((fleet["omitted"], fleet["clocks_ahead"]), (0, []), "the rest")
    equal(text, "50 hosts range-full to 10.2.0.1:6379: 9 failed, on 3 of 50 hosts with connections there only: host03 host17 host40 "
                "host17 began 3600 s after most: another incident, or its clock is off", "text")


def test_most_and_all(t):
    fleet, text = both(t, write(t, HOSTS[1:]), 1)
    equal((len(fleet["incidents"][0]["hosts"]), fleet["incidents"][0]["spared"]), (49, ["host00"]), "49 of 50")
    assert text.endswith("on 49 of 50 hosts with connections there all but: host00"), text
    fleet, text = both(t, write(t, HOSTS), 1)
    equal((len(fleet["incidents"][0]["hosts"]), fleet["incidents"][0]["spared"]), (50, []), "all")
    assert "on 50 of 50 hosts with connections there all of them: host00 host01" in text and text.endswith("host49"), text
    fleet, text = both(t, write(t, []), 0)
    equal((fleet["incidents"], text), ([], "50 hosts: nothing failed"), "none")


def test_a_host_without_connections_there_is_not_spared(t):
    """And a cause that is a local address is each host's own."""
    paths = write(t, ["host01"], hosts=HOSTS[:3])
    elsewhere = [line("host03", i, START, peer_address="10.9.9.9") for i in range(5)]
    gone = failure("host03", 9, START, local_address="192.0.2.1", local_port=0)
    paths.append(os.path.join(t.folder, "host03"))
    kernel.write(paths[-1], "".join(json.dumps(e) + "\n" for e in elsewhere + [{**gone, "cause": "address-not-local"}]))
    fleet, text = both(t, paths, 1)
    equal([(i["cause"], i["destination"], i["source"], [h["host"] for h in i["hosts"]], i["spared"]) for i in fleet["incidents"]],
          [("range-full", "10.2.0.1:6379", None, ["host01"], ["host00", "host02", "host03"]),
           ("address-not-local", None, "192.0.2.1", ["host03"], ["host00", "host01", "host02"])], "incidents: host03's failure was on its way there")


def test_a_clock_ahead(t):
    """Events from the future."""
    soon = datetime.datetime.now(datetime.timezone.utc)
    paths = write(t, [], late=["host01"], start=soon - datetime.timedelta(minutes=5), hosts=HOSTS[:3])
    fleet, text = both(t, paths, 0)
    (ahead,) = fleet["clocks_ahead"]
    assert ahead["host"] == "host01" and 3200 < ahead["seconds"] < 3400, ahead
    assert re.search(r"the clock of host01 is ahead of this host's by 3[23]\d\d s at least$", text), text


def test_one_host(t):
    equal(both(t, write(t, ["host00"], hosts=HOSTS[:1]), 1), (None, None), "of one host")
