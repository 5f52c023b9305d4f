/* connect.h - a TCP connect, spread and retried.
 *
 * For a connect that a rule matches: the pool's sources in turn, each with its port ranges, then the client's own call.
 * Always on the client's own descriptor; the result and errno of the kernel connect that stands are the client's.
 * Async-signal-safe; about 1.5 KiB of stack. */
#ifndef CONNSPREAD_CONNECT_CONNECT_H
#define CONNSPREAD_CONNECT_CONNECT_H

#include "connect/call.h"
#include "net/addr.h"

struct client;

struct settings;

/* now: client_settings(). call: the client's call, to destination (its copy); as it was when this returns. Result and
 * errno as of libc. */
ssize_t connect_spread(struct client *client, const struct settings *now, struct call *call,
                       const struct endpoint *destination);

#endif
