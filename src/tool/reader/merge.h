/* merge.h - both rings of a state file as one stream in order of seq.
 *
 * A record's number is drawn before its cells, so that neighbours may lie the wrong way round: the stream is sorted
 * within a window of MERGE_WINDOW records, which also bounds the memory. */
#ifndef CONNSPREAD_TOOL_READER_MERGE_H
#define CONNSPREAD_TOOL_READER_MERGE_H

#include <stdbool.h>
#include <stdint.h>

#include "state/ring.h"

enum { MERGE_WINDOW = 1024 };

struct event_merge {
    struct ring_reader reader;
    uint64_t end_seq;     /* records from here on were written after we began */
    uint64_t patience_ns; /* see reader_next; 0: not following */
    struct event_record ahead[RINGS];
    bool has[RINGS], ended[RINGS];
    struct event_record window[MERGE_WINDOW];
    uint16_t heap[MERGE_WINDOW]; /* slots of window; the lowest seq first */
    unsigned n;
    const struct event *last; /* come when all of the rings has */
    unsigned lasts;
};

/* follow: never ends, and waits for records that are being written; otherwise ends at what had been written when it
 * began, however fast writers go on. s must outlive it. Several hundred KiB: not for the stack. */
void merge_init(struct event_merge *m, const struct state *s, bool follow);

/* What comes behind the end of what does not follow, with nothing behind the event itself; it stays the caller's. */
void merge_append(struct event_merge *m, const struct event *last, unsigned n);

/* The next record, or false: no more for now. */
bool merge_next(struct event_merge *m, struct event_record *out);

#endif
