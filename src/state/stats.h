/* stats.h - per arm, rule and source: what connects came to, how long they took, how connections ended.
 *
 * A hash table in the state file, entries claimed by compare-and-swap and never given back: rules and sources are few.
 * Threads of different lanes have entries of their own, so that these do not move between processors at each
 * connection. Of a pool with more than STATS_SOURCES addresses each prefix has one. When the table is full the entry of
 * the arm and rule with source :: takes the rest, so sums stay right.
 * Async-signal-safe, lock-free. */
#ifndef CONNSPREAD_STATE_STATS_H
#define CONNSPREAD_STATE_STATS_H

#include "state/event.h"
#include "state/state.h"

enum { STATS_SOURCES = 256 };

/* Never 0. */
uint64_t stats_key(unsigned arm, uint16_t rule_id, unsigned lane, const struct addr *source, unsigned prefix);

/* The same for one of a pool of so many addresses: that of its prefix, if they are more than STATS_SOURCES. Once that
 * is there, stats_find gives it as well, for addresses that have none of their own. */
struct stat_entry *stats_find_of_many(const struct state *s, enum arm arm, uint16_t rule_id, const struct addr *source,
                                      uint32_t addresses);

/* This thread's. NULL only when the table is full of others. */
struct stat_entry *stats_find(const struct state *s, enum arm arm, uint16_t rule_id, const struct addr *source);

/* An entry's number, above 0, and back; NULL for numbers that are none. */
unsigned stats_number(const struct state *s, const struct stat_entry *e);
struct stat_entry *stats_of_number(const struct state *s, unsigned number);

void stats_add(struct stat_entry *e, unsigned counter);

struct stat_connect {
    int error;      /* errno; 0: done */
    bool spread;    /* left through a source or port range of ours */
    bool recovered; /* EADDRNOTAVAIL had been met, and the call recovered */
    bool fallback;  /* the client's own call, after every source had failed */
    uint64_t elapsed_ns;
};

/* One connect, or one close, of the arm. Without an entry it is in the arm's counters alone; readers add the two
 * (stat_take). */
void stats_connect(const struct state *s, struct stat_entry *e, enum arm arm, const struct stat_connect *c);
void stats_close(const struct state *s, struct stat_entry *e, enum arm arm, enum fate fate);
enum counter counter_of_fate(enum fate fate);

/* The errno that a counter counts connects of; 0: it counts something else, or several. */
int stats_errno(unsigned counter);

/* A connect's errno alone: also of one that was counted as going on when its call returned, and has failed since. */
void stats_outcome(struct stat_entry *e, int error);

/* The histogram's bucket for a duration: the least i with us < 2^i, at most STAT_BUCKETS - 1. */
unsigned stats_bucket(uint64_t ns);

#endif
