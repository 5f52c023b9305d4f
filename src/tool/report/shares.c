#include "tool/report/shares.h"

#include <string.h>

/* What a count that is right by and large does not prove, in percent of all. A sample is within 1.6 % for one standard
 * deviation. */
enum { SAMPLE_ERROR = 5, UNCOUNTED_ERROR = 10, RANGE_SELDOM_SMALLER = 4096 };

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint64_t less(uint64_t a, uint64_t b) {
    return a > b ? a - b : 0;
}

/* part of whole, in proportion to n */
static uint64_t proportion(uint64_t n, uint64_t part, uint64_t whole) {
    return whole ? (uint64_t)((double)n * (double)part / (double)whole + 0.5) : 0;
}

static bool is_below(uint64_t n, uint64_t percent, uint64_t all) {
    return (double)n * 100 < (double)percent * (double)all;
}

/* The kernel has counted the sockets of all processes; how many of them are ours, the state file says. */
static void split_counted(const struct evidence *e, uint64_t capacity, uint64_t n[SHARES_MAX]) {
    const uint64_t *kernel = e->kernel;
    uint64_t alive = kernel[KERNEL_ESTABLISHED] + kernel[KERNEL_CLOSE_WAIT] + kernel[KERNEL_OTHER];
    uint64_t gone = kernel[KERNEL_TIME_WAIT] + kernel[KERNEL_FIN_WAIT];
    uint64_t our_alive = least(e->counted_open, alive), our_gone = least(e->counted_waits, gone);
    n[CONCLUDE_CLOSE_WAIT] = proportion(our_alive, kernel[KERNEL_CLOSE_WAIT], alive);
    n[CONCLUDE_OPEN] = less(our_alive, n[CONCLUDE_CLOSE_WAIT]);
    n[CONCLUDE_FIN_WAIT] = proportion(our_gone, least(e->fin_wait, kernel[KERNEL_FIN_WAIT]), gone);
    n[CONCLUDE_TIME_WAIT] = less(our_gone, n[CONCLUDE_FIN_WAIT]);
    n[CONCLUDE_OTHERS] = alive - our_alive + gone - our_gone;
    uint64_t without = less(capacity, alive + gone);
    if (!e->estimated || !is_below(without, SAMPLE_ERROR, capacity))
        n[CONCLUDE_EXPLICIT] = without;
    if (e->estimated && is_below(n[CONCLUDE_OTHERS], SAMPLE_ERROR, capacity))
        n[CONCLUDE_OTHERS] = 0;
}

/* Not counted: what is known to be ours, and the rest. Where the size of the range is a guess, so is the rest. */
static void split_uncounted(const struct evidence *e, uint64_t capacity, uint64_t n[SHARES_MAX]) {
    n[CONCLUDE_OPEN] = least(e->open, capacity);
    n[CONCLUDE_TIME_WAIT] = least(e->waits, capacity - n[CONCLUDE_OPEN]);
    uint64_t ours = n[CONCLUDE_OPEN] + n[CONCLUDE_TIME_WAIT], rest = capacity - ours;
    bool guess = e->ports_from == PORTS_ASSUMED && ours >= RANGE_SELDOM_SMALLER;
    n[CONCLUDE_ELSEWHERE] = guess || is_below(rest, UNCOUNTED_ERROR, capacity) ? 0 : rest;
}

/* Whole percents that add up: each is rounded down, and what is missing goes to the largest, which it changes least. */
static void give_percents(struct share *share, unsigned n, uint64_t all) {
    unsigned sum = 0;
    for (unsigned i = 0; i < n; i++) {
        share[i].percent = (unsigned)((double)share[i].quadruplets * 100 / (double)all);
        sum += share[i].percent;
    }
    share[0].percent += 100 - sum;
}

unsigned shares_find(const struct evidence *e, struct share out[SHARES_MAX]) {
    uint32_t sources = e->counted ? e->counted_sources : e->sources;
    uint64_t n[SHARES_MAX] = {0}, capacity = (uint64_t)e->ports * sources, all = 0;
    unsigned found = 0;
    if (e->counted)
        split_counted(e, capacity, n);
    else
        split_uncounted(e, capacity, n);
    n[CONCLUDE_RESERVED] = (uint64_t)e->reserved * sources;
    for (unsigned kind = 0; kind < SHARES_MAX; kind++) {
        unsigned place = found;
        if (n[kind] == 0)
            continue;
        while (place > 0 && out[place - 1].quadruplets <= n[kind]) {
            out[place] = out[place - 1];
            place--;
        }
        out[place] = (struct share){.kind = (enum conclusion_kind)kind, .quadruplets = n[kind]};
        found++;
        all += n[kind];
    }
    if (found == 0) {
        out[0] = (struct share){.kind = CONCLUDE_ELSEWHERE, .percent = 100};
        return 1;
    }
    give_percents(out, found, all);
    while (found > 1 && out[found - 1].percent == 0)
        found--;
    return found;
}
