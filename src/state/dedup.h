/* dedup.h - what only one of several processes shall do: record a TIME-WAIT; connect a quadruplet.
 *
 * When our FIN and the peer's have both been sent, the TIME-WAIT exists and the socket is merely CLOSED: nothing in the
 * kernel says any more how many processes still have a descriptor of it, and each would log the same end. So a process
 * that is about to log one, while others may hold the socket, asks here first.
 *
 * A port that was bound explicitly for one destination is taken only once it is connected; till then the kernel would
 * let another share it, and reuse the TIME-WAIT of the faster one. So a quadruplet is claimed before it is looked
 * at.
 *
 * A table of words: half a hash of (namespace, quadruplet), half the time of telling. Each quadruplet has one home;
 * what another needs that for is kept beside it, the four youngest in a line of the cache. A compare-and-swap or two
 * each; no lock. Only what more than four others have displaced is lost: then one end is recorded twice, or two connect
 * it. Async-signal-safe. */
#ifndef CONNSPREAD_STATE_DEDUP_H
#define CONNSPREAD_STATE_DEDUP_H

#include "net/tuple.h"
#include "state/state.h"

/* No TIME-WAIT lasts longer: 60 s, and its timers fire in bursts. What was recorded before that is another
 * connection's. */
#define DEDUP_NS ((uint64_t)62 * 1000000000u)

/* True: this connection's end is not recorded yet, and from now on it is. since: what
 * was recorded before then was another connection's (a time at which this one had not ended). Times: CLOCK_MONOTONIC,
 * ns.
 */
bool dedup_first(const struct state *s, uint64_t netns, const struct tuple *tuple, uint64_t since, uint64_t now);

/* A claim whose owner was killed, or is still waiting for the peer's SYN, ends by itself. */
#define CLAIM_NS ((uint64_t)1000000000u)

/* True: no other is about to connect this quadruplet, and now the caller is. pair: pair_key of namespace, source and
 * destination. */
bool dedup_claim(const struct state *s, uint64_t pair, uint16_t local_port, uint64_t now);
void dedup_release(const struct state *s, uint64_t pair, uint16_t local_port);

#endif
