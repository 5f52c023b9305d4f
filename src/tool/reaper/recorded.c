#include "tool/reaper/recorded.h"
#include "state/copy.h"
#include "state/ring_reader.h"
#include "state/open_chunk.h"

#include <stdlib.h>

static int compare_peer(const struct recorded_event *a, const struct recorded_event *b) {
    int order = addr_compare(&a->peer, &b->peer);
    return order ? order : (a->peer_port > b->peer_port) - (a->peer_port < b->peer_port);
}

static int compare(const void *left, const void *right) {
    const struct recorded_event *a = left, *b = right;
    int order = compare_peer(a, b);
    return order ? order : (a->local_port > b->local_port) - (a->local_port < b->local_port);
}

static bool append(struct recorded *t, size_t *room, const struct recorded_event *e) {
    if (t->n == *room) {
        size_t more = *room ? *room * 2 : 1024;
        struct recorded_event *grown = realloc(t->event, more * sizeof *grown);
        if (!grown)
            return false;
        t->event = grown;
        *room = more;
    }
    t->event[t->n++] = *e;
    return true;
}

static bool read_ring(struct recorded *t, size_t *room, const struct state *s, uint64_t from_us) {
    struct ring_reader reader;
    struct event_record r;
    reader_init(&reader, s);
    bool lapped = reader.next[RING_CLOSES] > 0;
    /* Up to the head as it is now: a writer that goes on does not keep us here. */
    uint64_t end = __atomic_load_n(&s->header->ring[RING_CLOSES].head, __ATOMIC_ACQUIRE);
    while (reader.next[RING_CLOSES] < end && reader_next(&reader, RING_CLOSES, 0, &r) == READ_EVENT) {
        const struct event *e = &r.e;
        const struct recorded_event recorded = {
            .local = e->local,
            .peer = e->peer,
            .local_port = e->local_port,
            .peer_port = e->peer_port,
            .kind = e->kind,
            .via = e->via,
            .pid = e->pid,
            .time_us = e->time_us,
            .began_us = e->time_us - e->age_us,
        };
        if (lapped && t->since_us == 0)
            t->since_us = e->time_us;
        if (e->time_us < from_us || event_is_trace(e->kind) || e->kind == EVENT_TIME_WAIT_GONE)
            continue;
        if (!append(t, room, &recorded))
            return false;
    }
    return true;
}

static bool read_open_table(struct recorded *t, size_t *room, const struct state *s) {
    unsigned end = open_chunks(s);
    struct open_chunk copied;
    for (unsigned i = 0; i < end; i++) {
        bool taken = __atomic_load_n(&s->open_table->owner[i], __ATOMIC_ACQUIRE) != 0;
        const struct open_chunk *chunk = taken ? state_chunk(s, i, &copied) : NULL;
        for (unsigned j = 0; chunk && j < OPEN_PER_CHUNK; j++) {
            const struct open_entry *h = &chunk->entry[j];
            if (__atomic_load_n(&h->word, __ATOMIC_ACQUIRE) == OPEN_FREE)
                continue;
            uint16_t local_port = __atomic_load_n(&h->local_port, __ATOMIC_ACQUIRE);
            if (local_port == 0)
                continue;
            const struct recorded_event recorded = {.local = h->local,
                                                    .peer = h->peer,
                                                    .local_port = local_port,
                                                    .peer_port = h->peer_port,
                                                    .open = true,
                                                    .time_us = UINT64_MAX};
            if (!append(t, room, &recorded))
                return false;
        }
    }
    return true;
}

static bool copy_again(const struct state *s) {
    return !s->window || state_copy_again(s, 0);
}

bool recorded_read(struct recorded *t, const struct state *s, uint64_t from_us, bool and_open) {
    size_t room = 0;
    *t = (struct recorded){0};
    if (!copy_again(s) || (and_open && (!read_open_table(t, &room, s) || !copy_again(s))) ||
        !read_ring(t, &room, s, from_us)) {
        recorded_free(t);
        return false;
    }
    if (t->n > 0)
        qsort(t->event, t->n, sizeof *t->event, compare);
    return true;
}

void recorded_free(struct recorded *t) {
    free(t->event);
    *t = (struct recorded){0};
}

static size_t first_of(const struct recorded *t, const struct recorded_event *wanted,
                       int (*order)(const struct recorded_event *, const struct recorded_event *)) {
    size_t low = 0, high = t->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (order(&t->event[middle], wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int compare_port(const struct recorded_event *a, const struct recorded_event *b) {
    return compare(a, b);
}

static bool find(const struct recorded *t, const struct recorded_event *wanted, bool open) {
    for (size_t i = first_of(t, wanted, compare_port); i < t->n && compare(&t->event[i], wanted) == 0; i++) {
        const struct recorded_event *e = &t->event[i];
        if ((e->open ? open : e->kind == EVENT_TIME_WAIT) && e->time_us >= wanted->time_us &&
            addr_compare(&e->local, &wanted->local) == 0)
            return true;
    }
    return false;
}

bool recorded_time_wait(const struct recorded *t, const struct addr *local, uint16_t local_port,
                        const struct addr *peer, uint16_t peer_port, uint64_t from_us) {
    const struct recorded_event wanted = {
        .local = *local, .local_port = local_port, .peer = *peer, .peer_port = peer_port, .time_us = from_us};
    return find(t, &wanted, false);
}

bool recorded_named(const struct recorded *t, const struct addr *local, uint16_t local_port, const struct addr *peer,
                    uint16_t peer_port, uint64_t from_us) {
    const struct recorded_event wanted = {
        .local = *local, .local_port = local_port, .peer = *peer, .peer_port = peer_port, .time_us = from_us};
    return find(t, &wanted, true);
}

bool recorded_by_reaper(const struct recorded *t, uint32_t pid, uint16_t local_port, const struct addr *peer,
                        uint16_t peer_port, uint64_t began_us) {
    const struct recorded_event wanted = {.peer = *peer, .peer_port = peer_port};
    for (size_t i = first_of(t, &wanted, compare_peer); i < t->n && compare_peer(&t->event[i], &wanted) == 0; i++)
        if (t->event[i].pid == pid && t->event[i].began_us == began_us &&
            (local_port == 0 || t->event[i].local_port == local_port) &&
            (t->event[i].via == VIA_KILLED || t->event[i].via == VIA_EXEC || t->event[i].via == VIA_EXIT))
            return true;
    return false;
}
