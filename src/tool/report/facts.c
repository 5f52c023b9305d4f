#include "tool/report/facts.h"

#include <stdio.h>
#include <string.h>

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

/* --- what belongs to what --- */

struct destination_key facts_destination(struct facts *f, const struct event *e, const struct event_context *c) {
    return (struct destination_key){
        .netns = e->netns, .peer = e->peer, .host = facts_host(f, c->host), .port = e->peer_port};
}

/* One port is in TIME-WAIT once, however often it was used. */
uint32_t facts_held(const struct route *r) {
    uint32_t ports = 1u + r->highest - r->lowest;
    return r->window.sum < ports ? r->window.sum : ports;
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

uint64_t incident_count(const struct incident *i) {
    uint64_t n = i->failed + i->fallback + i->recovered;
    return n ? n : i->events;
}

/* --- the time before an event --- */

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

/* The programs that had closed most towards this destination in the minute before. */
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

struct logged facts_logged(const struct facts *f, const struct destination_key *to, const struct event_record *r) {
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

void facts_moment(const struct facts *f, const struct destination_key *to, const struct event_record *r,
                  struct moment *m) {
    const struct destination *destination = report_table_find(&f->destinations, to);
    moment_begin(m, r);
    m->logged_waits = facts_logged(f, to, r).waits;
    if (!destination)
        return;
    m->all_waits = window_at(&destination->window, m->time_us);
    find_closers(f, to, m);
    for (unsigned i = 0; i < WINDOW_MINUTES; i++)
        m->waits[i] = minutes_at(&destination->minutes, m->time_us / 60000000 - (WINDOW_MINUTES - 1 - i));
}
