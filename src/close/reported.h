/* reported.h - a close that the kernel reported: it was not looked at before, so the look-up after it says it all. */
#ifndef CONNSPREAD_CLOSE_REPORTED_H
#define CONNSPREAD_CLOSE_REPORTED_H

#include <stdint.h>

#include "client/fdtab.h"

struct client;

struct conn;

struct tuple;

/* conn's socket, of this cookie, is gone, or held by no process: into counters, history and ring; via: kernel. The
 * record is given back. where: as the kernel has told, for a record that does not know it; NULL: it did not. */
void reported_close(struct client *client, struct conn *conn, uint64_t cookie, const struct tuple *where);

#endif
