/* endpoints.h - the other endpoints of a rule (also-to): a connect goes there for want of a quadruplet to the client's
 * own destination, or in turn with it.
 *
 * What an endpoint answers is the client's result only if the connection is made or under way. Any other answer leaves
 * it out for a while, and the next is asked; the client's own destination is the last. */
#ifndef CONNSPREAD_CONNECT_ENDPOINTS_H
#define CONNSPREAD_CONNECT_ENDPOINTS_H

#include "connect/connecting.h"

struct client;

/* Before the client's own destination is asked, as to-policy says. own: from the address that the socket has anyway.
 * NEXT: k is as it was before. */
enum step endpoints_first(struct client *client, struct connecting *k, bool own);

/* After it, when it has no quadruplet left. NEXT: the result is still that of the client's own destination. */
enum step endpoints_after(struct client *client, struct connecting *k, bool own);

/* What each of them had taken, into the report. */
void endpoints_name(struct client *client, struct connecting *k);

#endif
