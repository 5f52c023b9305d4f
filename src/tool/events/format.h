/* format.h - an event as a line of JSON or as text. */
#ifndef CONNSPREAD_TOOL_EVENTS_FORMAT_H
#define CONNSPREAD_TOOL_EVENTS_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "state/event.h"
#include "policy/policy.h"

/* What an event does not carry itself, because its state file says it once. NUL-terminated, any bytes. */
struct event_context {
    uint64_t epoch;
    char host[64];
    char instance[64];
    char rule[POLICY_TITLE]; /* of this event; empty: none */
    char pool[POLICY_TITLE];
};

/* No event of either form is longer. */
enum { EVENT_LINE_MAX = 8192 };

/* What the record's own numbers may reach, clamped once. */
static inline unsigned event_sources(const struct event_exhausted *x) {
    return x->n_sources < EXHAUSTED_SOURCES ? x->n_sources : (unsigned)EXHAUSTED_SOURCES;
}
static inline unsigned event_endpoints(const struct event_exhausted *x) {
    unsigned room = EXHAUSTED_SOURCES - event_sources(x);
    return x->n_endpoints < room ? x->n_endpoints : room;
}
static inline uint64_t event_decided_us(const struct event *e) {
    uint64_t before = (uint64_t)e->decided_before_ms * 1000;
    return e->time_us > before ? e->time_us - before : 0;
}

#endif
