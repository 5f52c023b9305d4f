#include "tool/reaper/match.h"

#include <stdlib.h>

/* A TIME-WAIT's age is known to some tens of milliseconds: its timer counts in jiffies and may fire late. */
static const uint64_t slack_us = 50000;

/* By destination, then by age: the candidates of one unmatched connection lie together. */
static int compare_destination(const struct addr *a, uint16_t a_port, const struct addr *b, uint16_t b_port) {
    int order = addr_compare(a, b);
    return order ? order : (a_port > b_port) - (a_port < b_port);
}

static int compare(const void *left, const void *right) {
    const struct candidate *a = left, *b = right;
    int order = compare_destination(&a->peer, a->peer_port, &b->peer, b->peer_port);
    return order ? order : (a->entered_us > b->entered_us) - (a->entered_us < b->entered_us);
}

static unsigned first_of(const struct unmatched *o, const struct candidate *candidate, unsigned n) {
    unsigned low = 0;
    while (low < n) {
        unsigned middle = low + (n - low) / 2;
        if (compare_destination(&candidate[middle].peer, candidate[middle].peer_port, &o->peer, o->peer_port) < 0)
            low = middle + 1;
        else
            n = middle;
    }
    return low;
}

static bool fits(const struct unmatched *o, const struct candidate *c) {
    return !c->taken && (addr_is_any(&o->local) || addr_compare(&o->local, &c->local) == 0);
}

static int choose(const struct unmatched *o, const struct candidate *candidate, unsigned n) {
    int found = NO_CANDIDATE;
    for (unsigned i = first_of(o, candidate, n); i < n; i++) {
        const struct candidate *c = &candidate[i];
        if (compare_destination(&c->peer, c->peer_port, &o->peer, o->peer_port) != 0)
            break;
        if (!fits(o, c) || c->entered_us + slack_us < o->connected_us)
            continue;
        found = (int)i;
        if (c->entered_us + slack_us >= o->alive_us)
            break;
    }
    return found;
}

/* Those that have the least choice choose first: the local address known, connected last. */
static int compare_choice(const void *left, const void *right) {
    const struct unmatched *a = *(struct unmatched *const *)left, *b = *(struct unmatched *const *)right;
    int order = addr_is_any(&a->local) - addr_is_any(&b->local);
    return order ? order : (a->connected_us < b->connected_us) - (a->connected_us > b->connected_us);
}

void match_sockets(struct unmatched *unmatched, unsigned n, struct candidate *candidate, unsigned n_candidates) {
    struct unmatched **order = calloc(n ? n : 1, sizeof(struct unmatched *));
    for (unsigned i = 0; i < n; i++)
        unmatched[i].candidate = NO_CANDIDATE;
    if (!order || n == 0 || n_candidates == 0) {
        free(order);
        return;
    }
    for (unsigned i = 0; i < n; i++)
        order[i] = &unmatched[i];
    qsort(candidate, n_candidates, sizeof *candidate, compare);
    // NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers is sorted
    qsort(order, n, sizeof *order, compare_choice);
    for (unsigned i = 0; i < n; i++) {
        order[i]->candidate = choose(order[i], candidate, n_candidates);
        if (order[i]->candidate != NO_CANDIDATE)
            candidate[order[i]->candidate].taken = true;
    }
    free(order);
}
