/* answers.h - which sources are answered: a source whose SYNs go unanswered while its siblings' are answered is marked
 * down for this destination (state/pair.h).
 *
 * Evidence is what is seen anyway: a connect's result, another connect that asks for it, a close. It adds no system
 * call to a connect that succeeds. Only where a source of ours is bound, and the client has pinned nothing. What an
 * unanswered one costs: a look at the siblings' entries. A connection that is made without waiting (EINPROGRESS) is
 * known to be answered only when the client connects again, or at its close. Async-signal-safe, errno untouched. */
#ifndef CONNSPREAD_CLIENT_ANSWERS_H
#define CONNSPREAD_CLIENT_ANSWERS_H

#include "client/fdtab.h"

struct client;

/* The connect of c (source, peer and rule are filled) that began at began, CLOCK_MONOTONIC ns, has come to error: 0,
 * or its errno. pair: of c's source and peer. */
void answers_note(struct client *client, const struct conn *c, struct pair *pair, int error, uint64_t began);

/* Does the errno come from the network, or from its absence? Others are this host's own. */
bool answers_is_refusal(int error);

#endif
