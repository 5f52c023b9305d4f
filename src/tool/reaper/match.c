#include "tool/reaper/match.h"

#include <stdlib.h>

/* A TIME-WAIT's age is known to some tens of milliseconds: its timer counts in jiffies and may fire late. */
static const uint64_t slack_us = 50000;

/* Candidates in an order in which those that a connection may have lie together, by age; free[i] and before[i] lead to
 * the next that is not taken, from i on (n: none), and below i (its index plus 1; 0: none). So that each choice takes
 * some tens of steps, however many there are. */
struct row {
    struct candidate **at;
    unsigned n, *free, *before;
    bool by_source;
};

static int compare_destination(const struct addr *a, uint16_t a_port, const struct addr *b, uint16_t b_port) {
    int order = addr_compare(a, b);
    return order ? order : (a_port > b_port) - (a_port < b_port);
}

static int compare_time(const struct candidate *a, const struct candidate *b) {
    return (a->entered_us > b->entered_us) - (a->entered_us < b->entered_us);
}

static int by_destination(const void *left, const void *right) {
    const struct candidate *a = *(struct candidate *const *)left, *b = *(struct candidate *const *)right;
    int order = compare_destination(&a->peer, a->peer_port, &b->peer, b->peer_port);
    return order ? order : compare_time(a, b);
}

static int by_source(const void *left, const void *right) {
    const struct candidate *a = *(struct candidate *const *)left, *b = *(struct candidate *const *)right;
    int order = compare_destination(&a->peer, a->peer_port, &b->peer, b->peer_port);
    order = order ? order : addr_compare(&a->local, &b->local);
    return order ? order : compare_time(a, b);
}

/* 0: it is one of those that o may have, but for its age. */
static int compare_to(const struct row *row, const struct candidate *c, const struct unmatched *o) {
    int order = compare_destination(&c->peer, c->peer_port, &o->peer, o->peer_port);
    return order || !row->by_source ? order : addr_compare(&c->local, &o->local);
}

/* The first that o may have and that is no older; or where it would be. */
static unsigned first_of(const struct row *row, const struct unmatched *o, uint64_t since_us) {
    unsigned low = 0, high = row->n;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        const struct candidate *c = row->at[middle];
        int order = compare_to(row, c, o);
        if (order < 0 || (order == 0 && c->entered_us + slack_us < since_us))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static unsigned follow(unsigned *link, unsigned i) {
    while (link[i] != i)
        i = link[i] = link[link[i]];
    return i;
}

static struct candidate *choose(const struct row *row, const struct unmatched *o) {
    uint64_t late_us = o->alive_us > o->connected_us ? o->alive_us : o->connected_us;
    unsigned begin = first_of(row, o, o->connected_us), late = first_of(row, o, late_us), i = follow(row->free, late);
    if (i == row->n || compare_to(row, row->at[i], o) != 0) {
        i = follow(row->before, late);
        if (i <= begin)
            return NULL;
        i--;
    }
    row->free[i] = i + 1;
    row->before[i + 1] = i;
    return row->at[i];
}

/* Those that have the least choice choose first: the local address known, connected last. */
static int compare_choice(const void *left, const void *right) {
    const struct unmatched *a = *(struct unmatched *const *)left, *b = *(struct unmatched *const *)right;
    int order = addr_is_any(&a->local) - addr_is_any(&b->local);
    return order ? order : (a->connected_us < b->connected_us) - (a->connected_us > b->connected_us);
}

/* The candidates that are left to those of one kind. */
static void lay_out(struct row *row, struct candidate *candidate, unsigned n, bool with_source) {
    row->n = 0;
    row->by_source = with_source;
    for (unsigned i = 0; i < n; i++)
        if (!candidate[i].taken)
            row->at[row->n++] = &candidate[i];
    for (unsigned i = 0; i <= row->n; i++)
        row->free[i] = row->before[i] = i;
    // NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers is sorted
    qsort(row->at, row->n, sizeof *row->at, with_source ? by_source : by_destination);
}

static void give(const struct row *row, struct unmatched **order, unsigned n, const struct candidate *candidate) {
    for (unsigned i = 0; i < n; i++) {
        struct candidate *c = choose(row, order[i]);
        if (c) {
            c->taken = true;
            order[i]->candidate = (int)(c - candidate);
        }
    }
}

static void match(struct row *row, struct unmatched **order, unsigned n, struct candidate *candidate,
                  unsigned n_candidates) {
    unsigned known = 0;
    // NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers is sorted
    qsort(order, n, sizeof *order, compare_choice);
    while (known < n && !addr_is_any(&order[known]->local))
        known++;
    lay_out(row, candidate, n_candidates, true);
    give(row, order, known, candidate);
    lay_out(row, candidate, n_candidates, false);
    give(row, order + known, n - known, candidate);
}

void match_sockets(struct unmatched *unmatched, unsigned n, struct candidate *candidate, unsigned n_candidates) {
    for (unsigned i = 0; i < n; i++)
        unmatched[i].candidate = NO_CANDIDATE;
    if (n == 0 || n_candidates == 0)
        return;
    struct unmatched **order = calloc(n, sizeof(struct unmatched *));
    struct row row = {.at = calloc(n_candidates, sizeof(struct candidate *)),
                      .free = calloc(n_candidates + 1ul, sizeof *row.free),
                      .before = calloc(n_candidates + 1ul, sizeof *row.before)};
    for (unsigned i = 0; order && i < n; i++)
        order[i] = &unmatched[i];
    if (order && row.at && row.free && row.before)
        match(&row, order, n, candidate, n_candidates);
    free(order);
    free(row.at);
    free(row.free);
    free(row.before);
}
