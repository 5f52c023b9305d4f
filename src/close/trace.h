/* trace.h - what a traced close was decided by, as an event. Async-signal-safe. */
#ifndef CONNSPREAD_CLOSE_TRACE_H
#define CONNSPREAD_CLOSE_TRACE_H

#include "close/closing_state.h"

/* What every event of a close has; for record.c, too. */
void trace_fill(const struct closing *c, struct event_record *r, enum fate fate, enum verified verified, uint64_t now);

void trace_close(const struct closing *c, enum fate fate, enum verified verified, uint64_t now);

#endif
