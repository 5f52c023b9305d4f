/* ring_reader.h - Reading the rings: never waits for a writer, never believes a cell that does not agree with itself.
 * Tool only. */
#ifndef CONNSPREAD_STATE_RING_READER_H
#define CONNSPREAD_STATE_RING_READER_H

#include "state/ring.h"

/* Starts at the oldest cell still there. */
void reader_init(struct ring_reader *reader, const struct state *s);

/* The next readable record of one ring. patience_ns: how long a reserved cell may stay unwritten before it counts as
 * torn (0: count it at once, for a one-off reading). READ_NOTHING: no more for now. Not for the shim. */
enum read_result reader_next(struct ring_reader *reader, enum ring_id ring, uint64_t patience_ns,
                             struct event_record *out);

#endif
