#include "state/dedup.h"

#include "state/pair.h"

/* A time is kept as 32 bits of milliseconds: right for ends less than 24 days apart. */
static uint32_t ms_of(uint64_t ns) {
    return (uint32_t)(ns / 1000000);
}

/* The caller has read the clock before it comes here, and may have been kept waiting in between. */
enum { LATE_MS = 2000 };

/* Told at or after since, and not in the future, where only a scribble or another boot can have put it. */
static bool is_known(uint64_t word, uint32_t tag, uint32_t since, uint32_t now) {
    uint32_t then = (uint32_t)word;
    return word >> 32 == tag && (int32_t)(then - since) >= 0 && (int32_t)(now + LATE_MS - then) >= 0;
}

enum { LINE = 8, HOMES = LINE / 2 };

/* A line of the cache: four homes, and four words of those that had to leave one. */
struct spot {
    uint64_t *home, *left; /* [1], [LINE - HOMES] */
    uint32_t tag;          /* never 0, which is a word that was never written */
};

static struct spot spot_of(const struct state *s, uint64_t pair, uint16_t local_port) {
    uint64_t key = (pair ^ local_port) * 0xff51afd7ed558ccdu;
    uint32_t place = (uint32_t)key % (DEDUP_WORDS / LINE * HOMES);
    uint64_t *line = s->dedup + place / HOMES * LINE;
    return (struct spot){line + place % HOMES, line + HOMES, (uint32_t)(key >> 32) | 1};
}

static uint64_t load(const uint64_t *word) {
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static bool change(uint64_t *word, uint64_t from, uint64_t to) {
    return __atomic_compare_exchange_n(word, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* For how long it is worth keeping, in ms; 0: it says nothing any more. */
static uint32_t rest_of(uint64_t word, uint32_t now) {
    uint32_t age = now - (uint32_t)word, end = (uint32_t)(DEDUP_NS / 1000000);
    bool ahead = (int32_t)age < 0 && (int32_t)age >= -LATE_MS;
    return word == 0 || (age >= end && !ahead) ? 0 : end - age;
}

/* Puts a word that is about to be replaced where those look that do not find it at home. */
static void keep(struct spot at, uint64_t word, uint32_t now) {
    for (int tries = 0; tries < LINE; tries++) {
        uint64_t *least = at.left, seen = load(least);
        for (uint64_t *w = at.left; w < at.left + LINE - HOMES; w++) {
            uint64_t here = load(w);
            if (here == word)
                return;
            if (rest_of(here, now) < rest_of(seen, now)) {
                least = w;
                seen = here;
            }
        }
        if (change(least, seen, word))
            return;
    }
}

static bool any_known(struct spot at, uint32_t since, uint32_t now) {
    for (int i = 0; i < LINE - HOMES; i++)
        if (is_known(load(&at.left[i]), at.tag, since, now))
            return true;
    return false;
}

/* All that ask of one quadruplet meet at its home, so one of them is first. What is there of another is kept before it
 * is replaced, and they look at the home before they look at what was kept: so it is found in the one or in the other.
 */
static bool first_since(struct spot at, uint64_t since_ns, uint64_t now_ns) {
    uint32_t since = ms_of(since_ns), now = ms_of(now_ns);
    for (int tries = 0; tries < 16; tries++) {
        uint64_t old = load(at.home);
        if (is_known(old, at.tag, since, now) || any_known(at, since, now))
            return false;
        if (old >> 32 != at.tag && rest_of(old, now) > 0)
            keep(at, old, now);
        if (change(at.home, old, (uint64_t)at.tag << 32 | now))
            return true;
    }
    return true;
}

bool dedup_first(const struct state *s, uint64_t netns, const struct tuple *tuple, uint64_t since, uint64_t now) {
    uint64_t pair = pair_key(netns, &tuple->local.addr, &tuple->peer);
    return first_since(spot_of(s, pair, tuple->local.port), since, now);
}

/* Not the word of the quadruplet's end. */
static struct spot claim_of(const struct state *s, uint64_t pair, uint16_t local_port) {
    return spot_of(s, ~pair, local_port);
}

bool dedup_claim(const struct state *s, uint64_t pair, uint16_t local_port, uint64_t now) {
    return first_since(claim_of(s, pair, local_port), now - CLAIM_NS, now);
}

static void clear(uint64_t *word, uint32_t tag) {
    uint64_t old = load(word);
    if (old >> 32 == tag)
        (void)change(word, old, 0);
}

void dedup_release(const struct state *s, uint64_t pair, uint16_t local_port) {
    struct spot at = claim_of(s, pair, local_port);
    clear(at.home, at.tag);
    for (int i = 0; i < LINE - HOMES; i++)
        clear(&at.left[i], at.tag);
}
