/* state/history_pages: a minute with more flows than its own page has places for, and a day of such minutes. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "state/copy.h"
#include "state/create.h"
#include "state/history_pages.h"
#include "state/segment.h"
#include "flows.h"
#include "scratch.h"
#include "suite.h"

enum { LOG_SIZE = 64 << 10, MINUTE = 20000 * HISTORY_MINUTES, MANY = 1000, FORKS = 4 };

static int error;

static void create(unsigned segments) {
    struct state_header layout = {0};
    sections_plan(&layout, LOG_SIZE);
    const struct state_sizes sizes = {LOG_SIZE, layout.size + (uint64_t)segments * SEGMENT_BYTES};
    ck_assert_int_eq(state_create(&state, path, "test", sizes, &error), STATE_OK);
}

static void own_folder(void) {
    scratch_begin();
    create(32);
}

static void no_folder(void) {
    state_unmap(&state);
    scratch_end();
}

static unsigned segments(void) {
    unsigned n = 0;
    for (unsigned i = 0; i < SEGMENTS; i++)
        n += state.header->segment[i] == SEGMENT_HISTORY;
    return n;
}

/* Each of the first n flows has a record of its own in the view, with so many connects and TIME-WAITs. */
static void assert_each(unsigned n, unsigned connects, unsigned time_waits) {
    ck_assert_uint_eq(view.flows, n);
    for (unsigned i = 0; i < n; i++) {
        const struct history_record *r = record_of_flow(i);
        ck_assert_ptr_nonnull(r);
        ck_assert_uint_eq(r->n.connects, connects);
        ck_assert_uint_eq(r->n.connect_us, connects * 7000 / 1000);
        ck_assert_uint_eq(r->n.count[HISTORY_TIME_WAITS], time_waits);
    }
    ck_assert_uint_eq(view.rest.connects, 0);
    ck_assert_uint_eq(view.rest.count[HISTORY_TIME_WAITS], 0);
}

START_TEST(a_thousand_flows_are_each_counted) {
    for (unsigned round = 0; round < 3; round++)
        for (unsigned n = 0; n < MANY; n++) {
            ck_assert_int_eq(connect_in(MINUTE, n), round == 0);
            count_in(MINUTE, n, HISTORY_TIME_WAITS);
        }
    history_peak(&state, &flow(999)->f, MINUTE, 77);
    ck_assert(look_at(MINUTE));
    assert_each(MANY, 3, 3);
    ck_assert_uint_eq(record_of_flow(999)->n.peak, 77);
    ck_assert_uint_eq(segments(), 1);
    (void)connect_in(MINUTE + 1, 5);
    ck_assert(look_at(MINUTE + 1));
    ck_assert_uint_eq(view.flows, 1);
    ck_assert_uint_eq(total().connects, 1);
}
END_TEST

START_TEST(a_copy_has_them_too) {
    struct state copy, mapped = state;
    for (unsigned n = 0; n < MANY; n++)
        (void)connect_in(MINUTE, n);
    ck_assert_int_eq(state_copy(&copy, AT_FDCWD, path, COPY_EVENTS, &error), STATE_OK);
    for (unsigned round = 1; round < 3; round++) {
        ck_assert(state_copy_again(&copy, COPY(SECTION_HISTORY)));
        state = copy;
        ck_assert(look_at(MINUTE));
        assert_each(MANY, round, 0);
        state_copy_drop(&copy, SECTION_HISTORY);
        ck_assert(!look_at(MINUTE));
        state = mapped;
        for (unsigned n = 0; n < MANY; n++)
            (void)connect_in(MINUTE, n);
    }
    state_release(&copy);
}
END_TEST

START_TEST(many_writers_at_once_lose_nothing) {
    int status;
    for (unsigned i = 0; i < FORKS; i++)
        if (fork() == 0) {
            for (unsigned n = 0; n < MANY; n++)
                (void)connect_in(MINUTE, (n + i * 250) % MANY);
            _exit(0);
        }
    for (unsigned i = 0; i < FORKS; i++) {
        ck_assert_int_gt(wait(&status), 0);
        ck_assert_int_eq(status, 0);
    }
    ck_assert(look_at(MINUTE));
    assert_each(MANY, FORKS, 0);
}
END_TEST

/* Each page of the minute is full, and there are more flows. */
static void crowd(unsigned flows) {
    for (unsigned n = 0; n < flows; n++)
        (void)connect_in(MINUTE, n);
}

START_TEST(a_flow_that_another_process_entered_is_found_where_all_is_full) {
    enum { FLOWS = 20000, TIMES = 3 };
    unsigned whole = 0;
    int status;
    if (fork() == 0) {
        crowd(FLOWS);
        _exit(0);
    }
    ck_assert_int_gt(wait(&status), 0);
    for (unsigned i = 1; i < TIMES; i++)
        for (unsigned n = FLOWS; n-- > 0;)
            (void)connect_in(MINUTE, n);
    ck_assert(look_at(MINUTE));
    ck_assert_uint_eq(view.flows, HISTORY_RECORDS);
    ck_assert_uint_eq(total().connects, TIMES * FLOWS);
    for (unsigned i = 0; i < view.flows; i++)
        whole += view.record[i].n.connects == TIMES;
    ck_assert_uint_ge(whole, HISTORY_RECORDS - HISTORY_FLOWS); /* in the minute's own page places change hands */
    for (unsigned n = 0; n < MANY; n++)
        (void)connect_in(MINUTE + 1, n);
    ck_assert(look_at(MINUTE + 1));
    assert_each(MANY, 1, 0);
}
END_TEST

/* One that is looked for finds no further page here, and makes one. Of those that are not, some share a mark with one
 * that has an entry. */
START_TEST(where_all_is_full_hardly_a_flow_without_a_place_is_looked_for) {
    enum { FLOWS = 20000, ASKED = 100, MOST = 70 };
    uint64_t *further = &state.history[MINUTE % HISTORY_MINUTES].further;
    unsigned asked = 0, not_looked_for = 0;
    crowd(FLOWS);
    ck_assert(look_at(MINUTE));
    for (unsigned n = FLOWS / 2; n < FLOWS && asked < ASKED; n++) {
        if (record_of_flow(n))
            continue;
        uint64_t had = *further;
        *further = 0;
        (void)connect_in(MINUTE, n);
        not_looked_for += *further == 0;
        *further = had;
        asked++;
    }
    ck_assert_uint_eq(asked, ASKED);
    ck_assert_uint_ge(not_looked_for, MOST);
}
END_TEST

/* The history has a quarter of the segments: here two, for some twenty such minutes. */
START_TEST(when_it_is_full_the_oldest_go_to_the_rest_of_their_minutes) {
    enum { MINUTES = 100 };
    state_unmap(&state);
    unlink(path);
    create(8);
    for (unsigned i = 0; i < MINUTES; i++)
        for (unsigned n = 0; n < MANY; n++)
            (void)connect_in(MINUTE + i, n);
    ck_assert_uint_eq(segments(), 2);
    for (unsigned i = 0; i < MINUTES; i++) {
        ck_assert(look_at(MINUTE + i));
        ck_assert_uint_eq(total().connects, MANY);
        ck_assert_uint_eq(total().connect_us, MANY * 7);
        ck_assert_uint_ge(view.flows, HISTORY_FLOWS / 2);
        if (i >= MINUTES - 5)
            assert_each(MANY, 1, 0);
        if (i < MINUTES / 2)
            ck_assert_uint_lt(view.flows, MANY / 10);
    }
}
END_TEST

START_TEST(pages_serve_again_a_day_later) {
    enum { BUSY = 20, DAYS = 4 };
    unsigned after_a_day = 0;
    for (unsigned day = 0; day < DAYS; day++) {
        for (unsigned i = 0; i < BUSY; i++)
            for (unsigned n = 0; n < MANY; n++)
                (void)connect_in(MINUTE + day * HISTORY_MINUTES + i * 60, n);
        if (day == 0)
            after_a_day = segments();
    }
    ck_assert_uint_ge(after_a_day, 2);
    ck_assert_uint_le(segments(), after_a_day + 1);
    for (unsigned i = 0; i < BUSY; i++) {
        ck_assert(look_at(MINUTE + (DAYS - 1) * HISTORY_MINUTES + i * 60));
        assert_each(MANY, 1, 0);
    }
}
END_TEST

START_TEST(without_room_the_rest_has_them) {
    state_unmap(&state);
    unlink(path);
    create(0);
    for (unsigned n = 0; n < MANY; n++)
        (void)connect_in(MINUTE, n);
    ck_assert(look_at(MINUTE));
    ck_assert_uint_eq(total().connects, MANY);
    ck_assert_uint_eq(view.flows, HISTORY_FLOWS);
}
END_TEST

/* Of the links and owners: cycles, pages of others, numbers that are none. */
START_TEST(scribbled_links_lead_nowhere) {
    srand(1);
    for (unsigned n = 0; n < MANY; n++)
        (void)connect_in(MINUTE, n);
    for (unsigned round = 0; round < 200; round++) {
        for (unsigned i = 0; i < 40; i++) {
            struct history_minute *m =
                i ? history_further(&state, (unsigned)rand() % 60) : &state.history[MINUTE % HISTORY_MINUTES];
            uint64_t *word = i % 3 == 0 || !i ? &m->further : &m->rest[i % 2];
            *word = (uint64_t)(MINUTE + rand() % 3) << 32 | (uint32_t)(rand() % 4 ? rand() % 60 : rand());
        }
        for (unsigned n = 0; n < 200; n++) {
            struct history_counts recent;
            (void)connect_in(MINUTE + round % 2, round + n);
            history_recent(&state, &flow(n)->f, MINUTE, &recent);
        }
        (void)look_at(MINUTE);
        ck_assert_uint_le(view.flows, HISTORY_RECORDS);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("history_pages");
    TCase *tc = tcase_create("history_pages");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, own_folder, no_folder);
    tcase_add_test(tc, a_thousand_flows_are_each_counted);
    tcase_add_test(tc, a_copy_has_them_too);
    tcase_add_test(tc, many_writers_at_once_lose_nothing);
    tcase_add_test(tc, a_flow_that_another_process_entered_is_found_where_all_is_full);
    tcase_add_test(tc, where_all_is_full_hardly_a_flow_without_a_place_is_looked_for);
    tcase_add_test(tc, when_it_is_full_the_oldest_go_to_the_rest_of_their_minutes);
    tcase_add_test(tc, pages_serve_again_a_day_later);
    tcase_add_test(tc, without_room_the_rest_has_them);
    tcase_add_test(tc, scribbled_links_lead_nowhere);
    suite_add_tcase(suite, tc);
    return run(suite);
}
