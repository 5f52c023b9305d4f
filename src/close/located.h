/* located.h - what only an open descriptor tells of its connection: where exactly it is. */
#ifndef CONNSPREAD_CLOSE_LOCATED_H
#define CONNSPREAD_CLOSE_LOCATED_H

#include "client/fdtab.h"

struct client;

struct located {
    struct endpoint local; /* port 0: not asked, the record knows it */
    uint32_t token;
    uint64_t connected_ns; /* of the connection that it was learnt of */
};

/* Asked before the claim: until then, no other thread that closes fd too can have come to its real close; afterwards it
 * may be the first there, and the number be gone. conn may be another's by the time it is read, and one that has just
 * connected it may be writing: see located_is_of. */
struct located located_look(struct client *client, const struct conn *conn, int fd);

/* Is it of what conn is now? By one that holds conn. */
bool located_is_of(const struct located *p, const struct conn *conn);

/* What it lacks. conn may be on its way through a connect. */
void located_fill(struct located *p, struct client *client, const struct conn *conn, int fd);

/* Into the record, by one that has it alone. */
void located_settle(const struct located *p, struct conn *conn);

/* The same into the record at once, by one that has or holds it; also what it is connected to, and into the open table.
 */
void located_complete(struct conn *c, int fd);

/* c's MPTCP token, asked once it is needed; 0: plain TCP, MPTCP_UNKNOWN: perhaps. */
uint32_t located_token(struct client *client, struct conn *c, int fd);

#endif
