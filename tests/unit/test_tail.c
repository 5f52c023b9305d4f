/* Reading on past writers that stopped. */
#include <stdlib.h>
#include <string.h>

#include "tool/reader/tail.h"
#include "records.h"
#include "suite.h"

static struct state state;
static struct tail *t;
static struct event_record record;

static void set_up(void) {
    ck_assert(state_private(&state, "test"));
    t = malloc(sizeof *t);
    ck_assert_ptr_nonnull(t);
    tail_init(t, &state);
}

static void tear_down(void) {
    free(t);
    state_unmap(&state);
}

static uint64_t put(uint64_t mark, unsigned cells) {
    struct event_record r = make(mark, cells);
    ck_assert(ring_write(&state, &r));
    return r.e.seq;
}

/* A writer takes its cells and its number, and stops: writing is undone cell by cell, and done later. */
struct stopped {
    enum ring_id ring;
    uint64_t first;
    unsigned cells;
    uint64_t number[EVENT_CELLS_MAX];
};

static struct stopped stop(uint64_t mark, unsigned cells) {
    struct stopped s = {.cells = cells, .ring = cells > 1 ? RING_INCIDENTS : RING_CLOSES};
    s.first = state.header->ring[s.ring].head;
    (void)put(mark, cells);
    for (unsigned i = 0; i < cells; i++) {
        struct cell *cell = &state.ring[s.ring][(s.first + i) % state.cells[s.ring]];
        s.number[i] = cell->number;
        cell->number = 0;
    }
    return s;
}

static void go_on(const struct stopped *s, unsigned from, unsigned to) {
    for (unsigned i = from; i < to; i++)
        state.ring[s->ring][(s->first + i) % state.cells[s->ring]].number = s->number[i];
}

START_TEST(both_rings_come_in_order) {
    put(0, 1);
    put(1, 2);
    put(2, 4);
    put(3, 1);
    for (uint64_t i = 0; i < 4; i++) {
        ck_assert(tail_next(t, &record));
        ck_assert_uint_eq(record.e.age_us, i);
        assert_genuine(&record);
    }
    ck_assert(!tail_next(t, &record) && !tail_late(t, false, &record));
}
END_TEST

START_TEST(a_stopped_writer_holds_nobody_up_and_is_read_when_it_goes_on) {
    struct stopped s = stop(7, (unsigned)_i);
    struct tail_mark mark;
    put(8, (unsigned)_i);
    tail_mark(t, &mark);
    ck_assert(tail_next(t, &record));
    ck_assert_uint_eq(record.e.age_us, 8);
    ck_assert(!tail_next(t, &record) && !tail_late(t, false, &record));
    ck_assert(!tail_passed(t, &mark));
    go_on(&s, 0, s.cells);
    ck_assert(tail_late(t, false, &record));
    ck_assert_uint_eq(record.e.age_us, 7);
    assert_genuine(&record);
    ck_assert(!tail_late(t, false, &record) && !tail_next(t, &record));
    ck_assert(tail_passed(t, &mark));
}
END_TEST

START_TEST(half_a_record_is_not_one_yet) {
    struct stopped s = stop(7, 4);
    put(8, 4);
    go_on(&s, 0, 2);
    ck_assert(tail_next(t, &record));
    ck_assert_uint_eq(record.e.age_us, 8);
    ck_assert(!tail_late(t, false, &record));
    go_on(&s, 2, 4);
    ck_assert(tail_late(t, false, &record));
    ck_assert_uint_eq(record.e.age_us, 7);
    assert_genuine(&record);
    ck_assert(!tail_late(t, false, &record));
    ck_assert_uint_eq(t->holes, 0);
}
END_TEST

START_TEST(the_cells_of_a_record_may_come_in_any_order) {
    struct stopped s = stop(7, 4);
    ck_assert(!tail_next(t, &record));
    go_on(&s, 1, 4);
    ck_assert(!tail_next(t, &record) && !tail_late(t, false, &record));
    go_on(&s, 0, 1);
    ck_assert(tail_late(t, false, &record));
    ck_assert_uint_eq(record.e.age_us, 7);
    ck_assert(!tail_next(t, &record) && !tail_late(t, false, &record));
}
END_TEST

START_TEST(who_never_goes_on_is_given_up_when_asked) {
    struct tail_mark mark;
    (void)stop(7, 1);
    tail_mark(t, &mark);
    ck_assert(!tail_next(t, &record) && !tail_late(t, false, &record));
    ck_assert(!tail_passed(t, &mark));
    ck_assert(!tail_late(t, true, &record));
    ck_assert(tail_passed(t, &mark));
}
END_TEST

START_TEST(who_was_lapped_is_given_up) {
    struct tail_mark mark;
    (void)stop(7, 1);
    tail_mark(t, &mark);
    ck_assert(!tail_next(t, &record));
    for (uint64_t i = 0; i < state.cells[RING_CLOSES]; i++) {
        put(i, 1);
        ck_assert(tail_next(t, &record));
        ck_assert_uint_eq(record.e.age_us, i);
    }
    ck_assert(!tail_late(t, false, &record));
    ck_assert(tail_passed(t, &mark));
}
END_TEST

START_TEST(more_holes_than_fit_lose_the_oldest_only) {
    uint64_t n = state.cells[RING_CLOSES] - 1;
    struct stopped s[64];
    unsigned late = 0;
    for (uint64_t i = 0; i < n; i++) {
        struct stopped one = stop(i, 1);
        s[i % 64] = one;
    }
    ck_assert(!tail_next(t, &record));
    ck_assert_uint_le(t->holes, TAIL_HOLES);
    for (unsigned i = 0; i < 64; i++)
        go_on(&s[i], 0, 1);
    while (tail_late(t, false, &record))
        late++;
    ck_assert_uint_eq(late, 64);
}
END_TEST

START_TEST(a_mark_is_passed_when_all_before_it_was_returned) {
    struct tail_mark mark;
    put(0, 1);
    put(1, 1);
    tail_mark(t, &mark);
    put(2, 1);
    ck_assert(!tail_passed(t, &mark));
    ck_assert(tail_next(t, &record));
    ck_assert(!tail_passed(t, &mark));
    ck_assert(tail_next(t, &record));
    ck_assert(tail_passed(t, &mark));
}
END_TEST

START_TEST(an_overrun_is_counted) {
    for (uint64_t i = 0; i < 2 * state.cells[RING_CLOSES]; i++)
        put(i, 1);
    ck_assert(tail_next(t, &record));
    ck_assert_uint_eq(t->reader.lost, state.cells[RING_CLOSES]);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("tail");
    TCase *tc = tcase_create("tail");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, both_rings_come_in_order);
    tcase_add_loop_test(tc, a_stopped_writer_holds_nobody_up_and_is_read_when_it_goes_on, 1, EVENT_CELLS_MAX + 1);
    tcase_add_test(tc, half_a_record_is_not_one_yet);
    tcase_add_test(tc, the_cells_of_a_record_may_come_in_any_order);
    tcase_add_test(tc, who_never_goes_on_is_given_up_when_asked);
    tcase_add_test(tc, who_was_lapped_is_given_up);
    tcase_add_test(tc, more_holes_than_fit_lose_the_oldest_only);
    tcase_add_test(tc, a_mark_is_passed_when_all_before_it_was_returned);
    tcase_add_test(tc, an_overrun_is_counted);
    suite_add_tcase(suite, tc);
    return run(suite);
}
