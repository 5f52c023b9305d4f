#include "tool/events/occupied.h"

#include "tool/events/format.h"

/* Quadruplets come and go while they are counted, and a count may be an estimate: within 5 % for six sources. */
enum { NEARLY_PERCENT = 85 };

static bool nearly(uint64_t n, uint64_t of) {
    return of > 0 && n * 100 >= of * NEARLY_PERCENT;
}

enum occupied occupied_by(const struct event_exhausted *x) {
    uint64_t capacity = 0, kernel = 0, instance = 0;
    unsigned full = 0, counted = 0;
    if (x->cause != CAUSE_RANGE_FULL || x->capacity == 0)
        return OCCUPIED_UNKNOWN;
    for (unsigned i = 0; i < event_sources(x); i++) {
        const struct exhausted_source *s = &x->source[i];
        if (s->cause != CAUSE_RANGE_FULL)
            continue;
        full++;
        counted += s->counted != COUNTED_NO;
        capacity += x->capacity;
        instance += (uint64_t)s->open + s->time_wait;
        for (unsigned g = 0; g < KERNEL_GROUPS; g++)
            kernel += s->kernel[g];
    }
    if (full == 0 || counted < full)
        return nearly(instance, capacity) ? OCCUPIED_INSTANCE : OCCUPIED_UNKNOWN;
    if (!nearly(kernel, capacity))
        return OCCUPIED_BOUND;
    return instance * 2 >= kernel ? OCCUPIED_INSTANCE : OCCUPIED_OTHERS;
}
