#include "tool/report/find.h"

#include <stdlib.h>
#include <string.h>

#include "tool/report/causes.h"
#include "tool/report/model.h"
#include "state/control.h"

enum { DEFAULT_PORTS = PORTS_DEFAULT_HIGH - PORTS_DEFAULT_LOW + 1, MINUTE_US = 60000000, SECOND_US = 1000000 };

bool report_is_here(const struct report *r, const struct destination_key *place) {
    return here_is(&r->here, r->facts.host[place->host % REPORT_HOSTS].name, place->netns);
}

uint32_t report_ports(const struct report *r, const struct destination_key *place, enum ports_from *from) {
    bool here = report_is_here(r, place);
    *from = here ? PORTS_OF_THIS_HOST : PORTS_ASSUMED;
    return here ? r->here.ports : (uint32_t)DEFAULT_PORTS;
}

static uint64_t incident_failed(const struct incident *i) {
    return larger(i->failed, i->history.failed);
}

/* Closes of about a minute: this one may have just begun. */
static uint64_t remembered_waits(const struct incident *i) {
    return larger(i->history.waits[WINDOW_MINUTES - 1], i->history.waits[WINDOW_MINUTES - 2]);
}

/* Connections of ours that were in FIN-WAIT, and had been for seconds: by the log those that were not closed just
 * before; or those that still are so when the report is made, while the incident is fresh. */
static uint64_t prove_fin_wait(const struct report *r, const struct incident *i) {
    const struct moment *m = &i->first;
    uint64_t young = m->counted_waits > m->counted_old ? m->counted_waits - m->counted_old : 0;
    uint64_t fin_wait = m->kernel[KERNEL_FIN_WAIT], proven = fin_wait > young ? fin_wait - young : 0;
    uint64_t age = r->now_us > m->time_us ? r->now_us - m->time_us : 0;
    if (fin_wait == proven || age < SECOND_US || age > MINUTE_US || !report_is_here(r, &i->key.to))
        return proven;
    return larger(proven, here_waiting_for_close(&i->key.to.peer, i->key.to.port));
}

/* Sources of the pool that no event tells of, if the state file that knows the pool is among the inputs. */
static void count_other_sources(const struct report *r, const struct incident *i, struct evidence *e) {
    struct policy *policy = i->pool[0] ? malloc(sizeof *policy) : NULL;
    for (unsigned n = 0; policy && n < r->inputs.n; n++) {
        const struct report_input *in = &r->inputs.input[n];
        if (!in->is_state || in->failed || !state_policy(&in->source.state, policy))
            continue;
        for (unsigned p = 0; p < policy->n_pools && p < POLICY_POOLS; p++) {
            uint32_t total = policy->pool[p].total[addr_scope(&i->first.peer)];
            if (strncmp(policy->pool[p].title, i->pool, POLICY_TITLE) == 0 && total > e->sources)
                e->more_sources = total - e->sources;
        }
    }
    free(policy);
}

static void collect(const struct report *r, const struct incident *i, struct evidence *e) {
    const struct moment *m = &i->first;
    *e = (struct evidence){
        .source_down = i->key.kind == EVENT_SOURCE_DOWN,
        .cause = (uint8_t)i->key.cause,
        .bind_first = m->call == CALL_BIND && i->key.kind == EVENT_EXHAUSTED,
        .ports = m->ports,
        .own_range = m->own_range,
        .sources = m->sources,
        .more_sources = m->more_sources,
        .open = m->own_open,
        .waits = larger(m->own_waits, m->logged_waits),
        .counted = m->counted != COUNTED_NO,
        .estimated = m->counted == COUNTED_SAMPLE,
        .counted_sources = m->counted_sources,
        .counted_open = m->counted_open,
        .counted_waits = m->counted_waits,
        .fin_wait = prove_fin_wait(r, i),
        .reserved = m->reserved,
        .peak_waits = i->peak_waits,
        .peak_failures = i->failures.peak,
    };
    memcpy(e->kernel, m->kernel, sizeof e->kernel);
    if (e->cause == CAUSE_RANGE_FULL)
        count_other_sources(r, i, e);
    if (!m->ports_known)
        e->ports = report_ports(r, &i->key.to, &e->ports_from);
    /* A quadruplet that was reused has more closes than one in a minute: there are not more of them than there are. */
    uint64_t capacity = (uint64_t)e->ports * e->sources;
    e->waits = larger(e->waits, remembered_waits(i));
    e->open = e->open < capacity ? e->open : capacity;
    e->waits = e->waits < capacity - e->open ? e->waits : capacity - e->open;
}

/* What the local address of the incident had carried; where to, if the event could not know. */
static void find_carried(const struct facts *facts, struct finding *f) {
    const struct incident_key *key = &f->incident->key;
    const struct route *route;
    uint64_t most = 0;
    size_t at = 0;
    while ((route = report_table_next(&facts->routes, &at))) {
        if (route->key.to.host != key->to.host || addr_compare(&route->key.source, &key->local) != 0)
            continue;
        uint64_t waits = route_waits(route);
        f->carried += waits;
        f->carried_last_us = larger(f->carried_last_us, waits ? route->last_us : 0);
        if (waits > most && !f->incident->first.peer_port) {
            most = waits;
            format_endpoint(f->destination, &route->key.to.peer, route->key.to.port);
        }
    }
}

static uint64_t route_weight(const struct route *r) {
    return larger(route_waits(r), r->history.connects);
}

static void find_destination_of_program(const struct facts *facts, struct finding *f) {
    const struct flow *flow, *most = NULL;
    size_t at = 0;
    while ((flow = report_table_next(&facts->flows, &at)))
        if (flow->key.direction == OUTBOUND && flow->key.to.port && flow->key.to.host == f->incident->key.to.host &&
            strncmp(flow->key.program, f->program, EVENT_PROGRAM) == 0 &&
            (!most || flow->history.connects > most->history.connects))
            most = flow;
    if (most)
        format_endpoint(f->destination, &most->key.to.peer, most->key.to.port);
}

/* A bind that failed does not say where to: the destination that the most TIME-WAITs of its address lead to. */
static void find_destination(const struct facts *facts, struct finding *f) {
    const struct moment *m = &f->incident->first;
    const struct route *route, *most = NULL;
    size_t at = 0;
    if (f->destination[0] || m->peer_port || m->call != CALL_BIND ||
        (f->conclusion.n_shares == 0 && f->conclusion.kind != CONCLUDE_PORT_BUSY))
        return;
    while ((route = report_table_next(&facts->routes, &at)))
        if (route->key.to.host == f->incident->key.to.host && route->key.to.port &&
            (addr_is_any(&m->local) || addr_compare(&route->key.source, &m->local) == 0) &&
            (!most || route_weight(route) > route_weight(most)))
            most = route;
    if (most)
        format_endpoint(f->destination, &most->key.to.peer, most->key.to.port);
    else
        find_destination_of_program(facts, f);
}

/* Whose TIME-WAITs they were, if most of them were one program's. */
static void name_culprit(struct finding *f) {
    const struct incident *i = f->incident;
    uint64_t remembered = 0;
    for (unsigned n = 0; n < REPORT_NAMES; n++)
        remembered += i->history.closers.top[n].n;
    if (i->first.closer[0].waits) {
        f->shared = i->first.closer[0].waits <= i->first.all_waits / 2;
        if (!f->shared)
            program_text(f->culprit, i->first.closer[0].program);
    } else if (remembered) {
        memcpy(f->culprit, tally_leader(&i->history.closers), EVENT_PROGRAM);
    }
}

/* What an incident that only the history knows was about. */
static void name_by_moment(struct finding *f) {
    const struct moment *m = &f->incident->first;
    if (!f->program[0])
        program_text(f->program, m->program);
    if (!f->destination[0] && m->peer_port)
        format_endpoint(f->destination, &m->peer, m->peer_port);
}

static void name_finding(const struct report *r, struct finding *f) {
    const struct incident *i = f->incident;
    f->host = r->facts.host[i->key.to.host % REPORT_HOSTS].name;
    memcpy(f->program, tally_leader(&i->programs), EVENT_PROGRAM);
    memcpy(f->destination, tally_leader(&i->destinations), sizeof f->destination - 1);
    name_by_moment(f);
    find_destination(&r->facts, f);
    if (causes_has(f, CONCLUDE_TIME_WAIT))
        name_culprit(f);
    if (!addr_is_any(&i->key.local)) {
        format_address(f->source, &i->key.local);
        find_carried(&r->facts, f);
        f->source_is_back = f->carried_last_us > f->last_us ||
                            (report_is_here(r, &i->key.to) && host_can_bind(&r->here.host, &i->key.local, 0));
    }
}

/* Failures first, then by how many. */
static int compare_incidents(const void *left, const void *right) {
    const struct incident *a = left, *b = right;
    if (incident_failed(a) != incident_failed(b))
        return incident_failed(a) > incident_failed(b) ? -1 : 1;
    uint64_t x = incident_count(a), y = incident_count(b);
    return x == y ? (a->first_us > b->first_us) - (a->first_us < b->first_us) : x > y ? -1 : 1;
}

void report_find(struct report *r) {
    const void *top[REPORT_FINDINGS];
    r->n_findings = (unsigned)report_table_top(&r->facts.incidents, top, REPORT_FINDINGS, compare_incidents);
    for (unsigned i = 0; i < r->n_findings; i++) {
        struct finding *f = &r->finding[i];
        *f = (struct finding){.incident = top[i]};
        f->failed = incident_failed(f->incident);
        f->first_us = f->incident->first_us;
        f->last_us = larger(f->incident->last_us, f->incident->history.last_us);
        if (f->first_us == 0 ||
            (f->incident->history.first_us && f->incident->history.first_us + MINUTE_US <= f->first_us))
            f->first_us = f->incident->history.first_us;
        collect(r, f->incident, &f->evidence);
        conclude(&f->evidence, &f->conclusion);
        name_finding(r, f);
    }
}
