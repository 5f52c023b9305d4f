"""check: enough for a program that sizes its pool, and what a NAT gateway leaves of it; quads --wait."""

import json
import shutil
import subprocess
import time

import kernel
from fixture import TOOL, equal, full, needs


def check(t, *words, exit=0):
    return json.loads(t.tool("check", "-o", "json", "-c", t.conf, *words, check=exit).stdout)


def link(name, *addresses):
    kernel.ip(f"link add {name} type veth peer name {name}p")
    for end in name, f"{name}p":
        kernel.ip(f"link set {end} up")
    for address in addresses:
        kernel.ip(f"addr add {address} dev {name}")


def test_a_program_sizes_its_pool(t):
    """From `check -o json` alone a program computes how many addresses a rate needs, names them in the pool and adds them as check says."""
    link("eth1", "10.0.0.1/24")
    link("eth2", "10.7.0.1/24")
    kernel.add_addresses("10.1.0.1")
    port = t.server()
    kernel.port_range(40000, 40059)
    t.spread(["10.0.0.11"])
    said = check(t, exit=1)
    pool, = said["pools"]
    equal((pool["ports"], pool["per_second_of_each_source"], said["time_wait_seconds"]), (60, 1.0, 60), "of each source")
    equal(said["add_addresses"], ["ip addr add 10.0.0.11/32 dev eth1"], "what to add")
    rate = 5
    sources = [f"10.0.0.{11 + i}" for i in range(int(-(-rate // pool["per_second_of_each_source"])))] + ["10.7.0.9"]
    t.spread(sources)
    said = check(t, exit=1)
    equal(said["missing"], 6, "missing addresses")
    equal(said["add_addresses"][-1], "ip addr add 10.7.0.9/32 dev eth2", "the interface of the address's network")
    equal(sum(s["missing"] for s in said["pools"][0]["sources"]), 6, "missing by range")
    text = t.tool("check", "-c", t.conf, check=1).stdout
    for command in said["add_addresses"]:
        assert f"\n  {command}\n" in text, f"{command!r} is not in {text!r}"
        subprocess.run(command.split(), check=True)
    said = check(t)
    equal((said["missing"], said["add_addresses"]), (0, []), "after that")
    equal(said["rules"][0]["capacity"][0]["per_second"] >= rate, True, "the rate is carried")
    equal((said["rules"][0]["to"], said["rules"][0]["attempts"]), (["*:1-65535"], 16), "the rule")
    equal(t.agent()(f"hold({60 * 6}, '10.1.0.1', {port})"), [0, 360], "errno, and as many connections as it said")


def test_ipv6_and_links_in_what_to_add(t):
    """IPv6 addresses are added as /128; where no interface is known the word DEVICE stands for it."""
    t.spread(["fd00:1::11", "10.0.0.11"])
    equal(check(t, exit=1)["add_addresses"], ["ip addr add 10.0.0.11/32 dev DEVICE", "ip addr add fd00:1::11/128 dev DEVICE"], "no interface")
    link("eth6", "fd00:1::1/64")
    equal(check(t, exit=1)["add_addresses"], ["ip addr add 10.0.0.11/32 dev eth6", "ip addr add fd00:1::11/128 dev eth6"], "one interface")
    t.spread(["10.9.0.0/24"], pool="freebind = true")
    equal(check(t, exit=1)["add_addresses"], [], "of a pool with freebind")


def test_a_gateways_ports(t):
    """check --snat: warns where a rule can make more connections than the gateway's ports carry, and not where it cannot."""
    sources = t.sources()
    kernel.port_range(40000, 40999)
    t.spread(sources)
    equal(check(t)["warnings"], [], "without a gateway")
    equal(check(t, "--snat", "8000")["warnings"], [], "4,000 quadruplets in 60 s, 8,000 ports in 120 s")
    warning, = check(t, "--snat", "7999", exit=1)["warnings"]
    assert "67 connections a second" in warning and "7999 ports" in warning and "try: 8000 ports" in warning, warning
    t.spread(sources, to=["fd00::/16"], name="six")
    equal([w for w in check(t, "--snat", "1", exit=1)["warnings"] if "gateway" in w], [], "IPv6 is not translated")
    for wrong in "0", "x", "-1", "10%":
        equal(t.tool("check", "-c", t.conf, "--snat", wrong).returncode, 2, f"--snat {wrong}")


@full
def test_quads_waits_until_a_destination_has_drained(t):
    """quads --wait 10%: waits while more is taken, returns once it is less; --timeout bounds it, and says what is left."""
    sources = t.sources(11, 11)
    port = t.server()
    kernel.port_range(40000, 40019)
    t.spread(sources)
    agent = t.agent()
    equal(agent(f"hold(10, '10.1.0.1', {port})"), [0, 10], "half of its 20 ports")
    to = ["quads", "--to", f"10.1.0.1:{port}", "-o", "json"]
    began = time.monotonic()
    done = t.tool(*to, "--wait", "10%", "--timeout", "1s")
    equal(done.returncode, 1, "exit after the timeout")
    assert time.monotonic() - began >= 1 and "50.00 % of the ports" in done.stderr and "try:" in done.stderr, done.stderr
    equal(json.loads(done.stdout)["established"], 10, "the report comes all the same")
    equal(t.tool(*to, "--wait", "50").returncode, 0, "no more than 50 %")
    waiting = subprocess.Popen([TOOL] + to + ["--wait", "10%", "--timeout", "50s"], env=t.environment(bare=True), stdout=subprocess.PIPE, text=True)
    for s in kernel.sockets(to_port=port)[2:]:
        equal(waiting.poll(), None, "it has ended although it is too full")
        kernel.destroy(s.local, s.local_port, s.peer, s.peer_port)
    equal((waiting.wait(timeout=30), json.loads(waiting.stdout.read())["percent"] <= 10), (0, True), "exit, and what is left")
    for wrong in ["--wait", "x"], ["--wait", "101%"], ["--timeout", "1s"], ["--wait", "1%", "-w"]:
        equal(t.tool("quads", *wrong).returncode, 2, f"{wrong}")


# --- Redis in protected mode ---

@needs("redis-server", "redis-cli")
def test_redis_in_protected_mode(t):
    """A loopback pool makes a Redis in protected mode deny; check says so, and what it says helps."""
    redis = subprocess.Popen([shutil.which("redis-server"), "--port", "6379", "--bind", "127.0.0.1", "--save", "", "--daemonize", "no"],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    kernel.wait_until(lambda: any(s.state == "LISTEN" and s.local_port == 6379 for s in kernel.sockets()), timeout=15)
    ping = [shutil.which("redis-cli"), "-h", "127.0.0.1", "ping"]
    loopback = ["127.0.0.2-127.0.0.9"]
    t.spread(loopback, to=["127.0.0.0/8"])
    said = t.run(ping, check=False)
    assert "DENIED" in said.stdout + said.stderr, f"redis-cli: {said.stdout} {said.stderr}"
    warning, = check(t, exit=1)["warnings"]
    assert "protected mode" in warning and 'except = { "127.0.0.1:6379" }' in warning, warning
    t.spread(loopback, to=["127.0.0.0/8"], rule='except = { "127.0.0.1:6379" }')
    equal(check(t)["warnings"], [], "with what check advises")
    equal(t.run(ping).stdout, "PONG\n", "with what check advises")
    t.spread(["127.0.0.1"], to=["127.0.0.0/8"])
    equal((check(t)["warnings"], t.run(ping).stdout), ([], "PONG\n"), "a pool of 127.0.0.1 alone")
    redis.terminate()
    redis.wait(timeout=15)
