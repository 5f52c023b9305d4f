#include "tool/page/heat.h"

#include <string.h>

#include "tool/common/window.h"
#include "tool/report/timeline.h"

#define SECOND ((uint64_t)1000000)
#define MINUTE (60 * SECOND)

/* NOTABLE: where rows are scarce, a pair with fewer TIME-WAITs takes no other's place. */
enum { FAILED_WEIGHT = 1000000, NOTABLE = 8 };

/* What is evicted is the least; how many rows were is known to the table. */
static void fold_row(void *rest, const void *evicted) {
    ((struct heat_row *)rest)->failed += ((const struct heat_row *)evicted)->failed;
}

bool heat_init(struct heat *h) {
    memset(h, 0, sizeof *h);
    return report_table_init(&h->rows, sizeof(struct heat_row), sizeof(struct route_key), HEAT_SETS, fold_row);
}

void heat_free(struct heat *h) {
    report_table_free(&h->rows);
}

/* --- time --- */

static void merge_row(struct heat_row *row, size_t n, size_t skew, uint64_t factor) {
    struct heat_cell merged[HEAT_COLUMNS] = {0};
    for (size_t i = 0; i < n; i++) {
        struct heat_cell *to = &merged[(i + skew) / factor];
        to->taken = row->cell[i].taken > to->taken ? row->cell[i].taken : to->taken;
        to->failed = bounded_sum(to->failed, row->cell[i].failed);
    }
    memcpy(row->cell, merged, sizeof merged);
}

static void widen(struct heat *h) {
    uint64_t width = timeline_coarser(h->width_us), factor = width / h->width_us, start = h->start_us / width * width;
    size_t skew = (size_t)((h->start_us - start) / h->width_us), at = 0;
    struct heat_failures all[HEAT_COLUMNS] = {0};
    struct heat_row *row;
    while ((row = report_table_next(&h->rows, &at)))
        merge_row(row, h->n, skew, factor);
    for (size_t i = 0; i < h->n; i++) {
        struct heat_failures *to = &all[(i + skew) / factor];
        to->logged = bounded_sum(to->logged, h->all[i].logged);
        to->remembered = bounded_sum(to->remembered, h->all[i].remembered);
    }
    memcpy(h->all, all, sizeof all);
    h->n = (h->n - 1 + skew) / factor + 1;
    h->start_us = start;
    h->width_us = width;
}

/* Makes room before the start. False: there is none at this width. */
static bool shift(struct heat *h, uint64_t time_us) {
    uint64_t start = time_us / h->width_us * h->width_us, by = (h->start_us - start) / h->width_us;
    struct heat_row *row;
    size_t at = 0;
    if (by + h->n > HEAT_COLUMNS)
        return false;
    while ((row = report_table_next(&h->rows, &at))) {
        memmove(row->cell + by, row->cell, h->n * sizeof *row->cell);
        memset(row->cell, 0, (size_t)by * sizeof *row->cell);
    }
    memmove(h->all + by, h->all, h->n * sizeof *h->all);
    memset(h->all, 0, (size_t)by * sizeof *h->all);
    h->start_us = start;
    h->n += (size_t)by;
    return true;
}

/* The column of this moment. Those of other moments have moved. */
static size_t column(struct heat *h, uint64_t time_us) {
    if (h->width_us == 0) {
        h->width_us = SECOND;
        h->start_us = time_us / SECOND * SECOND;
        h->n = 1;
    }
    while (time_us < h->start_us && !shift(h, time_us))
        widen(h);
    while ((time_us - h->start_us) / h->width_us >= HEAT_COLUMNS)
        widen(h);
    size_t i = (size_t)((time_us - h->start_us) / h->width_us);
    h->n = i >= h->n ? i + 1 : h->n;
    return i;
}

static bool divides(uint64_t part, uint64_t whole) {
    return whole % part == 0;
}

size_t heat_grouping(const struct heat *h, size_t max) {
    uint64_t next = timeline_coarser(h->width_us);
    size_t group = 1;
    while ((h->n + group - 1) / group > max || !divides(group * h->width_us, next))
        group++;
    return group;
}

/* --- events --- */

static struct heat_row *row_of(struct heat *h, const struct route_key *key, uint32_t weight) {
    struct heat_row *row = report_table_get(&h->rows, key);
    row->entry.weight += weight;
    return row;
}

static void note(struct heat_row *row, size_t at, uint64_t taken) {
    uint32_t n = taken < UINT32_MAX ? (uint32_t)taken : UINT32_MAX;
    row->cell[at].taken = n > row->cell[at].taken ? n : row->cell[at].taken;
    row->peak = n > row->peak ? n : row->peak;
}

static void take_close(struct heat *h, const struct facts *f, const struct route_key *key, uint64_t time_us) {
    const struct route *route = report_table_find(&f->routes, key);
    size_t at = column(h, time_us);
    uint32_t held = route ? facts_held(route) : 0;
    if (held && (held >= NOTABLE || h->rows.evicted == 0 || report_table_find(&h->rows, key)))
        note(row_of(h, key, 1), at, held);
}

/* As the kernel counted them, of all processes, where it did; else through this instance. */
static uint64_t taken_from(const struct exhausted_source *s) {
    uint64_t kernel = 0, own = (uint64_t)s->open + s->time_wait;
    for (unsigned i = 0; s->counted != COUNTED_NO && i < KERNEL_GROUPS; i++)
        kernel += s->kernel[i];
    return kernel > own ? kernel : own;
}

static void take_exhausted(struct heat *h, const struct destination_key *to, const struct event_record *r) {
    const struct event_exhausted *x = &r->u.exhausted;
    size_t at = column(h, r->e.time_us);
    uint32_t n = x->outcome == OUTCOME_FAILED ? bounded_sum(1, x->repeats) : 0;
    h->all[at].logged = bounded_sum(h->all[at].logged, n);
    for (unsigned i = 0; to->port && i < event_sources(x); i++) {
        const struct route_key key = {.to = *to, .source = x->source[i].address};
        struct heat_row *row = row_of(h, &key, FAILED_WEIGHT);
        row->cell[at].failed = bounded_sum(row->cell[at].failed, n);
        row->failed += n;
        row->ports = x->capacity > row->ports ? x->capacity : row->ports;
        note(row, at, taken_from(&x->source[i]));
    }
}

void heat_take(struct heat *h, const struct facts *f, const struct destination_key *to, const struct event_record *r) {
    const struct route_key key = {.to = *to, .source = r->e.local};
    if (r->e.kind == EVENT_TIME_WAIT && r->e.direction == OUTBOUND)
        take_close(h, f, &key, r->e.time_us);
    else if (r->e.kind == EVENT_EXHAUSTED)
        take_exhausted(h, to, r);
}

/* --- history --- */

struct minute_columns {
    size_t first, last;
};

static struct minute_columns columns_of(struct heat *h, uint64_t minute, uint64_t until_us) {
    uint64_t end = minute * MINUTE + MINUTE - 1;
    end = end < until_us ? end : until_us;
    end = end > minute * MINUTE ? end : minute * MINUTE;
    (void)column(h, end); /* the next may move it */
    size_t first = column(h, minute * MINUTE);
    return (struct minute_columns){first, (size_t)((end - h->start_us) / h->width_us)};
}

static bool has_taken(const struct heat_row *row, const struct minute_columns *c) {
    for (size_t i = c->first; i <= c->last; i++)
        if (row->cell[i].taken)
            return true;
    return false;
}

static bool has_logged(const struct heat *h, const struct minute_columns *c) {
    for (size_t i = c->first; i <= c->last; i++)
        if (h->all[i].logged)
            return true;
    return false;
}

/* Of a connect whose source the kernel chose, the events know which it was. */
static bool is_known_better(const struct heat *h, const struct route_key *key, const struct minute_columns *c) {
    const struct heat_row *row;
    size_t at = 0;
    while (addr_is_any(&key->source) && (row = report_table_next(&h->rows, &at)))
        if (memcmp(&row->key.to, &key->to, sizeof key->to) == 0 && !addr_is_any(&row->key.source) && has_taken(row, c))
            return true;
    return false;
}

void heat_remember(struct heat *h, const struct route_key *key, const struct history_counts *n, uint64_t minute,
                   uint64_t until_us) {
    if (n->peak == 0 && n->count[HISTORY_FAILED] == 0)
        return;
    const struct minute_columns c = columns_of(h, minute, until_us);
    uint64_t failed = has_logged(h, &c) ? 0 : n->count[HISTORY_FAILED];
    bool taken = n->peak && !is_known_better(h, key, &c);
    if (!taken && failed == 0)
        return;
    uint32_t n_failed = failed < UINT32_MAX ? (uint32_t)failed : UINT32_MAX;
    struct heat_row *row = row_of(h, key, failed ? FAILED_WEIGHT : 1);
    row->cell[c.first].failed = bounded_sum(row->cell[c.first].failed, n_failed);
    row->failed += n_failed;
    h->all[c.first].remembered = bounded_sum(h->all[c.first].remembered, n_failed);
    h->by_minute = true;
    if (!taken || has_taken(row, &c))
        return;
    for (size_t i = c.first; i <= c.last; i++)
        note(row, i, n->peak);
}
