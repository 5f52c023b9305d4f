/* sources.h - one source after the other, in the order of the pool's policy. */
#ifndef CONNSPREAD_CONNECT_SOURCES_H
#define CONNSPREAD_CONNECT_SOURCES_H

#include "connect/connecting.h"
#include "state/event.h"

struct client;

/* The pool's sources, in its policy's order; or, own, the address that the socket has anyway with the pool's ports. */
enum step sources_try(struct client *client, struct connecting *k);
enum step sources_own_address(struct client *client, struct connecting *k);

/* Either, or the port that the socket is bound to for good. */
enum step sources_or_own(struct client *client, struct connecting *k, bool own);

/* The sources that would have been tried, into the report. */
void sources_name(struct client *client, struct connecting *k, enum cause cause);

#endif
