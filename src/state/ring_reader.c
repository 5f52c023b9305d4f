#include "state/ring_reader.h"

#include <string.h>

#include "state/copy.h"
#include "state/ring.h"
#include "base/sys.h"

enum cell_state { CELL_GOOD, CELL_PENDING, CELL_OVERRUN, CELL_TORN };

struct copy {
    unsigned part, parts;
    uint64_t payload[CELL_PAYLOAD / 8];
};

static enum cell_state cell_read(const struct state *s, enum ring_id ring, uint64_t n, struct copy *out) {
    const struct cell *cell = s->window ? window_cell(s, ring, n) : ring_cell(s, ring, n);
    if (!cell)
        return s->window ? CELL_TORN : CELL_PENDING;
    uint64_t number = __atomic_load_n(&cell->number, __ATOMIC_ACQUIRE);
    if (number != n + 1)
        return number > n + 1 ? CELL_OVERRUN : CELL_PENDING;
    for (unsigned i = 0; i < CELL_PAYLOAD / 8; i++)
        out->payload[i] = __atomic_load_n(&cell->payload[i], __ATOMIC_RELAXED);
    uint32_t check = __atomic_load_n(&cell->check, __ATOMIC_RELAXED);
    out->part = __atomic_load_n(&cell->part, __ATOMIC_RELAXED);
    out->parts = __atomic_load_n(&cell->parts, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    number = __atomic_load_n(&cell->number, __ATOMIC_RELAXED);
    if (number != n + 1)
        return CELL_OVERRUN;
    if (check != cell_check(n + 1, out->part, out->parts, out->payload))
        return CELL_TORN;
    return CELL_GOOD;
}

/* All parts of the record that starts at cell n, all of them before head. *cells: how many to step over, whatever the
 * outcome. */
static enum cell_state record_read(const struct state *s, enum ring_id ring, uint64_t n, uint64_t head,
                                   struct event_record *out, unsigned *cells) {
    struct copy copy;
    unsigned parts = 1;
    char bytes[EVENT_CELLS_MAX * CELL_PAYLOAD] = {0};
    *cells = 1;
    for (unsigned part = 0; part < parts; part++) {
        enum cell_state state = cell_read(s, ring, n + part, &copy);
        if (state != CELL_GOOD)
            return state;
        if (part == 0)
            parts = copy.parts;
        if (copy.part != part || copy.parts != parts || parts == 0 || parts > EVENT_CELLS_MAX || parts > head - n)
            return CELL_TORN;
        memcpy(bytes + (size_t)part * CELL_PAYLOAD, copy.payload, CELL_PAYLOAD);
    }
    memcpy(out, bytes, sizeof *out);
    *cells = parts;
    return CELL_GOOD;
}

/* Untrusted bytes become a record whose every enum, count and string is in range. */
static void sanitise(struct event_record *r) {
    struct event *e = &r->e;
    if (e->kind >= EVENT_KINDS)
        e->kind = EVENT_NONE;
    bool close = e->kind == EVENT_TIME_WAIT || e->kind == EVENT_CLOSE, asked = close && e->direction & EVENT_ASKED;
    e->direction &= (uint8_t)~EVENT_ASKED;
    if (close && !asked)
        r->u.asked = (struct event_asked){0};
    e->arm = e->arm < ARMS ? e->arm : ARM_ENFORCE;
    e->direction = e->direction < DIRECTIONS ? e->direction : OUTBOUND;
    e->via = e->via < VIAS ? e->via : VIA_CLOSE;
    e->phase = e->phase < TCP_STATES ? e->phase : TCP_STATE_UNKNOWN;
    e->fate = e->fate < FATES ? e->fate : FATE_NONE;
    e->decided_by = e->decided_by < DECIDED_BYS ? e->decided_by : DECIDED_BY_CLOSE;
    e->verified = e->verified < VERIFIEDS ? e->verified : VERIFIED_NULL;
    if (event_has_sources(e->kind)) {
        struct event_exhausted *x = &r->u.exhausted;
        bool trace = e->kind == EVENT_TRACE_CONNECT;
        unsigned causes = trace ? REASONS : CAUSES, outcomes = trace ? DECISIONS : OUTCOMES;
        unsigned source_causes = trace ? SAIDS : CAUSES;
        x->n_sources = x->n_sources < EXHAUSTED_SOURCES ? x->n_sources : EXHAUSTED_SOURCES;
        unsigned room = (unsigned)EXHAUSTED_SOURCES - x->n_sources;
        x->n_endpoints = (uint8_t)(x->n_endpoints < room ? x->n_endpoints : room);
        x->call = x->call < CALLS ? x->call : CALL_CONNECT;
        x->cause = x->cause < causes ? x->cause : 0;
        x->outcome = x->outcome < outcomes ? x->outcome : (uint8_t)(outcomes - 1);
        x->proof = x->proof < PROOFS ? x->proof : PROOF_NONE;
        x->bound_counted = x->bound_counted < COUNTEDS ? x->bound_counted : COUNTED_NO;
        for (unsigned i = 0; i < EXHAUSTED_SOURCES; i++) {
            struct exhausted_source *one = &x->source[i];
            one->cause = one->cause < source_causes ? one->cause : 0;
            one->counted = one->counted < COUNTEDS ? one->counted : COUNTED_NO;
        }
    } else {
        r->u.text[EVENT_TEXT - 1] = 0;
    }
}

static uint64_t oldest(const struct ring_reader *reader, enum ring_id ring, uint64_t *head) {
    *head = __atomic_load_n(&reader->state->header->ring[ring].head, __ATOMIC_ACQUIRE);
    return *head > reader->state->cells[ring] ? *head - reader->state->cells[ring] : 0;
}

void reader_init(struct ring_reader *reader, const struct state *s) {
    uint64_t head;
    *reader = (struct ring_reader){.state = s};
    for (int ring = 0; ring < RINGS; ring++)
        reader->next[ring] = oldest(reader, (enum ring_id)ring, &head);
}

/* May the reader give a cell up that was reserved but is not written? */
static bool patience_over(struct ring_reader *reader, enum ring_id ring, uint64_t patience_ns) {
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    if (reader->stalled_since[ring] == 0)
        reader->stalled_since[ring] = now;
    return now - reader->stalled_since[ring] >= patience_ns;
}

enum read_result reader_next(struct ring_reader *reader, enum ring_id ring, uint64_t patience_ns,
                             struct event_record *out) {
    uint64_t head;
    /* At most one lap a call: a head that a hostile writer moves for ever does not keep us here. */
    for (uint64_t steps = 0; steps <= reader->state->cells[ring]; steps++) {
        uint64_t first = oldest(reader, ring, &head);
        uint64_t *next = &reader->next[ring];
        unsigned cells;
        if (*next > head)
            *next = head;
        if (*next < first) {
            reader->lost += first - *next;
            *next = first;
        }
        if (*next == head)
            return READ_NOTHING;
        enum cell_state state = record_read(reader->state, ring, *next, head, out, &cells);
        if (state == CELL_PENDING && !patience_over(reader, ring, patience_ns))
            return READ_NOTHING;
        reader->stalled_since[ring] = 0;
        *next += cells;
        if (state == CELL_GOOD) {
            sanitise(out);
            if (out->e.kind != EVENT_NONE)
                return READ_EVENT;
        }
        if (state == CELL_OVERRUN)
            reader->lost += cells;
        else
            reader->torn += cells;
    }
    return READ_NOTHING;
}
