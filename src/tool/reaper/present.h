/* present.h - which connections the kernel may have a socket of: for so many that to ask about each takes longer than
 * to dump all.
 *
 * One bit for each hash of a quadruplet. A set bit may be another's, so that the kernel is asked after all. What has
 * none is in no dump. */
#ifndef CONNSPREAD_TOOL_REAPER_PRESENT_H
#define CONNSPREAD_TOOL_REAPER_PRESENT_H

#include <stdbool.h>
#include <stdint.h>

#include "net/tuple.h"

enum { PRESENT_BITS = 23 };

struct present {
    uint64_t word[1 << PRESENT_BITS >> 6];
};

/* Adds what a dump has, all but listeners. False: there was none. */
bool present_dump(struct present *p);

bool present_has(const struct present *p, const struct tuple *tuple);

#endif
