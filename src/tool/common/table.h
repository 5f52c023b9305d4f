/* table.h - counts by key in bounded memory, however many keys there are.
 *
 * Entries lie in sets of eight. Where a set is full, the entry with the least weight makes room for the newcomer, and
 * what it had counted goes into the table's one entry for everything else: sums stay right, and what matters stays. */
#ifndef CONNSPREAD_TOOL_COMMON_TABLE_H
#define CONNSPREAD_TOOL_COMMON_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What every entry begins with; its key follows at once, without padding that is not zero. */
struct report_entry {
    uint64_t hash;   /* 0: free */
    uint64_t weight; /* what it is worth keeping for; its user adds to it */
};

struct report_table {
    char *entries; /* the last one is for everything else; its key is all zero */
    size_t size;   /* of an entry */
    size_t key_size;
    size_t sets; /* a power of two */
    uint64_t evicted;
    void (*fold)(void *everything_else, const void *evicted);
};

/* Room for 8 * sets keys. fold adds what an entry counted to another. False: no memory. */
bool report_table_init(struct report_table *t, size_t size, size_t key_size, size_t sets,
                       void (*fold)(void *everything_else, const void *evicted));
void report_table_free(struct report_table *t);

/* The entry with this key; a new one is zero but for its key. */
void *report_table_get(struct report_table *t, const void *key);

/* The same, or NULL when there is none. */
void *report_table_find(const struct report_table *t, const void *key);

/* The entries in use one after the other, without that for everything else: *at starts at 0. NULL: no more. */
void *report_table_next(const struct report_table *t, size_t *at);

/* Keys whose counts it has are in t->evicted. */
void *report_table_rest(const struct report_table *t);

/* The n entries that come first in the order of compare (of two entries, as for qsort), best first, and equals by
 * their keys. Returns how many there are. */
size_t report_table_top(const struct report_table *t, const void **out, size_t n,
                        int (*compare)(const void *, const void *));

#endif
