#include "connect/trace.h"

#include "base/sys.h"
#include "client/events.h"
#include "client/sockinfo.h"
#include "state/pair.h"
#include "state/ring.h"

__attribute__((noinline)) void trace_add(struct connecting *k, const struct endpoint *source, enum said said,
                                         int error) {
    struct event_exhausted *x = k->trace;
    if (x->n_sources >= EXHAUSTED_SOURCES) {
        x->omitted++;
        return;
    }
    x->source[x->n_sources++] = (struct exhausted_source){
        .address = source->addr,
        .ports = connecting_first_range(k->match),
        .open = pair_open(k->pair),
        .time_wait = pair_time_waits(k->pair, k->now),
        .cause = (uint16_t)said,
        .error = (uint16_t)error,
    };
}

static enum decision decision_of(const struct connecting *k) {
    static const uint8_t decision[] = {
        [CONNECTING_ASKING] = DECISION_PASSED,      [CONNECTING_ALONE] = DECISION_WATCHED,
        [CONNECTING_SPREAD] = DECISION_SPREAD,      [CONNECTING_RECOVERED] = DECISION_RECOVERED,
        [CONNECTING_FELL_BACK] = DECISION_FALLBACK, [CONNECTING_FAILED] = DECISION_FAILED,
    };
    return (enum decision)decision[k->state];
}

/* Without a policy nothing was matched: k->match is not filled then, and CONN_QUIET says so. */
static enum reason reason_of(const struct connecting *k) {
    uint32_t flags = conn_flags(k->conn);
    if (k->number == NUMBER_LOST)
        return REASON_CLOSED;
    if (flags & CONN_QUIET)
        return REASON_MODE_OFF;
    if (!k->match->matched)
        return k->match->rule_id ? REASON_IGNORED : REASON_NO_RULE;
    if (k->conn->arm != ARM_ENFORCE)
        return k->conn->arm == ARM_OBSERVE ? REASON_OBSERVE : REASON_CONTROL;
    if (k->state != CONNECTING_ALONE && k->state != CONNECTING_FAILED)
        return REASON_RULE;
    if (flags & CONN_APP_PORT)
        return REASON_PORT_BOUND;
    if (flags & CONN_APP_ADDRESS && !addr_is_any(&k->conn->app) && k->match->client_bind == CLIENT_BIND_KEEP)
        return REASON_ADDRESS_BOUND;
    return k->state == CONNECTING_ALONE ? REASON_NO_SOURCE : REASON_RULE;
}

void trace_connect(struct client *client, struct connecting *k) {
    struct event_record record, *r = &record;
    struct endpoint local = {.addr = k->conn->source};
    if (k->state == CONNECTING_SPREAD || k->state == CONNECTING_RECOVERED)
        trace_add(k, &local, SAID_CHOSEN, 0);
    if (k->number == NUMBER_OURS)
        (void)sockinfo_local(k->call->fd, &local);
    event_of_conn(client, r, EVENT_TRACE_CONNECT, k->conn, 0);
    r->u.exhausted = *k->trace;
    r->e.local = local.addr;
    r->e.local_port = local.port;
    r->e.peer = k->destination->addr;
    r->e.peer_port = k->destination->port;
    r->u.exhausted.outcome = (uint8_t)decision_of(k);
    r->u.exhausted.cause = (uint8_t)reason_of(k);
    r->u.exhausted.attempts = (uint16_t)k->attempts;
    r->u.exhausted.error = (uint16_t)k->error;
    r->u.exhausted.elapsed_us = (clock_ns(CLOCK_MONOTONIC) - k->began) / 1000;
    (void)ring_write(&client->state, r);
}
