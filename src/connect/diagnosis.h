/* diagnosis.h - why a call said EADDRNOTAVAIL, or a bind to port 0 EADDRINUSE, as an event. Async-signal-safe, errno
 * untouched. */
#ifndef CONNSPREAD_CONNECT_DIAGNOSIS_H
#define CONNSPREAD_CONNECT_DIAGNOSIS_H

#include "connect/report.h"

struct client;

void report_begin(struct report *r, struct client *client, int fd, const struct conn *c,
                  const struct endpoint *destination, uint64_t began);

/* The record, filled with what every event has. */
struct event_record *report_record(struct report *r);

/* One source that was tried, or left out because it was known to be full. */
void report_source(struct report *r, const struct endpoint *source, struct port_range ports, enum cause cause,
                   int error, const struct pair *pair);

/* Writes it with what can be found out (evidence.h), or counts it as a repeat when there were 10 of this program and
 * destination in this second. */
/* One of the rule's other endpoints, once all sources are named: what is open and in TIME-WAIT from all of them. */
void report_endpoint(struct report *r, const struct endpoint *to, enum cause cause, uint32_t open, uint32_t time_wait);

void report_exhausted(struct report *r, const struct conn *c, enum exhausted_call call, enum outcome outcome,
                      enum cause cause, unsigned attempts);

/* The cause of an EADDRNOTAVAIL that the client's own connect met, with its proof in r, as far as it can be proven
 * without the client's socket. */
enum cause diagnosis_of_connect(struct report *r);
enum cause diagnosis_of_bind(struct report *r, const struct endpoint *address);

/* Does a listener have this port? A server that is started twice has nothing to do with connections. */
bool diagnosis_is_listened_to(const struct endpoint *at);

/* socket() found no descriptor: EMFILE or ENFILE. */
void diagnosis_no_descriptor(struct client *client, enum arm arm, int error);

#endif
