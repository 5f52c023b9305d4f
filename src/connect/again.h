/* again.h - a connection that was begun, asked how it stands. */
#ifndef CONNSPREAD_CONNECT_AGAIN_H
#define CONNSPREAD_CONNECT_AGAIN_H

#include "connect/call.h"

struct client;
struct conn;

/* A connect on a socket that is connecting or connected asks how it stands; nothing may be bound under it. */
ssize_t again_asked(struct client *client, const struct call *call, struct conn *c);

/* Has a connect that went on failed by now, though the client has not connected again yet? Then fd's connection is idle
 * again. */
void again_look(struct client *client, int fd, struct conn *c);

#endif
