/* peer.h - whom a socket is really connected to.
 *
 * A cgroup program may rewrite the address that connect was called with (a load balancer that does so at connect, as
 * Cilium does); getpeername then tells another one, and the kernel knows the connection by that name alone. A call at
 * each close would be one too many: the first close of a destination in a process asks, and what it learns holds for
 * some minutes; of a destination that is translated each close asks. Async-signal-safe, errno untouched. */
#ifndef CONNSPREAD_CLOSE_PEER_H
#define CONNSPREAD_CLOSE_PEER_H

#include "close/closing_state.h"

/* Before the close, while the descriptor is open: fills c->peer, if it is another than the client asked for. */
void peer_look(struct closing *c);

/* The peer as the kernel names it, as far as is known. */
const struct endpoint *peer_of(const struct closing *c);

#endif
