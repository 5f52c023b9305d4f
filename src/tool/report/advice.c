#include "tool/report/advice.h"

#include <string.h>

#include "tool/report/model.h"
#include "tool/report/words.h"
#include "tool/common/strbuf.h"

static void say_widen(struct strbuf *s, const struct finding *f) {
    words_fill(s,
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

static const char *fixed(enum remedy remedy) {
    switch (remedy) {
    case REMEDY_REUSE_CONNECTIONS:
        return "Reuse connections (keep-alive, a connection pool), or let the server close first: the TIME-WAIT is "
               "then on "
               "its side, where it takes no port.";
    case REMEDY_LIMIT_OPEN:
        return "Look whether the client leaks connections (does their number only grow?), give its pool a limit, and "
               "close "
               "what is idle.";
    case REMEDY_FIND_OTHERS:
        return "Find the programs that hold them: connspread quads counts the connections of this host by source and "
               "destination, "
               "and "
               "connspread doctor names processes. Run those programs under connspread too: the log then names which "
               "of them closes "
               "first, and spreads all of them.";
    case REMEDY_RELEASE_BINDS:
        return "Find the processes that bind these ports: connspread doctor lists those that have bound ephemeral "
               "ports "
               "explicitly. Have them bind no port before they connect, or set IP_BIND_ADDRESS_NO_PORT; those that "
               "must "
               "bind should use ports outside of net.ipv4.ip_local_port_range.";
    case REMEDY_RESERVE_PORTS:
        return "Ports that some program must bind belong into net.ipv4.ip_local_reserved_ports, so that the range is "
               "what "
               "all programs can really use, and is dimensioned by that.";
    case REMEDY_TW_REUSE:
        return "sysctl net.ipv4.tcp_tw_reuse=1 lets connect() take a port whose TIME-WAIT is older than a second. It "
               "needs TCP timestamps at both ends, and holds for all programs of the host.";
    case REMEDY_RESET_ON_CLOSE:
        return "Last of all, a reset instead of a close (SO_LINGER with 0 s) leaves no TIME-WAIT. It also throws away "
               "what "
               "was not sent yet, and the server sees an error: only for a client that has read its whole answer.";
    case REMEDY_ENABLE_IPV6:
        return "If this host should have IPv6, enable it again: sysctl net.ipv6.conf.all.disable_ipv6=0 (and the same "
               "of "
               "the interface), then give its addresses back. Look in /etc/sysctl.d and at the kernel's command line "
               "for "
               "what disabled it.";
    case REMEDY_USE_IPV4:
        return "If not, keep clients from IPv6 destinations: names without AAAA records, AI_ADDRCONFIG, or the "
               "client's "
               "own switch (curl -4).";
    case REMEDY_LET_KERNEL_CHOOSE:
        return "Let the client bind no port, or port 0: the kernel then finds a free one for each connection.";
    case REMEDY_ROUTE_SOURCE:
        return "Look at ip route get DESTINATION from SOURCE and at the firewall: give that source a route (ip rule).";
    case REMEDY_FOLLOW_PACKETS:
        return "Run connspread check: it says when an address is on no interface, or leaves by another interface than "
               "its own. Then see with tcpdump whether its SYNs leave, and whether anything comes back.";
    case REMEDY_ASK_DOCTOR:
        return "Run connspread doctor on that host: it looks for what makes the kernel say EADDRNOTAVAIL.";
    default:
        return "";
    }
}

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
        strbuf_text(&s, fixed(remedy));
        break;
    }
    (void)strbuf_finish(&s);
}
