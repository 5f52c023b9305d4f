/* diagnosis.h - why a call said EADDRNOTAVAIL, as an event. Async-signal-safe, errno untouched. */
#ifndef CONNSPREAD_CONNECT_DIAGNOSIS_H
#define CONNSPREAD_CONNECT_DIAGNOSIS_H

#include "client/fdtab.h"
#include "state/event.h"
#include "policy/policy.h"

/* An exhausted event about to be told. */
struct report {
    const struct conn *conn;
    const struct endpoint *destination; /* all zero: not known */
    const struct plan *plan;            /* NULL: no rule's */
    uint64_t began;                     /* CLOCK_MONOTONIC, ns */
    int fd;                             /* the client's socket */
    enum proof proof;
    bool filled; /* record is: only once there is something to tell */
    struct event_record record;
};

void report_begin(struct report *r, int fd, const struct conn *c, const struct endpoint *destination, uint64_t began);

/* The record, filled with what every event has. */
struct event_record *report_record(struct report *r);

/* One source that was tried, or left out because it was known to be full. */
void report_source(struct report *r, const struct endpoint *source, struct port_range ports, enum cause cause,
                   int error, const struct pair *pair);

/* Writes it with what can be found out (evidence.h), or counts it as a repeat when there were 10 of this program and
 * destination in this second. */
void report_exhausted(struct report *r, const struct conn *c, enum exhausted_call call, enum outcome outcome,
                      enum cause cause, unsigned attempts);

/* A source that cannot be used: it is not on this host, or what it sends to this destination goes nowhere. destination
 * may be NULL. */
void report_source_down(const struct conn *c, const struct endpoint *source, const struct endpoint *destination,
                        enum cause cause, int error);

/* The cause of an EADDRNOTAVAIL that the client's own connect met, with its proof in r, as far as it can be proven
 * without the client's socket. */
enum cause explain_connect(struct report *r);
enum cause explain_bind(struct report *r, const struct endpoint *address);

#endif
