/* history_update.h - what the history (state/history.h) records of this client's connects and closes.
 *
 * A probe and an addition or two each; async-signal-safe, errno untouched, no system call. Times: CLOCK_MONOTONIC,
 * ns. Nothing is recorded of accepted connections, nor of such as were inherited from a program that was not watched.
 */
#ifndef CONNSPREAD_CLIENT_HISTORY_UPDATE_H
#define CONNSPREAD_CLIENT_HISTORY_UPDATE_H

#include "client/client.h"
#include "client/fdtab.h"
#include "state/event.h"

/* Of whom, where and when. */
struct history_update {
    struct client *client;
    const struct endpoint *destination;
    uint64_t netns, now; /* CLOCK_MONOTONIC, ns */
    uint64_t key;        /* pair_key of the source, if it is known; or 0 */
};

/* A connect, whatever came of it, before c becomes a connection. pair: of c's source and destination, or NULL: the
 * occupancy is then not known. */
void history_update_connect(const struct history_update *u, struct conn *c, const struct pair *pair,
                            uint64_t elapsed_ns);

/* An EADDRNOTAVAIL: what it came to and why. */
void history_update_exhausted(const struct history_update *u, const struct conn *c, enum outcome outcome,
                              enum cause cause);

/* The source that c is bound to was found full: as many quadruplets of the pair are taken as can be. */
void history_update_full(const struct history_update *u, const struct conn *c, const struct pair *pair);

/* The client's own bind failed, so the destination is not known: the flow is from the address to nowhere. */
void history_update_bind_failed(struct client *client, uint64_t netns, const struct addr *source, enum outcome outcome,
                                enum cause cause, uint64_t now);

/* The last close of c in this process; a shared one is still open elsewhere. */
void history_update_closed(struct client *client, const struct conn *c, enum fate fate, uint64_t now);

#endif
