#include "state/history.h"

#include <stddef.h>
#include <string.h>

#include "state/history_private.h"
#include "state/pair.h"
#include "base/sys.h"

#ifndef HISTORY_STEP
/* Between any two steps of a writer that makes an entry; a test stops it here. */
#define HISTORY_STEP() ((void)0)
#endif

#define MINUTE_NS ((uint64_t)60 * 1000000000u)

enum {
    PROBES = 8, /* places in which a flow can be */
    SAMPLE = 16,
    ADMIT = 64, /* every such count of the rest may take a place from a flow with fewer than ... */
    LITTLE = 16
};
_Static_assert((int)CAUSE_UNANSWERED == (int)HISTORY_CAUSES, "one counter for each cause of an EADDRNOTAVAIL");
_Static_assert((int)EVENT_PROGRAM == (int)HISTORY_PROGRAM, "as much of a name as events have");

uint64_t history_program(const char *program) {
    uint64_t h = 0x9e3779b97f4a7c15u;
    for (unsigned i = 0; i < HISTORY_PROGRAM && program[i]; i++)
        h = (h ^ (unsigned char)program[i]) * 0x100000001b3u;
    return h ^ h >> 29;
}

uint32_t history_key(uint64_t pair, uint64_t program) {
    uint64_t h = (pair ^ program) * 0xff51afd7ed558ccdu;
    uint32_t key = (uint32_t)(h >> 32);
    return key ? key : 1;
}

static uint64_t minute_began; /* CLOCK_MONOTONIC, plus 1: 0 is never */
static uint32_t minute_known;

__attribute__((noinline)) static uint32_t ask_minute(uint64_t now) {
    uint64_t wall = now + clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC);
    uint32_t minute = (uint32_t)(wall / MINUTE_NS);
    __atomic_store_n(&minute_known, minute, __ATOMIC_RELAXED);
    __atomic_store_n(&minute_began, now - wall % MINUTE_NS + 1, __ATOMIC_RELAXED);
    return minute;
}

/* Asked once in each minute: a clock that is set is followed within one. Threads that ask at once store the same; one
 * that reads one word of the new minute and one of the old counts in the neighbouring minute, once. */
uint32_t history_minute(uint64_t now) {
    uint64_t began = __atomic_load_n(&minute_began, __ATOMIC_RELAXED);
    if (began == 0 || now + 1 - began >= MINUTE_NS)
        return ask_minute(now);
    return __atomic_load_n(&minute_known, __ATOMIC_RELAXED);
}

static uint64_t word_of(uint32_t minute, uint32_t key) {
    return (uint64_t)minute << 32 | key;
}

/* A page that is already of a later minute: were we stopped for a day, or was the clock set back? */
static bool overtaken(uint32_t minute) {
    return clock_ns(CLOCK_REALTIME) / MINUTE_NS != minute;
}

static struct history_minute *page_of(const struct state *s, uint32_t minute) {
    return &s->history[minute % HISTORY_MINUTES];
}

/* Adds n to a word of the rest; returns what it had before. A word of another minute starts over: the compare-and-swap
 * fails only if another process has just done that. */
static uint64_t rest_add(struct history_minute *m, uint32_t minute, unsigned at, uint64_t n) {
    uint64_t *word = &m->rest[at], tag = (uint64_t)minute << COUNT_BITS;
    uint64_t old = __atomic_load_n(word, __ATOMIC_RELAXED);
    for (int tries = 0; tries < 4 && (old & ~COUNT_MASK) != tag; tries++) {
        if (old != 0 && (int64_t)((old & ~COUNT_MASK) - tag) > 0 && overtaken(minute))
            return 0;
        if (__atomic_compare_exchange_n(word, &old, tag | n, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return 0;
    }
    return __atomic_fetch_add(word, n, __ATOMIC_RELAXED) & COUNT_MASK;
}

/* What an entry has counted so far in this minute goes to the rest. */
static void retire(struct history_minute *m, uint32_t minute, struct history_entry *e) {
    uint64_t connects = __atomic_exchange_n(&e->connects, 0, __ATOMIC_RELAXED);
    (void)rest_add(m, minute, REST_CONNECTS, connects >> TIME_BITS);
    (void)rest_add(m, minute, REST_CONNECT_US, connects & TIME_MASK);
    for (unsigned i = 0; i < HISTORY_COUNTERS; i++) {
        uint32_t n = __atomic_exchange_n(&e->count[i], 0, __ATOMIC_RELAXED);
        if (n)
            (void)rest_add(m, minute, REST_COUNTER + i, n);
    }
    __atomic_store_n(&e->peak, 0, __ATOMIC_RELAXED);
}

/* Relaxed, word by word: a reader may be looking, and a writer may be making the same entry in another minute. */
static void store_words(void *to, const void *from, size_t bytes) {
    uint32_t *word = to, value;
    for (size_t i = 0; i < bytes / sizeof value; i++) {
        memcpy(&value, (const char *)from + i * sizeof value, sizeof value);
        __atomic_store_n(&word[i], value, __ATOMIC_RELAXED);
    }
}

/* Only by the one that has claimed the place; who is published last. */
static void label(struct history_minute *m, unsigned at, uint64_t who, const struct history_flow *f) {
    const size_t from = offsetof(struct history_entry, netns);
    struct history_entry *e = &m->flow[at], fresh = {.netns = f->netns,
                                                     .source = *f->source,
                                                     .destination = f->destination->addr,
                                                     .port = f->destination->port};
    memcpy(fresh.program, f->program, strnlen(f->program, sizeof fresh.program));
    /* The claim must be seen before any of the stores below: a reader of the old entry then knows. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    HISTORY_STEP();
    store_words((char *)e + from, (const char *)&fresh + from, sizeof fresh - from);
    HISTORY_STEP();
    __atomic_store_n(&m->who[at], who, __ATOMIC_RELEASE);
}

/* What was counted a day ago is forgotten. */
static void clear(struct history_entry *e) {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&e->connects, 0, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < HISTORY_COUNTERS; i++)
        __atomic_store_n(&e->count[i], 0, __ATOMIC_RELAXED);
    __atomic_store_n(&e->peak, 0, __ATOMIC_RELAXED);
}

/* The i-th place of a flow in a page. */
static unsigned place_of(const struct history_flow *f, unsigned i) {
    unsigned at = f->key % HISTORY_FLOWS + i;
    return at < HISTORY_FLOWS ? at : at - HISTORY_FLOWS;
}

/* The entry of a flow in a minute, made if need be; NULL: no room. Eight words in a row, of which the first is nearly
 * always the right one. */
static struct history_entry *search(struct history_minute *m, uint32_t minute, const struct history_flow *f) {
    uint64_t who = word_of(minute, f->key);
    for (unsigned i = 0; i < PROBES; i++) {
        unsigned at = place_of(f, i);
        uint64_t old = __atomic_load_n(&m->who[at], __ATOMIC_ACQUIRE);
        if (old == who)
            return &m->flow[at];
        if (old >> 32 == minute)
            continue;
        if (old >> 32 > minute && overtaken(minute))
            return NULL;
        /* Entries of this minute are never given back: behind one of another minute there is nothing. */
        if (__atomic_compare_exchange_n(&m->who[at], &old, word_of(minute, 0), false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE)) {
            clear(&m->flow[at]);
            label(m, at, who, f);
            return &m->flow[at];
        }
        if (old == who)
            return &m->flow[at];
    }
    return NULL;
}

/* Where this process found its flows lately: key << 32 | which minute of which file << 8 | place + 1, or IN_REST.
 * Private; any thread may store a word, each of them true. A place is believed if it still is the flow's. That a flow
 * has none is believed until the minute is over, or until it is admitted here. */
enum { LATELY = 512, IN_REST = 255 };
static uint64_t lately[LATELY];

static uint64_t note_of(const struct history_minute *m, uint32_t minute, const struct history_flow *f, unsigned place) {
    return (uint64_t)f->key << 32 | ((minute ^ (uintptr_t)m / sizeof *m) & 0xffffff) << 8 | place;
}

static void note(const struct history_minute *m, uint32_t minute, const struct history_flow *f, unsigned place) {
    __atomic_store_n(&lately[f->key % LATELY], note_of(m, minute, f, place), __ATOMIC_RELAXED);
}

/* Apart, so that the usual way saves no registers. */
__attribute__((noinline)) static struct history_entry *find_anew(struct history_minute *m, uint32_t minute,
                                                                 const struct history_flow *f) {
    struct history_entry *e = search(m, minute, f);
    note(m, minute, f, e ? (unsigned)(e - m->flow) + 1 : IN_REST);
    return e;
}

static inline struct history_entry *find(struct history_minute *m, uint32_t minute, const struct history_flow *f) {
    uint64_t seen = __atomic_load_n(&lately[f->key % LATELY], __ATOMIC_RELAXED) ^ note_of(m, minute, f, 0);
    if (seen - 1 < HISTORY_FLOWS && __atomic_load_n(&m->who[seen - 1], __ATOMIC_ACQUIRE) == word_of(minute, f->key))
        return &m->flow[seen - 1];
    return seen == IN_REST ? NULL : find_anew(m, minute, f);
}

static uint64_t activity(const struct history_entry *e) {
    uint64_t n = __atomic_load_n(&e->connects, __ATOMIC_RELAXED) >> TIME_BITS;
    for (unsigned i = 0; i < HISTORY_COUNTERS; i++)
        n += __atomic_load_n(&e->count[i], __ATOMIC_RELAXED);
    return n;
}

/* A flow of the rest whose turn it is takes the place of the one that did least, if that is next to nothing, unless
 * another process has found it one meanwhile. A process that adds to that one at this very moment adds to the wrong
 * flow, once. */
static void admit(struct history_minute *m, uint32_t minute, const struct history_flow *f) {
    unsigned least = 0;
    uint64_t fewest = UINT64_MAX;
    for (unsigned i = 0; i < PROBES; i++) {
        if (__atomic_load_n(&m->who[place_of(f, i)], __ATOMIC_ACQUIRE) == word_of(minute, f->key)) {
            note(m, minute, f, place_of(f, i) + 1);
            return;
        }
        uint64_t n = activity(&m->flow[place_of(f, i)]);
        if (n < fewest) {
            fewest = n;
            least = place_of(f, i);
        }
    }
    uint64_t old = __atomic_load_n(&m->who[least], __ATOMIC_RELAXED);
    if (fewest >= LITTLE || old >> 32 != minute || (uint32_t)old == 0)
        return;
    if (!__atomic_compare_exchange_n(&m->who[least], &old, word_of(minute, 0), false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_RELAXED))
        return;
    retire(m, minute, &m->flow[least]);
    label(m, least, word_of(minute, f->key), f);
    note(m, minute, f, least + 1);
}

bool history_connect(const struct state *s, const struct history_flow *f, uint32_t minute, uint64_t elapsed_ns) {
    struct history_minute *m = page_of(s, minute);
    struct history_entry *e = find(m, minute, f);
    uint64_t us = (elapsed_ns < MINUTE_NS ? elapsed_ns : MINUTE_NS) / 1000;
    if (e) {
        uint64_t before = __atomic_fetch_add(&e->connects, ((uint64_t)1 << TIME_BITS) + us, __ATOMIC_RELAXED);
        return (before >> TIME_BITS) % SAMPLE == 0;
    }
    (void)rest_add(m, minute, REST_CONNECT_US, us);
    if (rest_add(m, minute, REST_CONNECTS, 1) % ADMIT == ADMIT - 1)
        admit(m, minute, f);
    return false;
}

void history_count(const struct state *s, const struct history_flow *f, uint32_t minute, enum history_counter counter) {
    struct history_minute *m = page_of(s, minute);
    struct history_entry *e = find(m, minute, f);
    if ((unsigned)counter >= HISTORY_COUNTERS)
        return;
    if (e)
        (void)__atomic_fetch_add(&e->count[counter], 1, __ATOMIC_RELAXED);
    else if (rest_add(m, minute, REST_COUNTER + counter, 1) % ADMIT == ADMIT - 1)
        admit(m, minute, f);
}

void history_peak(const struct state *s, const struct history_flow *f, uint32_t minute, uint32_t taken) {
    struct history_entry *e = find(page_of(s, minute), minute, f);
    uint32_t old = e ? __atomic_load_n(&e->peak, __ATOMIC_RELAXED) : UINT32_MAX;
    /* Bounded: one that loses it four times to higher ones has lost little. */
    for (int tries = 0; tries < 4 && old < taken; tries++)
        if (__atomic_compare_exchange_n(&e->peak, &old, taken, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return;
}

/* Counted in a pair means: its connect was seen, and where from it was. */
void history_left(const struct state *s, const struct open_chunk *chunk, const struct open_entry *h, bool time_wait,
                  uint32_t minute) {
    static const struct addr any;
    const struct endpoint destination = {.addr = h->peer, .port = h->peer_port};
    char name[HISTORY_PROGRAM + 1] = {0};
    memcpy(name, chunk->program, strnlen(chunk->program, HISTORY_PROGRAM));
    struct history_flow f = {
        .netns = chunk->netns,
        .source = h->counted == OPEN_COUNTED_ANY ? &any : &h->local,
        .destination = &destination,
        .program = name,
    };
    f.key = history_key(pair_key(f.netns, f.source, &destination), history_program(name));
    if (h->counted != OPEN_UNCOUNTED)
        history_count(s, &f, minute, time_wait ? HISTORY_TIME_WAITS : HISTORY_CLOSES);
}

static bool same_program(const struct history_entry *e, const struct history_flow *f) {
    return e->netns == f->netns && e->port == f->destination->port &&
           addr_compare(&e->destination, &f->destination->addr) == 0 &&
           strncmp(e->program, f->program, sizeof e->program) == 0;
}

/* A hint for people: entries that are being made meanwhile may count wrongly. */
void history_recent(const struct state *s, const struct history_flow *f, uint32_t minute, struct history_counts *out) {
    memset(out, 0, sizeof *out);
    for (uint32_t back = 0; back < 2; back++) {
        const struct history_minute *m = page_of(s, minute - back);
        for (unsigned i = 0; i < HISTORY_FLOWS; i++) {
            const struct history_entry *e = &m->flow[i];
            if (__atomic_load_n(&m->who[i], __ATOMIC_ACQUIRE) >> 32 != minute - back || !same_program(e, f))
                continue;
            out->connects += __atomic_load_n(&e->connects, __ATOMIC_RELAXED) >> TIME_BITS;
            for (unsigned c = 0; c < HISTORY_COUNTERS; c++)
                out->count[c] += __atomic_load_n(&e->count[c], __ATOMIC_RELAXED);
        }
    }
}
