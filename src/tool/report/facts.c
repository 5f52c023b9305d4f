#include "tool/report/facts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/parse.h"

/* An entry that has to do with a failure outweighs any number of closes that a minute can have. */
enum { FAILURE_WEIGHT = 1000000 };

void program_text(char out[EVENT_PROGRAM + 1], const char program[EVENT_PROGRAM]) {
    memcpy(out, program, EVENT_PROGRAM);
    out[EVENT_PROGRAM] = 0;
}

/* --- tables --- */

static void fold_history(struct remembered *to, const struct remembered *from) {
    to->connects += from->connects;
    to->connect_us += from->connect_us;
    to->time_waits += from->time_waits;
    to->closes += from->closes;
    to->failed += from->failed;
    to->fallback += from->fallback;
    to->recovered += from->recovered;
}

static void fold_destination(void *rest, const void *evicted) {
    struct destination *to = rest;
    const struct destination *from = evicted;
    to->time_waits += from->time_waits;
    to->failed += from->failed;
    to->fallback += from->fallback;
    to->recovered += from->recovered;
}

static void fold_flow(void *rest, const void *evicted) {
    struct flow *to = rest;
    const struct flow *from = evicted;
    for (int i = 0; i < FATES; i++)
        to->closes[i] += from->closes[i];
    to->failed += from->failed;
    to->fallback += from->fallback;
    to->recovered += from->recovered;
    to->age_us += from->age_us;
    fold_history(&to->history, &from->history);
}

static void fold_route(void *rest, const void *evicted) {
    struct route *to = rest;
    const struct route *from = evicted;
    to->time_waits += from->time_waits;
    to->full += from->full;
    fold_history(&to->history, &from->history);
}

static void fold_incident(void *rest, const void *evicted) {
    struct incident *to = rest;
    const struct incident *from = evicted;
    to->failed += from->failed;
    to->fallback += from->fallback;
    to->recovered += from->recovered;
    to->events += from->events;
}

bool facts_init(struct facts *f, size_t sets) {
    memset(f, 0, sizeof *f);
    bool good = report_table_init(&f->destinations, sizeof(struct destination), sizeof(struct destination_key), sets,
                                  fold_destination);
    good &= report_table_init(&f->flows, sizeof(struct flow), sizeof(struct flow_key), 2 * sets, fold_flow);
    good &= report_table_init(&f->routes, sizeof(struct route), sizeof(struct route_key), 2 * sets, fold_route);
    good &= report_table_init(&f->incidents, sizeof(struct incident), sizeof(struct incident_key),
                              sets < 64 ? 1 : sets / 64, fold_incident);
    return good;
}

void facts_free(struct facts *f) {
    report_table_free(&f->destinations);
    report_table_free(&f->flows);
    report_table_free(&f->routes);
    report_table_free(&f->incidents);
}

uint32_t facts_host(struct facts *f, const char name[64]) {
    for (unsigned i = 0; i < f->n_hosts; i++)
        if (strcmp(f->host[i].name, name) == 0)
            return i;
    if (f->n_hosts == REPORT_HOSTS) {
        snprintf(f->host[REPORT_HOSTS - 1].name, sizeof f->host[0].name, "further hosts");
        return REPORT_HOSTS - 1;
    }
    memcpy(f->host[f->n_hosts].name, name, sizeof f->host[0].name);
    return f->n_hosts++;
}

void tally_add(struct totals *t, const char *name, uint64_t n) {
    for (unsigned i = 0; i < REPORT_NAMES; i++) {
        if (t->top[i].n == 0)
            snprintf(t->top[i].name, sizeof t->top[i].name, "%s", name);
        if (strcmp(t->top[i].name, name) == 0) {
            t->top[i].n += n;
            return;
        }
    }
    t->more += n;
}

const char *tally_leader(const struct totals *t) {
    unsigned best = 0;
    for (unsigned i = 1; i < REPORT_NAMES; i++)
        if (t->top[i].n > t->top[best].n)
            best = i;
    return t->top[best].name;
}

static void note_time(uint64_t *first_us, uint64_t *last_us, uint64_t time_us) {
    if (*first_us == 0 || time_us < *first_us)
        *first_us = time_us;
    if (time_us > *last_us)
        *last_us = time_us;
}

/* --- keys --- */

struct destination_key facts_destination(struct facts *f, const struct event *e, const struct event_context *c) {
    return (struct destination_key){
        .netns = e->netns, .peer = e->peer, .host = facts_host(f, c->host), .port = e->peer_port};
}

static struct flow *flow_of(struct facts *f, const struct destination_key *to, const struct event *e) {
    struct flow_key key = {.to = *to, .direction = e->direction};
    memcpy(key.program, e->program, sizeof key.program);
    if (e->direction == INBOUND) {
        key.to.peer = (struct addr){{0}};
        key.to.port = e->local_port;
    }
    struct flow *flow = report_table_get(&f->flows, &key);
    note_time(&flow->first_us, &flow->last_us, e->time_us);
    return flow;
}

static struct route *route_of(struct facts *f, const struct destination_key *to, const struct addr *source,
                              uint64_t time_us) {
    const struct route_key key = {.to = *to, .source = *source};
    struct route *route = report_table_get(&f->routes, &key);
    note_time(&route->first_us, &route->last_us, time_us);
    return route;
}

/* --- closes --- */

static void widen_ports(uint16_t *lowest, uint16_t *highest, uint16_t port) {
    if (*lowest == 0 || port < *lowest)
        *lowest = port;
    if (port > *highest)
        *highest = port;
}

/* One port is in TIME-WAIT once, however often it was used. */
uint32_t facts_held(const struct route *r) {
    uint32_t ports = 1u + r->highest - r->lowest;
    return r->window.sum < ports ? r->window.sum : ports;
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

static bool same_destination(const struct flow *flow, const struct destination_key *to) {
    return memcmp(&flow->key.to, to, sizeof *to) == 0 && flow->key.direction == OUTBOUND;
}

static void add_closer(struct moment *m, const struct flow *flow, uint64_t waits) {
    unsigned place = MOMENT_CLOSERS;
    while (place > 0 && m->closer[place - 1].waits < waits)
        place--;
    if (place == MOMENT_CLOSERS)
        return;
    memmove(&m->closer[place + 1], &m->closer[place], (MOMENT_CLOSERS - 1 - place) * sizeof m->closer[0]);
    m->closer[place].waits = waits;
    memcpy(m->closer[place].program, flow->key.program, sizeof m->closer[place].program);
}

/* Who had closed most towards this destination in the minute before. */
static void find_closers(const struct facts *f, const struct destination_key *to, struct moment *m) {
    const struct flow *flow;
    size_t at = 0;
    while ((flow = report_table_next(&f->flows, &at)))
        if (same_destination(flow, to))
            add_closer(m, flow, window_at(&flow->window, m->time_us));
}

static void add_logged(struct logged *out, const struct window *w, uint64_t time_us) {
    out->waits += window_at(w, time_us);
    out->old += window_old(w, time_us);
}

/* A bind does not know where to: whatever was closed from its address has a port. */
static struct logged logged_from(const struct facts *f, const struct event *e, uint32_t host) {
    const struct route *route;
    struct logged sum = {0};
    size_t at = 0;
    while ((route = report_table_next(&f->routes, &at)))
        if (route->key.to.host == host && route->key.to.netns == e->netns &&
            (addr_is_any(&e->local) || addr_compare(&route->key.source, &e->local) == 0))
            add_logged(&sum, &route->window, e->time_us);
    return sum;
}

/* Of the sources that the event is about; of all, where it names none. */
static struct logged logged_waits(const struct facts *f, const struct destination_key *to,
                                  const struct event_record *r) {
    const struct event_exhausted *x = &r->u.exhausted;
    const struct destination *destination = report_table_find(&f->destinations, to);
    struct logged sum = {0};
    unsigned named = 0;
    if (to->port == 0)
        return logged_from(f, &r->e, to->host);
    for (unsigned i = 0; r->e.kind == EVENT_EXHAUSTED && i < event_sources(x); i++) {
        const struct route_key key = {.to = *to, .source = x->source[i].address};
        if (!moment_concerns(x, i) || addr_is_any(&key.source))
            continue;
        const struct route *route = report_table_find(&f->routes, &key);
        if (route)
            add_logged(&sum, &route->window, r->e.time_us);
        named++;
    }
    if (!named && destination)
        add_logged(&sum, &destination->window, r->e.time_us);
    return sum;
}

static void take_moment(const struct facts *f, const struct destination_key *to, const struct event_record *r,
                        struct moment *m) {
    const struct destination *destination = report_table_find(&f->destinations, to);
    moment_begin(m, r);
    m->logged_waits = logged_waits(f, to, r).waits;
    if (!destination)
        return;
    m->all_waits = window_at(&destination->window, m->time_us);
    find_closers(f, to, m);
    for (unsigned i = 0; i < WINDOW_MINUTES; i++)
        m->waits[i] = minutes_at(&destination->minutes, m->time_us / 60000000 - (WINDOW_MINUTES - 1 - i));
}

struct incident *facts_incident(struct facts *f, const struct destination_key *to, const struct addr *local,
                                enum event_kind kind, unsigned cause) {
    struct incident_key key = {.to = *to, .kind = (uint32_t)kind, .cause = cause};
    if (cause == CAUSE_FAMILY_DISABLED || cause == CAUSE_ADDRESS_NOT_LOCAL || cause == CAUSE_DESCRIPTORS)
        key.to = (struct destination_key){.netns = to->netns, .host = to->host};
    if (cause == CAUSE_ADDRESS_NOT_LOCAL || cause == CAUSE_UNREACHABLE || cause == CAUSE_UNANSWERED)
        key.local = *local;
    return report_table_get(&f->incidents, &key);
}

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

/* A connect that no source of the pool could serve, and that left as the client had asked, is about these sources: of
 * several the first. */
struct incident *facts_incident_of(struct facts *f, const struct destination_key *to, const struct event_record *r) {
    const struct event_exhausted *x = &r->u.exhausted;
    bool client_bound = r->e.kind == EVENT_EXHAUSTED && (x->outcome == OUTCOME_FAILED || x->call == CALL_BIND);
    if (client_bound || !addr_is_any(&r->e.local))
        return facts_incident(f, to, &r->e.local, (enum event_kind)r->e.kind, x->cause);
    for (unsigned i = 0; i < event_sources(x); i++)
        if (x->source[i].cause == x->cause && x->cause != CAUSE_RANGE_FULL && x->cause != CAUSE_PORT_BUSY)
            return facts_incident(f, to, &x->source[i].address, EVENT_SOURCE_DOWN, x->cause);
    return facts_incident(f, to, &r->e.local, (enum event_kind)r->e.kind, x->cause);
}

static void add_incident(struct facts *f, const struct event_record *r, const struct event_context *c,
                         const struct destination_key *to, uint64_t n) {
    struct incident *i = facts_incident_of(f, to, r);
    bool exhausted = r->e.kind == EVENT_EXHAUSTED;
    bool failed = exhausted && r->u.exhausted.outcome == OUTCOME_FAILED;
    if (i->events == 0 || (failed && i->failed == 0)) {
        i->first_us = i->last_us = 0;
        take_moment(f, to, r, &i->first);
        memcpy(i->rule, c->rule, sizeof i->rule);
        memcpy(i->pool, c->pool, sizeof i->pool);
        i->error = r->u.exhausted.error;
    }
    if (exhausted) {
        const struct logged logged = logged_waits(f, to, r);
        moment_count(&i->first, &r->u.exhausted, logged);
        moment_widen(&i->first, &r->u.exhausted, logged.waits);
    }
    i->events++;
    i->entry.weight += failed ? FAILURE_WEIGHT : 1;
    if (exhausted)
        count_outcome(&i->failed, &i->fallback, &i->recovered, r->u.exhausted.outcome, n);
    if (failed || i->failed == 0) {
        note_time(&i->first_us, &i->last_us, r->e.time_us);
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

uint64_t incident_count(const struct incident *i) {
    uint64_t n = i->failed + i->fallback + i->recovered;
    return n ? n : i->events;
}

void facts_add(struct facts *f, const struct event_record *r, const struct event_context *context) {
    if (event_is_trace(r->e.kind))
        return;
    f->events++;
    if (r->e.kind < EVENT_KINDS)
        f->kinds[r->e.kind]++;
    note_time(&f->first_us, &f->last_us, r->e.time_us);
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
