#include "state/once.h"

#include "state/pair.h"

/* A time is kept as 32 bits of milliseconds: right for ends less than 24 days apart. */
static uint32_t ms_of(uint64_t ns) {
    return (uint32_t)(ns / 1000000);
}

/* Whoever asks has read the clock before he comes here, and may have been kept waiting in between. */
enum { LATE_MS = 2000 };

/* Told at or after since, and not in the future, where only a scribble or another boot can have put it. */
static bool is_told(uint64_t word, uint32_t tag, uint32_t since, uint32_t now) {
    uint32_t told = (uint32_t)word;
    return word >> 32 == tag && (int32_t)(told - since) >= 0 && (int32_t)(now + LATE_MS - told) >= 0;
}

struct spot {
    uint64_t *word;
    uint32_t tag; /* never 0, which is a word that was never written */
};

static struct spot spot_of(const struct state *s, uint64_t pair, uint16_t local_port) {
    uint64_t key = (pair ^ local_port) * 0xff51afd7ed558ccdu;
    return (struct spot){&s->told[(uint32_t)key % TOLD], (uint32_t)(key >> 32) | 1};
}

static bool first_since(struct spot at, uint64_t since, uint64_t now) {
    uint64_t old = __atomic_load_n(at.word, __ATOMIC_RELAXED);
    for (int tries = 0; tries < 16; tries++) {
        if (is_told(old, at.tag, ms_of(since), ms_of(now)))
            return false;
        uint64_t fresh = (uint64_t)at.tag << 32 | ms_of(now);
        if (__atomic_compare_exchange_n(at.word, &old, fresh, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return true;
    }
    return true;
}

bool once_first(const struct state *s, uint64_t netns, const struct addr *local, uint16_t local_port,
                const struct endpoint *peer, uint64_t since, uint64_t now) {
    return first_since(spot_of(s, pair_key(netns, local, peer), local_port), since, now);
}

/* Not the word of the quadruplet's end. */
static struct spot claim_of(const struct state *s, uint64_t pair, uint16_t local_port) {
    return spot_of(s, ~pair, local_port);
}

bool once_claim(const struct state *s, uint64_t pair, uint16_t local_port, uint64_t now) {
    return first_since(claim_of(s, pair, local_port), now - CLAIM_NS, now);
}

void once_release(const struct state *s, uint64_t pair, uint16_t local_port) {
    struct spot at = claim_of(s, pair, local_port);
    uint64_t old = __atomic_load_n(at.word, __ATOMIC_RELAXED);
    if (old >> 32 == at.tag)
        (void)__atomic_compare_exchange_n(at.word, &old, 0, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}
