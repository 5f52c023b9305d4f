#include "connect/diagnosis.h"

#include <errno.h>
#include <string.h>

#include "client/client.h"
#include "connect/evidence.h"
#include "state/pair.h"
#include "state/ring.h"
#include "base/sys.h"
#include "client/events.h"
#include "net/diag.h"
#include "state/pair_table.h"

enum { EVENTS_A_SECOND = 10 };

void report_begin(struct report *r, struct client *client, int fd, const struct conn *c,
                  const struct endpoint *destination, uint64_t began) {
    r->client = client;
    r->conn = c;
    r->destination = destination;
    r->match = NULL;
    r->began = began;
    r->fd = fd;
    r->error = EADDRNOTAVAIL;
    r->proof = PROOF_NONE;
    r->filled = false;
}

struct event_record *report_record(struct report *r) {
    if (!r->filled) {
        event_of_conn(r->client, &r->record, EVENT_EXHAUSTED, r->conn, 0);
        r->record.e.peer = r->destination->addr;
        r->record.e.peer_port = r->destination->port;
        r->filled = true;
    }
    return &r->record;
}

__attribute__((noinline)) void report_source(struct report *r, const struct endpoint *source, struct port_range ports,
                                             enum cause cause, int error, const struct pair *pair) {
    if (conn_flags(r->conn) & CONN_ASKED)
        return; /* it is of another endpoint: report_endpoint sums them up */
    struct event_exhausted *x = &report_record(r)->u.exhausted;
    if (x->n_sources >= EXHAUSTED_SOURCES) {
        x->omitted++;
        return;
    }
    x->source[x->n_sources++] = (struct exhausted_source){
        .address = source->addr,
        .ports = ports,
        .open = pair_open(pair),
        .time_wait = pair_time_waits(pair, clock_ns(CLOCK_MONOTONIC)),
        .cause = (uint16_t)cause,
        .error = (uint16_t)error,
    };
}

void report_endpoint(struct report *r, const struct endpoint *to, enum cause cause, uint32_t open, uint32_t time_wait) {
    struct event_exhausted *x = &report_record(r)->u.exhausted;
    if (x->n_endpoints >= ENDPOINTS_NAMED) {
        x->endpoints_omitted++;
        return;
    }
    if (x->n_sources + x->n_endpoints >= EXHAUSTED_SOURCES) { /* the last source gives its place */
        x->n_sources--;
        x->omitted++;
        memmove(&x->source[x->n_sources], &x->source[x->n_sources + 1], x->n_endpoints * sizeof x->source[0]);
    }
    x->source[x->n_sources + x->n_endpoints++] = (struct exhausted_source){
        .address = to->addr,
        .ports = {to->port, to->port},
        .open = open,
        .time_wait = time_wait,
        .cause = (uint16_t)cause,
    };
}

/* The budget of (program, destination), shared by all processes: an entry of the pair table under a key of its own. */
static struct pair *budget_of(const struct report *r, uint64_t now) {
    struct addr program;
    struct endpoint destination = {.addr = r->record.e.peer, .port = r->record.e.peer_port};
    memcpy(program.b, r->record.e.program, sizeof program.b);
    return pair_find(&r->client->state, pair_key_other(pair_key(r->record.e.netns, &program, &destination)), true, now);
}

void report_exhausted(struct report *r, const struct conn *c, enum exhausted_call call, enum outcome outcome,
                      enum cause cause, unsigned attempts) {
    struct event_exhausted *x = &report_record(r)->u.exhausted;
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    uint32_t repeats = 0;
    if (!pair_within_budget(budget_of(r, now), now, EVENTS_A_SECOND, &repeats))
        return;
    r->record.e.rule_id = c->rule_id;
    r->record.e.pool_id = c->pool_id;
    r->record.e.arm = c->arm;
    x->call = (uint8_t)call;
    x->outcome = (uint8_t)outcome;
    x->cause = (uint8_t)cause;
    x->attempts = (uint16_t)attempts;
    x->repeats = repeats;
    x->elapsed_us = now > r->began ? (now - r->began) / 1000 : 0;
    x->error = (uint16_t)r->error;
    x->proof = (uint8_t)r->proof;
    evidence_gather(r, now);
    (void)ring_write(&r->client->state, &r->record);
}

enum cause diagnosis_of_connect(struct report *r) {
    struct addr source;
    if (conn_flags(r->conn) & CONN_APP_PORT) {
        r->proof = PROOF_BOUND_PORT;
        return CAUSE_PORT_BUSY;
    }
    if (!addr_is_v4(&r->destination->addr) && !evidence_source(r->destination, &source)) {
        r->proof = PROOF_ROUTE;
        return CAUSE_FAMILY_DISABLED;
    }
    r->proof = PROOF_SEARCH;
    return CAUSE_RANGE_FULL;
}

/* Where IPv6 is on, ::1 has a route to itself. EADDRINUSE of port 0: the kernel found no port, which is how a client
 * that binds first meets what another one meets as EADDRNOTAVAIL of connect. */
enum cause diagnosis_of_bind(struct report *r, const struct endpoint *address) {
    static const struct endpoint loopback6 = {.addr = {.b = {[15] = 1}}, .port = 9};
    struct addr source;
    if (r->error == EADDRINUSE && address->port != 0) {
        const struct port_range one = {address->port, address->port};
        report_source(r, address, one, CAUSE_PORT_BUSY, EADDRINUSE, NULL);
        r->proof = PROOF_BOUND_PORT;
        return CAUSE_PORT_BUSY;
    }
    if (r->error == EADDRINUSE) {
        report_source(r, address, (struct port_range){0, 0}, CAUSE_RANGE_FULL, EADDRINUSE, NULL);
        r->proof = PROOF_SEARCH;
        return CAUSE_RANGE_FULL;
    }
    if (!addr_is_v4(&address->addr) && !evidence_source(&loopback6, &source)) {
        r->proof = PROOF_ROUTE;
        return CAUSE_FAMILY_DISABLED;
    }
    r->proof = PROOF_BIND;
    return CAUSE_ADDRESS_NOT_LOCAL;
}

bool diagnosis_is_listened_to(const struct endpoint *at) {
    struct diag_answer answer;
    return diag_lookup_listener(at, &answer) == 0;
}

void diagnosis_no_descriptor(struct client *client, enum arm arm, int error) {
    const struct conn none = {.arm = (uint8_t)arm};
    struct report report;
    struct endpoint nowhere = {0};
    report_begin(&report, client, -1, &none, &nowhere, clock_ns(CLOCK_MONOTONIC));
    report.error = error;
    report_exhausted(&report, &none, CALL_SOCKET, OUTCOME_FAILED, CAUSE_DESCRIPTORS, 1);
}
