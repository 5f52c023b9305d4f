/* service.h - one call of a supervised program, from its notification to its answer.
 *
 * The client's address is copied once and its socket duplicated; connect/ works on the duplicate with them. What that
 * makes, or the call itself where nothing is to be done, is the answer. Nothing that is read of the client is believed
 * beyond its own call: the connect is made on its own socket, with its own arguments. */
#ifndef CONNSPREAD_TOOL_SUPERVISE_SERVICE_H
#define CONNSPREAD_TOOL_SUPERVISE_SERVICE_H

#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/client.h"
#include "tool/supervise/desk.h"
#include "tool/supervise/peer.h"
#include "tool/supervise/sockets.h"
#include "tool/supervise/bounded.h"
#include "tool/supervise/fastopen.h"

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
    sem_t turn;    /* whose turn it is to take calls: 1, it is free */
    uint32_t slow; /* blocking connects in a row that took their time; atomic */
};

/* One thread. It takes one call after the other, and serves each itself, for a processor is quickest with what it did
 * last; what may take long it does once another thread has the turn. */
struct worker {
    struct service *service;
    union desk_place *place;
    struct bounded timer;
    bool has_turn;
    struct fastopen first; /* of the call that it serves, if that is a send */
};

/* A copy of the client, to act for that process. */
struct client service_client(const struct service *s, const struct peer *peer);

/* Waits for the turn, if this thread does not have it. */
void service_turn(struct worker *w);

/* Serves the call at its place. */
void service_call(struct worker *w);

#endif
