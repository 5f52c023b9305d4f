#include "tool/report/timeline.h"

#include <stdbool.h>
#include <string.h>

#define SECOND ((uint64_t)1000000)

static void add_bucket(struct timeline_bucket *to, const struct timeline_bucket *from) {
    to->time_wait += from->time_wait;
    to->passive += from->passive;
    to->failed += from->failed;
    to->fallback += from->fallback;
    to->recovered += from->recovered;
    to->history.connects += from->history.connects;
    to->history.time_wait += from->history.time_wait;
    to->history.failed += from->history.failed;
    to->history.recovered += from->history.recovered;
    if (from->fullest > to->fullest)
        to->fullest = from->fullest;
}

uint64_t timeline_coarser(uint64_t width_us) {
    static const uint32_t seconds[] = {1, 10, 60, 600, 3600, 6 * 3600, 86400};
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++)
        if (seconds[i] * SECOND > width_us)
            return seconds[i] * SECOND;
    return width_us * 10;
}

/* width_us: a multiple of the present one, or such that every row takes whole buckets. */
static void merge(struct timeline *out, const struct timeline *t, uint64_t width_us) {
    uint64_t start = t->start_us / width_us * width_us;
    memset(out, 0, sizeof *out);
    out->start_us = start;
    out->width_us = width_us;
    for (size_t i = 0; i < t->n; i++) {
        size_t to = (size_t)((t->start_us + i * t->width_us - start) / width_us);
        add_bucket(&out->bucket[to], &t->bucket[i]);
        out->n = to + 1;
    }
}

static void widen(struct timeline *t) {
    uint64_t width = timeline_coarser(t->width_us), factor = width / t->width_us;
    uint64_t start = t->start_us / width * width;
    size_t skew = (size_t)((t->start_us - start) / t->width_us), n = 0;
    for (size_t i = 0; i < t->n; i++) { /* to <= i, for the buckets of a whole row lie before the next one's */
        size_t to = (size_t)((i + skew) / factor);
        struct timeline_bucket b = t->bucket[i];
        if (to >= n)
            memset(&t->bucket[to], 0, sizeof t->bucket[to]);
        add_bucket(&t->bucket[to], &b);
        n = to + 1;
    }
    memset(t->bucket + n, 0, (TIMELINE_BUCKETS - n) * sizeof *t->bucket);
    t->n = n;
    t->start_us = start;
    t->width_us = width;
}

/* Makes room before the start. False: there is none at this width. */
static bool shift(struct timeline *t, uint64_t time_us) {
    uint64_t start = time_us / t->width_us * t->width_us, by = (t->start_us - start) / t->width_us;
    if (by + t->n > TIMELINE_BUCKETS)
        return false;
    memmove(t->bucket + by, t->bucket, t->n * sizeof *t->bucket);
    memset(t->bucket, 0, (size_t)by * sizeof *t->bucket);
    t->start_us = start;
    t->n += (size_t)by;
    return true;
}

struct timeline_bucket *timeline_at(struct timeline *t, uint64_t time_us) {
    if (t->width_us == 0) {
        t->width_us = SECOND;
        t->start_us = time_us / SECOND * SECOND;
    }
    while (time_us < t->start_us && !shift(t, time_us))
        widen(t);
    while ((time_us - t->start_us) / t->width_us >= TIMELINE_BUCKETS)
        widen(t);
    size_t i = (size_t)((time_us - t->start_us) / t->width_us);
    if (i >= t->n)
        t->n = i + 1;
    return &t->bucket[i];
}

static size_t rows_at(const struct timeline *t, uint64_t width_us) {
    uint64_t end = t->start_us + (t->n - 1) * t->width_us;
    return (size_t)(end / width_us - t->start_us / width_us + 1);
}

void timeline_rows(const struct timeline *t, struct timeline *out, size_t max, uint64_t least_us) {
    static const uint32_t seconds[] = {1,   2,    5,    10,   15,    30,    60,    120,   300,    600,
                                       900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800};
    memset(out, 0, sizeof *out);
    if (t->n == 0)
        return;
    uint64_t width = t->width_us;
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds && (rows_at(t, width) > max || width < least_us); i++)
        if (seconds[i] * SECOND > width && seconds[i] * SECOND % t->width_us == 0)
            width = seconds[i] * SECOND;
    while (rows_at(t, width) > max)
        width *= 2;
    merge(out, t, width);
}
