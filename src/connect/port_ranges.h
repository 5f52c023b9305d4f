/* port_ranges.h - the port ranges of one source, from the one that had room last; then ports outside the ephemeral
 * range.
 */
#ifndef CONNSPREAD_CONNECT_PORT_RANGES_H
#define CONNSPREAD_CONNECT_PORT_RANGES_H

#include "connect/connecting.h"

struct client;

/* On a socket that is bound to source already. */
enum step port_ranges_try(struct client *client, struct connecting *k, const struct endpoint *source);

#endif
