/* tail.h - both rings read as they are written, without ever waiting for one writer.
 *
 * A cell that was reserved and is not written yet is passed over and remembered: at 100,000 events a second the ring
 * goes round in half a second, and a reader that waited that long for a writer that was killed or stopped would lose
 * what all others write. Those cells are looked at again until they are written, lapped, or TAIL_PATIENCE_NS old. */
#ifndef CONNSPREAD_TOOL_READER_TAIL_H
#define CONNSPREAD_TOOL_READER_TAIL_H

#include <stdbool.h>
#include <stdint.h>

#include "state/ring.h"

enum { TAIL_HOLES = 4096 };
#define TAIL_PATIENCE_NS ((uint64_t)5000000000)

struct tail_hole {
    uint64_t cell, since_ns;
    enum ring_id ring;
};

/* Where all that had been numbered by some moment lies before. */
struct tail_mark {
    uint64_t seq, cell[RINGS];
};

struct tail {
    struct ring_reader reader;
    struct event_record ahead[RINGS];
    bool has[RINGS];
    struct tail_hole hole[TAIL_HOLES];
    unsigned holes, at; /* at: the hole that tail_late looks at next */
};

/* Starts at the oldest cells. s must outlive it. Large: not for the stack. */
void tail_init(struct tail *t, const struct state *s);

/* The next record, the lower number first; false: no more for now. */
bool tail_next(struct tail *t, struct event_record *out);

/* The next record from a cell that had been passed over. give_up: those that are still empty are forgotten. False:
 * none; the next call begins a new round over them. */
bool tail_late(struct tail *t, bool give_up, struct event_record *out);

/* A number and positions such that every event numbered before lies before them. */
void tail_mark(const struct tail *t, struct tail_mark *mark);

/* Has everything before the mark been returned or given up? */
bool tail_passed(const struct tail *t, const struct tail_mark *mark);

#endif
