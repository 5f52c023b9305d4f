#include "tool/reader/merge.h"
#include "state/ring_reader.h"

#include <string.h>

/* A writer that is neither dead nor stopped finishes its cells in microseconds. */
static const uint64_t follow_patience_ns = 1000000000;

static uint64_t seq_at(const struct event_merge *m, unsigned place) {
    return m->window[m->heap[place]].e.seq;
}

static void swap(struct event_merge *m, unsigned a, unsigned b) {
    uint16_t slot = m->heap[a];
    m->heap[a] = m->heap[b];
    m->heap[b] = slot;
}

static void push(struct event_merge *m, const struct event_record *r) {
    unsigned at = m->n++;
    m->window[m->heap[at]] = *r; /* heap[n..] names the free slots */
    for (; at > 0 && seq_at(m, at) < seq_at(m, (at - 1) / 2); at = (at - 1) / 2)
        swap(m, at, (at - 1) / 2);
}

static void pop(struct event_merge *m, struct event_record *out) {
    *out = m->window[m->heap[0]];
    swap(m, 0, --m->n);
    for (unsigned at = 0;;) {
        unsigned least = at;
        for (unsigned child = 2 * at + 1; child <= 2 * at + 2 && child < m->n; child++)
            if (seq_at(m, child) < seq_at(m, least))
                least = child;
        if (least == at)
            return;
        swap(m, at, least);
        at = least;
    }
}

static bool look_ahead(struct event_merge *m, enum ring_id ring) {
    if (!m->has[ring] && !m->ended[ring])
        m->has[ring] = reader_next(&m->reader, ring, m->patience_ns, &m->ahead[ring]) == READ_EVENT;
    if (m->has[ring] && m->patience_ns == 0 && m->ahead[ring].e.seq >= m->end_seq) {
        m->has[ring] = false;
        m->ended[ring] = true;
    }
    return m->has[ring];
}

void merge_init(struct event_merge *m, const struct state *s, bool follow) {
    memset(m, 0, sizeof *m);
    for (unsigned i = 0; i < MERGE_WINDOW; i++)
        m->heap[i] = (uint16_t)i;
    m->patience_ns = follow ? follow_patience_ns : 0;
    m->end_seq = __atomic_load_n(&s->header->next_seq, __ATOMIC_ACQUIRE);
    reader_init(&m->reader, s);
}

bool merge_next(struct event_merge *m, struct event_record *out) {
    while (m->n < MERGE_WINDOW) {
        bool incident = look_ahead(m, RING_INCIDENTS), close = look_ahead(m, RING_CLOSES);
        if (!incident && !close)
            break;
        bool first = !close || (incident && m->ahead[RING_INCIDENTS].e.seq < m->ahead[RING_CLOSES].e.seq);
        enum ring_id ring = first ? RING_INCIDENTS : RING_CLOSES;
        push(m, &m->ahead[ring]);
        m->has[ring] = false;
    }
    if (m->n > 0)
        pop(m, out);
    else if (m->lasts > 0)
        *out = (struct event_record){.e = *m->last++}, m->lasts--;
    else
        return false;
    return true;
}

void merge_append(struct event_merge *m, const struct event *last, unsigned n) {
    m->last = last;
    m->lasts = n;
}
