/* The stream that `connspread log` reads: both rings, in order, each event once. */
#include <stdlib.h>
#include <string.h>

#include "tool/reader/merge.h"
#include "suite.h"

static struct state state;
static struct event_merge *merge;
static struct event_record record;

static void set_up(void) {
    ck_assert(state_private(&state, "test"));
    merge = malloc(sizeof *merge);
    ck_assert_ptr_nonnull(merge);
}

static void tear_down(void) {
    free(merge);
    state_unmap(&state);
}

static uint64_t write_event(enum event_kind kind) {
    memset(&record, 0, sizeof record);
    record.e.kind = (uint8_t)kind;
    ck_assert(ring_write(&state, &record));
    return record.e.seq;
}

START_TEST(an_empty_file_has_no_events) {
    merge_init(merge, &state, false);
    ck_assert(!merge_next(merge, &record));
}
END_TEST

START_TEST(both_rings_come_as_one_stream_in_order) {
    static const enum event_kind kinds[] = {EVENT_ATTACH,    EVENT_TIME_WAIT, EVENT_TIME_WAIT,
                                            EVENT_EXHAUSTED, EVENT_CLOSE,     EVENT_DETACH};
    enum { KINDS = sizeof kinds / sizeof kinds[0] };
    uint64_t seq[KINDS];
    for (unsigned i = 0; i < KINDS; i++)
        seq[i] = write_event(kinds[i]);
    merge_init(merge, &state, false);
    for (unsigned i = 0; i < KINDS; i++) {
        ck_assert(merge_next(merge, &record));
        ck_assert_uint_eq(record.e.kind, kinds[i]);
        ck_assert_uint_eq(record.e.seq, seq[i]);
    }
    ck_assert(!merge_next(merge, &record));
    ck_assert_uint_eq(merge->reader.torn + merge->reader.lost, 0);
}
END_TEST

START_TEST(a_reading_ends_at_what_was_there_when_it_began) {
    uint64_t seq = write_event(EVENT_TIME_WAIT);
    merge_init(merge, &state, false);
    (void)write_event(EVENT_TIME_WAIT);
    (void)write_event(EVENT_ATTACH);
    ck_assert(merge_next(merge, &record));
    ck_assert_uint_eq(record.e.seq, seq);
    ck_assert(!merge_next(merge, &record));
}
END_TEST

START_TEST(following_goes_on_with_what_comes) {
    merge_init(merge, &state, true);
    for (int i = 0; i < 10000; i++) {
        uint64_t seq = write_event(i % 3 ? EVENT_TIME_WAIT : EVENT_EXHAUSTED);
        ck_assert(merge_next(merge, &record));
        ck_assert_uint_eq(record.e.seq, seq);
        ck_assert(!merge_next(merge, &record));
    }
    ck_assert_uint_eq(merge->reader.torn + merge->reader.lost, 0);
}
END_TEST

START_TEST(what_a_lap_has_overwritten_is_gone_and_the_rest_is_in_order) {
    uint64_t n = 0, previous = 0;
    for (int i = 0; i < 5000; i++)
        (void)write_event(i % 10 ? EVENT_TIME_WAIT : EVENT_ATTACH);
    merge_init(merge, &state, false);
    for (; merge_next(merge, &record); n++) {
        ck_assert(n == 0 || record.e.seq > previous);
        previous = record.e.seq;
    }
    ck_assert_uint_ge(n, state.cells[RING_CLOSES]);
}
END_TEST

/* Neighbours in a ring may lie the wrong way round: their writers raced between drawing a number and taking a cell. */
START_TEST(records_out_of_order_are_put_in_order) {
    uint64_t last = 0;
    for (int i = 0; i < 100; i++) {
        uint64_t head = state.header->next_seq;
        state.header->next_seq = head + 1; /* the slow writer has drawn its number */
        (void)write_event(EVENT_TIME_WAIT);
        state.header->next_seq = head;
        (void)write_event(EVENT_TIME_WAIT);
        state.header->next_seq = head + 2;
    }
    merge_init(merge, &state, false);
    for (int i = 0; i < 200; i++) {
        ck_assert(merge_next(merge, &record));
        ck_assert(i == 0 || record.e.seq == last + 1);
        last = record.e.seq;
    }
    ck_assert(!merge_next(merge, &record));
}
END_TEST

int main(void) {
    Suite *s = suite_create("event_merge");
    TCase *t = tcase_create("merge");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, an_empty_file_has_no_events);
    tcase_add_test(t, both_rings_come_as_one_stream_in_order);
    tcase_add_test(t, a_reading_ends_at_what_was_there_when_it_began);
    tcase_add_test(t, following_goes_on_with_what_comes);
    tcase_add_test(t, what_a_lap_has_overwritten_is_gone_and_the_rest_is_in_order);
    tcase_add_test(t, records_out_of_order_are_put_in_order);
    suite_add_tcase(s, t);
    return run(s);
}
