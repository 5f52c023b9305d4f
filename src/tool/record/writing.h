/* writing.h - from the rings to the file, and what to say of that which did not come so far. */
#ifndef CONNSPREAD_TOOL_RECORD_WRITING_H
#define CONNSPREAD_TOOL_RECORD_WRITING_H

#include "tool/record/recorder_state.h"

/* Returns the number of events, 0 as well when the file takes none, or they are not ripe. last: all of them are.
 * give_up: what is half written stays so. */
unsigned writing_round(struct recorder *f, bool give_up, bool last);

/* Until nothing comes any more, for 10 s at most. False: the file does not take it. */
bool writing_drain(struct recorder *f, bool give_up);

/* Everything below limit that is not in the file by now never will be: an override event says so, under the first of
 * the numbers that are missing. So every number of the file is still unique, and its gaps are explained. False: the
 * file does not take it now. */
bool writing_lost(struct recorder *f, uint64_t limit);

/* Once a second, without a stop: a mark is set, and when all before it has been read, what lies before it
 * and was not seen is lost. */
void writing_settle(struct recorder *f);

/* All that was read is in the file, n events in the last round, which began at before_us: less than a batch is all that
 * there was. */
void writing_note(struct recorder *f, unsigned n, uint64_t before_us);

/* A time-wait-gone event, for aftermath_round: into the ring. context: the recorder. */
void writing_gone(struct event_record *gone, void *context);

#endif
