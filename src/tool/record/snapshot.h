/* snapshot.h - which programs had ports and connections at the moment at which a connect found none.
 *
 * A client may not look through /proc, and hours later, when the report is read, those processes are gone. So the
 * recorder looks, right after it has read the event: two dumps and one walk through /proc, at most once in half a
 * minute. No port is tried, nothing is sent. */
#ifndef CONNSPREAD_TOOL_RECORD_SNAPSHOT_H
#define CONNSPREAD_TOOL_RECORD_SNAPSHOT_H

#include "state/event.h"
#include "state/state.h"

struct snapshot {
    uint64_t taken; /* CLOCK_MONOTONIC, ns; 0: never */
};

/* r has just been read. If it is a connect that failed for want of a port, in our network namespace and just now,
 * what is found goes into the state file as an event. mapping: name of the state file, which our own clients have
 * mapped. */
void snapshot_look(struct snapshot *s, const struct state *state, const char *mapping, const struct event_record *r);

#endif
