"""What `report` must say of each staged incident. Written down before the code that says it was read, and never adapted to it.

name: the test is test_NAME in test_*.py of this folder. staged: what is done, with unmodified clients. failed: did a call fail?
shares: the kinds of cause and their percent of what stood in the way, largest first; 100 where there is one. program: whom it hit. destination:
"server" is the one that was staged; None: none can be named. first: the remedy to try first.

Where the code had a name for the same kind or remedy already, its name stands here now (source-unanswered, follow-packets).

An incident in which nothing failed has failed=False; one that is no incident at all has no shares.
"""

import collections

Expected = collections.namedtuple("Expected", "name staged failed shares program destination first")


def row(name, staged, failed, shares, program, first, destination="server"):
    return Expected(name, staged, failed, shares, program, destination, first)


ROWS = [
    # --- the client's own connections ---
    row("own_time_waits", "curl, run after run, closes first; observe", True, {"time-wait": 100}, "curl", "reuse-connections"),
    row("own_time_waits_of_a_pool", "the same under a pool of two sources; enforce", True, {"time-wait": 100}, "curl", "reuse-connections"),
    row("own_time_waits_of_wget", "wget, which only exits", True, {"time-wait": 100}, "wget", "reuse-connections"),
    row("bind_then_connect", "python3 binds its address with port 0, then connects: the failing call is bind, EADDRINUSE", True, {"time-wait": 100}, "python3",
        "reuse-connections"),
    row("leak", "perl opens connections and keeps them", True, {"open-connections": 100}, "perl", "limit-open-connections"),
    row("leak_and_time_waits", "perl keeps half of its connections, and closes half", True, {"open-connections": 50, "time-wait": 50}, "perl", "limit-open-connections"),
    row("server_never_closes", "curl closes first, the server never: FIN-WAIT-2", True, {"fin-wait": 100}, "curl", "close-in-server"),
    row("half_closed_and_time_waits", "a quarter FIN-WAIT-2, the rest in TIME-WAIT", True, {"time-wait": 75, "fin-wait": 25}, "curl", "reuse-connections"),
    row("client_never_closes", "the server closes, perl does not: CLOSE-WAIT", True, {"close-wait": 100}, "perl", "close-in-client"),

    # --- others ---
    row("binds_of_others", "a program that is not watched binds all ports", True, {"explicit-binds": 100}, "curl", "release-binds"),
    row("binds_and_time_waits", "it binds 40 %, curl's TIME-WAITs take the rest", True, {"time-wait": 60, "explicit-binds": 40}, "curl", "reuse-connections"),
    row("others_on_the_source", "a program that is not watched holds connections from the same source", True, {"other-processes": 100}, "curl", "find-other-processes"),
    row("others_time_waits", "it has closed them: nobody can name the owner of a TIME-WAIT", True, {"other-processes": 100}, "curl", "find-other-processes"),
    row("others_and_time_waits", "it holds a quarter, curl's TIME-WAITs take the rest", True, {"time-wait": 75, "other-processes": 25}, "curl", "reuse-connections"),
    row("another_watched_program", "curl's TIME-WAITs; the program that fails is nc", True, {"time-wait": 100}, "nc", "reuse-connections"),

    # --- the host's settings ---
    row("all_ports_reserved", "ip_local_reserved_ports has the whole range", True, {"reserved-ports": 100}, "nc", "unreserve-ports"),
    row("reserved_and_time_waits", "it has three quarters of it; curl's TIME-WAITs take the rest", True, {"reserved-ports": 75, "time-wait": 25}, "curl", "unreserve-ports"),
    row("descriptors", "perl under ulimit -n: EMFILE", True, {"descriptors": 100}, "perl", "raise-descriptors", None),
    row("tw_buckets", "more closes than tcp_max_tw_buckets", False, {"tw-buckets": 100}, "curl", "raise-tw-buckets", None),
    row("ipv6_disabled", "an IPv6 destination on a host whose IPv6 is off", True, {"ipv6-disabled": 100}, "curl", "enable-ipv6"),

    # --- sources ---
    row("address_removed", "curl --interface with an address that is gone", True, {"address-gone": 100}, "curl", "restore-address"),
    row("pool_address_removed", "one of two addresses of a pool is gone; enforce: nothing fails", False, {"address-gone": 100}, "curl", "restore-address"),
    row("pool_address_returned", "it was gone and is back: nothing fails, and it is not said to be missing", False, {"address-gone": 100}, "curl", "restore-address"),
    row("no_way_back", "answers to one of two sources are lost; enforce", False, {"source-unanswered": 100}, "curl", "follow-packets"),

    # --- ports that the program chose itself ---
    row("own_port_bind", "socat with sourceport, again: bind, EADDRINUSE", True, {"port-busy": 100}, "socat", "let-kernel-choose-port"),
    row("own_port_connect", "perl with SO_REUSEADDR and its own port: connect, EADDRNOTAVAIL", True, {"port-busy": 100}, "perl", "let-kernel-choose-port"),
    row("own_port_range", "curl --local-port RANGE: every port of it in TIME-WAIT", True, {"port-busy": 100}, "curl", "let-kernel-choose-port"),

    # --- two at once, and nothing at all ---
    row("slow_search", "more than half of a large range in TIME-WAIT, no per-socket range: slow, nothing failed", False, {"slow-search": 100}, "perl", "per-socket-range"),
    row("two_incidents", "curl's TIME-WAITs towards one destination, perl's leak towards another", True, {"time-wait": 100}, "curl", "reuse-connections"),
    row("tw_reuse", "tcp_tw_reuse = 1: more TIME-WAITs than there are ports, and nothing fails", False, {}, None, None),
    row("no_source_of_the_family", "a pool of IPv4 addresses, an IPv6 destination: nobody met EADDRNOTAVAIL", False, {}, None, None),
    row("inbound_server", "python3 -m http.server has the TIME-WAITs: they cost it no ports", False, {}, None, None),
    row("healthy", "a few curls", False, {}, None, None),

    # --- more clients (check-full) ---
    row("php", "php, fsockopen and fclose in a loop", True, {"time-wait": 100}, "php", "reuse-connections"),
    row("redis_cli", "redis-cli, run after run, only exits", True, {"time-wait": 100}, "redis-cli", "reuse-connections"),
    row("haproxy", "haproxy binds its own source ports, which another program has", True, {"port-busy": 100}, "haproxy", "let-kernel-choose-port"),
    row("wrk_of_others", "wrk, which is not watched, holds connections from the same source", True, {"other-processes": 100}, "curl", "find-other-processes"),
]

BY_NAME = {r.name: r for r in ROWS}
