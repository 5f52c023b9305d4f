/* events.h - what of this client goes into the ring: the part that all events share, and events of a few words.
 *
 * Async-signal-safe, errno untouched. */
#ifndef CONNSPREAD_CLIENT_EVENTS_H
#define CONNSPREAD_CLIENT_EVENTS_H

#include "client/fdtab.h"
#include "state/event.h"

struct client;

/* A TCP connect or accept happens: the process's attach event, once. */
void client_attach(struct client *client, int fd, enum arm arm);

/* Fills what every event has. */
void event_begin(struct client *client, struct event_record *r, enum event_kind kind, enum arm arm);

/* The same, with what is known of a connection. now: CLOCK_MONOTONIC, ns. */
void event_of_conn(struct client *client, struct event_record *r, enum event_kind kind, const struct conn *c,
                   uint64_t now);

/* An event that is only words. False: dropped. */
bool event_of_text(struct client *client, enum event_kind kind, enum arm arm, const char *text);

/* If something had no room in the state file since it was made: says so, once for each reason. What is lost is counted
 * each time. */
void event_no_room(struct client *client, enum arm arm);

/* A source that cannot be used: it is not on this host, or what it sends to this destination goes nowhere. destination
 * may be NULL. */
void event_source_down(struct client *client, const struct conn *c, const struct endpoint *source,
                       const struct endpoint *destination, enum cause cause, int error);

#endif
