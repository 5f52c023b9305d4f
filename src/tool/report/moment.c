#include "tool/report/moment.h"

#include <string.h>

#include "tool/events/format.h"

static uint32_t range_size(struct port_range ports) {
    return ports.low == 0 || ports.high < ports.low ? 0 : ports.high - ports.low + 1u;
}

bool moment_concerns(const struct event_exhausted *x, unsigned source) {
    return x->cause != CAUSE_RANGE_FULL || x->source[source].cause == CAUSE_RANGE_FULL;
}

/* How well an event counted the sockets of its sources. */
static enum counted counted_in(const struct event_exhausted *x) {
    unsigned none = 0, some = 0, all = 0;
    for (unsigned i = 0; i < event_sources(x); i++) {
        if (!moment_concerns(x, i))
            continue;
        none += x->source[i].counted == COUNTED_NO;
        some += x->source[i].counted == COUNTED_SAMPLE;
        all += x->source[i].counted == COUNTED_ALL;
    }
    return none || some + all == 0 ? COUNTED_NO : some ? COUNTED_SAMPLE : COUNTED_ALL;
}

void moment_count(struct moment *m, const struct event_exhausted *x, struct logged logged) {
    enum counted counted = counted_in(x);
    if (counted == COUNTED_NO || m->counted == COUNTED_ALL || m->counted == counted)
        return;
    m->counted = counted;
    m->counted_open = 0;
    m->counted_waits = 0;
    m->counted_sources = 0;
    memset(m->kernel, 0, sizeof m->kernel);
    for (unsigned i = 0; i < event_sources(x); i++) {
        if (!moment_concerns(x, i))
            continue;
        for (unsigned group = 0; group < KERNEL_GROUPS; group++)
            m->kernel[group] += x->source[i].kernel[group];
        m->counted_sources++;
        m->counted_open += x->source[i].open;
        m->counted_waits += x->source[i].time_wait;
    }
    /* The log also knows the closes that no rule covered. */
    m->counted_waits = logged.waits > m->counted_waits ? logged.waits : m->counted_waits;
    m->counted_old = logged.old;
}

/* How many sources were tried, what each could have, and what they have through this instance. */
static void take_sources(struct moment *m, const struct event_exhausted *x) {
    m->ports = x->capacity;
    m->ports_known = x->capacity || x->reserved;
    m->reserved = x->reserved;
    m->more_sources = x->omitted;
    m->own_range = m->ports_known; /* an older event has the ephemeral range as well */
    for (unsigned i = 0; i < event_sources(x); i++) {
        uint32_t ports = range_size(x->source[i].ports);
        if (!moment_concerns(x, i))
            continue;
        m->sources++;
        m->own_range &= ports > 0;
        if (!m->ports_known && ports > m->ports)
            m->ports = ports;
        m->own_open += x->source[i].open;
        m->own_waits += x->source[i].time_wait;
    }
    m->ports_known |= m->ports > 0;
    m->own_range &= m->sources > 0;
    if (m->sources == 0)
        m->sources = 1;
}

void moment_begin(struct moment *m, const struct event_record *r) {
    *m = (struct moment){
        .time_us = r->e.time_us,
        .pid = r->e.pid,
        .outcome = r->u.exhausted.outcome,
        .call = r->u.exhausted.call,
        .local = r->e.local,
        .peer = r->e.peer,
        .local_port = r->e.local_port,
        .peer_port = r->e.peer_port,
    };
    memcpy(m->program, r->e.program, sizeof m->program);
    take_sources(m, &r->u.exhausted);
}

void moment_widen(struct moment *m, const struct event_exhausted *x, uint64_t logged_waits) {
    struct moment wider = {0};
    take_sources(&wider, x);
    if (!wider.ports_known || wider.sources <= m->sources)
        return;
    m->sources = wider.sources;
    m->more_sources = wider.more_sources;
    m->own_open = wider.own_open;
    m->own_waits = wider.own_waits;
    m->logged_waits = logged_waits;
}
