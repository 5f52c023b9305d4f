/* moment.h - what one event of an incident knows of its moment. Pure. */
#ifndef CONNSPREAD_TOOL_REPORT_MOMENT_H
#define CONNSPREAD_TOOL_REPORT_MOMENT_H

#include "tool/common/window.h"
#include "state/event.h"

enum { MOMENT_CLOSERS = 3 };

/* What was known at the first failure of an incident, or, if there is none, at its first event. */
struct moment {
    uint64_t time_us;
    uint32_t pid;
    uint8_t outcome, call;
    char program[EVENT_PROGRAM];
    struct addr local, peer;
    uint16_t local_port, peer_port;
    uint32_t sources;               /* source addresses that the event lists; 1 for the kernel's own choice */
    uint32_t more_sources;          /* that were tried besides */
    bool ports_known;               /* false: the event does not say, and the next is 0 */
    uint32_t ports;                 /* that each can use */
    bool own_range;                 /* those are the pool's or the program's, and not the host's ephemeral range */
    enum counted counted;           /* how well the next are known: */
    uint64_t kernel[KERNEL_GROUPS]; /* the kernel's count, of all processes */
    uint32_t counted_sources;       /* of how many sources that was */
    uint64_t counted_open, counted_waits; /* of this instance, from these, at that moment */
    uint64_t counted_old;                 /* of counted_waits: closed some seconds before, as logged */
    uint32_t reserved;                    /* ports that ip_local_reserved_ports takes away */
    uint64_t own_open, own_waits;         /* quadruplets to this destination through this instance, as the event says */
    uint64_t all_waits;                   /* closes of the minute before that left a TIME-WAIT towards it, as logged */
    uint64_t logged_waits; /* closes of the minute before that left a TIME-WAIT from these sources to it */
    struct {
        char program[EVENT_PROGRAM];
        uint64_t waits;
    } closer[MOMENT_CLOSERS];       /* of all_waits, the programs that left most of them; waits 0: none */
    uint32_t waits[WINDOW_MINUTES]; /* by minute, the last one is that of the failure */
};

/* Starts anew with what an exhausted or source-down event says; what the log knows stays zero. */
void moment_begin(struct moment *m, const struct event_record *r);

/* Takes the sockets that an exhausted event counted, if they are better known than before. They are counted for one
 * event in a few seconds only, and sometimes estimated. */
/* A later event of the same incident whose connect tried more sources than the first did: the numbers of all of these.
 */
void moment_widen(struct moment *m, const struct event_exhausted *x, uint64_t logged_waits);

struct logged {
    uint64_t waits, old; /* closes of the minute before that left a TIME-WAIT; of these, without the last 4 to 8 s */
};
void moment_count(struct moment *m, const struct event_exhausted *x, struct logged logged);

/* Does this source of an event say anything of how full the range is? Those that were put aside, or are not on this
 * host, do not. */
bool moment_concerns(const struct event_exhausted *x, unsigned source);

#endif
