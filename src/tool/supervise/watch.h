/* watch.h - how connections end, as the kernel reports them to all: sock_diag's destroy group, a message for each
 * socket.
 */
#ifndef CONNSPREAD_TOOL_SUPERVISE_WATCH_H
#define CONNSPREAD_TOOL_SUPERVISE_WATCH_H

#include "tool/supervise/service.h"

/* A descriptor that is readable when there is something to hear, or -errno. */
int watch_open(void);

/* Hears what there is, and tells of the connections that we know. Messages that were lost are made up for: all sockets
 * are looked at. */
void watch_hear(struct service *s, int watch);

/* Every connection that no process holds any more is told. lost: and counted as one whose end was not seen. */
void watch_look_at_all(struct service *s, bool lost);

#endif
