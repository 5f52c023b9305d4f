#include "tool/report/facts_add.h"

#include <errno.h>
#include <string.h>

#include "text/parse.h"

/* An entry that has to do with a failure outweighs any number of closes that a minute can have. */
enum { FAILURE_WEIGHT = 1000000 };

static struct flow *flow_of(struct facts *f, const struct destination_key *to, const struct event *e) {
    struct flow_key key = {.to = *to, .direction = e->direction};
    memcpy(key.program, e->program, sizeof key.program);
    if (e->direction == INBOUND) {
        key.to.peer = (struct addr){{0}};
        key.to.port = e->local_port;
    }
    struct flow *flow = report_table_get(&f->flows, &key);
    widen_span(&flow->first_us, &flow->last_us, e->time_us);
    return flow;
}

static struct route *route_of(struct facts *f, const struct destination_key *to, const struct addr *source,
                              uint64_t time_us) {
    const struct route_key key = {.to = *to, .source = *source};
    struct route *route = report_table_get(&f->routes, &key);
    widen_span(&route->first_us, &route->last_us, time_us);
    return route;
}

/* --- closes --- */

static void widen_ports(uint16_t *lowest, uint16_t *highest, uint16_t port) {
    if (*lowest == 0 || port < *lowest)
        *lowest = port;
    if (port > *highest)
        *highest = port;
}

static void add_time_wait(struct facts *f, const struct destination_key *to, const struct event *e,
                          struct timeline_bucket *when) {
    struct destination *destination = report_table_get(&f->destinations, to);
    struct route *route = route_of(f, to, &e->local, e->time_us);
    destination->entry.weight++;
    destination->time_waits++;
    window_add(&destination->window, e->time_us, 1);
    minutes_add(&destination->minutes, e->time_us, 1);
    route->entry.weight++;
    route->time_waits++;
    window_add(&route->window, e->time_us, 1);
    widen_ports(&route->lowest, &route->highest, e->local_port);
    uint32_t held = facts_held(route);
    if (held > route->held)
        route->held = held;
    if (held > when->fullest)
        when->fullest = held;
}

static void add_close(struct facts *f, const struct event *e, const struct event_context *c,
                      struct timeline_bucket *when) {
    const struct destination_key to = facts_destination(f, e, c);
    unsigned fate = e->kind == EVENT_TIME_WAIT ? (unsigned)FATE_TIME_WAIT : e->fate < FATES ? e->fate : FATE_NONE;
    struct flow *flow = flow_of(f, &to, e);
    flow->entry.weight++;
    flow->closes[fate]++;
    when->time_wait += fate == FATE_TIME_WAIT;
    when->passive += fate == FATE_PASSIVE;
    f->time_waits += fate == FATE_TIME_WAIT;
    f->passive += fate == FATE_PASSIVE;
    flow->unspread += e->direction == OUTBOUND && (e->arm != ARM_ENFORCE || c->rule[0] == 0);
    if (fate != FATE_TIME_WAIT)
        return;
    flow->age_us += e->age_us;
    window_add(&flow->window, e->time_us, 1);
    if (e->direction == OUTBOUND)
        add_time_wait(f, &to, e, when);
}

static void take_time_wait(struct facts *f, const struct destination_key *to, const struct event *e) {
    const struct route_key key = {.to = *to, .source = e->local};
    struct destination *destination = report_table_find(&f->destinations, to);
    struct route *route = report_table_find(&f->routes, &key);
    if (destination && destination->time_waits > 0) {
        destination->time_waits--;
        window_take(&destination->window, e->time_us);
        minutes_take(&destination->minutes, e->time_us);
    }
    if (route && route->time_waits > 0) {
        route->time_waits--;
        window_take(&route->window, e->time_us);
    }
}

/* The kernel, asked later, did not have this TIME-WAIT: its close is counted as one that a reset ended. */
static void take_close(struct facts *f, const struct event *gone, const struct event_context *c) {
    uint64_t after = (uint64_t)gone->decided_before_ms * 1000;
    struct event e = *gone;
    e.time_us -= after < e.time_us ? after : e.time_us;
    const struct destination_key to = facts_destination(f, &e, c);
    struct flow *flow = flow_of(f, &to, &e);
    struct timeline_bucket *when = timeline_at(&f->timeline, e.time_us);
    if (flow->closes[FATE_TIME_WAIT] == 0)
        return; /* its own event was not among those that were read */
    flow->age_us -= flow->age_us / flow->closes[FATE_TIME_WAIT];
    flow->closes[FATE_TIME_WAIT]--;
    flow->closes[FATE_RESET]++;
    when->time_wait -= when->time_wait > 0;
    f->time_waits -= f->time_waits > 0;
    window_take(&flow->window, e.time_us);
    if (e.direction == OUTBOUND)
        take_time_wait(f, &to, &e);
}

/* --- what failed --- */

static void name_them(struct incident *i, const struct event *e, uint64_t n) {
    char program[EVENT_PROGRAM + 1], destination[ENDPOINT_TEXT];
    program_text(program, e->program);
    tally_add(&i->programs, program, n);
    if (e->peer_port == 0)
        return;
    format_endpoint(destination, &e->peer, e->peer_port);
    tally_add(&i->destinations, destination, n);
}

/* The sources that an event found full, also those that the connect passed over. */
static void add_full_routes(struct facts *f, const struct destination_key *to, const struct event_record *r) {
    const struct event_exhausted *x = &r->u.exhausted;
    for (unsigned i = 0; i < event_sources(x); i++) {
        if (x->cause != CAUSE_RANGE_FULL || x->source[i].cause != CAUSE_RANGE_FULL ||
            addr_is_any(&x->source[i].address))
            continue;
        struct route *route = route_of(f, to, &x->source[i].address, r->e.time_us);
        route->entry.weight += FAILURE_WEIGHT;
        route->full += 1 + (uint64_t)x->repeats;
        if (x->source[i].time_wait > route->held)
            route->held = x->source[i].time_wait;
    }
}

static void count_outcome(uint64_t *failed, uint64_t *fallback, uint64_t *recovered, unsigned outcome, uint64_t n) {
    *(outcome == OUTCOME_FAILED ? failed : outcome == OUTCOME_FALLBACK ? fallback : recovered) += n;
}

static void add_incident(struct facts *f, const struct event_record *r, const struct event_context *c,
                         const struct destination_key *to, uint64_t n) {
    struct incident *i = facts_incident_of(f, to, r);
    bool exhausted = r->e.kind == EVENT_EXHAUSTED;
    bool failed = exhausted && r->u.exhausted.outcome == OUTCOME_FAILED;
    if (i->events == 0 || (failed && i->failed == 0)) {
        i->first_us = i->last_us = 0;
        facts_moment(f, to, r, &i->first);
        memcpy(i->rule, c->rule, sizeof i->rule);
        memcpy(i->pool, c->pool, sizeof i->pool);
        i->error = r->u.exhausted.error;
    }
    if (exhausted) {
        const struct logged logged = facts_logged(f, to, r);
        moment_count(&i->first, &r->u.exhausted, logged);
        moment_widen(&i->first, &r->u.exhausted, logged.waits);
    }
    i->events++;
    i->entry.weight += failed ? FAILURE_WEIGHT : 1;
    if (exhausted)
        count_outcome(&i->failed, &i->fallback, &i->recovered, r->u.exhausted.outcome, n);
    if (failed || i->failed == 0) {
        widen_span(&i->first_us, &i->last_us, r->e.time_us);
        name_them(i, &r->e, n);
    }
    if (r->u.exhausted.cause == CAUSE_PORT_BUSY)
        widen_ports(&i->lowest, &i->highest, r->e.local_port);
    if (failed)
        window_add(&i->failures, r->e.time_us, (uint32_t)(n < UINT32_MAX ? n : UINT32_MAX));
    const struct destination *destination = report_table_find(&f->destinations, to);
    uint32_t waits = destination ? window_at(&destination->window, r->e.time_us) : 0;
    if (waits > i->peak_waits)
        i->peak_waits = waits;
}

static void note_first_failure(struct facts *f, const struct event_record *r, uint32_t host) {
    if (f->first_failure.is && f->first_failure.time_us <= r->e.time_us)
        return;
    f->first_failure.is = true;
    f->first_failure.time_us = r->e.time_us;
    f->first_failure.host = host;
    f->first_failure.pid = r->e.pid;
    memcpy(f->first_failure.program, r->e.program, EVENT_PROGRAM);
    f->first_failure.call = r->u.exhausted.call;
    f->first_failure.cause = r->u.exhausted.cause;
    f->first_failure.peer = r->e.peer;
    f->first_failure.peer_port = r->e.peer_port;
}

static void add_exhausted(struct facts *f, const struct event_record *r, const struct event_context *c,
                          struct timeline_bucket *when) {
    const struct destination_key to = facts_destination(f, &r->e, c);
    unsigned outcome = r->u.exhausted.outcome;
    uint64_t n = 1 + (uint64_t)r->u.exhausted.repeats;
    struct destination *destination = report_table_get(&f->destinations, &to);
    struct flow *flow = flow_of(f, &to, &r->e);
    add_full_routes(f, &to, r);
    destination->entry.weight += FAILURE_WEIGHT;
    flow->entry.weight += FAILURE_WEIGHT;
    count_outcome(&destination->failed, &destination->fallback, &destination->recovered, outcome, n);
    count_outcome(&flow->failed, &flow->fallback, &flow->recovered, outcome, n);
    count_outcome(&when->failed, &when->fallback, &when->recovered, outcome, n);
    count_outcome(&f->failed, &f->fallback, &f->recovered, outcome, n);
    if (outcome == OUTCOME_FAILED && r->u.exhausted.error != 0 && r->u.exhausted.error != EADDRNOTAVAIL)
        f->other_errors += n;
    if (outcome == OUTCOME_FAILED)
        note_first_failure(f, r, to.host);
    add_incident(f, r, c, &to, n);
}

/* Of the first look only: it was taken at the first failure. */
static void add_holders(struct facts *f, const struct event_record *r, const struct event_context *c) {
    const struct incident_key key = {
        .to = facts_destination(f, &r->e, c), .kind = EVENT_EXHAUSTED, .cause = CAUSE_RANGE_FULL};
    struct incident *i = report_table_find(&f->incidents, &key);
    if (i && i->holders[0] == 0)
        memcpy(i->holders, r->u.text, sizeof i->holders - 1);
}

void facts_add(struct facts *f, const struct event_record *r, const struct event_context *context) {
    if (event_is_trace(r->e.kind))
        return;
    f->events++;
    if (r->e.kind < EVENT_KINDS)
        f->kinds[r->e.kind]++;
    widen_span(&f->first_us, &f->last_us, r->e.time_us);
    struct timeline_bucket *when = timeline_at(&f->timeline, r->e.time_us);
    switch (r->e.kind) {
    case EVENT_TIME_WAIT:
    case EVENT_CLOSE:
        add_close(f, &r->e, context, when);
        break;
    case EVENT_EXHAUSTED:
        add_exhausted(f, r, context, when);
        break;
    case EVENT_SOURCE_DOWN: {
        const struct destination_key to = facts_destination(f, &r->e, context);
        add_incident(f, r, context, &to, 1);
        break;
    }
    case EVENT_TIME_WAIT_GONE:
        take_close(f, &r->e, context);
        break;
    case EVENT_HOLDERS:
        add_holders(f, r, context);
        break;
    default:
        break;
    }
}
