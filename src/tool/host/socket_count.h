/* socket_count.h - the sockets of this network namespace, counted. */
#ifndef CONNSPREAD_TOOL_HOST_SOCKET_COUNT_H
#define CONNSPREAD_TOOL_HOST_SOCKET_COUNT_H

#include "tool/host/socket_table.h"

/* Fills listeners, which t->listeners points to, and then t. to: only this destination (inbound: address of this host);
 * NULL: all. 0, or -errno. The caller frees both in any case. */
int quads_take(struct quads_table *t, struct quads_listeners *listeners, const struct policy_target *to);

#endif
