/* What the recorder has written: every number once, whenever it is killed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tool/common/time_text.h"
#include "tool/record/journal.h"
#include "tool/record/journal_read.h"
#include "suite.h"

static char folder[] = "/tmp/connspread-journal-XXXXXX", path[64];
static struct journal j;
static uint64_t first, last;

static void set_up(void) {
    snprintf(folder, sizeof folder, "/tmp/connspread-journal-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/x.recorder", folder);
    ck_assert_int_eq(journal_open(&j, path), JOURNAL_OURS);
    journal_begin(&j, 1);
}

static void tear_down(void) {
    journal_close(&j);
    unlink(path);
    rmdir(folder);
}

static void open_again(void) {
    journal_close(&j);
    ck_assert_int_eq(journal_open(&j, path), JOURNAL_OURS);
}

static void mark(uint64_t from, uint64_t to) {
    for (uint64_t seq = from; seq < to; seq++)
        journal_mark(&j, seq);
}

START_TEST(what_is_marked_is_there_and_stays) {
    mark(3, 5);
    ck_assert(!journal_has(&j, 2) && journal_has(&j, 3) && journal_has(&j, 4) && !journal_has(&j, 5));
    open_again();
    journal_begin(&j, 1);
    ck_assert(!journal_has(&j, 2) && journal_has(&j, 3) && journal_has(&j, 4) && !journal_has(&j, 5));
}
END_TEST

START_TEST(another_epoch_forgets_all) {
    mark(0, 100);
    journal_advance(&j);
    journal_begin(&j, 2);
    ck_assert(!journal_has(&j, 0) && !journal_has(&j, 99));
    ck_assert_uint_eq(j.file->frontier, 0);
}
END_TEST

START_TEST(the_frontier_moves_over_what_has_no_gap) {
    mark(0, 1000);
    mark(1001, 2000);
    journal_advance(&j);
    ck_assert_uint_eq(j.file->frontier, 1000);
    ck_assert_uint_eq(journal_missing(&j, 3000, &first, &last), 1001);
    ck_assert_uint_eq(first, 1000);
    ck_assert_uint_eq(last, 2999);
    journal_mark(&j, 1000);
    journal_advance(&j);
    ck_assert_uint_eq(j.file->frontier, 2000);
}
END_TEST

START_TEST(missing_numbers_are_counted_and_named) {
    mark(0, 10);
    mark(11, 64);
    mark(65, 300);
    ck_assert_uint_eq(journal_missing(&j, 300, &first, &last), 2);
    ck_assert_uint_eq(first, 10);
    ck_assert_uint_eq(last, 64);
    ck_assert_uint_eq(journal_missing(&j, 10, &first, &last), 0);
}
END_TEST

START_TEST(what_is_settled_is_accounted_for) {
    mark(5, 6);
    journal_settle(&j, 100);
    ck_assert(journal_has(&j, 0) && journal_has(&j, 99) && !journal_has(&j, 100));
    ck_assert_uint_eq(journal_missing(&j, 100, &first, &last), 0);
    journal_settle(&j, 50); /* never back */
    ck_assert_uint_eq(j.file->frontier, 100);
}
END_TEST

START_TEST(a_bit_means_nothing_in_the_next_round) {
    const uint64_t rounds[] = {JOURNAL_WINDOW, JOURNAL_BITS, 3 * (uint64_t)JOURNAL_BITS + 7};
    mark(0, JOURNAL_WINDOW);
    for (unsigned i = 0; i < 3; i++) {
        journal_settle(&j, rounds[i]);
        for (uint64_t seq = rounds[i]; seq < rounds[i] + JOURNAL_WINDOW; seq += 61)
            ck_assert(!journal_has(&j, seq));
        mark(rounds[i], rounds[i] + JOURNAL_WINDOW);
    }
}
END_TEST

START_TEST(beyond_the_window_nothing_is_marked) {
    ck_assert(journal_in_window(&j, JOURNAL_WINDOW - 1));
    ck_assert(!journal_in_window(&j, JOURNAL_WINDOW));
    journal_mark(&j, JOURNAL_WINDOW);
    journal_mark(&j, UINT64_MAX);
    ck_assert(!journal_has(&j, JOURNAL_WINDOW) && !journal_has(&j, UINT64_MAX));
    ck_assert_uint_eq(journal_missing(&j, 10 * (uint64_t)JOURNAL_WINDOW, &first, &last), 10 * (uint64_t)JOURNAL_WINDOW);
}
END_TEST

START_TEST(a_leap_comes_to_an_end) {
    mark(0, 100);
    journal_settle(&j, UINT64_MAX - 5);
    ck_assert(journal_has(&j, UINT64_MAX - 6));
    ck_assert(!journal_has(&j, UINT64_MAX - 5));
    ck_assert_uint_eq(journal_missing(&j, UINT64_MAX, &first, &last), 5);
}
END_TEST

/* Killed after the frontier was moved and before the bits behind it were cleared. */
START_TEST(bits_that_were_left_behind_the_frontier_are_cleared) {
    mark(0, 1000);
    j.file->frontier = 1000;
    open_again();
    journal_begin(&j, 1);
    for (uint64_t seq = JOURNAL_BITS; seq < JOURNAL_BITS + 1000; seq++)
        ck_assert_uint_eq(j.file->bits[seq % JOURNAL_BITS / 64] >> seq % 64 & 1, 0);
}
END_TEST

START_TEST(garbage_is_started_over) {
    memset(j.file, 0x5a, sizeof *j.file);
    open_again();
    ck_assert_uint_eq(j.file->epoch, 0);
    journal_begin(&j, 9);
    ck_assert(!journal_has(&j, 0));
}
END_TEST

START_TEST(there_is_one_recorder) {
    pid_t child = fork();
    if (child == 0) {
        struct journal other;
        _exit(journal_open(&other, path) == JOURNAL_TAKEN && !journal_needs_recorder(path) ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    journal_close(&j);
    ck_assert(journal_needs_recorder(path));
}
END_TEST

START_TEST(who_is_wanted_does_not_end) {
    uint64_t wanted = j.file->wanted;
    ck_assert(journal_may_end(&j, &wanted));
    j.file->ending = 0;
    pid_t child = fork();
    if (child == 0)
        _exit(journal_needs_recorder(path));
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert(!journal_may_end(&j, &wanted));
    ck_assert_uint_eq(j.file->ending, 0);
    ck_assert(journal_may_end(&j, &wanted));
}
END_TEST

START_TEST(who_wants_one_waits_for_one_that_is_leaving) {
    uint64_t wanted = j.file->wanted;
    ck_assert(journal_may_end(&j, &wanted));
    pid_t child = fork();
    if (child == 0) {
        struct journal other;
        journal_close(&j); /* or the lock would be the child's as well */
        _exit(journal_open(&other, path) == JOURNAL_OURS ? 0 : 1);
    }
    usleep(100000);
    journal_close(&j);
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(a_file_that_others_may_write_is_refused) {
    journal_close(&j);
    ck_assert_int_eq(chmod(path, 0666), 0);
    ck_assert_int_eq(journal_open(&j, path), JOURNAL_FAILED);
    unlink(path);
    ck_assert_int_eq(symlink("/dev/null", path), 0);
    ck_assert_int_eq(journal_open(&j, path), JOURNAL_FAILED);
}
END_TEST

START_TEST(progress_is_what_is_neither_written_nor_lost) {
    static struct state_header header = {.created_ns = 5000, .next_seq = 200};
    struct state state = {.header = &header, .epoch = 1};
    struct journal_progress p;
    char state_file[64];
    snprintf(state_file, sizeof state_file, "%s/x.state", folder);
    mark(0, 100);
    mark(110, 150);
    journal_advance(&j);
    journal_written(&j, 77);
    journal_lose(&j, 5);
    ck_assert(journal_progress(&p, &state, state_file));
    ck_assert(p.pending == 60 && p.lost == 5 && p.written_us == 77 && !p.lively);
    journal_settle(&j, 110);
    journal_written(&j, time_now_us());
    ck_assert(journal_progress(&p, &state, state_file) && p.pending == 50 && p.lively);
    /* As an older connspread left it; of another state file; none at all. */
    ck_assert_int_eq(truncate(path, offsetof(struct journal_file, written_us)), 0);
    ck_assert(journal_progress(&p, &state, state_file) && p.pending == 50 && p.lost == 0 && p.written_us == 5);
    state.epoch = 2;
    ck_assert(journal_progress(&p, &state, state_file) && p.pending == 200 && p.written_us == 5 && !p.lively);
    unlink(path);
    ck_assert(journal_progress(&p, &state, state_file) && p.pending == 200 && p.lost == 0 && p.written_us == 5);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("journal");
    TCase *tc = tcase_create("journal");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, what_is_marked_is_there_and_stays);
    tcase_add_test(tc, another_epoch_forgets_all);
    tcase_add_test(tc, the_frontier_moves_over_what_has_no_gap);
    tcase_add_test(tc, missing_numbers_are_counted_and_named);
    tcase_add_test(tc, what_is_settled_is_accounted_for);
    tcase_add_test(tc, a_bit_means_nothing_in_the_next_round);
    tcase_add_test(tc, beyond_the_window_nothing_is_marked);
    tcase_add_test(tc, a_leap_comes_to_an_end);
    tcase_add_test(tc, bits_that_were_left_behind_the_frontier_are_cleared);
    tcase_add_test(tc, garbage_is_started_over);
    tcase_add_test(tc, there_is_one_recorder);
    tcase_add_test(tc, who_is_wanted_does_not_end);
    tcase_add_test(tc, who_wants_one_waits_for_one_that_is_leaving);
    tcase_add_test(tc, a_file_that_others_may_write_is_refused);
    tcase_add_test(tc, progress_is_what_is_neither_written_nor_lost);
    suite_add_tcase(suite, tc);
    return run(suite);
}
