#include "cli/occupied.h"

#include "cli/event_format.h"

/* Quadruplets come and go while they are counted; a range that is found full is so within a few percent. */
enum { NEARLY_PERCENT = 90 };

static bool nearly(uint64_t n, uint64_t of) {
    return of > 0 && n * 100 >= of * NEARLY_PERCENT;
}

enum occupied occupied_by(const struct event_exhausted *x) {
    uint64_t capacity = 0, kernel = 0, instance = 0;
    unsigned full = 0, counted = 0, complete = 0;
    if (x->cause != CAUSE_RANGE_FULL || x->capacity == 0)
        return OCCUPIED_UNKNOWN;
    for (unsigned i = 0; i < event_sources(x); i++) {
        const struct exhausted_source *s = &x->source[i];
        if (s->cause != CAUSE_RANGE_FULL)
            continue;
        full++;
        counted += s->counted != COUNTED_NO;
        complete += s->counted == COUNTED_ALL;
        capacity += x->capacity;
        instance += (uint64_t)s->open + s->time_wait;
        for (unsigned g = 0; g < KERNEL_GROUPS; g++)
            kernel += s->kernel[g];
    }
    if (full > 0 && counted == full && nearly(kernel, capacity))
        return instance * 2 >= kernel ? OCCUPIED_INSTANCE : OCCUPIED_OTHERS;
    if (full > 0 && complete == full)
        return OCCUPIED_BOUND;
    return nearly(instance, capacity) ? OCCUPIED_INSTANCE : OCCUPIED_UNKNOWN;
}
