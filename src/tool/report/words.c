#include "tool/report/words.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tool/report/model.h"
#include "tool/common/strbuf.h"

static void put_time(struct strbuf *s, uint64_t us) {
    char text[32];
    struct strbuf time;
    strbuf_init(&time, text, sizeof text);
    strbuf_time(&time, us);
    (void)strbuf_finish(&time);
    strbuf_bytes(s, text, 10);
    strbuf_bytes(s, " ", 1);
    strbuf_bytes(s, text + 11, 8);
    strbuf_text(s, " UTC");
}

static void put_rate(struct strbuf *s, double rate) {
    char text[32];
    if (rate < 10) {
        snprintf(text, sizeof text, "%.1f", rate);
        strbuf_text(s, text);
    } else {
        strbuf_grouped(s, (uint64_t)(rate + 0.5));
    }
}

void words_fill(struct strbuf *s, const char *sentence, ...) {
    va_list blanks;
    va_start(blanks, sentence);
    for (const char *p = sentence; *p; p++) {
        size_t plain = strcspn(p, "$");
        strbuf_bytes(s, p, plain);
        p += plain;
        if (!*p)
            break;
        switch (*++p) {
        case 's': {
            const char *text = va_arg(blanks, const char *);
            strbuf_plain(s, text, strlen(text));
            break;
        }
        case 'n':
            strbuf_grouped(s, va_arg(blanks, uint64_t));
            break;
        case 'd':
            put_rate(s, va_arg(blanks, double));
            break;
        default:
            put_time(s, va_arg(blanks, uint64_t));
            break;
        }
    }
    va_end(blanks);
}

/* --- what happened --- */

static const char *destination_of(const struct finding *f) {
    return f->destination[0] ? f->destination : "some destination";
}

static bool somebody_else(const struct finding *f) {
    return f->culprit[0] && strcmp(f->culprit, f->program) != 0;
}

static void say_failed(struct strbuf *s, const struct finding *f) {
    uint64_t n = f->failed ? f->failed : incident_count(f->incident);
    char times[32];
    struct strbuf count;
    strbuf_init(&count, times, sizeof times);
    words_fill(&count, n == 1 ? "once" : "$n times", n);
    (void)strbuf_finish(&count);
    if (f->failed) {
        words_fill(s, "$s on $s got \"Cannot assign requested address\" (EADDRNOTAVAIL) $s", f->program, f->host,
                   times);
    } else if (f->evidence.source_down) {
        words_fill(s, "A source address of $s on $s could not be used, $s", f->program, f->host, times);
    } else {
        words_fill(s, "$s on $s met EADDRNOTAVAIL $s, which connspread overcame,", f->program, f->host, times);
    }
    if (f->destination[0])
        words_fill(s, " on the way to $s", f->destination);
    if (f->first_us / 1000000 == f->last_us / 1000000)
        words_fill(s, ", at $t", f->first_us);
    else
        words_fill(s, ", first at $t, last at $t", f->first_us, f->last_us);
    strbuf_text(s, ". ");
}

static void say_time_wait(struct strbuf *s, const struct finding *f) {
    const char *who = somebody_else(f) ? f->culprit : f->program;
    if (somebody_else(f))
        words_fill(s, "The cause is another program, $s: it", who);
    else
        words_fill(s, "The cause: $s", who);
    words_fill(s,
               " makes short-lived connections to $s and closes its connections first. Each of them keeps its port "
               "taken towards that destination for another 60 s, in TIME-WAIT, until there was none left. Neither the "
               "server nor the network is at fault.",
               destination_of(f));
}

static void say_address(struct strbuf *s, const struct finding *f) {
    words_fill(s, "The cause: $s is not an address of this host. $s", f->source,
               f->evidence.source_down ? "The pool names it, and binding to it fails."
                                       : "The client binds its connections to it, and that bind fails.");
    if (f->carried)
        words_fill(s, " It was one until $t at least, and has been removed since.", f->carried_last_us);
}

static void say_cause(struct strbuf *s, const struct finding *f) {
    switch (f->conclusion.kind) {
    case CONCLUDE_TIME_WAIT:
        say_time_wait(s, f);
        break;
    case CONCLUDE_OPEN:
        words_fill(s,
                   "The cause: connections to $s that stay open took every port there is towards it. Either it needs "
                   "that many at a time, or it opens connections and forgets to close them.",
                   destination_of(f));
        break;
    case CONCLUDE_OTHERS:
        words_fill(s,
                   "The cause: other processes, which do not run under this instance of connspread, hold most of the "
                   "ports towards $s.",
                   destination_of(f));
        break;
    case CONCLUDE_EXPLICIT:
        words_fill(s,
                   "The cause: most of the host's ephemeral ports are bound explicitly by other processes. A connect() "
                   "that leaves the choice to the kernel skips every such port, wherever it is connected to.");
        break;
    case CONCLUDE_ELSEWHERE:
        words_fill(s,
                   "The cause: the ports are held by others. $s itself had few of them. They are either bound "
                   "explicitly by other processes, or connected by them to the same destination.",
                   f->program);
        break;
    case CONCLUDE_ADDRESS:
        say_address(s, f);
        break;
    case CONCLUDE_IPV6:
        words_fill(s,
                   "The cause: IPv6 is disabled on this host, and $s is an IPv6 destination, so that connect() finds "
                   "no source address. Ports and TIME-WAIT have nothing to do with it.",
                   destination_of(f));
        break;
    case CONCLUDE_PORT_BUSY:
        words_fill(s,
                   "The cause: the client binds a local port of its own choice, and from that port a connection to $s "
                   "is still open or in TIME-WAIT.",
                   destination_of(f));
        break;
    case CONCLUDE_UNREACHABLE:
        words_fill(s, "The cause: from $s there is no way to $s: routing or a filter refuses it.",
                   f->source[0] ? f->source : "that source", destination_of(f));
        break;
    case CONCLUDE_UNANSWERED:
        words_fill(s,
                   "The cause: what $s sends to $s is not answered, while the pool's other addresses are. Either the "
                   "address is not on this host, or answers to it go elsewhere, or a filter drops them. connspread has "
                   "left it out since, and tries it again from time to time.",
                   f->source[0] ? f->source : "that source", destination_of(f));
        break;
    default:
        words_fill(s, "The cause is not known.");
        break;
    }
}

void words_summary(char out[REPORT_WORDS], const struct finding *f) {
    struct strbuf s;
    strbuf_init(&s, out, REPORT_WORDS);
    say_failed(&s, f);
    say_cause(&s, f);
    (void)strbuf_finish(&s);
}

/* --- the numbers behind it --- */

static bool about_ports(const struct finding *f) {
    return f->conclusion.kind <= CONCLUDE_ELSEWHERE;
}

static bool say_taken(struct strbuf *s, const struct finding *f) {
    const struct evidence *e = &f->evidence;
    static const char *const from[] = {
        [PORTS_BY_EVENT] = "",
        [PORTS_OF_THIS_HOST] = " (the range as it is now)",
        [PORTS_ASSUMED] = " (assumed: the kernel's default range, for the events do not say)",
    };
    if (!about_ports(f))
        return false;
    words_fill(s, "When it began, $n connections of this instance were in TIME-WAIT towards $s and $n open: ", e->waits,
               destination_of(f), e->open);
    words_fill(s, "$n of $n quadruplets, which is $n source address$s with $n ports$s.", e->waits + e->open,
               f->conclusion.capacity, (uint64_t)e->sources, e->sources == 1 ? "" : "es", (uint64_t)e->ports,
               from[e->ports_from]);
    return true;
}

static bool say_kernel(struct strbuf *s, const struct finding *f) {
    const struct evidence *e = &f->evidence;
    if (!about_ports(f) || !e->counted)
        return false;
    words_fill(s, "The kernel itself, for all processes, had $s$n in TIME-WAIT, $n open and $n closing.",
               e->estimated ? "about " : "", e->kernel_waits, e->kernel_open, e->kernel_closing + e->kernel_other);
    if (e->bound)
        words_fill(s, " $n port$s of the range taken without a connection.", (uint64_t)e->bound,
                   e->bound == 1 ? " was" : "s were");
    if (e->reserved)
        words_fill(s, " $n ports of the range are reserved (net.ipv4.ip_local_reserved_ports).", (uint64_t)e->reserved);
    return true;
}

/* Whom else it hit, and where to. */
static bool say_hit(struct strbuf *s, const struct finding *f) {
    const struct totals *programs = &f->incident->programs, *destinations = &f->incident->destinations;
    if (programs->top[1].n == 0 && destinations->top[1].n == 0)
        return false;
    strbuf_text(s, "By program:");
    for (unsigned i = 0; i < REPORT_NAMES && programs->top[i].n; i++)
        words_fill(s, "$s $s $n", i ? "," : "", programs->top[i].name, programs->top[i].n);
    if (programs->more)
        words_fill(s, ", others $n", programs->more);
    if (destinations->top[0].n)
        strbuf_text(s, ". By destination:");
    for (unsigned i = 0; i < REPORT_NAMES && destinations->top[i].n; i++)
        words_fill(s, "$s $s $n", i ? "," : "", destinations->top[i].name, destinations->top[i].n);
    if (destinations->more)
        words_fill(s, ", others $n", destinations->more);
    strbuf_text(s, ".");
    return true;
}

static bool say_rate(struct strbuf *s, const struct finding *f) {
    const struct conclusion *c = &f->conclusion;
    if (c->kind != CONCLUDE_TIME_WAIT)
        return false;
    words_fill(s,
               "In the worst minute $d connections a second were wanted. $n quadruplets sustain $d a second, for each "
               "is taken for about 62 s.",
               c->wanted, c->capacity, c->sustained);
    return true;
}

static bool say_culprit(struct strbuf *s, const struct finding *f) {
    if (f->conclusion.kind != CONCLUDE_TIME_WAIT || !f->all_waits)
        return false;
    words_fill(s, "Of the $n closes in the minute before that left a TIME-WAIT, $n were by $s.", f->all_waits,
               f->culprit_waits, f->culprit);
    return true;
}

static bool say_carried(struct strbuf *s, const struct finding *f) {
    if (!f->carried || f->conclusion.kind != CONCLUDE_ADDRESS)
        return false;
    words_fill(s, "$s had carried $n connection$s that it closed first, the last at $t.", f->source, f->carried,
               f->carried == 1 ? "" : "s", f->carried_last_us);
    return true;
}

static bool say_saved(struct strbuf *s, const struct finding *f) {
    const struct incident *i = f->incident;
    if (i->recovered + i->fallback == 0)
        return false;
    words_fill(
        s,
        "connspread overcame it for $n further connects: $n left through another source or port range, $n as the "
        "client had asked.",
        i->recovered + i->fallback, i->recovered, i->fallback);
    return true;
}

bool words_because(char out[REPORT_WORDS], const struct finding *f, unsigned n) {
    static bool (*const say[REPORT_BECAUSE])(struct strbuf *, const struct finding *) = {
        say_hit, say_taken, say_kernel, say_rate, say_culprit, say_carried, say_saved};
    struct strbuf s;
    strbuf_init(&s, out, REPORT_WORDS);
    bool said = n < REPORT_BECAUSE && say[n](&s, f);
    (void)strbuf_finish(&s);
    return said;
}
