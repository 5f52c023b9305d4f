#include "state/history_reader.h"

#include <string.h>

#include "state/history.h"
#include "state/history_pages.h"
#include "state/pair.h"
#include "state/segment.h"

static uint64_t load(const uint64_t *word) {
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

/* The minute of any word in a page that is not later than limit; 0: none. */
static uint32_t newest_in(const struct history_minute *m, uint32_t limit) {
    uint32_t newest = 0;
    for (unsigned i = 0; i < HISTORY_FLOWS; i++) {
        uint32_t minute = (uint32_t)(load(&m->who[i]) >> 32);
        if (minute > newest && minute <= limit)
            newest = minute;
    }
    return newest;
}

static uint32_t minute_of(const struct history_minute *further) {
    return (uint32_t)(load(&further->further) >> 32);
}

/* By their minutes: those that a writer has linked, and those that it was killed over, or whose page above was taken.
 */
static void sort_further(struct history_reader *r) {
    memset(r->first, 0, sizeof r->first);
    unsigned end = segments_of(r->state->segments, SEGMENT_HISTORY) * HISTORY_BLOCK;
    for (unsigned n = 0; n < end; n++) {
        const struct history_minute *m = history_further(r->state, n);
        uint32_t minute = m ? minute_of(m) : 0;
        if (!m)
            n |= HISTORY_BLOCK - 1; /* nor any other of its segment */
        if (!m || minute < r->next || minute > r->last)
            continue;
        r->after[n] = r->first[minute % HISTORY_MINUTES];
        r->first[minute % HISTORY_MINUTES] = (uint16_t)(n + 1);
    }
}

void history_reader_init(struct history_reader *r, const struct state *s, uint32_t now) {
    uint32_t newest = 0;
    for (unsigned i = 0; i < HISTORY_MINUTES; i++) {
        uint32_t minute = block_there(s->header, &s->history[i]) ? newest_in(&s->history[i], now) : 0;
        if (minute > newest && minute % HISTORY_MINUTES == i)
            newest = minute;
    }
    r->state = s;
    r->next = newest < HISTORY_MINUTES ? 1 : newest - HISTORY_MINUTES + 1;
    r->last = newest;
    sort_further(r);
}

/* False: it became another flow's, or another minute's, while it was copied. */
static bool copy_entry(const struct history_minute *m, unsigned at, uint64_t who, struct history_entry *out) {
    history_entry_load(out, &m->flow[at]);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return load(&m->who[at]) == who;
}

static struct history_counts counts_of(const struct history_entry *e) {
    struct history_counts n = {
        .connects = e->connects >> TIME_BITS,
        .connect_us = e->connects & TIME_MASK,
        .peak = e->peak,
    };
    for (unsigned i = 0; i < HISTORY_COUNTERS; i++)
        n.count[i] = e->count[i];
    return n;
}

static void add_counts(struct history_counts *to, const struct history_counts *n) {
    to->connects += n->connects;
    to->connect_us += n->connect_us;
    for (unsigned i = 0; i < HISTORY_COUNTERS; i++)
        to->count[i] += n->count[i];
    if (n->peak > to->peak)
        to->peak = n->peak;
}

/* False: the labels do not make the key. */
static bool label(struct history_record *out, const struct history_entry *e, uint32_t key) {
    *out = (struct history_record){
        .netns = e->netns,
        .source = e->source,
        .destination = {.addr = e->destination, .port = e->port},
    };
    memcpy(out->program, e->program, sizeof e->program);
    uint64_t pair = pair_key(out->netns, &out->source, &out->destination);
    if (history_key(pair, history_program(out->program)) != key)
        return false;
    for (char *c = out->program; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    return true;
}

static bool same_flow(const struct history_record *a, const struct history_record *b) {
    return a->netns == b->netns && a->destination.port == b->destination.port &&
           addr_compare(&a->source, &b->source) == 0 && addr_compare(&a->destination.addr, &b->destination.addr) == 0 &&
           strcmp(a->program, b->program) == 0;
}

/* The view's record of this flow: two writers may have made an entry each. NULL: it has no room. */
static struct history_record *record_of(struct history_view *view, const struct history_record *flow, uint32_t key) {
    unsigned at = key % HISTORY_INDEX;
    for (; view->index[at]; at = (at + 1) % HISTORY_INDEX)
        if (same_flow(&view->record[view->index[at] - 1], flow))
            return &view->record[view->index[at] - 1];
    if (view->flows == HISTORY_RECORDS)
        return NULL;
    view->record[view->flows] = *flow;
    view->index[at] = (uint16_t)(view->flows + 1);
    return &view->record[view->flows++];
}

static bool add_entry(struct history_view *view, const struct history_minute *m, unsigned at) {
    struct history_entry e;
    struct history_record flow;
    uint64_t who = __atomic_load_n(&m->who[at], __ATOMIC_ACQUIRE);
    if (who >> 32 != view->minute || (uint32_t)who == 0 || !copy_entry(m, at, who, &e))
        return false;
    struct history_counts n = counts_of(&e);
    struct history_record *record = label(&flow, &e, (uint32_t)who) ? record_of(view, &flow, (uint32_t)who) : NULL;
    if (record) {
        add_counts(&record->n, &n);
        return true;
    }
    n.peak = 0;
    add_counts(&view->rest, &n);
    return true;
}

static uint64_t rest_word(const struct history_minute *m, uint32_t minute, unsigned at) {
    uint64_t word = load(&m->rest[at]);
    return (word ^ (uint64_t)minute << COUNT_BITS) >> COUNT_BITS ? 0 : word & COUNT_MASK;
}

static bool add_rest(struct history_view *view, const struct history_minute *m) {
    struct history_counts n = {
        .connects = rest_word(m, view->minute, REST_CONNECTS),
        .connect_us = rest_word(m, view->minute, REST_CONNECT_US),
    };
    uint64_t any = n.connects;
    for (unsigned i = 0; i < HISTORY_COUNTERS; i++)
        any |= n.count[i] = rest_word(m, view->minute, REST_COUNTER + i);
    add_counts(&view->rest, &n);
    return any != 0;
}

static bool add_page(struct history_view *view, const struct history_minute *m) {
    bool any = false;
    for (unsigned i = 0; i < HISTORY_FLOWS; i++)
        any |= add_entry(view, m, i);
    return any;
}

/* Bounded: each page is in one list, once. */
static bool add_further(const struct history_reader *r, struct history_view *view) {
    bool any = false;
    for (unsigned n = r->first[view->minute % HISTORY_MINUTES]; n != 0; n = r->after[n - 1]) {
        const struct history_minute *m = history_further(r->state, n - 1);
        if (m && minute_of(m) == view->minute)
            any |= add_page(view, m);
    }
    return any;
}

bool history_next(struct history_reader *r, struct history_view *out) {
    while (r->next <= r->last && r->last != 0) {
        uint32_t minute = r->next++;
        const struct history_minute *m = &r->state->history[minute % HISTORY_MINUTES];
        bool any = false;
        out->minute = minute;
        out->flows = 0;
        out->rest = (struct history_counts){0};
        memset(out->index, 0, sizeof out->index);
        if (!block_there(r->state->header, m))
            continue;
        any |= add_page(out, m);
        any |= add_further(r, out);
        any |= add_rest(out, m);
        if (any)
            return true;
    }
    return false;
}
