#include "tool/reader/tail.h"

#include <string.h>

#include "base/sys.h"
#include "state/ring_reader.h"

/* The reader shall never give a reserved cell up by itself. */
static const uint64_t forever = UINT64_MAX;

void tail_init(struct tail *t, const struct state *s) {
    memset(t, 0, sizeof *t);
    reader_init(&t->reader, s);
}

/* No room: the older half is given up, so that each hole costs the same however many come in a row. */
static void remember(struct tail *t, enum ring_id ring, uint64_t cell) {
    enum { HALF = TAIL_HOLES / 2 };
    if (t->holes == TAIL_HOLES) {
        memmove(t->hole, t->hole + HALF, HALF * sizeof *t->hole);
        t->holes -= HALF;
        t->at -= t->at < HALF ? t->at : HALF;
    }
    t->hole[t->holes++] = (struct tail_hole){.cell = cell, .since_ns = clock_ns(CLOCK_MONOTONIC), .ring = ring};
}

/* At most one lap a call: a head that a hostile writer moves for ever does not keep us here. */
static void look_ahead(struct tail *t, enum ring_id ring) {
    struct ring_reader *reader = &t->reader;
    for (uint64_t steps = 0; !t->has[ring] && steps <= reader->state->cells[ring]; steps++) {
        if (reader_next(reader, ring, forever, &t->ahead[ring]) == READ_EVENT) {
            t->has[ring] = true;
            return;
        }
        reader->stalled_since[ring] = 0;
        uint64_t head = __atomic_load_n(&reader->state->header->ring[ring].head, __ATOMIC_ACQUIRE);
        if (reader->next[ring] >= head)
            return;
        remember(t, ring, reader->next[ring]++);
    }
}

bool tail_next(struct tail *t, struct event_record *out) {
    look_ahead(t, RING_INCIDENTS);
    look_ahead(t, RING_CLOSES);
    if (!t->has[RING_INCIDENTS] && !t->has[RING_CLOSES])
        return false;
    bool incident = t->has[RING_INCIDENTS] &&
                    (!t->has[RING_CLOSES] || t->ahead[RING_INCIDENTS].e.seq < t->ahead[RING_CLOSES].e.seq);
    enum ring_id ring = incident ? RING_INCIDENTS : RING_CLOSES;
    *out = t->ahead[ring];
    t->has[ring] = false;
    return true;
}

static void forget(struct tail *t, unsigned i) {
    t->holes--;
    memmove(t->hole + i, t->hole + i + 1, (t->holes - i) * sizeof *t->hole);
}

bool tail_late(struct tail *t, bool give_up, struct event_record *out) {
    const struct state *s = t->reader.state;
    uint64_t now = t->at < t->holes ? clock_ns(CLOCK_MONOTONIC) : 0;
    while (t->at < t->holes) {
        struct tail_hole h = t->hole[t->at];
        const struct cell *cell = ring_cell(s, h.ring, h.cell);
        uint64_t number = cell ? __atomic_load_n(&cell->number, __ATOMIC_ACQUIRE) : 0;
        /* A reader that starts at this cell: whatever it finds further on has been read already. */
        struct ring_reader one = {.state = s};
        one.next[h.ring] = h.cell;
        bool written = number >= h.cell + 1;
        bool found = written && reader_next(&one, h.ring, forever, out) == READ_EVENT &&
                     one.next[h.ring] - record_cells(out) == h.cell;
        bool partly = written && !found && one.next[h.ring] == h.cell; /* its further cells are still empty */
        if ((written && !partly) || give_up || now - h.since_ns > TAIL_PATIENCE_NS)
            forget(t, t->at);
        else
            t->at++;
        if (found)
            return true;
    }
    t->at = 0;
    return false;
}

void tail_mark(const struct tail *t, struct tail_mark *mark) {
    const struct state_header *header = t->reader.state->header;
    /* A writer takes its cells before its number. */
    mark->seq = __atomic_load_n(&header->next_seq, __ATOMIC_ACQUIRE);
    for (int ring = 0; ring < RINGS; ring++)
        mark->cell[ring] = __atomic_load_n(&header->ring[ring].head, __ATOMIC_ACQUIRE);
}

bool tail_passed(const struct tail *t, const struct tail_mark *mark) {
    for (int ring = 0; ring < RINGS; ring++)
        if (t->reader.next[ring] < mark->cell[ring] || (t->has[ring] && t->ahead[ring].e.seq < mark->seq))
            return false;
    for (unsigned i = 0; i < t->holes; i++)
        if (t->hole[i].cell < mark->cell[t->hole[i].ring])
            return false;
    return true;
}
