/* pool_keys.h - the keys of a pool that say which of its addresses are for whom: exclude-addresses, prefix-step and
 * hash-by. */
#ifndef CONNSPREAD_CONFIG_POOL_KEYS_H
#define CONNSPREAD_CONFIG_POOL_KEYS_H

#include "config/reading.h"

void compile_prefix_step(struct reading *r, const struct entry *e);
void compile_exclude_addresses(struct reading *r, const struct entry *e);
void compile_hash_by(struct reading *r, const struct entry *e);

/* A prefix that is shorter than the pool's step becomes one that goes by /64. */
void source_step(const struct reading *r, const struct entry *e, struct policy_source *source);

/* At the end of a pool: what its keys say together. */
void pool_keys_end(struct reading *r);

#endif
