/* exclusive.h - a pool with port-sharing = "never": a source address and port is never used towards two destinations at
 * once, nor beside its own TIME-WAIT.
 *
 * The kernel keeps the promise: a socket that is bound without IP_BIND_ADDRESS_NO_PORT and without SO_REUSEADDR has its
 * address and port to itself (inet_csk_bind_conflict), and no connect chooses a port that was bound so. Such a bind
 * cannot be undone, so what would keep the source from the destination is asked before it. Raw system calls, errno
 * untouched, async-signal-safe. */
#ifndef CONNSPREAD_CONNECT_EXCLUSIVE_H
#define CONNSPREAD_CONNECT_EXCLUSIVE_H

#include "connect/connecting.h"

struct client;

/* Do packets from source find a way to the destination? Asked of the kernel until one was answered. */
bool exclusive_has_way(struct client *client, const struct connecting *k, const struct endpoint *source);

/* Where another endpoint is the destination: and to the client's own, which is asked from the same port if that
 * refuses?
 */
bool exclusive_has_way_back(struct client *client, const struct connecting *k, const struct endpoint *source);

/* Binds to source and a port that nothing else uses. 0, -EADDRINUSE: all are taken, or another -errno. */
int exclusive_bind(struct client *client, struct connecting *k, const struct endpoint *source);

#endif
