#include "tool/host/socket_table.h"

#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "tool/common/mix.h"

enum { FIRST_PAIRS = 256 };

/* --- listeners --- */

static int compare_endpoints(const void *left, const void *right) {
    const struct endpoint *a = left, *b = right;
    return a->port != b->port ? (a->port > b->port) - (a->port < b->port) : addr_compare(&a->addr, &b->addr);
}

static void set_port(struct port_set *set, uint16_t port) {
    set->word[port / 64] |= UINT64_C(1) << (port % 64);
}

void quads_note_listener(struct quads_listeners *l, const struct addr *address, uint16_t port, bool v6_only) {
    bool is_v4 = addr_is_v4(address);
    if (l->n_first < DUMP_WITHOUT)
        l->first[l->n_first++] = (struct dump_local){*address, port, v6_only};
    if (addr_is_any(address)) {
        set_port(is_v4 ? &l->any_v4 : &l->any_v6, port);
        if (!is_v4 && !v6_only)
            set_port(&l->any_v4, port);
        return;
    }
    if (l->n == l->room) {
        size_t room = l->room ? 2 * l->room : FIRST_PAIRS;
        struct endpoint *grown = realloc(l->endpoint, room * sizeof *grown);
        l->no_memory |= !grown;
        if (!grown)
            return;
        l->endpoint = grown;
        l->room = room;
    }
    l->endpoint[l->n++] = (struct endpoint){.addr = *address, .port = port};
    set_port(&l->one, port);
}

void quads_listeners_ready(struct quads_listeners *l) {
    if (l->n)
        qsort(l->endpoint, l->n, sizeof *l->endpoint, compare_endpoints);
}

bool quads_is_accepted(const struct quads_listeners *l, const struct addr *address, uint16_t port) {
    if (port_in(addr_is_v4(address) ? &l->any_v4 : &l->any_v6, port))
        return true;
    if (!port_in(&l->one, port))
        return false;
    const struct endpoint wanted = {.addr = *address, .port = port};
    return bsearch(&wanted, l->endpoint, l->n, sizeof wanted, compare_endpoints) != NULL;
}

/* --- pairs --- */

static uint64_t load(const uint8_t *p) {
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* Seeded: a peer that may choose its addresses must not be able to choose the slots as well. */
static uint64_t hash_of(uint64_t seed, const struct addr *source, const struct addr *destination, uint16_t port) {
    uint64_t hash = mix(seed, load(source->b) + port);
    hash = mix(hash, load(source->b + 8));
    hash = mix(hash, load(destination->b));
    return mix(mix(hash, load(destination->b + 8)), 0);
}

static bool is_pair(const struct quads_pair *p, const struct addr *source, const struct addr *destination,
                    uint16_t port) {
    return p->port == port && memcmp(&p->source, source, sizeof *source) == 0 &&
           memcmp(&p->destination, destination, sizeof *destination) == 0;
}

/* The slot of this pair: where it is, or would be. At most half of them are in use. */
static uint32_t *find(const struct quads_table *t, const struct addr *source, const struct addr *destination,
                      uint16_t port) {
    size_t i = (size_t)hash_of(t->seed, source, destination, port) & (t->slots - 1);
    while (t->slot[i] && !is_pair(&t->pair[t->slot[i] - 1], source, destination, port))
        i = (i + 1) & (t->slots - 1);
    return &t->slot[i];
}

/* Room for one pair more. The pairs stay where they are or move as a whole; the slots are made anew. */
static bool make_room(struct quads_table *t) {
    if (t->n < t->room)
        return true;
    size_t room = t->room ? 2 * t->room : FIRST_PAIRS;
    struct quads_pair *pair = realloc(t->pair, room * sizeof *pair);
    if (pair)
        t->pair = pair;
    uint32_t *slot = pair ? calloc(2 * room, sizeof *slot) : NULL;
    if (!slot)
        return false;
    free(t->slot);
    t->slot = slot;
    t->slots = 2 * room;
    t->room = room;
    for (size_t i = 0; i < t->n; i++)
        *find(t, &t->pair[i].source, &t->pair[i].destination, t->pair[i].port) = (uint32_t)i + 1;
    return true;
}

static struct quads_pair *pair_of(struct quads_table *t, const struct addr *source, const struct addr *destination,
                                  uint16_t port) {
    if (!make_room(t))
        return NULL;
    uint32_t *slot = find(t, source, destination, port);
    if (*slot == 0) {
        t->pair[t->n] = (struct quads_pair){
            .source = *source, .destination = *destination, .port = port, .next_free_ms = QUADS_NEVER};
        *slot = (uint32_t)++t->n;
    }
    return &t->pair[*slot - 1];
}

static enum quads_count count_of(uint8_t state) {
    switch (state) {
    case TCP_ESTABLISHED:
        return QUADS_ESTABLISHED;
    case TCP_TIME_WAIT:
        return QUADS_TIME_WAIT;
    case TCP_FIN_WAIT1:
    case TCP_FIN_WAIT2:
        return QUADS_FIN_WAIT;
    default:
        return QUADS_OTHER;
    }
}

void quads_add(struct quads_table *t, const struct dump_socket *s) {
    if (quads_is_accepted(t->listeners, &s->local, s->local_port) != t->inbound)
        return;
    uint16_t own_port = t->inbound ? s->peer_port : s->local_port;
    struct quads_pair *p =
        t->inbound ? pair_of(t, &s->peer, &s->local, s->local_port) : pair_of(t, &s->local, &s->peer, s->peer_port);
    if (!p) {
        t->no_memory = true;
        return;
    }
    enum quads_count which = count_of(s->state);
    p->count[which]++;
    p->close_wait += s->state == TCP_CLOSE_WAIT;
    t->total[which]++;
    p->outside += own_port < t->ephemeral.low || own_port > t->ephemeral.high;
    if (which == QUADS_TIME_WAIT && !t->inbound &&
        tw_reuse_may_take(&t->reuse, tw_reuse_is_loopback(&s->local, &s->peer), s->expires_ms))
        p->reusable++;
    if (which == QUADS_TIME_WAIT && s->expires_ms < p->next_free_ms)
        p->next_free_ms = s->expires_ms;
}

void quads_free(struct quads_table *t) {
    free(t->pair);
    free(t->slot);
}

void quads_listeners_free(struct quads_listeners *l) {
    free(l->endpoint);
}

/* --- what it means --- */

uint32_t quads_capacity(const struct host_ports *host, bool inbound) {
    uint32_t n = 0;
    for (unsigned port = host->ephemeral.low; port <= host->ephemeral.high; port++)
        n += inbound || !port_in(&host->reserved, port);
    return n;
}

uint32_t quads_taken(const struct quads_pair *p) {
    uint32_t taken = 0;
    for (unsigned i = 0; i < QUADS_COUNTS; i++)
        taken += p->count[i];
    return taken;
}

double quads_percent(const struct quads_pair *p, uint32_t capacity) {
    return capacity ? 100.0 * (quads_taken(p) - p->outside) / capacity : 100;
}

static int compare_pairs(const void *left, const void *right) {
    const struct quads_pair *a = left, *b = right;
    uint32_t taken_a = quads_taken(a), taken_b = quads_taken(b);
    uint32_t inside_a = taken_a - a->outside, inside_b = taken_b - b->outside;
    if (inside_a != inside_b)
        return inside_a < inside_b ? 1 : -1;
    if (taken_a != taken_b)
        return taken_a < taken_b ? 1 : -1;
    int order = addr_compare(&a->source, &b->source);
    if (order == 0)
        order = addr_compare(&a->destination, &b->destination);
    return order ? order : (a->port > b->port) - (a->port < b->port);
}

void quads_sort(struct quads_table *t) {
    if (t->n)
        qsort(t->pair, t->n, sizeof *t->pair, compare_pairs);
}

/* active_objs, num_objs, objsize */
static uint32_t third_number(const char *text) {
    unsigned long n = 0;
    for (int i = 0; i < 3; i++) {
        char *end;
        n = strtoul(text, &end, 10);
        if (end == text)
            return 0;
        text = end;
    }
    return n <= UINT32_MAX ? (uint32_t)n : 0;
}

uint32_t slab_object_bytes(const char *slabinfo, const char *cache) {
    size_t length = strlen(cache);
    for (const char *line = slabinfo; line; line = strchr(line, '\n'), line += line != NULL)
        if (strncmp(line, cache, length) == 0 && line[length] == ' ')
            return third_number(line + length);
    return 0;
}
