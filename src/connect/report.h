/* report.h - an EADDRNOTAVAIL on its way to become an event: shared by diagnosis.c and evidence.c. */
#ifndef CONNSPREAD_CONNECT_REPORT_H
#define CONNSPREAD_CONNECT_REPORT_H

#include "client/fdtab.h"
#include "policy/policy.h"
#include "state/event.h"

struct client;

/* An exhausted event about to be recorded. */
struct report {
    struct client *client;
    const struct conn *conn;
    const struct endpoint *destination; /* all zero: not known */
    const struct match *match;          /* NULL: no rule's */
    uint64_t began;                     /* CLOCK_MONOTONIC, ns */
    int fd;                             /* the client's socket */
    int error;                          /* of the client's call */
    enum proof proof;
    bool filled; /* record is: only once there is something to record */
    struct event_record record;
};

#endif
