#include "tool/report/advice.h"

#include <string.h>

#include "tool/report/model.h"
#include "tool/common/strbuf.h"
#include "tool/common/sentence.h"

static void say_widen(struct strbuf *s, const struct finding *f) {
    if (f->evidence.own_range)
        words_fill(s,
                   "Widen the range of these connections, which has $n usable ports: it is what ports says in their "
                   "pool, or what the program asks for itself. 1024-65535 carries $d connections a second to one "
                   "destination instead of $d. net.ipv4.ip_local_port_range changes nothing for them.",
                   (uint64_t)f->evidence.ports, f->conclusion.widest, f->conclusion.sustained);
    else
        words_fill(
            s,
            "Widen the ephemeral range: net.ipv4.ip_local_port_range has $n usable ports; \"1024 65535\" carries "
            "$d connections a second to one destination instead of $d. Put the ports of local servers into "
            "net.ipv4.ip_local_reserved_ports first.",
            (uint64_t)f->evidence.ports, f->conclusion.widest, f->conclusion.sustained);
}

static void say_sources(struct strbuf *s, const struct finding *f) {
    uint64_t all = f->conclusion.sources_needed, more = all - f->evidence.sources;
    words_fill(s,
               "Add $n source address$s ($n in all, for what the worst minute wanted and a tenth more), and have them "
               "used: connspread run with a pool of them does it without a change to the client.",
               more, more == 1 ? "" : "es", all);
}

static void say_targets(struct strbuf *s, const struct finding *f) {
    words_fill(
        s,
        "Or let the server listen on more ports or addresses, $n in all, and have clients use them in turn: each "
        "is a destination of its own.",
        (uint64_t)f->conclusion.targets_needed);
}

static void say_restore(struct strbuf *s, const struct finding *f) {
    if (f->source_is_back) {
        words_fill(s,
                   "It is back: find out what had removed it (a failover, a DHCP lease, a network manager's reload).");
        return;
    }
    words_fill(s,
               "Put the address back: ip addr add $s/PREFIX dev INTERFACE, and find out what removed it (a failover, a "
               "DHCP lease, a network manager's reload). connspread and the client take it up again by themselves.",
               f->source);
}

static void say_change_source(struct strbuf *s, const struct finding *f) {
    if (f->evidence.source_down && f->incident->pool[0])
        words_fill(s, "Or take $s out of pool \"$s\" in connspread's config, and connspread reload.", f->source,
                   f->incident->pool);
    else
        words_fill(s,
                   "Or have $s bind another address, or none: look for $s in its options and config (--interface, "
                   "bind, source address).",
                   f->program, f->source);
}

static const char *const fixed[REMEDIES] = {
    [REMEDY_REUSE_CONNECTIONS] =
        "Reuse connections (keep-alive, a connection pool), or let the server close first: the TIME-WAIT is "
        "then on "
        "its side, where it takes no port.",
    [REMEDY_LIMIT_OPEN] =
        "Look whether the client leaks connections (does their number only grow?), give its pool a limit, and "
        "close "
        "what is idle.",
    [REMEDY_CLOSE_IN_SERVER] =
        "Have the server close its side when the client has closed: look there for connections in CLOSE-WAIT "
        "(ss -tan state close-wait), which its program forgets.",
    [REMEDY_FIN_TIMEOUT] =
        "Until then a smaller net.ipv4.tcp_fin_timeout ends such connections earlier than after 60 s. It helps "
        "against FIN-WAIT-2 alone: no TIME-WAIT ends earlier by it.",
    [REMEDY_CLOSE_IN_CLIENT] =
        "Have the client close a connection when it reads its end: look for connections in CLOSE-WAIT (ss -tanp "
        "state close-wait). A pool that drops idle connections before the server does so helps meanwhile.",
    [REMEDY_UNRESERVE_PORTS] = "Reserve only the ports that services listen on: net.ipv4.ip_local_reserved_ports (and "
                               "/etc/sysctl.d), or widen net.ipv4.ip_local_port_range beyond them.",
    [REMEDY_FIND_OTHERS] =
        "Find the programs that hold them: connspread quads counts the connections of this host by source and "
        "destination, "
        "and "
        "connspread doctor names processes. Run those programs under connspread too: the log then names which "
        "of them closes "
        "first, and spreads all of them.",
    [REMEDY_RELEASE_BINDS] =
        "Find the processes that bind these ports: connspread doctor lists those that have bound ephemeral "
        "ports "
        "explicitly. Have them bind no port before they connect, or set IP_BIND_ADDRESS_NO_PORT; those that "
        "must "
        "bind should use ports outside of net.ipv4.ip_local_port_range.",
    [REMEDY_RESERVE_PORTS] =
        "Ports that some program must bind belong into net.ipv4.ip_local_reserved_ports, so that the range is "
        "what "
        "all programs can really use, and is dimensioned by that.",
    [REMEDY_TW_REUSE] =
        "sysctl net.ipv4.tcp_tw_reuse=1 lets connect() take a port whose TIME-WAIT is older than a second. It "
        "needs TCP timestamps at both ends, and holds for all programs of the host.",
    [REMEDY_RESET_ON_CLOSE] =
        "Last of all, a reset instead of a close (SO_LINGER with 0 s) leaves no TIME-WAIT. It also throws away "
        "what "
        "was not sent yet, and the server sees an error: only for a client that has read its whole answer.",
    [REMEDY_ENABLE_IPV6] =
        "If this host should have IPv6, enable it again: sysctl net.ipv6.conf.all.disable_ipv6=0 (and the same "
        "of "
        "the interface), then give its addresses back. Look in /etc/sysctl.d and at the kernel's command line "
        "for "
        "what disabled it.",
    [REMEDY_USE_IPV4] =
        "If not, keep clients from IPv6 destinations: names without AAAA records, AI_ADDRCONFIG, or the "
        "client's "
        "own switch (curl -4).",
    [REMEDY_LET_KERNEL_CHOOSE] =
        "Let the client bind no port, or port 0: the kernel then finds a free one for each connection.",
    [REMEDY_ROUTE_SOURCE] =
        "Look at ip route get DESTINATION from SOURCE and at the firewall: give that source a route (ip rule).",
    [REMEDY_FOLLOW_PACKETS] =
        "Run connspread check: it says when an address is on no interface, or leaves by another interface than "
        "its own. Then see with tcpdump whether its SYNs leave, and whether anything comes back.",
    [REMEDY_DESCRIPTORS] =
        "Give it more descriptors: ulimit -n, or LimitNOFILE= of its systemd unit; for ENFILE, which all "
        "programs of the host meet, sysctl fs.file-max.",
    [REMEDY_LATE_PORT] =
        "Have the client bind only its address (IP_BIND_ADDRESS_NO_PORT; connspread run does it where a rule "
        "has client-bind = late-port): a port that bind() takes is taken towards all destinations.",
    [REMEDY_TW_BUCKETS] = "Raise it: sysctl -w net.ipv4.tcp_max_tw_buckets=262144; a TIME-WAIT takes some 256 bytes, "
                          "so that these take 64 MB.",
    [REMEDY_SOCKET_RANGE] = "Let connspread spread these connections (connspread set mode=enforce, or a rule that "
                            "covers the destination): it "
                            "gives each socket a port range of its own (IP_LOCAL_PORT_RANGE), with which the kernel "
                            "(6.8 and later) takes the "
                            "next free port.",
    [REMEDY_ASK_DOCTOR] = "Run connspread doctor on that host: it looks for what makes the kernel say EADDRNOTAVAIL.",
};

void words_remedy(char out[REPORT_WORDS], const struct finding *f, enum remedy remedy) {
    struct strbuf s;
    strbuf_init(&s, out, REPORT_WORDS);
    switch (remedy) {
    case REMEDY_WIDEN_RANGE:
        say_widen(&s, f);
        break;
    case REMEDY_ADD_SOURCES:
        say_sources(&s, f);
        break;
    case REMEDY_ADD_DESTINATIONS:
        say_targets(&s, f);
        break;
    case REMEDY_RESTORE_ADDRESS:
        say_restore(&s, f);
        break;
    case REMEDY_CHANGE_SOURCE:
        say_change_source(&s, f);
        break;
    default:
        strbuf_text(&s, remedy < REMEDIES && fixed[remedy] ? fixed[remedy] : "");
        break;
    }
    (void)strbuf_finish(&s);
}
