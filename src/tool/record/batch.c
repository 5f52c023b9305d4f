#include "tool/record/batch.h"

#include <stdlib.h>

#include "base/sys.h"
#include "tool/record/journal.h"

#define MS ((uint64_t)1000000)
static const uint64_t patience_first = 3 * MS, patience_max = 200 * MS;

static const struct batch *sorting;

static int by_number(const void *left, const void *right) {
    uint64_t a = sorting->record[*(const uint16_t *)left].e.seq, b = sorting->record[*(const uint16_t *)right].e.seq;
    return (a > b) - (a < b);
}

void batch_read(struct batch *b, struct tail *tail, bool give_up) {
    b->n = b->next = 0;
    while (b->n < BATCH && tail_late(tail, give_up, &b->record[b->n]))
        b->n++;
    while (b->n < BATCH && tail_next(tail, &b->record[b->n]))
        b->n++;
    for (unsigned i = 0; i < b->n; i++)
        b->order[i] = b->waiting[i] = (uint16_t)i;
    b->unripe = b->n;
    b->read = clock_ns(CLOCK_MONOTONIC);
    b->look_at = 0;
    sorting = b;
    qsort(b->order, b->n, sizeof b->order[0], by_number);
}

static bool follow_up(struct aftermath *a, const struct journal *j, struct event *e, bool last) {
    if (!a)
        return true;
    if (e->kind != EVENT_TIME_WAIT || !journal_has(j, e->seq))
        return aftermath_read(a, e, last);
    aftermath_resume(a, e);
    return true;
}

bool batch_ripe(struct batch *b, struct aftermath *a, const struct journal *j, bool last) {
    if (b->unripe == 0)
        return true;
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    last |= b->n >= BATCH / 2 || now - b->read >= patience_max;
    if (!last && now < b->look_at)
        return false;
    unsigned left = 0;
    for (unsigned i = 0; i < b->unripe; i++)
        if (!follow_up(a, j, &b->record[b->waiting[i]].e, last))
            b->waiting[left++] = b->waiting[i];
    b->unripe = left;
    b->look_at = now + (b->look_at ? 4 * (now - b->read) : patience_first);
    return left == 0;
}
