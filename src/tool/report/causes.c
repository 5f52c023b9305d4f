#include "tool/report/causes.h"

#include <stdio.h>
#include <string.h>

#include "tool/common/sentence.h"

const char *causes_destination(const struct finding *f) {
    return f->destination[0] ? f->destination : "some destination";
}

static bool somebody_else(const struct finding *f) {
    return f->culprit[0] && strcmp(f->culprit, f->program) != 0;
}

static const char *who_closed(const struct finding *f) {
    return f->shared ? "several programs" : somebody_else(f) ? f->culprit : f->program;
}

const char *causes_program(const struct finding *f, enum conclusion_kind kind) {
    switch (kind) {
    case CONCLUDE_TIME_WAIT:
        return f->culprit;
    case CONCLUDE_EXPLICIT:
        return f->binder.name;
    case CONCLUDE_OTHERS:
        return f->connected.name;
    default:
        return "";
    }
}

bool causes_has(const struct finding *f, enum conclusion_kind kind) {
    for (unsigned i = 0; i < f->conclusion.n_shares; i++)
        if (f->conclusion.share[i].kind == kind)
            return true;
    return false;
}

/* --- shares --- */

void causes_say_share(struct strbuf *s, const struct finding *f, enum conclusion_kind kind) {
    static const char *const what[SHARES_MAX] = {
        [CONCLUDE_OPEN] = "open connections of this instance",
        [CONCLUDE_FIN_WAIT] = "connections that the server does not close (FIN-WAIT)",
        [CONCLUDE_CLOSE_WAIT] = "connections that the client does not close (CLOSE-WAIT)",
        [CONCLUDE_OTHERS] = "connections of programs that this instance does not see",
        [CONCLUDE_EXPLICIT] = "ports that are bound explicitly",
        [CONCLUDE_RESERVED] = "reserved ports",
        [CONCLUDE_ELSEWHERE] = "taken by others, in a way that was not measured",
    };
    if (kind == CONCLUDE_TIME_WAIT)
        words_fill(s, "TIME-WAITs that $s left", who_closed(f));
    else if (kind == CONCLUDE_EXPLICIT && f->binder.pid)
        words_fill(s, "ports that are bound explicitly, by $s", f->binder.name);
    else if (kind == CONCLUDE_OTHERS && f->connected.pid)
        words_fill(s, "connections of programs that this instance does not see, such as $s", f->connected.name);
    else
        strbuf_text(s, what[kind]);
}

static void say_shares(struct strbuf *s, const struct finding *f) {
    const struct conclusion *c = &f->conclusion;
    for (unsigned i = 0; i < c->n_shares; i++) {
        words_fill(s, "$s$n % ", i == 0 ? "" : i + 1 < c->n_shares ? ", " : " and ", (uint64_t)c->share[i].percent);
        causes_say_share(s, f, c->share[i].kind);
    }
}

/* --- each kind --- */

static void say_time_wait(struct strbuf *s, const struct finding *f) {
    words_fill(s, somebody_else(f) ? "another program, $s," : "$s", who_closed(f));
    words_fill(s,
               f->shared ? " make short-lived connections to $s and close them"
                         : " makes short-lived connections to $s and closes its connections",
               causes_destination(f));
    strbuf_text(s, " first. Each of them keeps its port taken towards that destination for another 60 s, in TIME-WAIT, "
                   "until there "
                   "was none left. Neither the server nor the network is at fault.");
}

static void say_of_range(struct strbuf *s, const struct finding *f) {
    static const char *const cause[SHARES_MAX] = {
        [CONCLUDE_OPEN] = "connections to $s that stay open took every port there is towards it. Either it needs "
                          "that many at a time, or it opens connections and forgets to close them.",
        [CONCLUDE_FIN_WAIT] =
            "the server at $s does not close. The client has closed its connections, and each of them "
            "waits in FIN-WAIT for the server's own close, and keeps its port meanwhile.",
        [CONCLUDE_CLOSE_WAIT] = "the client does not close. The server at $s has closed these connections, and each of "
                                "them stays in CLOSE-WAIT, and keeps its port, until the client closes it too: a bug "
                                "in the client, which more ports or sources only delay.",
        [CONCLUDE_OTHERS] = "other processes, which do not run under this instance of connspread, hold "
                            "ports towards $s.",
        [CONCLUDE_EXPLICIT] =
            "ephemeral ports of the host are bound explicitly by other processes. A connect() "
            "that leaves the choice to the kernel skips every such port, wherever it is connected to.",
        [CONCLUDE_RESERVED] = "net.ipv4.ip_local_reserved_ports takes ports of net.ipv4.ip_local_port_range away. "
                              "A connect() that leaves the choice to the kernel gets none of these.",
        [CONCLUDE_ELSEWHERE] =
            "the ports are held by others. The program itself had few of them. They are either bound "
            "explicitly by other processes, or connected by them to $s.",
    };
    strbuf_text(s, f->conclusion.n_shares > 1 ? "The largest: " : "The cause: ");
    if (f->conclusion.kind == CONCLUDE_TIME_WAIT)
        say_time_wait(s, f);
    else
        words_fill(s, cause[f->conclusion.kind], causes_destination(f));
}

static void say_address(struct strbuf *s, const struct finding *f) {
    bool back = f->source_is_back;
    words_fill(s, "The cause: $s $s an address of this host. ", f->source, back ? "was not" : "is not");
    words_fill(s,
               f->evidence.source_down ? "The pool names it, and binding to it $s."
                                       : "The client binds its connections to it, and that bind $s.",
               back ? "failed" : "fails");
    if (back)
        words_fill(s, " It is an address of this host again.");
    else if (f->carried)
        words_fill(s, " It was one until $t at least, and has been removed since.", f->carried_last_us);
}

static const char *source_of(const struct finding *f) {
    return f->source[0] ? f->source : "that source";
}

enum { PORTS_TEXT = 16 };

/* Those that the client had chosen. */
static const char *own_ports(char out[PORTS_TEXT], const struct incident *i) {
    const char *form = i->highest == 0 ? "its own" : i->lowest < i->highest ? "%u-%u" : "%u";
    snprintf(out, PORTS_TEXT, form, (unsigned)i->lowest, (unsigned)i->highest);
    return out;
}

static void say_port_busy(struct strbuf *s, const struct finding *f) {
    const struct incident *i = f->incident;
    char ports[PORTS_TEXT];
    words_fill(s, "The cause: the client binds a local port of its own choice, $s, and ", own_ports(ports, i));
    if (i->first.call == CALL_BIND)
        strbuf_text(s, "that is taken: by a connection from it that is still open or in TIME-WAIT, wherever to, or by "
                       "another program.");
    else
        words_fill(s, "from that port a connection to $s is still open or in TIME-WAIT.", causes_destination(f));
}

/* connect() takes ports of one parity, and once these are gone looks at all of them before each of the other. */
static void say_slow_search(struct strbuf *s, const struct finding *f) {
    words_fill(
        s,
        "No call failed, but connect() was slow: in the minutes in which more than half of the $n ports were taken "
        "towards $s, $n connects of $s took $n us each. ",
        (uint64_t)f->evidence.ports, causes_destination(f), f->counted, f->program, f->mean_us);
    strbuf_text(s,
                "From there on the kernel looks at all ports of one parity, in vain, before it finds one of the other; "
                "until there it takes some 20 us.");
}

void causes_say(struct strbuf *s, const struct finding *f) {
    if (f->conclusion.n_shares > 1) {
        strbuf_text(s, "Several causes share the ports: ");
        say_shares(s, f);
        strbuf_text(s, ". ");
    }
    switch (f->conclusion.kind) {
    case CONCLUDE_ADDRESS:
        say_address(s, f);
        break;
    case CONCLUDE_IPV6:
        words_fill(s,
                   "The cause: IPv6 is disabled on this host, and $s is an IPv6 destination, so that connect() finds "
                   "no source address. Ports and TIME-WAIT have nothing to do with it.",
                   causes_destination(f));
        break;
    case CONCLUDE_PORT_BUSY:
        say_port_busy(s, f);
        break;
    case CONCLUDE_DESCRIPTORS:
        words_fill(
            s, "The cause: there was no descriptor left for a socket. Ports and TIME-WAIT have nothing to do with it.");
        break;
    case CONCLUDE_UNREACHABLE:
        words_fill(s, "The cause: from $s there is no way to $s: routing or a filter refuses it.", source_of(f),
                   causes_destination(f));
        break;
    case CONCLUDE_UNANSWERED:
        words_fill(s,
                   "The cause: what $s sends to $s is not answered, while the pool's other addresses are. Either the "
                   "address is not on this host, or answers to it go elsewhere, or a filter drops them. connspread has "
                   "left it out since, and tries it again from time to time.",
                   source_of(f), causes_destination(f));
        break;
    case CONCLUDE_TW_BUCKETS:
        words_fill(s,
                   "The kernel of $s made no TIME-WAIT for $n closed connections, for there may be no more than $n "
                   "(net.ipv4.tcp_max_tw_buckets). Their quadruplets are free at once; late segments of them may reach "
                   "connections that follow, and the log tells of TIME-WAITs that were never there.",
                   f->host, f->counted, f->limit);
        break;
    case CONCLUDE_SLOW_SEARCH:
        say_slow_search(s, f);
        break;
    case CONCLUDE_UNKNOWN:
        words_fill(s, "The cause is not known.");
        break;
    default:
        say_of_range(s, f);
        break;
    }
}

static void say_short_of_range(struct strbuf *s, const struct finding *f) {
    strbuf_text(s, "no port was free, for ");
    if (f->conclusion.n_shares > 1) {
        say_shares(s, f);
        strbuf_text(s, " had them");
    } else {
        strbuf_text(s, "all were taken by ");
        causes_say_share(s, f, f->conclusion.kind);
    }
}

void causes_say_short(struct strbuf *s, const struct finding *f) {
    char ports[PORTS_TEXT];
    switch (f->conclusion.kind) {
    case CONCLUDE_ADDRESS:
        words_fill(s, "$s $s an address of this host", source_of(f), f->source_is_back ? "was not" : "is not");
        break;
    case CONCLUDE_IPV6:
        strbuf_text(s, "IPv6 is disabled on this host");
        break;
    case CONCLUDE_PORT_BUSY:
        words_fill(s, "the local port that the program chose itself, $s, is taken", own_ports(ports, f->incident));
        break;
    case CONCLUDE_DESCRIPTORS:
        strbuf_text(s, "there was no descriptor left for a socket");
        break;
    case CONCLUDE_UNREACHABLE:
        words_fill(s, "from $s there is no way to it: routing or a filter refuses it", source_of(f));
        break;
    case CONCLUDE_UNANSWERED:
        words_fill(s, "what $s sends to it is not answered", source_of(f));
        break;
    case CONCLUDE_TW_BUCKETS:
        words_fill(s, "the kernel made no TIME-WAIT for $n closes (net.ipv4.tcp_max_tw_buckets)", f->counted);
        break;
    case CONCLUDE_SLOW_SEARCH:
        words_fill(s, "connect() was slow, $n us each, for more than half of the ports were taken", f->mean_us);
        break;
    case CONCLUDE_UNKNOWN:
        strbuf_text(s, "the cause is not known");
        break;
    default:
        say_short_of_range(s, f);
        break;
    }
}
