/* pair_table.h - where pairs (pair.h) lie: a hash table that grows.
 *
 * A key has PAIR_WAYS places in the table that every file has, two cache lines of keys, and as many in each further
 * level: of 1, 2, 4 ... 128 segments (segment.h), of which the key says one. It goes to the next level when all of its
 * places are taken by pairs that are in use; that segment is made when it is needed. Keys are replaced, never freed:
 * behind a free place, or a segment that is not there, there is nothing. A pair that nothing was heard of for two
 * minutes and that has no open connection gives its place to the next that needs one: in the first level at once, in
 * the others when the last has no free place left.
 *
 * Places are taken by compare-and-swap on their key. Two processes that take places for one key at the same moment, of
 * which one sees a place idle that the other does not yet, make two entries: one of them is found from then on, and the
 * other falls idle. All async-signal-safe and lock-free. */
#ifndef CONNSPREAD_STATE_PAIR_TABLE_H
#define CONNSPREAD_STATE_PAIR_TABLE_H

#include "state/state.h"

/* In a key: it has its places in a quarter of the first table, and nothing grows for it. */
#define PAIR_CONFINED ((uint64_t)1 << 63)

/* The key under which a pair that no rule is about is kept: so that a client with very many destinations leaves room
 * for those that rules are about. */
static inline uint64_t pair_key_unruled(uint64_t key) {
    return key | PAIR_CONFINED;
}

/* The key of something else that is kept about the same three. Not confined. */
static inline uint64_t pair_key_other(uint64_t key) {
    return key ^ (PAIR_CONFINED - 1);
}

/* The entry with this key; when there is none and create is set, a new one. NULL: none, or no room (counted). Times:
 * CLOCK_MONOTONIC, ns. */
struct pair *pair_find(const struct state *s, uint64_t key, bool create, uint64_t now);

#endif
