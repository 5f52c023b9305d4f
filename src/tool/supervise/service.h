/* service.h - one call of a supervised program, from its notification to its answer.
 *
 * The client's address is copied once and its socket duplicated; connect/ works on the duplicate with them. What that
 * makes, or the call itself where nothing is to be done, is the answer. Nothing that is read of the client is believed
 * beyond its own call: the connect is made on its own socket, with its own arguments. */
#ifndef CONNSPREAD_TOOL_SUPERVISE_SERVICE_H
#define CONNSPREAD_TOOL_SUPERVISE_SERVICE_H

#include <stdint.h>

#include "client/client.h"
#include "tool/supervise/desk.h"
#include "tool/supervise/peer.h"
#include "tool/supervise/sockets.h"
#include "tool/supervise/bounded.h"

enum { ATTACHED = 1024 };

/* What all threads of the supervisor share. */
struct service {
    int listener;
    struct client client; /* of no process in particular */
    struct peers peers;
    struct sockets sockets;
    uint32_t attached[ATTACHED]; /* processes whose attach event was written, by their number; atomic */
    uint32_t busy;               /* threads that serve a call; atomic */
    uint32_t threads;
};

/* A copy of the client, to act for that process. */
struct client service_client(const struct service *s, const struct peer *peer);

/* Serves the call at place. timer: of this thread (struct connect_timer). */
struct bounded;
void service_call(struct service *s, union desk_place *place, const struct bounded *timer);

#endif
