#include "tool/common/window.h"

#include <string.h>

static void move_on(struct window *w, uint64_t slot) {
    if (slot - w->slot >= WINDOW_SLOTS) {
        memset(w->count, 0, sizeof w->count);
        w->sum = 0;
    } else {
        for (uint64_t i = w->slot + 1; i <= slot; i++) {
            uint32_t *old = &w->count[i % WINDOW_SLOTS];
            w->sum -= *old < w->sum ? *old : w->sum;
            *old = 0;
        }
    }
    w->slot = slot;
}

void window_add(struct window *w, uint64_t time_us, uint32_t n) {
    uint64_t slot = time_us / WINDOW_SLOT_US;
    if (slot > w->slot)
        move_on(w, slot);
    else if (w->slot - slot >= WINDOW_SLOTS)
        return;
    w->count[slot % WINDOW_SLOTS] = bounded_sum(w->count[slot % WINDOW_SLOTS], n);
    w->sum = bounded_sum(w->sum, n);
    if (w->sum > w->peak) {
        w->peak = w->sum;
        w->peak_us = time_us;
    }
}

void window_take(struct window *w, uint64_t time_us) {
    uint64_t slot = time_us / WINDOW_SLOT_US;
    uint32_t *count = &w->count[slot % WINDOW_SLOTS];
    if (slot > w->slot || w->slot - slot >= WINDOW_SLOTS || *count == 0)
        return;
    --*count;
    w->sum -= w->sum > 0;
}

static uint32_t sum_up_to(const struct window *w, uint64_t slot, uint64_t last) {
    uint64_t first = slot < WINDOW_SLOTS ? 0 : slot - WINDOW_SLOTS + 1;
    uint64_t oldest = w->slot < WINDOW_SLOTS ? 0 : w->slot - WINDOW_SLOTS + 1;
    uint32_t sum = 0;
    for (uint64_t i = first > oldest ? first : oldest; i <= w->slot && i <= last; i++)
        sum = bounded_sum(sum, w->count[i % WINDOW_SLOTS]);
    return sum;
}

uint32_t window_at(const struct window *w, uint64_t time_us) {
    return sum_up_to(w, time_us / WINDOW_SLOT_US, time_us / WINDOW_SLOT_US);
}

uint32_t window_old(const struct window *w, uint64_t time_us) {
    uint64_t slot = time_us / WINDOW_SLOT_US;
    return slot < 2 ? 0 : sum_up_to(w, slot, slot - 2);
}

void minutes_add(struct minutes *m, uint64_t time_us, uint32_t n) {
    uint64_t minute = time_us / 60000000;
    if (minute > m->minute) {
        if (minute - m->minute >= WINDOW_MINUTES)
            memset(m->count, 0, sizeof m->count);
        for (uint64_t i = m->minute + 1; i <= minute && minute - m->minute < WINDOW_MINUTES; i++)
            m->count[i % WINDOW_MINUTES] = 0;
        m->minute = minute;
    } else if (m->minute - minute >= WINDOW_MINUTES) {
        return;
    }
    m->count[minute % WINDOW_MINUTES] = bounded_sum(m->count[minute % WINDOW_MINUTES], n);
}

void minutes_take(struct minutes *m, uint64_t time_us) {
    uint64_t minute = time_us / 60000000;
    if (minutes_at(m, minute) > 0)
        m->count[minute % WINDOW_MINUTES]--;
}

uint32_t minutes_at(const struct minutes *m, uint64_t minute) {
    if (minute > m->minute || m->minute - minute >= WINDOW_MINUTES)
        return 0;
    return m->count[minute % WINDOW_MINUTES];
}
