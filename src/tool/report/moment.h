/* moment.h - what one event of an incident knows of its moment. Pure. */
#ifndef CONNSPREAD_TOOL_REPORT_MOMENT_H
#define CONNSPREAD_TOOL_REPORT_MOMENT_H

#include "tool/events/occupied.h"
#include "tool/report/window.h"
#include "state/event.h"

/* What was known at the first failure of an incident, or, if there is none, at its first event. */
struct moment {
    uint64_t time_us;
    uint32_t pid;
    uint8_t outcome, call;
    char program[EVENT_PROGRAM];
    struct addr local, peer;
    uint16_t local_port, peer_port;
    uint32_t sources;               /* source addresses that were tried; 1 for the kernel's own choice */
    uint32_t ports;                 /* that each can use, as the event says; 0: the host's ephemeral range */
    enum counted counted;           /* how well the next are known: */
    enum occupied occupied;         /* what the event made of it */
    uint64_t kernel[KERNEL_GROUPS]; /* the kernel's count, of the sockets of all users */
    uint32_t bound;                 /* ports of the range that are taken without a connection to there */
    uint32_t reserved;              /* ports that ip_local_reserved_ports takes away */
    uint64_t own_open, own_waits;   /* quadruplets to this destination through this instance, as the event says */
    uint64_t logged_waits;          /* closes of the minute before that left a TIME-WAIT towards it, as logged */
    char culprit[EVENT_PROGRAM];    /* whose closes most of those were; empty: none */
    uint64_t culprit_waits;         /* of logged_waits */
    uint32_t waits[WINDOW_MINUTES]; /* by minute, the last one is that of the failure */
};

/* Starts anew with what an exhausted or source-down event says; what the log knows stays zero. */
void moment_begin(struct moment *m, const struct event_record *r);

/* Takes the sockets that an exhausted event counted, if they are better known than before. They are counted for one
 * event in a few seconds only, and sometimes estimated. */
void moment_count(struct moment *m, const struct event_exhausted *x);

#endif
