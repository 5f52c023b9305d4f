/* port_ranges.h - the port ranges of one source, from the one that had room last; then ports outside the ephemeral
 * range.
 */
#ifndef CONNSPREAD_CONNECT_PORT_RANGES_H
#define CONNSPREAD_CONNECT_PORT_RANGES_H

#include "connect/connecting.h"
#include "net/ports.h"

struct client;

/* On a socket that is bound to source already. */
enum step port_ranges_try(struct client *client, struct connecting *k, const struct endpoint *source);

/* The pool's ports, inside the ephemeral range and outside. None configured: 0-0, the whole range. */
void port_ranges_split(struct client *client, const struct match *match, struct port_split *out);

/* This source has none for this connect: into report, trace and history. NEXT. */
enum step port_ranges_note_full(struct client *client, struct connecting *k, const struct endpoint *source);

#endif
