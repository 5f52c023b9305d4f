/* aftermath.h - what became of a TIME-WAIT after its close: the kernel, asked again.
 *
 * At a close the kernel often has a FIN-WAIT only, and what comes next is not known yet: data of the peer or a reset
 * ends it, tcp_fin_timeout does, tcp_max_tw_buckets leaves no room. So each time-wait event is followed up: one exact
 * question when it is read. Found in TIME-WAIT: verified, and looked at a few times more. In FIN-WAIT: asked
 * again, less and less often, for as long as it may take. Not found: a dump, which finds it whatever interface it is
 * bound to, and one more question have to agree before a time-wait-gone event says that it is not there, and why.
 *
 * Only sockets of this network namespace, and only while a TIME-WAIT that was there would be there still. Work is
 * bounded: so many questions a second, so many connections at a time, a twentieth of the time for dumps; what is beyond
 * that stays as its client saw it. */
#ifndef CONNSPREAD_TOOL_REAPER_AFTERMATH_H
#define CONNSPREAD_TOOL_REAPER_AFTERMATH_H

#include "state/event.h"

enum { AFTERMATH_CASES = 1 << 16, AFTERMATH_PEERS = 1 << 12 };

/* A connection of whose TIME-WAIT nothing is certain yet. Times: CLOCK_MONOTONIC, ns. */
struct aftermath_case {
    struct event e;
    uint64_t due;     /* to be asked again then */
    uint64_t seen;    /* it was there then, or is supposed to have been */
    uint64_t expires; /* its FIN-WAIT-2 or TIME-WAIT ends then by itself; 0: not known */
    uint32_t pause_ms;
    uint32_t next;        /* with the same local port: number + 1; 0: none */
    uint8_t looks;        /* times that it was found in TIME-WAIT */
    uint8_t phase;        /* as seen last; TCP_STATE_UNKNOWN: never */
    uint8_t doubts;       /* dumps after which it was still not known whether it is there */
    bool missing;         /* the last answer: there is none */
    bool found, listener; /* by a dump: it; a listener on its port */
    uint32_t interface;   /* it is bound to, as a dump said */
    uint32_t elsewhere;   /* sockets of its local end that have another peer */
};

struct aftermath {
    int netlink; /* -1: the kernel cannot be asked */
    bool goes_on;
    uint64_t netns;
    uint64_t second, asked;     /* questions in this second */
    uint64_t dump_at, count_at; /* not before */
    uint64_t heed_until;        /* others may have told of what is gone */
    uint64_t overflows[2];      /* TCPTimeWaitOverflow, as of a second ago and before */
    unsigned n, missing;
    uint64_t proven[AFTERMATH_PEERS];  /* hashes of peers that have been found under their name */
    uint64_t doubted[AFTERMATH_PEERS]; /* of those that have not, and a dump may find */
    uint32_t first[1 << 16];           /* by local port, while a dump runs */
    struct aftermath_case one[AFTERMATH_CASES];
};

/* ONCE: what is read now is all. FOLLOWING: more is to come. RECORDING: and no other process tells what is gone. */
enum aftermath_reader { AFTERMATH_ONCE, AFTERMATH_FOLLOWING, AFTERMATH_RECORDING };

/* a: some 10 MB, zeroed. */
void aftermath_begin(struct aftermath *a, enum aftermath_reader reader);
void aftermath_end(struct aftermath *a);

/* An event that is read for the first time: asks, and sets verified, if it is a time-wait that can be asked about.
 * False: its TIME-WAIT is not there yet, ask once more; but not with last, where it becomes a case. A time-wait-gone is
 * one that need not be told again. */
bool aftermath_read(struct aftermath *a, struct event *e, bool last);

/* Read and written before: not asked about now, but again. */
void aftermath_resume(struct aftermath *a, const struct event *e);

/* Asks about what is due, and gives each a time-wait-gone event, without a number, for each that is gone. */
typedef void aftermath_each(struct event_record *gone, void *context);
void aftermath_round(struct aftermath *a, aftermath_each *each, void *context);

/* The same now, for all that nothing was found of. For one reading: those events are in no ring, and each gets
 * the number of its close beyond this, the same at each look; below those of preview_find. */
#define GONE_SEQ ((uint64_t)1 << 51)
void aftermath_conclude(struct aftermath *a, aftermath_each *each, void *context);

#endif
