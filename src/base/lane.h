/* lane.h - which of several copies of something a thread uses, so that threads seldom write to the same cache line. */
#ifndef CONNSPREAD_BASE_LANE_H
#define CONNSPREAD_BASE_LANE_H

#include <stdint.h>

/* Below lanes (a power of two, at most 16); the same all through a thread, seldom that of another. Only speed may
 * depend on it. Async-signal-safe: the address of a thread's own memory, which threads made one after the other have
 * at even distances, multiplied so that its upper bits differ. */
static inline unsigned thread_lane(unsigned lanes) {
    static __thread char here;
    return (unsigned)(((uint64_t)((uintptr_t)&here >> 12) * 0x9e3779b97f4a7c15u) >> 60) % lanes;
}

#endif
