/* trace.h - what a traced connect met, as one event: which sources were asked, what each said, what came of it and why.
 *
 * Only for clients that run under CONNSPREAD_TRACE. Async-signal-safe, errno untouched. */
#ifndef CONNSPREAD_CONNECT_TRACE_H
#define CONNSPREAD_CONNECT_TRACE_H

#include "connect/connecting.h"
#include "state/event.h"

struct client;

/* One more source. error: errno, or 0 where it was not asked. */
void trace_add(struct connecting *k, const struct endpoint *source, enum said said, int error);
static inline void trace_source(struct connecting *k, const struct endpoint *source, enum said said, int error) {
    if (k->trace)
        trace_add(k, source, said, error);
}

/* The connect is over. */
void trace_connect(struct client *client, struct connecting *k);

#endif
