/* ring.h - the two event rings: many writers without locks, many readers that disturb no writer.
 *
 * Writer: takes the next cells with one fetch-add; writes payload and check with relaxed atomic stores, the cell's
 * number last with a release compare-and-swap. If a cell already holds a newer number (the writer slept for a lap), the
 * record is dropped and counted. A writer killed or stopped anywhere damages at most its own cells; the check shows it.
 * Reader: takes a cell only if number, check and a second look at the number agree; all else is torn (being written,
 * or its writer died) or lost (a later lap took the cell).
 *
 * Event numbers (seq) come from one counter for both rings, drawn after the cells. For a reader that starts at cell 0,
 * the cells handed out are exactly those of the records read, the torn and the lost; numbers never read are at most as
 * many as the torn and lost cells. */
#ifndef CONNSPREAD_STATE_RING_H
#define CONNSPREAD_STATE_RING_H

#include "state/event.h"
#include "state/segment.h"
#include "state/state.h"

enum ring_id ring_of(enum event_kind kind);

/* Cell n % cells of a mapped ring, to read it; NULL: there is nothing in its block yet. */
static inline const struct cell *ring_cell(const struct state *s, enum ring_id ring, uint64_t n) {
    const struct cell *cell = &s->ring[ring][n % s->cells[ring]];
    return block_there(s->header, cell) ? cell : NULL;
}

/* Cells that a record takes: 1, or more for exhausted, source-down and text events. */
unsigned record_cells(const struct event_record *r);

/* A close is about to be written: the memory of its cell, which was not touched for a lap, shall be near by then. */
static inline void ring_prepare(const struct state *s) {
    uint64_t n = __atomic_load_n(&s->header->ring[RING_CLOSES].head, __ATOMIC_RELAXED);
    const struct cell *cell = &s->ring[RING_CLOSES][n % s->cells[RING_CLOSES]];
    __builtin_prefetch(cell, 1);
    __builtin_prefetch(&cell->payload[6], 1);
}

/* Writes a record; sets r->e.seq. False: dropped (and counted). Async-signal-safe, lock-free, leaves errno alone. */
bool ring_write(const struct state *s, struct event_record *r);

struct ring_reader {
    const struct state *state;
    uint64_t next[RINGS];          /* number of the cell to read next */
    uint64_t stalled_since[RINGS]; /* for cells reserved but not yet written */
    uint64_t torn, lost;           /* cells */
};

enum read_result { READ_NOTHING, READ_EVENT };

uint32_t cell_check(uint64_t number, unsigned part, unsigned parts, const uint64_t payload[CELL_PAYLOAD / 8]);

#endif
