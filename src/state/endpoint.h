/* endpoint.h - what all processes of an instance know of an endpoint that a rule adds to its destinations (also-to):
 * whether it answers.
 *
 * Entries of the pair table (pair.h) under keys of their own, with the same rules: hints, lock-free, async-signal-safe;
 * a NULL entry is "nothing known". Times: CLOCK_MONOTONIC, ns. */
#ifndef CONNSPREAD_STATE_ENDPOINT_H
#define CONNSPREAD_STATE_ENDPOINT_H

#include "state/state.h"

struct pair *endpoint_find(const struct state *s, uint64_t netns, const struct endpoint *endpoint, bool create,
                           uint64_t now);

/* May a connect go there now? False while it is left out, except for one connect each time that hold_down_ms have
 * passed: its answer brings the endpoint back for all, its failure leaves it out for as long again. */
bool endpoint_may_try(struct pair *p, uint64_t now, uint32_t hold_down_ms);

/* A connect failed there: leave it out for hold_down_ms. True when it was not left out before. rule_id: for people. */
bool endpoint_failed(struct pair *p, const struct endpoint *endpoint, uint16_t rule_id, uint64_t now,
                     uint32_t hold_down_ms);

/* A connect that began at began was answered there. */
void endpoint_answered(struct pair *p, uint64_t began);

/* Is it left out? */
bool endpoint_is_out(const struct pair *p);

/* The next of n, in turn over all processes. */
uint32_t endpoint_turn(struct pair *p, uint32_t n);

#endif
