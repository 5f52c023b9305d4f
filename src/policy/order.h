/* order.h - which source next: a pure function of the pool's policy and a few numbers. */
#ifndef CONNSPREAD_POLICY_ORDER_H
#define CONNSPREAD_POLICY_ORDER_H

#include <stdint.h>

#include "policy/policy.h"

/* Sources looked at in one connect at the most; a /64 has more than a connect could try. */
enum { ORDER_MAX = 1024 };

/* The index (below total) at which a connect begins; it goes on with the ones after it, round to where it began.
 * turn: the pool's shared counter, drawn for this connect. seed: of the instance. hash: of the destination, or of what
 * else the pool hashes. */
uint32_t order_first(enum pool_policy policy, uint32_t total, uint32_t turn, uint64_t seed, uint64_t hash);

/* Unrelated numbers from neighbouring ones. */
uint64_t order_scatter(uint64_t n);

#endif
