#include "tool/report/words.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tool/report/causes.h"
#include "tool/report/model.h"
#include "tool/common/sentence.h"
#include "tool/common/strbuf.h"

void words_flow(char out[ENDPOINT_TEXT], const struct flow *f) {
    if (f->key.direction == INBOUND)
        snprintf(out, ENDPOINT_TEXT, "accepted on port %u", (unsigned)f->key.to.port);
    else if (f->key.to.port)
        format_endpoint(out, &f->key.to.peer, f->key.to.port);
    else
        snprintf(out, ENDPOINT_TEXT, "(not known yet)");
}

/* --- what happened --- */

/* Events of a version that did not write it have none: those were all of one kind. */
static const char *error_text(const struct incident *i) {
    switch (i->error) {
    case EADDRINUSE:
        return "\"Address already in use\" (EADDRINUSE)";
    case EMFILE:
        return "\"Too many open files\" (EMFILE)";
    case ENFILE:
        return "\"Too many open files in system\" (ENFILE)";
    default:
        return "\"Cannot assign requested address\" (EADDRNOTAVAIL)";
    }
}

static void say_failed(struct strbuf *s, const struct finding *f) {
    uint64_t n = f->failed ? f->failed : incident_count(f->incident);
    char times[32];
    words_text(times, sizeof times, n == 1 ? "once" : "$n times", n);
    if (f->failed) {
        words_fill(s, "$s on $s got $s $s", f->program, f->host, error_text(f->incident), times);
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

const char *words_none(const struct report *r) {
    return r->good ? "No call failed with EADDRNOTAVAIL." : "No call failed with EADDRNOTAVAIL in what could be read.";
}

void words_head(char out[REPORT_WORDS], const struct report *r) {
    struct strbuf s;
    const struct facts *f = &r->facts;
    strbuf_init(&s, out, REPORT_WORDS);
    if (f->first_failure.is)
        words_fill(&s, "$n call$s failed $s, the first $s $t.", report_failed(r), report_failed(r) == 1 ? "" : "s",
                   f->other_errors ? "for want of a port or a descriptor" : "with EADDRNOTAVAIL",
                   f->first_failure.by_minute ? "in the minute of" : "at", f->first_failure.time_us);
    else
        strbuf_text(&s, words_none(r));
    if (report_saved(r))
        words_fill(&s, " connspread met it for $n connects more, and made the connections all the same.",
                   report_saved(r));
    if (f->first_us)
        words_fill(&s, " Read: $n events of $n host$s, $t to $t.", f->events, (uint64_t)f->n_hosts,
                   f->n_hosts == 1 ? "" : "s", f->first_us, f->last_us);
    else
        strbuf_text(&s, " There was no event to read.");
    if (!r->good)
        strbuf_text(&s, " Incomplete: an input could not be read; what connspread report said on standard error names "
                        "it.");
    (void)strbuf_finish(&s);
}

void words_verdict(char out[REPORT_WORDS], const struct finding *f) {
    struct strbuf s;
    strbuf_init(&s, out, REPORT_WORDS);
    const char *times = f->failed == 1 ? "once" : "$n times";
    if (f->failed) {
        words_fill(&s, "$s on $s failed to connect to $s ", f->program, f->host, causes_destination(f));
        words_fill(&s, times, f->failed);
    } else if (f->evidence.quiet) {
        words_fill(&s, "No call of $s on $s to $s failed", f->program, f->host, causes_destination(f));
    } else {
        words_fill(&s, "No call of $s on $s to $s failed, for connspread went another way", f->program, f->host,
                   causes_destination(f));
    }
    strbuf_text(&s, f->evidence.quiet ? ", but " : ": ");
    causes_say_short(&s, f);
    strbuf_text(&s, ".");
    (void)strbuf_finish(&s);
}

void words_summary(char out[REPORT_WORDS], const struct finding *f) {
    struct strbuf s;
    strbuf_init(&s, out, REPORT_WORDS);
    if (!f->evidence.quiet)
        say_failed(&s, f);
    causes_say(&s, f);
    (void)strbuf_finish(&s);
}

/* --- the numbers behind it --- */

static bool about_ports(const struct finding *f) {
    return f->conclusion.n_shares > 0;
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
    words_fill(s,
               "When it began, this instance had $n connections towards $s in TIME-WAIT or closed and on the way "
               "there, and $n open: ",
               e->waits, causes_destination(f), e->open);
    words_fill(s, "$n of $n quadruplets, which is $n source address$s with $n ports$s.", e->waits + e->open,
               f->conclusion.capacity, (uint64_t)e->sources, e->sources == 1 ? "" : "es", (uint64_t)e->ports,
               from[e->ports_from]);
    if (e->more_sources)
        words_fill(s, " $n more sources of the pool are not in these numbers.", (uint64_t)e->more_sources);
    return true;
}

static bool say_kernel(struct strbuf *s, const struct finding *f) {
    const struct evidence *e = &f->evidence;
    if (!about_ports(f) || !e->counted)
        return false;
    words_fill(s,
               "The kernel itself, for all processes, had $s$n in TIME-WAIT, $n in FIN-WAIT, $n open, $n in CLOSE-WAIT",
               e->estimated ? "about " : "", e->kernel[KERNEL_TIME_WAIT], e->kernel[KERNEL_FIN_WAIT],
               e->kernel[KERNEL_ESTABLISHED], e->kernel[KERNEL_CLOSE_WAIT]);
    words_fill(s, " and $n in other states.", e->kernel[KERNEL_OTHER]);
    if (e->reserved)
        words_fill(s, " $n ports of the range are reserved (net.ipv4.ip_local_reserved_ports).", (uint64_t)e->reserved);
    return true;
}

static void say_holder(struct strbuf *s, const struct holder *h, const char *what) {
    char pid[16];
    snprintf(pid, sizeof pid, "%u", h->pid);
    words_fill(s, "$s (pid $s) has $n of ", h->name, pid, (uint64_t)h->ports);
    words_fill(s, what, h->some);
}

static bool say_then(struct strbuf *s, const struct finding *f) {
    if (f->incident->holders[0] == 0)
        return false;
    words_fill(s, "The recorder found right after it: $s.", f->incident->holders);
    return true;
}

/* While the report is made: which process it was then, no event knows. */
static bool say_holders(struct strbuf *s, const struct finding *f) {
    if (f->binder.pid)
        say_holder(s, &f->binder, "the ports bound at this moment: $s.");
    if (f->binder.pid && f->connected.pid)
        strbuf_text(s, " ");
    if (f->connected.pid)
        say_holder(s, &f->connected, "these connections open at this moment, on the ports $s.");
    return f->binder.pid || f->connected.pid;
}

/* A TIME-WAIT has no owner any more: what can be said of others' is that they are not ours. */
static bool say_ownerless(struct strbuf *s, const struct finding *f) {
    const struct evidence *e = &f->evidence;
    uint64_t gone = e->kernel[KERNEL_TIME_WAIT] + e->kernel[KERNEL_FIN_WAIT];
    if (!about_ports(f) || !e->counted || gone <= e->counted_waits || !causes_has(f, CONCLUDE_OTHERS))
        return false;
    words_fill(s,
               "$s$n of these were closed by programs that this instance does not see. Such a socket has no owner any "
               "more, so that it cannot be told afterwards whose it was.",
               e->estimated ? "About " : "", gone - e->counted_waits);
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

static bool say_closers(struct strbuf *s, const struct finding *f) {
    const struct moment *m = &f->incident->first;
    if (!causes_has(f, CONCLUDE_TIME_WAIT) || m->closer[0].waits == 0)
        return false;
    words_fill(s, "Of the $n closes in the minute before that left a TIME-WAIT, ", m->all_waits);
    for (unsigned i = 0; i < MOMENT_CLOSERS && m->closer[i].waits; i++) {
        char program[EVENT_PROGRAM + 1];
        program_text(program, m->closer[i].program);
        words_fill(s, i ? ", $n by $s" : "$n were by $s", m->closer[i].waits, program);
    }
    strbuf_text(s, ".");
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
        say_hit,       say_taken, say_kernel,  say_then,    say_holders,
        say_ownerless, say_rate,  say_closers, say_carried, say_saved};
    struct strbuf s;
    strbuf_init(&s, out, REPORT_WORDS);
    bool said = n < REPORT_BECAUSE && say[n](&s, f);
    (void)strbuf_finish(&s);
    return said;
}
