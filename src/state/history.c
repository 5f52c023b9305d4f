#include "state/history.h"

#include <stddef.h>
#include <string.h>

#include "state/history_pages.h"
#include "state/pair.h"
#include "state/segment.h"
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

/* The entry of a flow in a page of a minute, made if need be; NULL: no room in so many places. Words in a row, of which
 * the first is nearly always the right one. */
static struct history_entry *search(struct history_minute *m, uint32_t minute, const struct history_flow *f,
                                    unsigned places) {
    uint64_t who = word_of(minute, f->key);
    for (unsigned i = 0; i < places; i++) {
        unsigned at = place_of(f, i);
        uint64_t old = __atomic_load_n(&m->who[at], __ATOMIC_ACQUIRE);
        if (old == who)
            return &m->flow[at];
        if (old >> 32 == minute)
            continue;
        if (old >> 32 > minute && history_overtaken(minute))
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

/* Which minute of which file: 20 bits. */
static uint32_t which_minute(const struct state *s, uint32_t minute) {
    return (minute ^ (uint32_t)((uintptr_t)s->history / sizeof *s->history)) & 0xfffff;
}

/* The turns of a flow's path down the further pages, from the highest bit on. */
static uint32_t turns_of(const struct history_flow *f) {
    return f->key * 0x9e3779b1u;
}

/* Paths that are full to their ends: until the minute is over nothing in them changes, so what this process has not
 * seen there is not there, and of very many flows most need not look for it in eight pages. full: which_minute, plus 1,
 * by path. in_full: bits of which_minute << MARKS | a mark for each flow that is on a full path; some others share one.
 * Private; any thread may store a word. One that still counts in the minute before takes marks away: what these flows
 * do then goes to the rest. */
enum { PATH_BITS = HISTORY_DEPTH - 1, IN_FULL_BITS = 10, MARKS = 48 };
static uint32_t full[1 << PATH_BITS];
static uint64_t in_full[1 << IN_FULL_BITS];

static uint64_t *in_full_of(uint32_t key, uint64_t *mark) {
    *mark = (uint64_t)1 << ((key & 0xffff) * MARKS >> 16);
    return &in_full[key >> (32 - IN_FULL_BITS)];
}

static void mark_in_full(uint32_t which, uint32_t key) {
    uint64_t mark, *word = in_full_of(key, &mark), old = __atomic_load_n(word, __ATOMIC_RELAXED);
    uint64_t tag = (uint64_t)which << MARKS, fresh;
    do
        fresh = (old ^ tag) >> MARKS ? tag | mark : old | mark;
    while (fresh != old && !__atomic_compare_exchange_n(word, &old, fresh, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}

/* The path of a flow that found no room on it. An entry that is being made has no key yet: another time, then. */
__attribute__((noinline)) static void note_full(const struct state *s, uint32_t minute, const struct history_flow *f) {
    uint64_t *word = &history_page(s, minute)->further;
    uint32_t which = which_minute(s, minute), turns = turns_of(f);
    for (unsigned depth = 0, page; depth < HISTORY_DEPTH; depth++, turns <<= 1) {
        struct history_minute *m = history_below(s, word, minute, false, &page);
        for (unsigned i = 0; i < HISTORY_FLOWS; i++) {
            uint64_t who = m ? __atomic_load_n(&m->who[i], __ATOMIC_ACQUIRE) : 0;
            if (who >> 32 != minute || (uint32_t)who == 0)
                return;
            mark_in_full(which, (uint32_t)who);
        }
        word = &m->rest[turns >> 31];
    }
    __atomic_store_n(&full[turns_of(f) >> (32 - PATH_BITS)], which + 1, __ATOMIC_RELEASE);
}

/* It has no entry in the further pages, and gets none. */
static bool is_shut_out(const struct state *s, uint32_t minute, const struct history_flow *f) {
    uint32_t which = which_minute(s, minute);
    uint64_t mark, *word = in_full_of(f->key, &mark), marks;
    if (__atomic_load_n(&full[turns_of(f) >> (32 - PATH_BITS)], __ATOMIC_ACQUIRE) != which + 1)
        return false;
    marks = __atomic_load_n(word, __ATOMIC_RELAXED);
    return (marks ^ (uint64_t)which << MARKS) >> MARKS != 0 || !(marks & mark);
}

/* The same in the further pages; *page: the number of the one that it is in, plus 1. */
static struct history_entry *search_further(const struct state *s, uint32_t minute, const struct history_flow *f,
                                            unsigned *page) {
    uint64_t *word = &history_page(s, minute)->further;
    uint32_t turns = turns_of(f);
    if (is_shut_out(s, minute, f))
        return NULL;
    for (unsigned depth = 0; depth < HISTORY_DEPTH; depth++, turns <<= 1) {
        struct history_minute *m = history_below(s, word, minute, true, page);
        struct history_entry *e = m ? search(m, minute, f, HISTORY_FLOWS) : NULL;
        ++*page;
        if (e || !m)
            return e;
        word = &m->rest[turns >> 31];
    }
    note_full(s, minute, f);
    return NULL;
}

/* Where this process found its flows lately: key (its lower bits say where the word lies) | which minute of which file
 * | page, 0: the minute's own | place + 1; or IN_REST. Private; any thread may store a word, each of them true. A place
 * is believed if it still is the flow's. That a flow has none is believed until the minute is over, or until it is
 * admitted here. */
enum { LATELY = 8192, PLACE_BITS = 5, NOTE_BITS = 21, IN_REST = (1 << NOTE_BITS) - 1 };
static uint64_t lately[LATELY];
_Static_assert(HISTORY_FURTHER < IN_REST >> PLACE_BITS && HISTORY_FLOWS < 1 << PLACE_BITS, "a place can be noted");

static uint64_t note_of(const struct state *s, uint32_t minute, const struct history_flow *f) {
    return (uint64_t)(f->key & ~(LATELY - 1u)) << 32 | (uint64_t)which_minute(s, minute) << NOTE_BITS;
}

static void note(const struct state *s, uint32_t minute, const struct history_flow *f, unsigned where) {
    __atomic_store_n(&lately[f->key % LATELY], note_of(s, minute, f) | where, __ATOMIC_RELAXED);
}

/* What is noted of a flow in this minute: below 1 << NOTE_BITS. */
static inline uint64_t noted(const struct state *s, uint32_t minute, const struct history_flow *f) {
    return __atomic_load_n(&lately[f->key % LATELY], __ATOMIC_RELAXED) ^ note_of(s, minute, f);
}

/* In a further page that is noted; NULL: it is not there. */
static struct history_entry *find_noted(const struct state *s, uint32_t minute, const struct history_flow *f) {
    uint64_t seen = noted(s, minute, f);
    unsigned place = seen & ((1 << PLACE_BITS) - 1);
    bool further = seen < IN_REST && seen >> PLACE_BITS != 0 && place != 0;
    struct history_minute *m = further ? history_further(s, (unsigned)(seen >> PLACE_BITS) - 1) : NULL;
    bool same = m && __atomic_load_n(&m->who[place - 1], __ATOMIC_ACQUIRE) == word_of(minute, f->key);
    return same ? &m->flow[place - 1] : NULL;
}

/* Apart, so that the usual way saves no registers. NULL: it is in the rest, or its page cannot be had. */
__attribute__((noinline)) static struct history_entry *find_anew(const struct state *s, uint32_t minute,
                                                                 const struct history_flow *f) {
    struct history_minute *m = history_page(s, minute);
    struct history_entry *e = find_noted(s, minute, f);
    unsigned page = 0;
    if (e || !block_have(s->header, m))
        return e;
    e = search(m, minute, f, PROBES);
    if (!e) {
        e = search_further(s, minute, f, &page);
        m = e ? history_further(s, page - 1) : NULL;
    }
    note(s, minute, f, m ? page << PLACE_BITS | ((unsigned)(e - m->flow) + 1) : (unsigned)IN_REST);
    return e;
}

/* A page in which it has a place is there. */
static inline struct history_entry *find(const struct state *s, struct history_minute *m, uint32_t minute,
                                         const struct history_flow *f) {
    uint64_t seen = noted(s, minute, f);
    if (seen - 1 < HISTORY_FLOWS && __atomic_load_n(&m->who[seen - 1], __ATOMIC_ACQUIRE) == word_of(minute, f->key))
        return &m->flow[seen - 1];
    return seen == IN_REST ? NULL : find_anew(s, minute, f);
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
static void admit(const struct state *s, uint32_t minute, const struct history_flow *f) {
    struct history_minute *m = history_page(s, minute);
    unsigned least = 0;
    uint64_t fewest = UINT64_MAX;
    for (unsigned i = 0; i < PROBES; i++) {
        if (__atomic_load_n(&m->who[place_of(f, i)], __ATOMIC_ACQUIRE) == word_of(minute, f->key)) {
            note(s, minute, f, place_of(f, i) + 1);
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
    history_retire(m, minute, &m->flow[least]);
    label(m, least, word_of(minute, f->key), f);
    note(s, minute, f, least + 1);
}

bool history_connect(const struct state *s, const struct history_flow *f, uint32_t minute, uint64_t elapsed_ns) {
    struct history_minute *m = history_page(s, minute);
    struct history_entry *e = find(s, m, minute, f);
    uint64_t us = (elapsed_ns < MINUTE_NS ? elapsed_ns : MINUTE_NS) / 1000;
    if (e) {
        uint64_t before = __atomic_fetch_add(&e->connects, ((uint64_t)1 << TIME_BITS) + us, __ATOMIC_RELAXED);
        return (before >> TIME_BITS) % SAMPLE == 0;
    }
    if (!block_have(s->header, m))
        return false;
    (void)history_rest_add(m, minute, REST_CONNECT_US, us);
    if (history_rest_add(m, minute, REST_CONNECTS, 1) % ADMIT == ADMIT - 1)
        admit(s, minute, f);
    return false;
}

void history_count(const struct state *s, const struct history_flow *f, uint32_t minute, enum history_counter counter) {
    struct history_minute *m = history_page(s, minute);
    struct history_entry *e = find(s, m, minute, f);
    if ((unsigned)counter >= HISTORY_COUNTERS)
        return;
    if (e)
        (void)__atomic_fetch_add(&e->count[counter], 1, __ATOMIC_RELAXED);
    else if (block_have(s->header, m) && history_rest_add(m, minute, REST_COUNTER + counter, 1) % ADMIT == ADMIT - 1)
        admit(s, minute, f);
}

void history_peak(const struct state *s, const struct history_flow *f, uint32_t minute, uint32_t taken) {
    struct history_entry *e = find(s, history_page(s, minute), minute, f);
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

static bool same_program(const struct history_entry *shared, const struct history_flow *f) {
    struct history_entry own, *e = &own;
    history_entry_load(e, shared);
    return e->netns == f->netns && e->port == f->destination->port &&
           addr_compare(&e->destination, &f->destination->addr) == 0 &&
           strncmp(e->program, f->program, sizeof e->program) == 0;
}

static void add_recent(const struct history_minute *m, uint32_t minute, const struct history_flow *f,
                       struct history_counts *out) {
    for (unsigned i = 0; i < HISTORY_FLOWS; i++) {
        const struct history_entry *e = &m->flow[i];
        if (__atomic_load_n(&m->who[i], __ATOMIC_ACQUIRE) >> 32 != minute || !same_program(e, f))
            continue;
        out->connects += __atomic_load_n(&e->connects, __ATOMIC_RELAXED) >> TIME_BITS;
        for (unsigned c = 0; c < HISTORY_COUNTERS; c++)
            out->count[c] += __atomic_load_n(&e->count[c], __ATOMIC_RELAXED);
    }
}

/* A hint for people: entries that are being made meanwhile may count wrongly, and of the further pages only the first
 * few are looked at. */
void history_recent(const struct state *s, const struct history_flow *f, uint32_t minute, struct history_counts *out) {
    memset(out, 0, sizeof *out);
    for (uint32_t of = minute; of + 2 > minute; of--) {
        struct history_minute *m = history_page(s, of), *first;
        unsigned n;
        if (!block_there(s->header, m))
            continue;
        add_recent(m, of, f, out);
        first = history_below(s, &m->further, of, false, &n);
        if (first)
            add_recent(first, of, f, out);
        for (unsigned i = 0; first && i < 2; i++)
            if ((m = history_below(s, &first->rest[i], of, false, &n)))
                add_recent(m, of, f, out);
    }
}
