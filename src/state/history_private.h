/* history_private.h - how several numbers share a word of the history; for its writer and its reader. */
#ifndef CONNSPREAD_STATE_HISTORY_PRIVATE_H
#define CONNSPREAD_STATE_HISTORY_PRIVATE_H

#include "state/layout.h"

enum {
    TIME_BITS = 38, /* of history_entry.connects: us; above them the number of connects */
    COUNT_BITS = 40 /* of a word of the rest; above them the low bits of the minute it counts for */
};
#define TIME_MASK  (((uint64_t)1 << TIME_BITS) - 1)
#define COUNT_MASK (((uint64_t)1 << COUNT_BITS) - 1)

/* Words of the rest. */
enum { REST_CONNECTS, REST_CONNECT_US, REST_COUNTER };
_Static_assert(REST_COUNTER + HISTORY_COUNTERS <= HISTORY_REST, "the rest has room");

#endif
