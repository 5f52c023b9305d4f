/* connecting.h - one connect on its way through the policy: a value whose state says what has happened so far. Shared
 * by connect.c (the whole), endpoints.c (where to), sources.c (one source after the other), port_ranges.c (the ports of
 * one source), exclusive.c and wait.c. */
#ifndef CONNSPREAD_CONNECT_CONNECTING_H
#define CONNSPREAD_CONNECT_CONNECTING_H

#include "client/fdtab.h"
#include "client/history_update.h"
#include "connect/call.h"
#include "connect/pin.h"
#include "connect/report.h"
#include "policy/policy.h"

struct client;

enum { UNUSABLE_MAX = 8 };

/* DONE: the result is the client's. NEXT: another source may do. STOP: this socket cannot be prepared, or enough. */
enum step { STEP_DONE, STEP_NEXT, STEP_STOP };

/* What has become of the connect:
 *
 *   state      means                                                                       follows
 *   ASKING     nothing has served yet; sources and port ranges are asked, in their order    (the first)
 *   ALONE      no source may be bound to this socket, or none shall: the client's own call  ASKING
 *   SPREAD     it left through a source or a port range of ours, the first that was asked   ASKING
 *   RECOVERED  the same, after another one had answered EADDRNOTAVAIL                       SPREAD
 *   FELL_BACK  the client's own call was made for want of a better one                      ASKING
 *   FAILED     the client gets EADDRNOTAVAIL                                                ASKING, ALONE */
enum connecting_state {
    CONNECTING_ASKING,
    CONNECTING_ALONE,
    CONNECTING_SPREAD,
    CONNECTING_RECOVERED,
    CONNECTING_FELL_BACK,
    CONNECTING_FAILED
};

/* What the descriptor's number is, each time that the kernel gave the thread back:
 *
 *   OURS    the socket that the client named; its record is held         (the first)
 *   CLOSED  another thread closed it: no call is made on the number      OURS
 *   LOST    its record, too, is another connection's: nothing is written
 *           there, conn is the stand-in                                  OURS */
enum number_state { NUMBER_OURS, NUMBER_CLOSED, NUMBER_LOST };

/* Which addresses are asked:
 *
 *   POOL    the pool's sources                                           (the first)
 *   PINNED  of those, the ones that pin allows                           POOL
 *   OWN     the client's own, or the kernel's choice, with the pool's
 *           ports: what fails is not our doing                           POOL */
enum way { WAY_POOL, WAY_PINNED, WAY_OWN };

/* What sources have said in this very call; each stays, but PROBED, which a wait forgets, and FIRST. What they say of
 * another endpoint is forgotten with it. */
enum seen {
    SEEN_FULL = 1,       /* EADDRNOTAVAIL from a connect */
    SEEN_NEWLY_FULL = 2, /* and the pair was not held down before */
    SEEN_NOT_LOCAL = 4,  /* EADDRNOTAVAIL from a bind */
    SEEN_PROBED = 8,     /* a held-down source was searched all the same */
    SEEN_FIRST = 16      /* another endpoint is asked before the client's own: nothing is bound for good */
};

/* A source that failed for a reason that may be its own; it is marked unusable if another way then works. */
struct unusable_source {
    struct pair *pair;
    struct endpoint source;
    int error;
};

struct connecting {
    struct call *call;                  /* its address is another endpoint's for a while (endpoints.h) */
    const struct endpoint *destination; /* the client's own, or that of the endpoint which is asked instead */
    const struct match *match;
    struct conn *conn;     /* held, but while the kernel is at work */
    struct conn *stand_in; /* takes conn's place once that is another connection's */
    struct pair *pair;     /* of the source tried last */
    uint64_t key;          /* of it, before pair_key_unruled; 0: it has none */
    struct report *report;
    uint64_t netns, now, began; /* times: CLOCK_MONOTONIC, ns */
    uint64_t limit;             /* the client's SO_SNDTIMEO, once it was asked for (limit.h); ns; 0: none */
    uint64_t cookie;            /* of the socket, since then */
    bool limit_known, limited;  /* it was asked for; it is shortened */
    ssize_t result;
    int error; /* errno of result */
    enum connecting_state state;
    enum number_state number;
    enum way way;
    unsigned seen;      /* of enum seen */
    unsigned attempts;  /* kernel connects made */
    unsigned full;      /* sources found or known to be full */
    unsigned not_local; /* sources found or known not to be on this host */
    struct pin pin;     /* with WAY_PINNED */
    unsigned n_unusable;
    struct event_exhausted *trace;    /* NULL: not traced (trace.h) */
    struct unusable_source *unusable; /* [UNUSABLE_MAX], not filled beforehand */
};

/* For the history. */
static inline struct history_update connecting_moment(struct client *client, const struct connecting *k) {
    return (struct history_update){
        .client = client, .destination = k->destination, .netns = k->netns, .now = k->now, .key = k->key};
}

/* For reports: where the search of a source's ports begins. 0-0 is the whole ephemeral range. */
static inline struct port_range connecting_first_range(const struct match *match) {
    return match->n_ports ? match->ports[0] : (struct port_range){0, 0};
}

/* Makes the client's own call once. True: there is no use in another: anything but EADDRNOTAVAIL, or closed. */
bool connecting_run(struct client *client, struct connecting *k);

/* What follows from an error that is not EADDRNOTAVAIL. */
enum step connecting_step(const struct connecting *k);

/* The thread may have slept since the record, of this serial, was released: another may have closed the number, or
 * given it to another socket, and the record may be another connection's. What is still its own is held again. (Every
 * close that goes through libc takes the number from the record before it begins.) */
void connecting_look_again(struct connecting *k, uint32_t serial);

/* This source failed; and: another way worked, so sources that had failed in this connect are marked unusable for this
 * destination, and said to be down. */
void connecting_note_unusable(struct connecting *k, const struct endpoint *source, int error);
void connecting_mark_unusable(struct client *client, struct connecting *k);

#endif
