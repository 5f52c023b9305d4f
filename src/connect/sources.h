/* sources.h - one connect on its way up the ladder: shared by connect.c (the whole) and sources.c (the sources). */
#ifndef CONNSPREAD_CONNECT_SOURCES_H
#define CONNSPREAD_CONNECT_SOURCES_H

#include "connect/call.h"
#include "connect/diagnosis.h"
#include "client/fdtab.h"

enum { ASIDES = 8 };

/* DONE: the result is the client's. NEXT: another source may do. STOP: this socket cannot be prepared, or enough. */
enum step { STEP_DONE, STEP_NEXT, STEP_STOP };

/* A source that failed for a reason that may be its own; it is put aside if another way then works. */
struct aside {
    struct pair *pair;
    struct endpoint source;
    int error;
};

struct climb {
    const struct attempt *attempt;
    const struct endpoint *destination;
    const struct plan *plan;
    struct conn *conn;
    struct pair *pair; /* of the source tried last */
    struct report *report;
    uint64_t netns, now, began; /* times: CLOCK_MONOTONIC, ns */
    ssize_t result;
    int error;             /* errno of result */
    unsigned attempts;     /* kernel connects made */
    unsigned full;         /* sources found or known to be full */
    unsigned not_local;    /* sources found or known not to be on this host */
    uint32_t segments_out; /* sent by this socket before */
    bool met;              /* EADDRNOTAVAIL from a connect of this very call */
    bool newly_full;
    bool refused;     /* bind said so in this very call */
    bool probed;      /* a held-down source was searched all the same */
    bool spread;      /* left through a source or port range of ours */
    bool overcome;    /* EADDRNOTAVAIL met, and left by another way */
    bool fell_back;   /* the client's own call was made for want of a better one */
    bool own;         /* no source of ours is bound: what fails is not our doing */
    bool whole_range; /* the last connect was the client's own in all but the search's step */
    unsigned n_asides;
    struct aside *aside; /* [ASIDES], not filled beforehand */
};

/* Makes the client's own call once. True: anything but EADDRNOTAVAIL. */
bool climb_run(struct climb *k);

/* The pool's sources, in its policy's order; or, own, the address that the socket has anyway with the pool's ports. */
enum step climb_sources(struct climb *k);
enum step climb_own_address(struct climb *k);

/* The sources that would have been tried, into the report. */
void climb_name_sources(struct climb *k, enum cause cause);

/* The same while a full pool may get a quadruplet back: for at most the rule's wait, on blocking sockets only. */
enum step climb_wait(struct climb *k);

/* Another way worked: sources that had failed on this climb are put aside for this destination, and said to be down. */
void climb_commit_asides(struct climb *k);

#endif
