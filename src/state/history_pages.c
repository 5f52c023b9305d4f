#include "state/history_pages.h"

#include <string.h>

#include "state/segment.h"
#include "base/sys.h"

#define MINUTE_NS ((uint64_t)60 * 1000000000u)

enum { TRIES = 8, SHARE = 4, NEVER = HISTORY_FURTHER };

/* There was no page to be had for this minute, so this process asks no more in it: of many flows, each in the rest,
 * each would. Atomic. */
static uint32_t none_for;

bool history_overtaken(uint32_t minute) {
    return clock_ns(CLOCK_REALTIME) / MINUTE_NS != minute;
}

/* A word of another minute starts over: the compare-and-swap fails only if another process has just done that. */
uint64_t history_rest_add(struct history_minute *m, uint32_t minute, unsigned at, uint64_t n) {
    uint64_t *word = &m->rest[at], tag = (uint64_t)minute << COUNT_BITS;
    uint64_t old = __atomic_load_n(word, __ATOMIC_RELAXED);
    for (int tries = 0; tries < 4 && (old & ~COUNT_MASK) != tag; tries++) {
        if (old != 0 && (int64_t)((old & ~COUNT_MASK) - tag) > 0 && history_overtaken(minute))
            return 0;
        if (__atomic_compare_exchange_n(word, &old, tag | n, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return 0;
    }
    return __atomic_fetch_add(word, n, __ATOMIC_RELAXED) & COUNT_MASK;
}

void history_entry_load(struct history_entry *out, const struct history_entry *shared) {
    const uint32_t *word = (const uint32_t *)(const void *)shared;
    for (size_t i = 0; i < sizeof *shared / sizeof *word; i++) {
        uint32_t value = __atomic_load_n(&word[i], __ATOMIC_RELAXED);
        memcpy((char *)out + i * sizeof value, &value, sizeof value);
    }
}

void history_retire(struct history_minute *m, uint32_t minute, struct history_entry *e) {
    uint64_t connects = __atomic_exchange_n(&e->connects, 0, __ATOMIC_RELAXED);
    (void)history_rest_add(m, minute, REST_CONNECTS, connects >> TIME_BITS);
    (void)history_rest_add(m, minute, REST_CONNECT_US, connects & TIME_MASK);
    for (unsigned i = 0; i < HISTORY_COUNTERS; i++) {
        uint32_t n = __atomic_exchange_n(&e->count[i], 0, __ATOMIC_RELAXED);
        if (n)
            (void)history_rest_add(m, minute, REST_COUNTER + i, n);
    }
    __atomic_store_n(&e->peak, 0, __ATOMIC_RELAXED);
}

struct history_minute *history_further(const struct state *s, unsigned n) {
    struct history_minute *block = segment_find(s->segments, n / HISTORY_BLOCK, SEGMENT_HISTORY);
    return block ? &block[n % HISTORY_BLOCK] : NULL;
}

static uint32_t minute_of(const struct history_minute *page) {
    return (uint32_t)(__atomic_load_n(&page->further, __ATOMIC_ACQUIRE) >> 32);
}

/* The page whose turn it is; NEVER: there is none. */
static unsigned next_in_turn(const struct state *s) {
    uint64_t *turn = &s->header->history_turn;
    unsigned n = (unsigned)(__atomic_fetch_add(turn, 1, __ATOMIC_RELAXED) % HISTORY_FURTHER);
    for (unsigned i = 0; i <= SEGMENTS; i++) {
        if (history_further(s, n))
            return n;
        n = (n / HISTORY_BLOCK + 1) * HISTORY_BLOCK % HISTORY_FURTHER;
        __atomic_store_n(turn, n + 1, __ATOMIC_RELAXED);
    }
    return NEVER;
}

/* One segment more, whose pages are the next in turn. */
static bool grow(const struct state *s) {
    unsigned had = 0, known = segments_of(s->segments, SEGMENT_HISTORY);
    for (unsigned i = 0; s->segments && i < s->segments->n; i++)
        had += __atomic_load_n(&s->header->segment[i], __ATOMIC_RELAXED) == SEGMENT_HISTORY;
    if (!s->segments || had >= (s->segments->n + SHARE - 1) / SHARE)
        return false;
    int n = segment_grow(s->segments, SEGMENT_HISTORY, known);
    if (n >= 0)
        __atomic_store_n(&s->header->history_turn, (uint64_t)n * HISTORY_BLOCK, __ATOMIC_RELAXED);
    return n >= 0;
}

/* What the page has counted goes to its minute. */
static void retire_all(const struct state *s, struct history_minute *page, uint32_t minute) {
    struct history_minute *m = history_page(s, minute);
    for (unsigned i = 0; i < HISTORY_FLOWS && block_there(s->header, m); i++)
        if (__atomic_load_n(&page->who[i], __ATOMIC_ACQUIRE) >> 32 == minute)
            history_retire(m, minute, &page->flow[i]);
}

/* A page for this minute; NEVER: none can be had. What lies in it is of other minutes, and seen to be. */
static unsigned take(const struct state *s, uint32_t minute) {
    for (unsigned tries = 0; tries < TRIES; tries++) {
        unsigned n = next_in_turn(s);
        struct history_minute *page = n == NEVER ? NULL : history_further(s, n);
        uint64_t had = page ? __atomic_load_n(&page->further, __ATOMIC_ACQUIRE) : 0;
        uint32_t of = (uint32_t)(had >> 32), ago = minute - of;
        bool of_the_day = had != 0 && ago < HISTORY_MINUTES;
        if ((!page || of_the_day) && grow(s))
            continue;
        /* What is being written to is not to be taken. */
        if (!page || (of_the_day && ago < 2)) {
            __atomic_store_n(&none_for, minute, __ATOMIC_RELAXED);
            return NEVER;
        }
        if (!__atomic_compare_exchange_n(&page->further, &had, (uint64_t)minute << 32 | 1, false, __ATOMIC_ACQ_REL,
                                         __ATOMIC_RELAXED))
            continue;
        if (of_the_day)
            retire_all(s, page, of);
        return n;
    }
    return NEVER;
}

struct history_minute *history_below(const struct state *s, uint64_t *word, uint32_t minute, bool make, unsigned *n) {
    uint64_t seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);
    for (unsigned tries = 0; tries < 2; tries++) {
        *n = (uint32_t)seen - 1;
        struct history_minute *page = seen >> 32 == minute ? history_further(s, *n) : NULL;
        if (page && minute_of(page) == minute)
            return page;
        if (!make || __atomic_load_n(&none_for, __ATOMIC_RELAXED) == minute ||
            (seen >> 32 > minute && history_overtaken(minute)))
            return NULL;
        *n = take(s, minute);
        if (*n == NEVER)
            return NULL;
        page = history_further(s, *n);
        if (__atomic_compare_exchange_n(word, &seen, (uint64_t)minute << 32 | (*n + 1), false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE))
            return page;
        __atomic_store_n(&page->further, 0, __ATOMIC_RELEASE); /* another was faster */
    }
    return NULL;
}
