/* mix.h - hashes of keys that are made of words. */
#ifndef CONNSPREAD_TOOL_COMMON_MIX_H
#define CONNSPREAD_TOOL_COMMON_MIX_H

#include <stdint.h>

/* One word more. What differs between IPv4 addresses lies in the uppermost bits of their second word, and these reach
 * the lowest ones, which say where in a table, in two rounds and no fewer: the last word needs a round behind it. */
static inline uint64_t mix(uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

#endif
