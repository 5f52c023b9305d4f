/* history_pages.h - the pages of the history: how several numbers share a word of one, and where a minute's further
 * ones lie.
 *
 * A minute whose own page is full of flows goes on in pages of segments (segment.h): one, then two below that, four
 * below those, by bits of the flow's key, as they are needed. Such a page says of which minute it is, and so readers
 * find it; writers go down the tree. Pages are taken in turn: each time the one that was taken longest ago, so what a
 * day has left is used again. When that one is of the last day, the history has one more segment, of a quarter of those
 * that the file may have; if it has these, the page is taken all the same, and what it had counted goes to the rest of
 * its minute. Lock-free, async-signal-safe. */
#ifndef CONNSPREAD_STATE_HISTORY_PAGES_H
#define CONNSPREAD_STATE_HISTORY_PAGES_H

#include "state/state.h"

enum {
    TIME_BITS = 38, /* of history_entry.connects: us; above them the number of connects */
    COUNT_BITS = 40 /* of a word of the rest; above them the low bits of the minute it counts for */
};
#define TIME_MASK  (((uint64_t)1 << TIME_BITS) - 1)
#define COUNT_MASK (((uint64_t)1 << COUNT_BITS) - 1)

/* Words of the rest, of a minute's own page. In a further page the first two are the pages below it. */
enum { REST_CONNECTS, REST_CONNECT_US, REST_COUNTER };
_Static_assert(REST_COUNTER + HISTORY_COUNTERS <= HISTORY_REST, "the rest has room");

/* The clock is in another minute: were we stopped for a day, or was it set back? */
bool history_overtaken(uint32_t minute);

/* The minute's own page. */
static inline struct history_minute *history_page(const struct state *s, uint32_t minute) {
    return &s->history[minute % HISTORY_MINUTES];
}

/* Adds n to a word of the rest; returns what it had before. */
uint64_t history_rest_add(struct history_minute *m, uint32_t minute, unsigned at, uint64_t n);

/* A copy of one that writers may be at, by words. */
void history_entry_load(struct history_entry *out, const struct history_entry *shared);

/* What an entry has counted so far in this minute goes to the rest of m, the minute's own page. */
void history_retire(struct history_minute *m, uint32_t minute, struct history_entry *e);

/* Further page number n; NULL: there is none, or it cannot be mapped. */
struct history_minute *history_further(const struct state *s, unsigned n);

/* The further page that word, of another page of this minute, names; *n: its number. If there is none yet and make is
 * set, a page is taken. NULL: none. */
struct history_minute *history_below(const struct state *s, uint64_t *word, uint32_t minute, bool make, unsigned *n);

#endif
