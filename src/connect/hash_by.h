/* hash_by.h - a pool with hash-by: what decides which source a connect begins with.
 *
 * Async-signal-safe: raw system calls, errno untouched, nothing kept but one word of the client. Asked only where the
 * policy says so. What cannot be found out (no /proc, a filter) is the same for all, and counts as nothing. */
#ifndef CONNSPREAD_CONNECT_HASH_BY_H
#define CONNSPREAD_CONNECT_HASH_BY_H

#include <stdint.h>

#include "net/addr.h"

struct client;

/* pool: index in the live policy. */
uint64_t hash_by(struct client *client, unsigned pool, const struct endpoint *destination);

/* FNV-1a of the value of a variable in the text of /proc/PID/environ as read from a descriptor; 0: it is not there. */
uint32_t hash_of_variable(int environ, const char *name);

#endif
