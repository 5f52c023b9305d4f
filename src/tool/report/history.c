#include "tool/report/history.h"

#include <string.h>

#include "state/copy.h"
#include "state/history.h"
#include "state/history_reader.h"
#include "tool/report/find.h"

static const uint64_t minute_us = 60000000;

static void remember(struct remembered *to, const struct history_counts *n) {
    to->connects += n->connects;
    to->connect_us += n->connect_us;
    to->time_waits += n->count[HISTORY_TIME_WAITS];
    to->closes += n->count[HISTORY_CLOSES];
    to->failed += n->count[HISTORY_FAILED];
    to->fallback += n->count[HISTORY_FALLBACK];
    to->recovered += n->count[HISTORY_RECOVERED];
    if (n->peak > to->peak)
        to->peak = n->peak;
}

/* --- the minutes before an incident --- */

static void add_before(struct incident *i, const struct history_record *record, uint64_t minute) {
    uint64_t first = i->first.time_us / minute_us;
    if (minute > first || first - minute >= WINDOW_MINUTES)
        return;
    uint64_t at = WINDOW_MINUTES - 1 - (first - minute), waits = record->n.count[HISTORY_TIME_WAITS];
    i->history.waits[at] += waits;
    i->history.connects[at] += record->n.connects;
    if (first - minute > 1)
        return;
    if (record->n.peak > i->history.peak)
        i->history.peak = record->n.peak;
    if (waits)
        tally_add(&i->history.closers, record->program, waits);
}

/* Incidents are few: at most one a record for each of them. */
static void add_to_incidents(struct facts *f, const struct destination_key *to, const struct history_record *record,
                             uint64_t minute) {
    struct incident *i;
    size_t at = 0;
    while ((i = report_table_next(&f->incidents, &at)))
        if (memcmp(&i->key.to, to, sizeof *to) == 0)
            add_before(i, record, minute);
}

/* --- failures that only the history remembers --- */

static void begin_incident(struct incident *i, const struct history_record *record, uint64_t time_us) {
    if (i->events || (i->first.time_us && i->first.time_us <= time_us))
        return;
    i->first =
        (struct moment){.time_us = time_us, .local = record->source, .peer = record->destination.addr, .sources = 1};
    i->first.peer_port = record->destination.port;
    memcpy(i->first.program, record->program, sizeof i->first.program);
}

static void add_failures(struct facts *f, const struct destination_key *to, const struct history_record *record,
                         uint64_t time_us) {
    uint64_t left = record->n.count[HISTORY_FAILED];
    for (unsigned cause = 0; cause < HISTORY_CAUSES && left; cause++) {
        uint64_t n = record->n.count[HISTORY_CAUSE + cause];
        n = n < left ? n : left;
        if (n == 0)
            continue;
        struct incident *i = facts_incident(f, to, &record->source, EVENT_EXHAUSTED, cause);
        begin_incident(i, record, time_us);
        i->history.failed += n;
        widen_span(&i->history.first_us, &i->history.last_us, time_us);
        left -= n;
    }
}

/* Kept as long as no event that says more is as early. */
static void note_first_failure(struct facts *f, const struct destination_key *to, const struct history_record *record,
                               uint64_t time_us) {
    if (f->first_failure.is && f->first_failure.time_us < time_us + minute_us)
        return;
    memset(&f->first_failure, 0, sizeof f->first_failure);
    f->first_failure.is = f->first_failure.by_minute = true;
    f->first_failure.time_us = time_us;
    f->first_failure.host = to->host;
    memcpy(f->first_failure.program, record->program, EVENT_PROGRAM);
    f->first_failure.peer = record->destination.addr;
    f->first_failure.peer_port = record->destination.port;
    for (unsigned cause = 0; cause < HISTORY_CAUSES; cause++)
        if (record->n.count[HISTORY_CAUSE + cause] > record->n.count[HISTORY_CAUSE + f->first_failure.cause])
            f->first_failure.cause = (uint8_t)cause;
}

/* --- all of it --- */

static void note_crowded(struct crowded *c, const struct history_record *record, uint32_t ports, uint64_t time_us) {
    c->connects += record->n.connects;
    c->connect_us += record->n.connect_us;
    c->source = record->source;
    c->ports = ports;
    widen_span(&c->first_us, &c->last_us, time_us);
}

static void classify(struct report *r, struct flow *flow, const struct destination_key *to,
                     const struct history_record *record, uint64_t time_us) {
    enum ports_from from;
    uint64_t ports = report_ports(r, to, &from), percent = ports ? record->n.peak * UINT64_C(100) / ports : 0;
    unsigned class = report_class(percent);
    if (record->n.peak == 0)
        return;
    if (percent >= 50)
        note_crowded(&flow->crowded, record, (uint32_t)ports, time_us);
    r->by_occupancy[class].connects += record->n.connects;
    r->by_occupancy[class].connect_us += record->n.connect_us;
}

struct destination_key history_destination(uint32_t host, const struct history_record *record) {
    return (struct destination_key){
        .netns = record->netns, .peer = record->destination.addr, .host = host, .port = record->destination.port};
}

static void add_record(struct report *r, uint32_t host, const struct history_record *record, uint64_t minute) {
    struct facts *f = &r->facts;
    const struct destination_key to = history_destination(host, record);
    struct flow_key flow_key = {.to = to, .direction = OUTBOUND};
    const struct route_key route_key = {.to = to, .source = record->source};
    memcpy(flow_key.program, record->program, sizeof flow_key.program);
    struct flow *flow = report_table_get(&f->flows, &flow_key);
    flow->entry.weight += record->n.connects;
    remember(&flow->history, &record->n);
    widen_span(&flow->first_us, &flow->last_us, minute * minute_us);
    if (!addr_is_any(&record->source)) {
        struct route *route = report_table_get(&f->routes, &route_key);
        route->entry.weight += record->n.connects;
        remember(&route->history, &record->n);
        widen_span(&route->first_us, &route->last_us, minute * minute_us);
    }
    classify(r, flow, &to, record, minute * minute_us);
    if (record->n.count[HISTORY_FAILED]) {
        add_failures(f, &to, record, minute * minute_us);
        note_first_failure(f, &to, record, minute * minute_us);
    }
}

static void add_totals(struct facts *f, const struct history_counts *n, uint64_t minute) {
    struct timeline_bucket *when = timeline_at(&f->timeline, minute * minute_us);
    remember(&f->history, n);
    when->history.connects += n->connects;
    when->history.time_wait += n->count[HISTORY_TIME_WAITS];
    when->history.failed += n->count[HISTORY_FAILED];
    when->history.recovered += n->count[HISTORY_FALLBACK] + n->count[HISTORY_RECOVERED];
    widen_span(&f->first_us, &f->last_us, minute * minute_us);
}

static void add_view(struct report *r, uint32_t host, const struct history_view *view, void *none) {
    (void)none;
    if (view->minute * minute_us < r->since_us || view->minute * minute_us > r->until_us)
        return;
    for (unsigned i = 0; i < view->flows; i++) {
        add_record(r, host, &view->record[i], view->minute);
        add_totals(&r->facts, &view->record[i].n, view->minute);
    }
    add_totals(&r->facts, &view->rest, view->minute);
}

static void add_before_incidents(struct report *r, uint32_t host, const struct history_view *view, void *none) {
    (void)none;
    for (unsigned i = 0; i < view->flows; i++) {
        const struct destination_key to = history_destination(host, &view->record[i]);
        add_to_incidents(&r->facts, &to, &view->record[i], view->minute);
    }
}

static void read_history(struct report *r, struct source *source, history_taker *take, void *context) {
    struct history_reader reader;
    static struct history_view view;
    uint32_t host = facts_host(&r->facts, source->context.host);
    if (!state_copy_again(&source->state, COPY(SECTION_HISTORY)))
        return; /* it was cut: what can be said was said of its events */
    history_reader_init(&reader, &source->state, (uint32_t)(r->now_us / minute_us));
    while (history_next(&reader, &view))
        take(r, host, &view, context);
    state_copy_drop(&source->state, SECTION_HISTORY);
}

void report_read_history(struct report *r, history_taker *take, void *context) {
    for (unsigned i = 0; i < r->inputs.n; i++)
        if (r->inputs.input[i].is_state)
            read_history(r, &r->inputs.input[i].source, take, context);
}

/* Twice: the minutes before an incident can be told only once its first failure is known. */
void report_add_history(struct report *r) {
    report_read_history(r, add_view, NULL);
    report_read_history(r, add_before_incidents, NULL);
}
