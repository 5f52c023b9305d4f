#include "tool/report/quiet.h"

#include <string.h>

#include "state/event.h"
#include "text/parse.h"
#include "tool/report/find.h"

/* Of a shorter range a search takes no longer than the rest of a connect. The search costs some 25 ns a port; a quarter
 * of that, on average over all connects of a minute, says that there was one. */
enum { SEARCH_PORTS = 1024, SEARCH_NS = 25, SEARCH_PART = 4 };

/* NULL: there is no room for one more. */
static struct finding *add_quiet(struct report *r, enum conclusion_kind kind, const struct destination_key *to,
                                 uint64_t first_us, uint64_t last_us) {
    if (r->n_findings == REPORT_FINDINGS || r->n_quiet == REPORT_QUIET)
        return NULL;
    struct finding *f = &r->finding[r->n_findings++];
    struct incident *i = &r->quiet[r->n_quiet++];
    i->key.to = *to;
    *f = (struct finding){.incident = i, .first_us = first_us, .last_us = last_us};
    f->evidence.quiet = true;
    f->evidence.kind = kind;
    f->evidence.sources = 1;
    f->evidence.ports = report_ports(r, to, &f->evidence.ports_from);
    f->host = r->facts.host[to->host % REPORT_HOSTS].name;
    return f;
}

static void find_overflow(struct report *r) {
    const struct flow *flow, *most = NULL;
    size_t at = 0;
    if (!r->here.known || r->here.time_wait_overflow <= 0)
        return;
    while ((flow = report_table_next(&r->facts.flows, &at)))
        if (flow_waits(flow) && report_is_here(r, &flow->key.to) && (!most || flow_waits(flow) > flow_waits(most)))
            most = flow;
    struct finding *f =
        most ? add_quiet(r, CONCLUDE_TW_BUCKETS, &most->key.to, r->facts.first_us, r->facts.last_us) : NULL;
    if (!f)
        return;
    program_text(f->program, most->key.program);
    f->counted = (uint64_t)r->here.time_wait_overflow;
    f->limit = r->here.max_tw_buckets > 0 ? (uint64_t)r->here.max_tw_buckets : 0;
    conclude(&f->evidence, &f->conclusion);
}

static bool is_full(const struct report *r, const struct destination_key *to) {
    const struct incident_key key = {.to = *to, .kind = EVENT_EXHAUSTED, .cause = CAUSE_RANGE_FULL};
    return report_table_find(&r->facts.incidents, &key) != NULL;
}

/* A socket with a range of its own is not searched for so; a step width (7.1 and later) ends it for all. */
static bool searched(const struct report *r, const struct flow *flow) {
    const struct crowded *c = &flow->crowded;
    if (flow->key.direction != OUTBOUND || c->connects == 0 || c->ports < SEARCH_PORTS)
        return false;
    if (flow->unspread == 0 || (report_is_here(r, &flow->key.to) && r->here.step_width > 0))
        return false;
    return c->connect_us * 1000 / c->connects >= (uint64_t)c->ports * SEARCH_NS / SEARCH_PART;
}

static void find_slow_search(struct report *r) {
    const struct flow *flow;
    size_t at = 0;
    while ((flow = report_table_next(&r->facts.flows, &at))) {
        const struct crowded *c = &flow->crowded;
        if (!searched(r, flow) || is_full(r, &flow->key.to))
            continue;
        struct finding *f = add_quiet(r, CONCLUDE_SLOW_SEARCH, &flow->key.to, c->first_us, c->last_us);
        if (!f)
            return;
        program_text(f->program, flow->key.program);
        format_endpoint(f->destination, &flow->key.to.peer, flow->key.to.port);
        format_address(f->source, &c->source);
        f->evidence.ports = c->ports;
        f->counted = c->connects;
        f->mean_us = c->connect_us / c->connects;
        conclude(&f->evidence, &f->conclusion);
    }
}

void report_find_quiet(struct report *r) {
    find_overflow(r);
    find_slow_search(r);
}
