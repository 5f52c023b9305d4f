#include "state/pair_table.h"

#include <stddef.h>

#include "state/control.h"
#include "state/segment.h"

#define IDLE_NS ((uint64_t)120 * 1000000000u) /* after which an entry may go to another pair */

/* The places of a key in one level. */
struct places {
    uint64_t *key;     /* [PAIR_WAYS] */
    struct pair *pair; /* the same */
};

static uint64_t load(const uint64_t *word) {
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

/* It was not used for a while and nothing it counts is still there. */
static bool idle(const struct pair *p, uint64_t now) {
    uint64_t used = load(&p->last_used);
    /* A time too far ahead was never written by us, or before the last boot. */
    bool unused = used < now ? now - used > IDLE_NS : used - now > IDLE_NS;
    return unused && __atomic_load_n(&p->open, __ATOMIC_RELAXED) <= 0;
}

/* Word by word, as others may be reading; last_used is the new owner's already. Others may have found the key, too, and
 * have opened connections: of open goes only what the old one left, which is none, or less by a mistake. */
static void reset(struct pair *p) {
    uint64_t *word = (uint64_t *)(void *)p;
    int32_t left = __atomic_load_n(&p->open, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < sizeof *p / sizeof *word; i++)
        if (i != offsetof(struct pair, open) / sizeof *word && i != offsetof(struct pair, last_used) / sizeof *word)
            __atomic_store_n(&word[i], 0, __ATOMIC_RELAXED);
    __atomic_store_n(&p->hold_count, 0, __ATOMIC_RELAXED);
    if (left < 0)
        (void)__atomic_fetch_sub(&p->open, left, __ATOMIC_RELAXED);
}

/* Number of the first of a key's places in the first table. */
static unsigned first_place(uint64_t key) {
    unsigned tables = PAIRS / PAIR_WAYS;
    return (unsigned)(key & ((key & PAIR_CONFINED ? tables / 4 : tables) - 1)) * PAIR_WAYS;
}

static struct places first_places(const struct state *s, uint64_t key) {
    unsigned at = first_place(key);
    return (struct places){&s->pairs->key[at], &s->pairs->pair[at]};
}

/* The i-th of them that is looked at: not all keys begin with the same. */
static unsigned way(uint64_t key, unsigned i) {
    return (unsigned)(key >> 8 & (PAIR_WAYS - 1)) ^ i;
}

/* Which of the segments of pairs: other bits of the key than say where in it. */
static unsigned slot_of(uint64_t key, unsigned level) {
    unsigned segments = 1u << (level - 1);
    return segments - 1 + (unsigned)(key >> 16 & (segments - 1));
}

/* False: that segment is not there, or cannot be mapped. */
static bool places_in(const struct state *s, uint64_t key, unsigned level, struct places *out) {
    unsigned number = __atomic_load_n(&s->header->of_pairs[slot_of(key, level)], __ATOMIC_ACQUIRE);
    struct pair_block *block = number ? segment_find(s->segments, number - 1, SEGMENT_PAIRS) : NULL;
    unsigned at = (unsigned)((key >> 24 & 0xffffffff) % (PAIR_BLOCK / PAIR_WAYS)) * PAIR_WAYS;
    if (block)
        *out = (struct places){&block->key[at], &block->pair[at]};
    return block != NULL;
}

/* One that a process took and was killed over, or has just taken: two slots that share a segment do no harm. */
static int unused_segment(const struct state *s) {
    bool used[256] = {false};
    unsigned end = segments_of(s->segments, SEGMENT_PAIRS);
    for (unsigned i = 0; i < PAIR_SEGMENTS; i++)
        used[__atomic_load_n(&s->header->of_pairs[i], __ATOMIC_RELAXED)] = true;
    for (unsigned i = 0; i < end; i++)
        if (!used[i + 1] && segment_find(s->segments, i, SEGMENT_PAIRS))
            return (int)i;
    return -1;
}

static bool has_slot(const struct state *s, int n) {
    bool found = false;
    for (unsigned i = 0; i < PAIR_SEGMENTS; i++)
        found |= __atomic_load_n(&s->header->of_pairs[i], __ATOMIC_ACQUIRE) == n + 1;
    return found;
}

/* Makes the segment of this level. Of many threads that come at once one makes it, and the others find it here: what
 * another has just taken is this slot's, or is looked past if it is another slot's. */
__attribute__((noinline)) static bool grow(const struct state *s, uint64_t key, unsigned level, struct places *out) {
    enum { TRIES = 8 };
    uint8_t *slot = &s->header->of_pairs[slot_of(key, level)];
    if (!segments_may_grow(s->segments))
        return false;
    unsigned known = segments_of(s->segments, SEGMENT_PAIRS);
    for (unsigned i = 0; i < TRIES && __atomic_load_n(slot, __ATOMIC_ACQUIRE) == 0; i++) {
        uint8_t none = 0;
        int n = unused_segment(s);
        if (n < 0)
            n = segment_grow(s->segments, SEGMENT_PAIRS, known);
        if (n < 0)
            return false;
        known = (unsigned)n + 1;
        if (!has_slot(s, n))
            (void)__atomic_compare_exchange_n(slot, &none, (uint8_t)(n + 1), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    }
    return places_in(s, key, level, out);
}

/* What a search found: the entry, or a place that it may have. */
struct found {
    struct pair *pair;
    uint64_t *spare_key, spare_had; /* NULL: none */
    struct pair *spare;
};

/* Keys alone: the pairs themselves lie elsewhere. */
static void look(const struct places *places, uint64_t key, struct found *f) {
    for (unsigned i = 0; i < PAIR_WAYS; i++) {
        unsigned at = way(key, i);
        uint64_t k = load(&places->key[at]);
        if (k == key)
            f->pair = &places->pair[at];
        if (k == key || k == 0)
            return;
    }
}

/* idle_too: one of a pair that nothing was heard of will do; that has to be fetched for each of them. */
static bool look_for_spare(const struct places *places, uint64_t key, uint64_t now, bool idle_too, struct found *f) {
    for (unsigned i = 0; i < PAIR_WAYS; i++) {
        unsigned at = way(key, i);
        uint64_t k = load(&places->key[at]);
        if (k != 0 && !(idle_too && idle(&places->pair[at], now)))
            continue;
        f->spare_key = &places->key[at];
        f->spare_had = k;
        f->spare = &places->pair[at];
        return true;
    }
    return false;
}

/* The last level that has a segment for this key: most pairs of a large table lie there. */
static unsigned deepest(const struct state *s, uint64_t key) {
    unsigned level = 0;
    while (!(key & PAIR_CONFINED) && level + 1 < PAIR_LEVELS &&
           __atomic_load_n(&s->header->of_pairs[slot_of(key, level + 1)], __ATOMIC_RELAXED) != 0)
        level++;
    return level;
}

/* In the first level, which is the quickest to search; else a free one of the last, where those of a growing table are;
 * else in the first that has an idle one, or in a new segment. */
static bool find_spare(const struct state *s, uint64_t key, uint64_t now, struct found *f) {
    struct places places = first_places(s, key);
    unsigned last = deepest(s, key);
    if (look_for_spare(&places, key, now, true, f) ||
        (last > 1 && places_in(s, key, last, &places) && look_for_spare(&places, key, now, false, f)))
        return true;
    for (unsigned level = 1; !(key & PAIR_CONFINED) && level < PAIR_LEVELS; level++) {
        if (!places_in(s, key, level, &places) && !grow(s, key, level, &places))
            return false;
        if (look_for_spare(&places, key, now, true, f))
            return true;
    }
    return false;
}

/* A place that another process takes in the same moment is none; the next one hardly ever is. */
__attribute__((noinline)) static struct pair *create_pair(const struct state *s, uint64_t key, uint64_t now) {
    enum { TRIES = 4 };
    for (unsigned i = 0; i < TRIES; i++) {
        struct found f = {0};
        if (!find_spare(s, key, now, &f)) {
            state_count(s, ARM_ENFORCE, COUNT_PAIRS_FULL);
            return NULL;
        }
        /* last_used first, so that no other process takes the entry for idle once it has our key. */
        __atomic_store_n(&f.spare->last_used, now, __ATOMIC_RELAXED);
        uint64_t had = f.spare_had;
        if (__atomic_compare_exchange_n(f.spare_key, &had, key, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
            if (had != 0)
                reset(f.spare);
            return f.spare;
        }
        if (had == key)
            return f.spare;
    }
    return NULL;
}

/* Nearly all pairs of a large table are in the last three levels. Each of the key's places there, and the pair that it
 * may be, is in a page of its own, which has to be found as well: all at once takes little longer than one. */
static void fetch(const struct state *s, uint64_t key, unsigned last) {
    enum { FETCHED = 3 };
    struct places places;
    for (unsigned level = last; level > 0 && level + FETCHED > last; level--)
        if (places_in(s, key, level, &places)) {
            __builtin_prefetch(&places.key[way(key, 0)]);
            __builtin_prefetch(&places.pair[way(key, 0)]);
        }
}

/* All that is not where it nearly always is. */
__attribute__((noinline)) static struct pair *find_further(const struct state *s, uint64_t key, bool create,
                                                           uint64_t now) {
    struct places places;
    struct found f = {0};
    unsigned last = deepest(s, key);
    fetch(s, key, last);
    for (unsigned level = last; level > 0 && !f.pair; level--)
        if (places_in(s, key, level, &places))
            look(&places, key, &f);
    places = first_places(s, key);
    if (!f.pair)
        look(&places, key, &f);
    if (f.pair && create)
        __atomic_store_n(&f.pair->last_used, now, __ATOMIC_RELAXED);
    return f.pair || !create ? f.pair : create_pair(s, key, now);
}

struct pair *pair_find(const struct state *s, uint64_t key, bool create, uint64_t now) {
    unsigned at = first_place(key) + way(key, 0);
    if (load(&s->pairs->key[at]) != key)
        return find_further(s, key, create, now);
    if (create)
        __atomic_store_n(&s->pairs->pair[at].last_used, now, __ATOMIC_RELAXED);
    return &s->pairs->pair[at];
}
