/* state/pair: hold-downs, TIME-WAIT counts and budgets, with a clock that the test moves. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "state/create.h"
#include "state/pair.h"
#include "state/pair_table.h"
#include "state/segment.h"
#include "suite.h"
#include "state/control.h"

static const uint64_t ms = 1000000, second = 1000000000, start = 3600 * (uint64_t)1000000000;

static struct state state;

static void fresh(void) {
    ck_assert(state_private(&state, "test"));
}

static void gone(void) {
    state_unmap(&state);
}

static struct pair *pair_at(uint64_t key) {
    struct pair *p = pair_find(&state, key, true, start);
    ck_assert_ptr_nonnull(p);
    return p;
}

static const struct addr nowhere;
static const struct endpoint somewhere = {.port = 80};
static const struct pair_flow flow = {&nowhere, &somewhere, 7};

/* A connect from began to end that got no answer, of which we hear late; a sibling's that began at sibling got one. */
static bool lost_late(struct pair *p, uint64_t began, uint64_t end, uint64_t sibling, uint64_t late) {
    const struct pair_wait wait = {start + began * ms, start + end * ms, start + (end + late) * ms};
    return pair_unanswered(p, &flow, &wait, start + sibling * ms);
}

static bool lost(struct pair *p, uint64_t began, uint64_t end, uint64_t sibling) {
    return lost_late(p, began, end, sibling, 0);
}

START_TEST(the_third_unanswered_connect_marks_a_pair_down_while_siblings_are_answered) {
    struct pair *p = pair_at(1);
    ck_assert(!lost(p, 0, 2000, 100));
    ck_assert(!lost(p, 2100, 4000, 2200));
    ck_assert(pair_may_try(p, start + 4001 * ms));
    ck_assert(lost(p, 4100, 6000, 4200));
    ck_assert(pair_is_down(p));
    ck_assert_uint_eq(p->rule_id, 7);
    ck_assert_uint_eq(p->port, 80);
    ck_assert(!pair_may_try(p, start + 35999 * ms));
    ck_assert(pair_may_try(p, start + 36000 * ms)); /* one tries */
    ck_assert(!pair_may_try(p, start + 36001 * ms));
    ck_assert(!pair_may_try(p, start + 65999 * ms));
    ck_assert(pair_may_try(p, start + 66000 * ms));
}
END_TEST

START_TEST(a_client_that_makes_one_connect_at_a_time_confirms_each_by_its_next) {
    struct pair *p = pair_at(1);
    for (uint64_t round = 0; round < 3; round++)
        ck_assert(!lost(p, 2000 * round, 2000 * round + 1500, round ? 2000 * round - 100 : 0));
    ck_assert(lost(p, 6000, 7500, 5900));
}
END_TEST

START_TEST(a_dead_destination_marks_nothing) {
    struct pair *p = pair_at(1);
    for (uint64_t i = 1; i < 50; i++)
        ck_assert(!lost(p, 2000 * i, 2000 * i + 1500, 1000));
    ck_assert(!pair_is_down(p));
    ck_assert_uint_eq(p->unanswered, 0);
    /* It is back: the last failure alone counts. */
    ck_assert(!lost(p, 200000, 201500, 200100));
    ck_assert_uint_eq(p->unanswered, 2);
    pair_answered(p, start + 202000 * ms);
    ck_assert_uint_eq(p->unanswered, 0);
}
END_TEST

START_TEST(what_came_between_the_end_and_the_news_of_it_is_neither_missed_nor_counted_twice) {
    struct pair *p = pair_at(1);
    for (uint64_t round = 0; round < 3; round++) /* a sibling is answered 1 ms after the end, 49 before the news */
        ck_assert(!lost_late(p, 2000 * round, 2000 * round + 1500, round ? 2000 * round - 499 : 0, 50));
    ck_assert(lost_late(p, 6000, 7500, 5501, 50));
    ck_assert(!lost_late(p, 7502, 9000, 7501, 50)); /* begun when it was not known yet that the pair is down */
    ck_assert(pair_is_down(p));
    ck_assert_uint_eq(p->unanswered, 3);
}
END_TEST

START_TEST(of_connects_at_the_same_time_one_counts) {
    struct pair *p = pair_at(1);
    for (uint64_t i = 0; i < 100; i++)
        ck_assert(!lost(p, i, 2000 + i, 1000));
    ck_assert_uint_eq(p->unanswered, 1);
}
END_TEST

START_TEST(an_answer_ends_it_unless_it_is_older_than_the_evidence) {
    struct pair *p = pair_at(1);
    for (uint64_t i = 0; i < 3; i++)
        (void)lost(p, 2100 * i, 2100 * i + 2000, 2100 * i + 50);
    ck_assert(pair_is_down(p));
    pair_answered(p, start + 4500 * ms);
    ck_assert(pair_is_down(p));
    pair_answered(p, start + 6300 * ms);
    ck_assert(!pair_is_down(p));
    ck_assert(pair_may_try(p, start + 6301 * ms));
    ck_assert(!lost(p, 6200, 8200, 7000)); /* began before that answer */
    ck_assert_uint_eq(p->unanswered, 0);
    ck_assert_uint_eq(pair_last_answer(p, start + 9000 * ms), start + 6300 * ms);
    ck_assert_uint_eq(pair_last_answer(p, start), 0); /* of the future: a scribble */
}
END_TEST

START_TEST(a_source_that_stays_silent_is_tried_less_and_less_often_down_to_once_in_five_minutes) {
    struct pair *p = pair_at(1);
    uint64_t want[] = {30, 60, 120, 240, 300, 300}, at = 0;
    for (uint64_t i = 0; i < 2; i++, at += 2)
        ck_assert(!lost(p, at * 1000, at * 1000 + 1500, at * 1000 + 1));
    for (unsigned i = 0; i < sizeof want / sizeof *want; i++) {
        ck_assert(lost(p, at * 1000, at * 1000 + 1000, at * 1000 + 1));
        ck_assert(!pair_may_try(p, start + (at + want[i] + 1) * second - 1));
        at += want[i] + 1;
        ck_assert(pair_may_try(p, start + at * second));
    }
}
END_TEST

START_TEST(a_scribbled_mark_lasts_no_longer_than_a_real_one) {
    struct pair *p = pair_at(1);
    p->down_until = UINT64_MAX;
    p->unanswered = UINT16_MAX;
    ck_assert(pair_may_try(p, start));
    ck_assert(!pair_may_try(p, start + 1));
    ck_assert(pair_may_try(p, start + DOWN_MAX_MS * ms));
}
END_TEST

START_TEST(a_key_depends_on_namespace_source_destination_and_port) {
    struct addr a = addr_from_v4(0x0a000001), b = addr_from_v4(0x0a000002);
    struct endpoint x = {.addr = b, .port = 80}, y = {.addr = b, .port = 81}, z = {.addr = a, .port = 80};
    uint64_t key[] = {pair_key(1, &a, &x), pair_key(2, &a, &x),   pair_key(1, &b, &x),  pair_key(1, &a, &y),
                      pair_key(1, &a, &z), pair_key(1, &a, NULL), pair_key(1, &b, NULL)};
    for (unsigned i = 0; i < sizeof key / sizeof *key; i++) {
        ck_assert_uint_ne(key[i], 0);
        for (unsigned j = 0; j < i; j++)
            ck_assert_uint_ne(key[i], key[j]);
    }
    ck_assert_uint_eq(key[0], pair_key(1, &a, &x));
}
END_TEST

START_TEST(nothing_is_found_that_was_not_made) {
    ck_assert_ptr_null(pair_find(&state, 7, false, start));
    struct pair *p = pair_at(7);
    ck_assert_ptr_eq(pair_find(&state, 7, false, start), p);
    ck_assert_ptr_null(pair_find(&state, 7 + PAIRS, false, start));
    ck_assert_ptr_ne(pair_at(7 + PAIRS), p);
}
END_TEST

START_TEST(without_a_pair_everything_may_be_tried) {
    uint32_t repeats = 1;
    ck_assert(pair_may_try(NULL, start));
    ck_assert(!pair_held_down(NULL, start));
    ck_assert(pair_full(NULL, start, 0));
    ck_assert(pair_set_unusable(NULL, start, 1));
    ck_assert(!pair_worked(NULL));
    ck_assert(pair_within_budget(NULL, start, 0, &repeats));
    ck_assert_uint_eq(repeats, 0);
    pair_opened(NULL, start);
    pair_closed(NULL, true, start);
    ck_assert_uint_eq(pair_open(NULL) + pair_time_waits(NULL, start), 0);
}
END_TEST

START_TEST(a_full_pair_is_held_down_for_100_ms) {
    struct pair *p = pair_at(1);
    ck_assert(pair_may_try(p, start));
    ck_assert(pair_full(p, start, 0));
    ck_assert(pair_held_down(p, start));
    ck_assert(pair_held_down(p, start + 100 * ms - 1));
    ck_assert(pair_held_down(p, start + 100 * ms + 999 * ms)); /* suspect: only a prober tries */
    ck_assert(!pair_held_down(p, start + 1100 * ms));
    ck_assert(!pair_may_try(p, start + 1));
    ck_assert(pair_may_try(p, start + 100 * ms));
}
END_TEST

START_TEST(only_the_first_of_several_failures_says_that_the_hold_down_is_new) {
    struct pair *p = pair_at(1);
    ck_assert(pair_full(p, start, 0));
    ck_assert(!pair_full(p, start + 50 * ms, 0));
    ck_assert(pair_held_down(p, start + 149 * ms));
    ck_assert(pair_full(p, start + 150 * ms, 0));
}
END_TEST

START_TEST(one_caller_per_10_ms_probes_through_a_hold_down) {
    struct pair *p = pair_at(1);
    (void)pair_full(p, start, 0);
    unsigned probes = 0;
    for (uint64_t now = start; now < start + 100 * ms; now += ms / 4)
        probes += pair_may_try(p, now);
    ck_assert_uint_eq(probes, 9);
}
END_TEST

START_TEST(a_close_ends_the_hold_down) {
    struct pair *p = pair_at(1);
    for (int time_wait = 0; time_wait < 2; time_wait++) {
        (void)pair_full(p, start, 0);
        pair_closed(p, time_wait, start + ms);
        ck_assert(!pair_held_down(p, start + ms));
        ck_assert(pair_may_try(p, start + ms));
    }
}
END_TEST

START_TEST(a_pair_put_aside_is_left_alone_until_its_time) {
    struct pair *p = pair_at(1);
    ck_assert(pair_set_unusable(p, start, UNREACHABLE_MS));
    ck_assert(!pair_may_try(p, start));
    ck_assert(!pair_may_try(p, start + UNREACHABLE_MS * ms - 1));
    ck_assert(!pair_held_down(p, start));
    ck_assert(pair_may_try(p, start + UNREACHABLE_MS * ms));
}
END_TEST

START_TEST(a_source_goes_and_comes_back_once) {
    struct pair *p = pair_at(1);
    ck_assert(!pair_worked(p));
    ck_assert(pair_set_unusable(p, start, UNREACHABLE_MS));
    ck_assert(!pair_set_unusable(p, start + second, UNREACHABLE_MS));
    ck_assert(pair_worked(p));
    ck_assert(!pair_worked(p));
    ck_assert(pair_may_try(p, start + 2 * second));
    ck_assert(pair_set_unusable(p, start + 3 * second, UNREACHABLE_MS));
}
END_TEST

START_TEST(times_too_far_ahead_are_not_believed) {
    struct pair *p = pair_at(1);
    p->hold_until = p->unusable_until = p->probe_next = UINT64_MAX;
    ck_assert(pair_may_try(p, start));
    ck_assert(!pair_held_down(p, start));
    ck_assert_msg(pair_full(p, start, 0), "a scribble is no hold-down");
    ck_assert(pair_held_down(p, start));
    p->unusable_until = start + (QUARANTINE_MS + 1) * ms;
    p->hold_until = start + (HOLD_DOWN_MS + 1) * ms;
    ck_assert(pair_may_try(p, start));
}
END_TEST

START_TEST(connections_are_counted_open_and_never_below_zero) {
    struct pair *p = pair_at(1);
    pair_opened(p, start);
    pair_opened(p, start);
    ck_assert_uint_eq(pair_open(p), 2);
    for (int i = 0; i < 3; i++)
        pair_closed(p, false, start);
    ck_assert_uint_eq(pair_open(p), 0);
}
END_TEST

START_TEST(a_time_wait_counts_for_at_least_60_and_at_most_64_seconds) {
    for (uint64_t shift = 0; shift < 4 * second; shift += second / 2) {
        struct pair *p = pair_at(1 + shift);
        uint64_t now = start + shift;
        pair_closed(p, true, now);
        ck_assert_uint_eq(pair_time_waits(p, now), 1);
        ck_assert_uint_eq(pair_time_waits(p, now + 60 * second), 1);
        ck_assert_uint_eq(pair_time_waits(p, now + 64 * second), 0);
    }
}
END_TEST

START_TEST(time_waits_of_many_seconds_add_up_to_those_of_the_last_minute) {
    struct pair *p = pair_at(1);
    for (uint64_t s = 0; s < 1000; s++) {
        for (int i = 0; i < 10; i++)
            pair_closed(p, true, start + s * second);
        uint32_t n = pair_time_waits(p, start + s * second);
        ck_assert_uint_ge(n, s < 60 ? (uint32_t)(s + 1) * 10 : 600);
        ck_assert_uint_le(n, s < 64 ? (uint32_t)(s + 1) * 10 : 640);
    }
    ck_assert_uint_eq(pair_time_waits(p, start + 1064 * second), 0);
}
END_TEST

START_TEST(a_time_wait_told_late_counts_and_the_connection_is_not_closed_twice) {
    struct pair *p = pair_at(1);
    pair_opened(p, start);
    pair_opened(p, start);
    pair_closed(p, false, start);
    pair_waits(p, start);
    pair_waits(NULL, start);
    ck_assert_uint_eq(pair_time_waits(p, start), 1);
    ck_assert_uint_eq(pair_open(p), 1);
}
END_TEST

START_TEST(a_close_without_time_wait_is_not_counted_as_one) {
    struct pair *p = pair_at(1);
    pair_closed(p, false, start);
    ck_assert_uint_eq(pair_time_waits(p, start), 0);
}
END_TEST

START_TEST(a_full_table_turns_new_pairs_away_and_counts_them) {
    uint64_t key = 1;
    while (pair_find(&state, key, true, start))
        key += PAIRS; /* all in one place */
    ck_assert_uint_eq(state_counter(&state, COUNT_PAIRS_FULL), 1);
    ck_assert_uint_gt(key, 8 * PAIRS);
    ck_assert_ptr_nonnull(pair_find(&state, 1, false, start));
}
END_TEST

/* Fills all places of a key; returns the next key of the same place. */
static uint64_t crowd(uint64_t now) {
    uint64_t key = 1;
    while (pair_find(&state, key, true, now))
        key += PAIRS;
    return key;
}

START_TEST(a_pair_idle_for_two_minutes_makes_room_and_leaves_nothing_behind) {
    struct pair *old = pair_at(1);
    uint32_t repeats = 0;
    (void)pair_full(old, start, 0);
    (void)pair_set_unusable(old, start, UNREACHABLE_MS);
    pair_closed(old, true, start);
    old->range_hint = 3;
    old->inside_until = 9;
    uint64_t key = crowd(start);
    ck_assert_ptr_null(pair_find(&state, key, true, start + 120 * second));
    struct pair *p = pair_find(&state, key, true, start + 121 * second);
    ck_assert_ptr_eq(p, old);
    ck_assert_ptr_null(pair_find(&state, 1, false, start));
    ck_assert(pair_may_try(p, start));
    ck_assert_uint_eq(pair_open(p) + pair_time_waits(p, start + second), 0);
    ck_assert_uint_eq(p->range_hint, 0);
    ck_assert(pair_within_budget(p, start, 1, &repeats));
    ck_assert_uint_eq(repeats, 0);
}
END_TEST

START_TEST(ports_take_turns_until_one_is_taken) {
    struct pair *p = pair_at(1);
    for (int round = 0; round < 3; round++)
        for (int turn = 0; turn < 5; turn++)
            ck_assert_int_eq(pair_port(p, 5), turn);
    pair_port_taken(p);
    for (int i = 0; i < SEARCHES; i++)
        ck_assert_int_eq(pair_port(p, 5), -1);
    ck_assert_int_eq(pair_port(p, 5), 0);
    ck_assert_int_eq(pair_port(p, 1), 0);
    p->port_turn = 65535; /* scribbled over, or of a range that was wider */
    ck_assert_int_eq(pair_port(p, 5), 0);
    ck_assert_int_eq(pair_port(p, 5), 0);
    p->port_turn = 65534;
    ck_assert_int_eq(pair_port(p, 65535), 65534);
    ck_assert_int_eq(pair_port(p, 65535), 0);
    ck_assert_int_eq(pair_port(NULL, 5), -1);
    pair_port_taken(NULL);
}
END_TEST

START_TEST(a_pair_with_open_connections_is_never_idle) {
    uint64_t key = crowd(start);
    for (uint64_t k = 1; k < key; k += PAIRS)
        pair_opened(pair_find(&state, k, false, start), start);
    ck_assert_ptr_null(pair_find(&state, key, true, start + 3600 * second));
}
END_TEST

START_TEST(a_pair_whose_last_connection_just_closed_is_not_idle) {
    uint64_t key = crowd(start);
    for (uint64_t k = 1; k < key; k += PAIRS) {
        pair_opened(pair_find(&state, k, false, start), start);
        pair_closed(pair_find(&state, k, false, start), true, start + 3600 * second);
    }
    ck_assert_ptr_null(pair_find(&state, key, true, start + 3601 * second));
}
END_TEST

START_TEST(a_time_of_last_use_far_ahead_does_not_keep_an_entry_for_ever) {
    struct pair *p = pair_at(1);
    uint64_t key = crowd(start);
    p->last_used = UINT64_MAX;
    ck_assert_ptr_eq(pair_find(&state, key, true, start), p);
}
END_TEST

START_TEST(a_time_of_last_use_a_moment_ahead_is_another_processors_clock) {
    uint64_t key = crowd(start + second);
    ck_assert_ptr_null(pair_find(&state, key, true, start));
}
END_TEST

START_TEST(a_budget_of_ten_a_second_turns_the_eleventh_away_and_reports_it_later) {
    struct pair *p = pair_at(1);
    uint32_t repeats;
    for (uint64_t s = 0; s < 3; s++) {
        for (unsigned i = 0; i < 25; i++) {
            ck_assert_int_eq(pair_within_budget(p, start + s * second + i, 10, &repeats), i < 10);
            ck_assert_uint_eq(repeats, s > 0 && i == 0 ? 15 : 0);
        }
    }
}
END_TEST

START_TEST(a_second_is_not_begun_again_by_a_caller_that_read_the_clock_before) {
    struct pair *p = pair_at(1);
    uint32_t repeats, turned_away = 0;
    unsigned told = 0;
    for (unsigned i = 0; i < 100; i++) { /* every second caller read the clock in the second before */
        told += pair_within_budget(p, start - i % 2, 10, &repeats);
        turned_away += repeats;
    }
    ck_assert_uint_eq(told, 10);
    ck_assert_uint_eq(turned_away, 0);
    ck_assert(!pair_within_budget(p, start - second, 10, &repeats)); /* it may have lost its processor */
    ck_assert(pair_within_budget(p, start + second, 10, &repeats));
    ck_assert_uint_eq(repeats, 91);
}
END_TEST

START_TEST(a_scribbled_budget_is_begun_anew) {
    const uint64_t scribbles[] = {UINT64_MAX, UINT64_MAX - 9, start, (start / second) << 32 | UINT32_MAX};
    uint32_t repeats;
    for (unsigned i = 0; i < sizeof scribbles / sizeof *scribbles; i++) {
        struct pair *p = pair_at(i + 1);
        p->probe_next = scribbles[i];
        unsigned told = 0;
        for (unsigned n = 0; n < 20; n++)
            told += pair_within_budget(p, start + second, 10, &repeats);
        ck_assert_uint_eq(told, 10);
    }
}
END_TEST

START_TEST(a_turn_is_not_taken_again_by_a_caller_that_read_the_clock_before) {
    struct pair *p = pair_at(1);
    ck_assert(pair_turn(p, start, 5000));
    ck_assert(!pair_turn(p, start - 1, 5000));
    ck_assert(!pair_turn(p, start - second, 5000)); /* it may have lost its processor */
    ck_assert(pair_turn(p, start + 5 * second, 5000));
}
END_TEST

START_TEST(a_turn_is_taken_by_one_caller_in_its_time) {
    struct pair *p = pair_at(1);
    unsigned turns = 0;
    for (uint64_t now = start; now < start + 20 * second; now += second / 2)
        turns += pair_turn(p, now, 5000);
    ck_assert_uint_eq(turns, 4);
    ck_assert(!pair_turn(NULL, start, 5000));
    p->probe_next = UINT64_MAX;
    ck_assert_msg(pair_turn(p, start, 5000), "a scribble does not end all turns");
}
END_TEST

/* --- a table that grows --- */

static char path[STATE_PATH], lock[STATE_PATH];

static void file(void) {
    char folder[] = "/tmp/connspread-pair-XXXXXX";
    int error;
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/test.state", folder);
    (void)snprintf(lock, sizeof lock, "%s/.lock", folder);
    ck_assert_int_eq(state_create(&state, path, "test", (struct state_sizes){.log = 0}, &error), STATE_OK);
}

static void no_file(void) {
    state_unmap(&state);
    unlink(path);
    unlink(lock);
    *strrchr(path, '/') = 0;
    rmdir(path);
}

/* As scattered as pair_key makes them. */
static uint64_t key_number(uint64_t n) {
    return (n + 1) * 0x9e3779b97f4a7c15u >> 1;
}

START_TEST(a_hundred_thousand_pairs_and_more_find_room) {
    enum { MANY = 200000 };
    for (uint64_t n = 0; n < MANY; n++) {
        struct pair *p = pair_find(&state, key_number(n), true, start);
        ck_assert_ptr_nonnull(p);
        p->port_cursor = (uint32_t)n;
    }
    struct state other;
    int error;
    ck_assert_int_eq(state_map(&other, path, &error), STATE_OK);
    for (uint64_t n = 0; n < MANY; n++) {
        const struct pair *p = pair_find(&other, key_number(n), false, start);
        ck_assert_ptr_nonnull(p);
        ck_assert_uint_eq(p->port_cursor, n);
    }
    state_unmap(&other);
    unsigned segments = segments_of(state.segments, SEGMENT_PAIRS);
    ck_assert_uint_lt(segments, 2 * MANY / PAIR_BLOCK);
    /* Idle ones make room for others, and the file stays as it is. */
    for (uint64_t n = MANY; n < 2 * MANY; n++)
        ck_assert_ptr_nonnull(pair_find(&state, key_number(n), true, start + 121 * second));
    ck_assert_uint_eq(segments_of(state.segments, SEGMENT_PAIRS), segments);
    ck_assert_uint_eq(state_counter(&state, COUNT_PAIRS_FULL), 0);
}
END_TEST

/* Whether pairs are idle is asked of the first level and of no other while the last has room: each would be fetched. */
START_TEST(a_new_pair_takes_what_is_free_before_it_looks_for_idle_ones) {
    enum { MANY = 30000, MORE = 500 };
    const uint64_t later = start + 121 * second;
    unsigned gone = 0;
    for (uint64_t n = 0; n < MANY; n++)
        ck_assert_ptr_nonnull(pair_find(&state, key_number(n), true, start));
    for (unsigned i = 0; i < PAIRS; i++)
        state.pairs->pair[i].last_used = later;
    for (uint64_t n = MANY; n < MANY + MORE; n++)
        ck_assert_ptr_nonnull(pair_find(&state, key_number(n), true, later));
    for (uint64_t n = 0; n < MANY; n++)
        gone += pair_find(&state, key_number(n), false, later) == NULL;
    ck_assert_uint_lt(gone, MORE / 20); /* of those with no free place in the last */
}
END_TEST

START_TEST(processes_that_need_room_at_once_share_it) {
    enum { PROCESSES = 8, EACH = 4000 };
    int status;
    for (unsigned i = 0; i < PROCESSES; i++)
        if (fork() == 0) {
            unsigned none = 0;
            for (uint64_t n = 0; n < EACH; n++)
                none += pair_find(&state, key_number(i * EACH + n), true, start) == NULL;
            _exit(none != 0);
        }
    for (unsigned i = 0; i < PROCESSES; i++) {
        ck_assert_int_gt(wait(&status), 0);
        ck_assert_int_eq(status, 0);
    }
    ck_assert_uint_lt(segments_of(state.segments, SEGMENT_PAIRS), 2 * PROCESSES * EACH / PAIR_BLOCK + 4);
}
END_TEST

enum { THREADS = 64, PAIRS_EACH = 400 };

static pthread_barrier_t all_at_once;

static void *make_pairs(void *first) {
    pthread_barrier_wait(&all_at_once);
    for (uint64_t n = 0; n < PAIRS_EACH; n++)
        (void)pair_find(&state, key_number(*(uint64_t *)first + n), true, start);
    return NULL;
}

START_TEST(threads_that_need_room_at_once_take_no_more_than_they_need) {
    pthread_t thread[THREADS];
    uint64_t first[THREADS];
    unsigned slots = 0;
    ck_assert_int_eq(pthread_barrier_init(&all_at_once, NULL, THREADS), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        first[i] = (uint64_t)i * PAIRS_EACH;
        ck_assert_int_eq(pthread_create(&thread[i], NULL, make_pairs, &first[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
    for (unsigned i = 0; i < PAIR_SEGMENTS; i++)
        slots += state.header->of_pairs[i] != 0;
    ck_assert_uint_ge(slots, 3);
    ck_assert_uint_le(segments_of(state.segments, SEGMENT_PAIRS), 2 * slots);
}
END_TEST

START_TEST(a_scribble_over_the_segments_of_pairs_leads_nowhere) {
    for (uint64_t n = 0; n < 20000; n++)
        (void)pair_find(&state, key_number(n), true, start);
    for (unsigned round = 0; round < 64; round++) {
        for (unsigned i = 0; i < sizeof state.header->of_pairs; i++)
            state.header->of_pairs[i] = (uint8_t)(i * 7 + round * 37);
        if (round % 8 == 7)
            memset(state.header->segment, (int)(round / 8), SEGMENTS);
        for (uint64_t n = 0; n < 500; n++) {
            struct pair *p = pair_find(&state, key_number(round * 500 + n), n % 2, start);
            if (p)
                pair_opened(p, start);
        }
    }
}
END_TEST

START_TEST(pairs_that_no_rule_is_about_never_grow_the_file) {
    for (uint64_t n = 0; n < 20000; n++)
        (void)pair_find(&state, pair_key_unruled(key_number(n)), true, start);
    ck_assert_uint_eq(segments_of(state.segments, SEGMENT_PAIRS), 0);
    ck_assert_uint_gt(state_counter(&state, COUNT_PAIRS_FULL), 0);
}
END_TEST

START_TEST(pairs_that_no_rule_is_about_leave_most_of_the_table_alone) {
    for (uint64_t key = 1; key < 5 * PAIRS; key++) {
        uint64_t k = pair_key_unruled(key);
        ck_assert_uint_ne(k, 0);
        ck_assert_uint_eq(pair_key_unruled(k), k);
        (void)pair_find(&state, k, true, start);
    }
    unsigned taken = 0;
    for (unsigned i = 0; i < PAIRS; i++)
        taken += state.pairs->key[i] != 0;
    ck_assert_uint_eq(taken, PAIRS / 4);
}
END_TEST

static TCase *growth(void) {
    TCase *tc = tcase_create("growth");
    tcase_set_timeout(tc, 300);
    tcase_add_checked_fixture(tc, file, no_file);
    tcase_add_test(tc, a_hundred_thousand_pairs_and_more_find_room);
    tcase_add_test(tc, a_new_pair_takes_what_is_free_before_it_looks_for_idle_ones);
    tcase_add_test(tc, processes_that_need_room_at_once_share_it);
    tcase_add_test(tc, threads_that_need_room_at_once_take_no_more_than_they_need);
    tcase_add_test(tc, a_scribble_over_the_segments_of_pairs_leads_nowhere);
    tcase_add_test(tc, pairs_that_no_rule_is_about_never_grow_the_file);
    return tc;
}

int main(void) {
    Suite *suite = suite_create("pair");
    suite_add_tcase(suite, growth());
    TCase *tc = tcase_create("pair");
    tcase_add_checked_fixture(tc, fresh, gone);
    tcase_add_test(tc, the_third_unanswered_connect_marks_a_pair_down_while_siblings_are_answered);
    tcase_add_test(tc, a_client_that_makes_one_connect_at_a_time_confirms_each_by_its_next);
    tcase_add_test(tc, a_dead_destination_marks_nothing);
    tcase_add_test(tc, what_came_between_the_end_and_the_news_of_it_is_neither_missed_nor_counted_twice);
    tcase_add_test(tc, of_connects_at_the_same_time_one_counts);
    tcase_add_test(tc, an_answer_ends_it_unless_it_is_older_than_the_evidence);
    tcase_add_test(tc, a_source_that_stays_silent_is_tried_less_and_less_often_down_to_once_in_five_minutes);
    tcase_add_test(tc, a_scribbled_mark_lasts_no_longer_than_a_real_one);
    tcase_add_test(tc, a_key_depends_on_namespace_source_destination_and_port);
    tcase_add_test(tc, nothing_is_found_that_was_not_made);
    tcase_add_test(tc, without_a_pair_everything_may_be_tried);
    tcase_add_test(tc, a_full_pair_is_held_down_for_100_ms);
    tcase_add_test(tc, only_the_first_of_several_failures_says_that_the_hold_down_is_new);
    tcase_add_test(tc, one_caller_per_10_ms_probes_through_a_hold_down);
    tcase_add_test(tc, a_close_ends_the_hold_down);
    tcase_add_test(tc, a_pair_put_aside_is_left_alone_until_its_time);
    tcase_add_test(tc, a_source_goes_and_comes_back_once);
    tcase_add_test(tc, times_too_far_ahead_are_not_believed);
    tcase_add_test(tc, connections_are_counted_open_and_never_below_zero);
    tcase_add_test(tc, a_time_wait_counts_for_at_least_60_and_at_most_64_seconds);
    tcase_add_test(tc, time_waits_of_many_seconds_add_up_to_those_of_the_last_minute);
    tcase_add_test(tc, a_time_wait_told_late_counts_and_the_connection_is_not_closed_twice);
    tcase_add_test(tc, a_close_without_time_wait_is_not_counted_as_one);
    tcase_add_test(tc, a_full_table_turns_new_pairs_away_and_counts_them);
    tcase_add_test(tc, a_pair_idle_for_two_minutes_makes_room_and_leaves_nothing_behind);
    tcase_add_test(tc, a_pair_with_open_connections_is_never_idle);
    tcase_add_test(tc, a_pair_whose_last_connection_just_closed_is_not_idle);
    tcase_add_test(tc, a_time_of_last_use_far_ahead_does_not_keep_an_entry_for_ever);
    tcase_add_test(tc, a_time_of_last_use_a_moment_ahead_is_another_processors_clock);
    tcase_add_test(tc, a_budget_of_ten_a_second_turns_the_eleventh_away_and_reports_it_later);
    tcase_add_test(tc, a_second_is_not_begun_again_by_a_caller_that_read_the_clock_before);
    tcase_add_test(tc, a_scribbled_budget_is_begun_anew);
    tcase_add_test(tc, a_turn_is_taken_by_one_caller_in_its_time);
    tcase_add_test(tc, a_turn_is_not_taken_again_by_a_caller_that_read_the_clock_before);
    tcase_add_test(tc, ports_take_turns_until_one_is_taken);
    tcase_add_test(tc, pairs_that_no_rule_is_about_leave_most_of_the_table_alone);
    suite_add_tcase(suite, tc);
    return run(suite);
}
