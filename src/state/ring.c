#include "state/ring.h"

#include <string.h>

#include "state/control.h"

_Static_assert(CELL_PAYLOAD % 16 == 0, "two lanes of whole words");

#ifndef RING_STORE
/* Between any two stores of a writer; a test stops it here. */
#define RING_STORE() ((void)0)
#endif

enum ring_id ring_of(enum event_kind kind) {
    /* A trace is as frequent as closes are, and shall not evict incidents. */
    bool close = kind == EVENT_TIME_WAIT || kind == EVENT_CLOSE || kind == EVENT_TIME_WAIT_GONE;
    return close || event_is_trace(kind) ? RING_CLOSES : RING_INCIDENTS;
}

unsigned record_cells(const struct event_record *r) {
    size_t bytes = 0;
    switch (r->e.kind) {
    case EVENT_TIME_WAIT:
    case EVENT_CLOSE:
        bytes = r->e.direction & EVENT_ASKED ? sizeof r->u.asked : 0;
        break;
    case EVENT_EXHAUSTED:
    case EVENT_SOURCE_DOWN:
    case EVENT_TRACE_CONNECT: {
        unsigned n = (unsigned)r->u.exhausted.n_sources + r->u.exhausted.n_endpoints;
        n = n > EXHAUSTED_SOURCES ? EXHAUSTED_SOURCES : n;
        bytes = offsetof(struct event_exhausted, source) + n * sizeof(struct exhausted_source);
        break;
    }
    case EVENT_ATTACH:
    case EVENT_DETACH:
    case EVENT_RELOAD:
    case EVENT_OVERRIDE:
    case EVENT_HOLDERS:
    case EVENT_TRACE_CLOSE:
        bytes = strnlen(r->u.text, EVENT_TEXT - 1) + 1;
        break;
    default:
        break;
    }
    return 1 + (unsigned)((bytes + CELL_PAYLOAD - 1) / CELL_PAYLOAD);
}

static uint64_t rotate(uint64_t x) {
    return x << 31 | x >> 33;
}

/* Rotate and multiply, in two lanes that do not wait for each other: fast, every input bit reaches the result. Guards
 * against torn writes and scribbles, not against forgery: a process that can write the file can also compute it. */
uint32_t cell_check(uint64_t number, unsigned part, unsigned parts, const uint64_t payload[CELL_PAYLOAD / 8]) {
    uint64_t a = number * 0x9e3779b97f4a7c15u, b = (uint64_t)part << 8 | parts;
#pragma GCC unroll 7
    for (unsigned i = 0; i < CELL_PAYLOAD / 8; i += 2) {
        a = rotate(a ^ payload[i]) * 0xff51afd7ed558ccdu;
        b = rotate(b ^ payload[i + 1]) * 0xc4ceb9fe1a85ec53u;
    }
    a = (a ^ rotate(b)) * 0xff51afd7ed558ccdu;
    return (uint32_t)(a >> 32);
}

/* Async-signal-safe and lock-free: no store before the compare-and-swap makes the cell valid, and the compare-and-swap
 * can only succeed while the cell is older than ours. A writer that sleeps in between and wakes a lap later spoils
 * the payload of the newer record in this one cell, whose check then fails; it never makes its own record appear. */
static bool cell_write(const struct state *s, enum ring_id ring, uint64_t n, unsigned part, unsigned parts,
                       const uint64_t payload[CELL_PAYLOAD / 8]) {
    struct cell *cell = &s->ring[ring][n % s->cells[ring]];
    uint64_t number = n + 1;
    if (!block_have(s->header, cell))
        return false;
    /* Acquire: the writer of this number had moved the head before, so the head read below is no older than that. */
    uint64_t old = __atomic_load_n(&cell->number, __ATOMIC_ACQUIRE);
    /* A number beyond the ring's head was never handed out: garbage, ours to replace. */
    if (old > number && old <= __atomic_load_n(&s->header->ring[ring].head, __ATOMIC_RELAXED))
        return false;
    RING_STORE();
#pragma GCC unroll 14
    for (unsigned i = 0; i < CELL_PAYLOAD / 8; i++) {
        __atomic_store_n(&cell->payload[i], payload[i], __ATOMIC_RELAXED);
        RING_STORE();
    }
    __atomic_store_n(&cell->check, cell_check(number, part, parts, payload), __ATOMIC_RELAXED);
    RING_STORE();
    __atomic_store_n(&cell->part, (uint8_t)part, __ATOMIC_RELAXED);
    RING_STORE();
    __atomic_store_n(&cell->parts, (uint8_t)parts, __ATOMIC_RELAXED);
    RING_STORE();
    /* One retry for a still older writer that came in between. */
    for (int tries = 0; tries < 2; tries++) {
        if (__atomic_compare_exchange_n(&cell->number, &old, number, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
            return true;
        if (old > number)
            return false;
    }
    return false;
}

bool ring_write(const struct state *s, struct event_record *r) {
    enum ring_id ring = ring_of(r->e.kind);
    unsigned parts = record_cells(r);
    typedef uint64_t __attribute__((may_alias)) word;
    bool ok = true;
    /* Cells first: a writer killed between the two leaves cells that a reader misses, not a number that no reader does.
     */
    uint64_t first = __atomic_fetch_add(&s->header->ring[ring].head, parts, __ATOMIC_RELAXED);
    RING_STORE();
    r->e.seq = __atomic_fetch_add(&s->header->next_seq, 1, __ATOMIC_RELEASE);
    RING_STORE();
    for (unsigned part = 0; part < parts; part++)
        ok &= cell_write(s, ring, first + part, part, parts, (const word *)(const void *)r + part * (CELL_PAYLOAD / 8));
    if (!ok)
        state_count(s, r->e.arm < ARMS ? (enum arm)r->e.arm : ARM_ENFORCE, COUNT_EVENTS_DROPPED);
    return ok;
}
