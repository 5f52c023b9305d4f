/* arm.h - canary or control: a process's or connection's place, 0..99, against the override. Async-signal-safe. */
#ifndef CONNSPREAD_CLIENT_ARM_H
#define CONNSPREAD_CLIENT_ARM_H

#include "policy/policy.h"
#include "state/layout.h"
#include "state/state.h"

struct client;

struct settings;

/* The n-th value of a sequence in which any hundred neighbours are 0..99, each once, evenly strewn: what is below 20 is
 * below 40 too, so dialling up moves none out. Pure. */
unsigned arm_place(uint64_t n);

/* Pure. off has no arm of its own: nothing is done and nothing is said. */
enum arm arm_of(enum policy_mode mode, unsigned canary, unsigned place);

/* That of the connection that is about to be made. now: client_settings(). */
enum arm arm_now(struct client *client, const struct settings *now);

/* May a connection that is not made yet come to be spread? For bind, which draws no place by connection. */
bool arm_may_enforce(struct client *client, const struct settings *now);

/* The process's arm, for events that belong to no connection of their own. */
enum arm arm_of_process(struct client *client);

/* A fork child draws a place of its own. */
void arm_forget(void);

#endif
