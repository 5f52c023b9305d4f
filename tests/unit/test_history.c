/* state/history: what flows did in each minute of a day, by many writers, and whatever lies in the file. */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int steps_left = -1; /* a writer is killed at this step of making an entry; -1: never */

static void history_step(void) {
    if (steps_left >= 0 && steps_left-- == 0)
        _exit(0);
}
#define HISTORY_STEP() history_step()
#include "state/history.c" /* NOLINT: with its steps visible */

#include "flows.h"
#include "suite.h"
#include "state/history_reader.h"

enum { MINUTE = 30000000, DAY = HISTORY_MINUTES };

static void fresh(void) {
    ck_assert(state_private(&state, "test"));
    steps_left = -1;
}

static void gone(void) {
    state_unmap(&state);
}

START_TEST(an_empty_history_says_nothing) {
    struct history_reader r;
    history_reader_init(&r, &state, UINT32_MAX);
    ck_assert(!history_next(&r, &view));
}
END_TEST

START_TEST(every_number_of_a_flow_is_read_as_it_was_written) {
    for (unsigned i = 0; i < 100; i++)
        (void)connect_in(MINUTE, 5);
    for (unsigned c = 0; c < HISTORY_COUNTERS; c++)
        for (unsigned i = 0; i <= c; i++)
            count_in(MINUTE, 5, c);
    history_peak(&state, &flow(5)->f, MINUTE, 28000);
    history_peak(&state, &flow(5)->f, MINUTE, 27000);
    ck_assert(look_at(MINUTE));
    ck_assert_uint_eq(view.flows, 1);
    const struct history_record *r = record_of_flow(5);
    ck_assert_ptr_nonnull(r);
    ck_assert_uint_eq(r->netns, 1);
    ck_assert_uint_eq(r->n.connects, 100);
    ck_assert_uint_eq(r->n.connect_us, 700);
    ck_assert_uint_eq(r->n.peak, 28000);
    for (unsigned c = 0; c < HISTORY_COUNTERS; c++)
        ck_assert_uint_eq(r->n.count[c], c + 1);
    ck_assert_uint_eq(view.rest.connects, 0);
}
END_TEST

START_TEST(a_long_connect_counts_for_at_most_a_minute) {
    (void)history_connect(&state, &flow(0)->f, MINUTE, UINT64_MAX);
    ck_assert(look_at(MINUTE));
    ck_assert_uint_eq(view.record[0].n.connects, 1);
    ck_assert_uint_eq(view.record[0].n.connect_us, 60000000);
}
END_TEST

START_TEST(the_first_and_each_sixteenth_connect_of_a_minute_ask_for_the_peak) {
    for (uint32_t minute = MINUTE; minute < MINUTE + 2; minute++)
        for (unsigned i = 0; i < 100; i++)
            ck_assert_int_eq(connect_in(minute, 1), i % 16 == 0);
}
END_TEST

START_TEST(minutes_are_read_oldest_first_and_quiet_ones_left_out) {
    struct history_reader r;
    uint32_t minutes[] = {MINUTE + 3, MINUTE, MINUTE + 1438, MINUTE + 1439};
    for (unsigned i = 0; i < 4; i++)
        (void)connect_in(minutes[i], i);
    history_reader_init(&r, &state, MINUTE + 1439);
    for (unsigned i = 0; i < 4; i++) {
        uint32_t expected = (uint32_t[]){MINUTE, MINUTE + 3, MINUTE + 1438, MINUTE + 1439}[i];
        ck_assert(history_next(&r, &view));
        ck_assert_uint_eq(view.minute, expected);
    }
    ck_assert(!history_next(&r, &view));
}
END_TEST

START_TEST(a_day_later_a_minute_starts_over) {
    for (unsigned day = 0; day < 3; day++) {
        uint32_t minute = MINUTE + day * DAY;
        for (unsigned n = 0; n < 50; n++)
            for (unsigned i = 0; i <= day; i++) {
                (void)connect_in(minute, n);
                count_in(minute, n, HISTORY_TIME_WAITS);
            }
        ck_assert(look_at(minute));
        ck_assert_uint_eq(view.flows, HISTORY_FLOWS);
        ck_assert_uint_eq(total().connects, 50 * (day + 1));
        ck_assert_uint_eq(total().count[HISTORY_TIME_WAITS], 50 * (day + 1));
        ck_assert(day == 0 || !look_at(minute - DAY));
    }
}
END_TEST

START_TEST(a_whole_day_of_minutes_has_each_its_own_numbers) {
    struct history_reader r;
    for (uint32_t i = 0; i < 2 * DAY + 100; i++)
        for (uint32_t n = 0; n < 1 + i % 5; n++)
            (void)connect_in(MINUTE + i, n);
    history_reader_init(&r, &state, MINUTE + 2 * DAY + 99);
    for (uint32_t i = DAY + 100; i < 2 * DAY + 100; i++) {
        ck_assert(history_next(&r, &view));
        ck_assert_uint_eq(view.minute, MINUTE + i);
        ck_assert_uint_eq(view.flows, 1 + i % 5);
        ck_assert_uint_eq(total().connects, 1 + i % 5);
    }
    ck_assert(!history_next(&r, &view));
}
END_TEST

START_TEST(what_has_no_entry_is_in_the_rest) {
    for (unsigned n = 0; n < 3 * HISTORY_FLOWS; n++) {
        for (unsigned i = 0; i < 20; i++) /* each does enough to keep its place */
            (void)connect_in(MINUTE, n);
        count_in(MINUTE, n, HISTORY_FAILED);
        history_peak(&state, &flow(n)->f, MINUTE, n);
    }
    ck_assert(look_at(MINUTE));
    ck_assert_uint_eq(view.flows, HISTORY_FLOWS);
    ck_assert_uint_eq(view.rest.connects, 2 * HISTORY_FLOWS * 20);
    ck_assert_uint_eq(view.rest.connect_us, 2 * HISTORY_FLOWS * 20 * 7);
    ck_assert_uint_eq(view.rest.count[HISTORY_FAILED], 2 * HISTORY_FLOWS);
    ck_assert_uint_eq(view.rest.peak, 0);
    ck_assert_uint_eq(total().connects, 3 * HISTORY_FLOWS * 20);
}
END_TEST

START_TEST(a_busy_flow_that_comes_late_gets_a_place_and_no_count_is_lost) {
    for (unsigned n = 0; n < HISTORY_FLOWS; n++)
        (void)connect_in(MINUTE, n);
    for (unsigned i = 0; i < 10000; i++) {
        (void)connect_in(MINUTE, 1000);
        count_in(MINUTE, 1000, HISTORY_TIME_WAITS);
    }
    ck_assert(look_at(MINUTE));
    const struct history_record *r = record_of_flow(1000);
    ck_assert_ptr_nonnull(r);
    ck_assert_uint_ge(r->n.connects, 10000 - ADMIT);
    ck_assert_uint_eq(total().connects, 10000 + HISTORY_FLOWS);
    ck_assert_uint_eq(total().connect_us, 7 * (10000 + HISTORY_FLOWS));
    ck_assert_uint_eq(total().count[HISTORY_TIME_WAITS], 10000);
}
END_TEST

START_TEST(a_busy_flow_keeps_its_place_among_thousands) {
    for (unsigned i = 0; i < 5000; i++) {
        (void)connect_in(MINUTE, i % 2 ? 0 : 1 + i);
        if (i < 20)
            (void)connect_in(MINUTE, 0);
    }
    ck_assert(look_at(MINUTE));
    ck_assert_uint_eq(record_of_flow(0)->n.connects, 2520);
    ck_assert_uint_eq(total().connects, 5020);
}
END_TEST

static unsigned places_of_flow(unsigned n) {
    const struct history_minute *m = history_page(&state, MINUTE);
    unsigned places = 0;
    for (unsigned i = 0; i < HISTORY_FLOWS; i++)
        places += m->who[i] == word_of(MINUTE, flow(n)->f.key);
    return places;
}

/* Two processes, each of which remembers where it found its flows. */
START_TEST(a_flow_that_another_process_admitted_is_not_admitted_again) {
    static uint64_t mine[LATELY];
    for (unsigned n = 0; n < 2 * HISTORY_FLOWS; n++)
        (void)connect_in(MINUTE, n);
    unsigned late = 2 * HISTORY_FLOWS - 1;
    ck_assert_uint_eq(places_of_flow(late), 0);
    memcpy(mine, lately, sizeof mine);
    memset(lately, 0, sizeof lately);
    for (unsigned i = 0; i < 2 * ADMIT; i++)
        (void)connect_in(MINUTE, late);
    ck_assert_uint_eq(places_of_flow(late), 1);
    memcpy(lately, mine, sizeof mine);
    for (unsigned i = 0; i < 4 * ADMIT; i++)
        (void)connect_in(MINUTE, late);
    ck_assert_uint_eq(places_of_flow(late), 1);
    ck_assert(look_at(MINUTE));
    ck_assert_uint_ge(record_of_flow(late)->n.connects, 4 * ADMIT);
    ck_assert_uint_eq(total().connects, 6 * ADMIT + 2 * HISTORY_FLOWS);
}
END_TEST

/* What is remembered of a minute says nothing of the same page a day later. */
START_TEST(a_flow_without_a_place_gets_one_a_day_later) {
    for (unsigned n = 0; n < 2 * HISTORY_FLOWS; n++)
        (void)connect_in(MINUTE, n);
    unsigned late = 2 * HISTORY_FLOWS - 1;
    ck_assert_uint_eq(places_of_flow(late), 0);
    (void)connect_in(MINUTE + DAY, late);
    ck_assert(look_at(MINUTE + DAY));
    ck_assert_uint_eq(view.flows, 1);
}
END_TEST

START_TEST(a_writer_who_slept_for_a_day_spoils_nothing) {
    for (unsigned n = 0; n < 2 * HISTORY_FLOWS; n++)
        (void)connect_in(MINUTE + DAY, n);
    ck_assert(look_at(MINUTE + DAY));
    struct history_view before = view;
    for (unsigned n = 0; n < 4 * HISTORY_FLOWS; n++) {
        (void)connect_in(MINUTE, n);
        count_in(MINUTE, n, HISTORY_CLOSES);
        history_peak(&state, &flow(n)->f, MINUTE, 9);
    }
    ck_assert(look_at(MINUTE + DAY));
    ck_assert_mem_eq(&before, &view, sizeof view);
}
END_TEST

START_TEST(a_clock_that_was_set_back_finds_room) {
    uint32_t now = (uint32_t)(clock_ns(CLOCK_REALTIME) / MINUTE_NS);
    for (unsigned n = 0; n < 2 * HISTORY_FLOWS; n++)
        (void)connect_in(now + DAY, n);
    for (unsigned n = 0; n < 2 * HISTORY_FLOWS; n++)
        (void)connect_in(now, n);
    struct history_reader r;
    history_reader_init(&r, &state, now + 1);
    ck_assert(history_next(&r, &view));
    /* A test that begins in the last moments of a minute ends in the next. */
    if (clock_ns(CLOCK_REALTIME) / MINUTE_NS == now)
        ck_assert_uint_eq(total().connects, 2 * HISTORY_FLOWS);
}
END_TEST

START_TEST(the_minute_is_that_of_the_clock) {
    uint64_t now = clock_ns(CLOCK_MONOTONIC), real = clock_ns(CLOCK_REALTIME);
    for (uint64_t ahead = 0; ahead < 5; ahead++) {
        uint32_t minute = history_minute(now + ahead * MINUTE_NS);
        ck_assert_uint_ge(minute, real / MINUTE_NS + ahead);
        ck_assert_uint_le(minute, real / MINUTE_NS + ahead + 1);
    }
}
END_TEST

START_TEST(a_writer_killed_while_it_makes_an_entry_costs_one_place) {
    for (int step = 0; step < 2; step++) {
        uint32_t minute = MINUTE + (uint32_t)step;
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            steps_left = step;
            (void)connect_in(minute, 3);
            _exit(1); /* it was to be killed in there */
        }
        int status;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
        ck_assert(!look_at(minute));
        for (unsigned i = 0; i < 10; i++)
            (void)connect_in(minute, 3);
        ck_assert(look_at(minute));
        ck_assert_uint_eq(record_of_flow(3)->n.connects, 10);
        for (unsigned n = 0; n < 2 * HISTORY_FLOWS; n++)
            (void)connect_in(minute, 100 + n);
        ck_assert(look_at(minute));
        ck_assert_uint_eq(view.flows, HISTORY_FLOWS - 1);
        ck_assert_uint_eq(total().connects, 10 + 2 * HISTORY_FLOWS);
        ck_assert(connect_in(minute + DAY, 3)); /* and the next day it is there again */
        for (unsigned n = 0; n < 2 * HISTORY_FLOWS; n++)
            (void)connect_in(minute + DAY, 100 + n);
        ck_assert(look_at(minute + DAY));
        ck_assert_uint_eq(view.flows, HISTORY_FLOWS);
    }
}
END_TEST

START_TEST(a_flow_that_was_in_the_rest_has_an_entry_in_the_next_minute) {
    for (uint32_t minute = MINUTE; minute < MINUTE + 8; minute += 2) {
        for (unsigned n = 0; n < 4 * HISTORY_FLOWS; n++)
            (void)connect_in(minute, 1000 + n);
        (void)connect_in(minute, 5); /* no place is left */
        ck_assert(look_at(minute));
        ck_assert_ptr_null(record_of_flow(5));
        (void)connect_in(++minute, 5);
        ck_assert(look_at(minute));
        ck_assert_ptr_nonnull(record_of_flow(5));
    }
    ck_assert_uint_eq(view.rest.connects, 0);
}
END_TEST

START_TEST(an_entry_whose_labels_were_scribbled_over_goes_to_the_rest) {
    for (unsigned i = 0; i < 10; i++)
        (void)connect_in(MINUTE, 2);
    struct history_minute *m = history_page(&state, MINUTE);
    struct history_entry *e = &m->flow[flow(2)->f.key % HISTORY_FLOWS];
    unsigned char *label[] = {(unsigned char *)&e->netns, e->source.b, e->destination.b, (unsigned char *)e->program,
                              (unsigned char *)&e->port};
    for (unsigned i = 0; i < 5; i++) {
        *label[i] ^= 4;
        ck_assert(look_at(MINUTE));
        ck_assert_uint_eq(view.flows, 0);
        ck_assert_uint_eq(view.rest.connects, 10);
        *label[i] ^= 4;
    }
    ck_assert(look_at(MINUTE));
    ck_assert_uint_eq(view.flows, 1);
}
END_TEST

START_TEST(names_are_printable_and_end) {
    struct addr source = {{0}};
    struct endpoint destination = {.port = 1};
    const char *name = "\033[2Jx\1770123456789abcdefghijkl";
    uint64_t pair = pair_key(9, &source, &destination);
    struct history_flow f = {9, &source, &destination, name, history_key(pair, history_program(name))};
    (void)history_connect(&state, &f, MINUTE, 0);
    ck_assert(look_at(MINUTE));
    ck_assert_str_eq(view.record[0].program, "?[2Jx?0123456789abcd");
}
END_TEST

START_TEST(minutes_of_the_future_are_not_believed) {
    struct history_reader r;
    (void)connect_in(MINUTE + 100, 0);
    (void)connect_in(MINUTE, 0);
    history_reader_init(&r, &state, MINUTE + 99);
    ck_assert(history_next(&r, &view));
    ck_assert_uint_eq(view.minute, MINUTE);
    ck_assert(!history_next(&r, &view));
}
END_TEST

START_TEST(random_bytes_are_read_and_written_within_bounds) {
    struct history_reader r;
    srandom(1);
    for (unsigned round = 0; round < 5; round++) {
        uint32_t *word = (uint32_t *)state.history;
        for (size_t i = 0; i < HISTORY_MINUTES * sizeof *state.history / sizeof *word; i++)
            word[i] = (uint32_t)random() ^ (uint32_t)random() << 8;
        for (unsigned i = 0; i < HISTORY_MINUTES; i += 2)
            for (unsigned j = 0; j < HISTORY_FLOWS; j++)
                state.history[i].who[j] = (uint64_t)(MINUTE + i) << 32 | (j & 1 ? 77 : (uint32_t)random());
        history_reader_init(&r, &state, UINT32_MAX);
        for (unsigned n = 0; history_next(&r, &view); n++) {
            ck_assert_uint_lt(n, HISTORY_MINUTES);
            ck_assert_uint_le(view.flows, HISTORY_FLOWS);
        }
        for (unsigned i = 0; i < 3000; i++) {
            (void)connect_in(MINUTE + i, i);
            count_in(MINUTE + i, i, i % HISTORY_COUNTERS);
            history_peak(&state, &flow(i)->f, MINUTE + i, i);
        }
    }
}
END_TEST

START_TEST(what_a_program_did_of_late_is_added_up_over_sources) {
    struct history_counts recent;
    for (uint32_t back = 0; back < 3; back++)
        for (unsigned n = 0; n < 8; n++) { /* flows 0 and 4: the same program and destination from two sources */
            (void)connect_in(MINUTE - back, n);
            count_in(MINUTE - back, n, HISTORY_TIME_WAITS);
        }
    history_recent(&state, &flow(4)->f, MINUTE, &recent);
    ck_assert_uint_eq(recent.connects, 4);
    ck_assert_uint_eq(recent.count[HISTORY_TIME_WAITS], 4);
    ck_assert_uint_eq(recent.count[HISTORY_CLOSES], 0);
    history_recent(&state, &flow(4)->f, MINUTE + 5, &recent);
    ck_assert_uint_eq(recent.connects, 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("history");
    TCase *tc = tcase_create("history");
    tcase_add_checked_fixture(tc, fresh, gone);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, an_empty_history_says_nothing);
    tcase_add_test(tc, every_number_of_a_flow_is_read_as_it_was_written);
    tcase_add_test(tc, a_long_connect_counts_for_at_most_a_minute);
    tcase_add_test(tc, the_first_and_each_sixteenth_connect_of_a_minute_ask_for_the_peak);
    tcase_add_test(tc, minutes_are_read_oldest_first_and_quiet_ones_left_out);
    tcase_add_test(tc, a_day_later_a_minute_starts_over);
    tcase_add_test(tc, a_whole_day_of_minutes_has_each_its_own_numbers);
    tcase_add_test(tc, what_has_no_entry_is_in_the_rest);
    tcase_add_test(tc, a_busy_flow_that_comes_late_gets_a_place_and_no_count_is_lost);
    tcase_add_test(tc, a_busy_flow_keeps_its_place_among_thousands);
    tcase_add_test(tc, a_flow_that_another_process_admitted_is_not_admitted_again);
    tcase_add_test(tc, a_flow_without_a_place_gets_one_a_day_later);
    tcase_add_test(tc, a_writer_who_slept_for_a_day_spoils_nothing);
    tcase_add_test(tc, a_clock_that_was_set_back_finds_room);
    tcase_add_test(tc, the_minute_is_that_of_the_clock);
    tcase_add_test(tc, a_writer_killed_while_it_makes_an_entry_costs_one_place);
    tcase_add_test(tc, a_flow_that_was_in_the_rest_has_an_entry_in_the_next_minute);
    tcase_add_test(tc, an_entry_whose_labels_were_scribbled_over_goes_to_the_rest);
    tcase_add_test(tc, names_are_printable_and_end);
    tcase_add_test(tc, minutes_of_the_future_are_not_believed);
    tcase_add_test(tc, random_bytes_are_read_and_written_within_bounds);
    tcase_add_test(tc, what_a_program_did_of_late_is_added_up_over_sources);
    suite_add_tcase(suite, tc);
    return run(suite);
}
