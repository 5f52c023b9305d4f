/* sources.h - one connect on its way through the sources: shared by connect.c (the whole) and sources.c (the sources).
 */
#ifndef CONNSPREAD_CONNECT_SOURCES_H
#define CONNSPREAD_CONNECT_SOURCES_H

#include "client/history_update.h"
#include "connect/call.h"
#include "connect/report.h"
#include "policy/policy.h"
#include "client/fdtab.h"
#include "connect/pin.h"
#include "state/event.h"

struct client;

enum { UNUSABLE_MAX = 8 };

/* DONE: the result is the client's. NEXT: another source may do. STOP: this socket cannot be prepared, or enough. */
enum step { STEP_DONE, STEP_NEXT, STEP_STOP };

/* A source that failed for a reason that may be its own; it is marked unusable if another way then works. */
struct unusable_source {
    struct pair *pair;
    struct endpoint source;
    int error;
};

struct connecting {
    const struct call *call;
    const struct endpoint *destination;
    const struct match *match;
    struct conn *conn;     /* held, but while the kernel is at work */
    struct conn *stand_in; /* takes conn's place once that is another connection's */
    struct pair *pair;     /* of the source tried last */
    struct report *report;
    uint64_t netns, now, began; /* times: CLOCK_MONOTONIC, ns */
    uint64_t limit;             /* the client's SO_SNDTIMEO, if the wait shortened it; ns */
    uint64_t cookie;            /* of the socket, once the rule's wait began */
    ssize_t result;
    int error;          /* errno of result */
    unsigned attempts;  /* kernel connects made */
    unsigned full;      /* sources found or known to be full */
    unsigned not_local; /* sources found or known not to be on this host */
    bool met;           /* EADDRNOTAVAIL from a connect of this very call */
    bool closed;        /* by another thread: the number is not this socket's any more, so no call on it */
    bool lost;          /* the record, too: nothing is written to it */
    bool newly_full;
    bool refused;    /* bind said so in this very call */
    bool probed;     /* a held-down source was searched all the same */
    bool spread;     /* left through a source or port range of ours */
    bool recovered;  /* EADDRNOTAVAIL met, and left by another way */
    bool fell_back;  /* the client's own call was made for want of a better one */
    bool own;        /* no source of ours is bound: what fails is not our doing */
    bool pinned;     /* to what pin says */
    bool left_alone; /* no source may be bound to this socket: with STEP_STOP, the client's own call and no failure */
    struct pin pin;
    bool whole_range; /* the last connect was the client's own in all but the search's step */
    unsigned n_unusable;
    struct unusable_source *unusable; /* [UNUSABLE_MAX], not filled beforehand */
};

/* For the history. */
static inline struct history_update sources_moment(struct client *client, const struct connecting *k) {
    return (struct history_update){.client = client, .destination = k->destination, .netns = k->netns, .now = k->now};
}

/* Makes the client's own call once. True: there is no use in another: anything but EADDRNOTAVAIL, or closed. */
bool sources_run(struct client *client, struct connecting *k);

/* The pool's sources, in its policy's order; or, own, the address that the socket has anyway with the pool's ports. */
enum step sources_try(struct client *client, struct connecting *k);
enum step sources_own_address(struct client *client, struct connecting *k);

/* The sources that would have been tried, into the report. */
void sources_name(struct client *client, struct connecting *k, enum cause cause);

/* The thread may have slept since the record, of this serial, was released: another may have closed the number, or
 * given it to another socket, and the record may be another connection's. What is still its own is held again. (Every
 * close that goes through libc takes the number from the record before it begins.) */
void sources_look_again(struct connecting *k, uint32_t serial);

/* Another way worked: sources that had failed in this connect are marked unusable for this destination, and said to be
 * down.
 */
void sources_mark_unusable(struct client *client, struct connecting *k);

#endif
