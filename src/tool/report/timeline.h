/* timeline.h - what happened when, over any span of time, in bounded memory. Pure.
 *
 * It begins with buckets of one second; whenever the span outgrows it, buckets are merged into coarser ones: 10 s, one
 * minute, ten, one hour, six, one day and so on. */
#ifndef CONNSPREAD_TOOL_REPORT_TIMELINE_H
#define CONNSPREAD_TOOL_REPORT_TIMELINE_H

#include <stddef.h>
#include <stdint.h>

enum { TIMELINE_BUCKETS = 1440 };

struct timeline_bucket {
    uint64_t time_wait; /* closes that left one here */
    uint64_t passive;   /* closes after the peer's; logged only under closes = "all", or by the history */
    uint64_t failed, fallback, recovered;
    struct {
        uint64_t connects, time_wait, failed, recovered;
    } history;        /* the same by the history of state files; in the bucket in which the minute begins */
    uint32_t fullest; /* most TIME-WAITs that one source held towards one destination */
};

struct timeline {
    uint64_t start_us, width_us; /* start_us is a multiple of width_us; width_us 0: nothing in it */
    size_t n;                    /* buckets up to the last one used */
    struct timeline_bucket bucket[TIMELINE_BUCKETS];
};

/* The bucket of this moment. Valid until the next call. */
struct timeline_bucket *timeline_at(struct timeline *t, uint64_t time_us);

/* The next coarser of the widths that buckets get, a multiple of this one. */
uint64_t timeline_coarser(uint64_t width_us);

/* The same in at most max rows of a round width, at least least_us: width_us becomes what a row spans. max >= 1. */
void timeline_rows(const struct timeline *t, struct timeline *out, size_t max, uint64_t least_us);

#endif
