/* window.h - how many of something happened in the last minute or so, at any moment of a stream. Pure. */
#ifndef CONNSPREAD_TOOL_COMMON_WINDOW_H
#define CONNSPREAD_TOOL_COMMON_WINDOW_H

#include <stdint.h>

enum { WINDOW_SLOTS = 16, WINDOW_SLOT_US = 4000000, WINDOW_MINUTES = 12 };

/* At most UINT32_MAX. */
static inline uint32_t bounded_sum(uint32_t a, uint32_t b) {
    return b > UINT32_MAX - a ? UINT32_MAX : a + b;
}

/* Of the last 60 to 64 s, which is about as long as a TIME-WAIT lasts. All zero: empty. */
struct window {
    uint64_t slot; /* number of the newest one; slots of 4 s since 1970 */
    uint32_t sum, peak;
    uint64_t peak_us;
    uint32_t count[WINDOW_SLOTS];
};

/* Moves on to time_us and adds n. What comes late but within the minute still counts. */
void window_add(struct window *w, uint64_t time_us, uint32_t n);

/* One that was added at time_us was none. Its share of a peak stays. */
void window_take(struct window *w, uint64_t time_us);

/* How many there are at time_us. */
uint32_t window_at(const struct window *w, uint64_t time_us);

/* The same without those of the last 4 to 8 s. */
uint32_t window_old(const struct window *w, uint64_t time_us);

/* The same by calendar minute, for the last WINDOW_MINUTES. */
struct minutes {
    uint64_t minute; /* of the newest one, since 1970 */
    uint32_t count[WINDOW_MINUTES];
};
void minutes_add(struct minutes *m, uint64_t time_us, uint32_t n);
void minutes_take(struct minutes *m, uint64_t time_us);

/* Of one minute since 1970; 0 when it is too old to be remembered, or has not come. */
uint32_t minutes_at(const struct minutes *m, uint64_t minute);

#endif
