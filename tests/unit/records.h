/* records.h - event records that can be told from forged ones: every byte follows from one number. */
#ifndef CONNSPREAD_TESTS_UNIT_RECORDS_H
#define CONNSPREAD_TESTS_UNIT_RECORDS_H

#include <check.h>
#include <string.h>

#include "state/ring.h"

/* mark is found again in age_us; cells: 1..4. */
static inline struct event_record make(uint64_t mark, unsigned cells) {
    struct event_record r = {.e = {.kind = EVENT_TIME_WAIT, .age_us = mark, .netns = ~mark, .time_us = mark * 31}};
    for (unsigned i = 0; i < 16; i++)
        r.e.peer.b[i] = (uint8_t)(mark >> i);
    if (cells > 1) {
        r.e.kind = EVENT_RELOAD;
        memset(r.u.text, 'a' + (int)(mark % 26), (size_t)(cells - 1) * CELL_PAYLOAD - 1);
    }
    return r;
}

static inline void assert_genuine(const struct event_record *r) {
    struct event_record wanted = make(r->e.age_us, record_cells(r));
    wanted.e.seq = r->e.seq;
    ck_assert_mem_eq(r, &wanted, sizeof wanted);
}

#endif
