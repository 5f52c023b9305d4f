/* match_cache.h - what the policy says of the destinations that were asked about lately.
 *
 * A process connects to few destinations, and each answer holds until the policy's generation changes. So the answers
 * are kept in private memory: a connect then costs the same under one rule and under sixty. Lock-free and
 * async-signal-safe: an entry is versioned; a thread that finds it being written asks the policy itself. */
#ifndef CONNSPREAD_CLIENT_MATCH_CACHE_H
#define CONNSPREAD_CLIENT_MATCH_CACHE_H

#include "policy/policy.h"

struct client;

/* state_match() for the client's names. All clients of a process have the same state file. */
bool match_cache_find(const struct client *client, const struct endpoint *destination, struct match *out);

#endif
