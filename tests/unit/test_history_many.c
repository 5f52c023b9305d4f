/* state/history: counts that many writers make at once, none of which is lost. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "flows.h"
#include "suite.h"
#include "state/history_reader.h"

enum { MINUTE = 30000000, THREADS = 4, ROUNDS = 20000 };

static void fresh(void) {
    ck_assert(state_private(&state, "test"));
}

static void gone(void) {
    state_unmap(&state);
}

/* Flows enough that places are fought for: 16 busy ones, and 64 that come and go. */
static unsigned which(unsigned i) {
    return i % 4 ? i % 16 : 16 + i % 64;
}

static void *write_many(void *unused) {
    (void)unused;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint32_t minute = MINUTE + i / (ROUNDS / 4);
        if (connect_in(minute, which(i)))
            history_peak(&state, &flow(which(i))->f, minute, i);
        count_in(minute, which(i), HISTORY_TIME_WAITS);
        count_in(minute, which(i), HISTORY_CAUSE + i % HISTORY_CAUSES);
    }
    return NULL;
}

static void read_day(struct history_counts *sum) {
    struct history_reader r;
    *sum = (struct history_counts){0};
    history_reader_init(&r, &state, UINT32_MAX);
    while (history_next(&r, &view)) {
        struct history_counts n = total();
        sum->connects += n.connects;
        sum->connect_us += n.connect_us;
        for (unsigned c = 0; c < HISTORY_COUNTERS; c++)
            sum->count[c] += n.count[c];
    }
}

static void all_is_counted(uint64_t writers) {
    struct history_counts sum;
    uint64_t causes = 0;
    read_day(&sum);
    for (unsigned c = 0; c < HISTORY_CAUSES; c++)
        causes += sum.count[HISTORY_CAUSE + c];
    ck_assert_uint_eq(sum.connects, writers * ROUNDS);
    ck_assert_uint_eq(sum.connect_us, 7 * writers * ROUNDS);
    ck_assert_uint_eq(sum.count[HISTORY_TIME_WAITS], writers * ROUNDS);
    ck_assert_uint_eq(causes, writers * ROUNDS);
}

START_TEST(threads_lose_no_count_while_somebody_reads) {
    pthread_t thread[THREADS];
    struct history_counts sum;
    for (unsigned i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, write_many, NULL), 0);
    for (unsigned i = 0; i < 20; i++) {
        read_day(&sum);
        for (unsigned j = 0; j < view.flows && view.minute; j++)
            ck_assert_uint_eq(view.record[j].netns, 1);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    all_is_counted(THREADS);
}
END_TEST

static uint32_t minutes_over;

static void *write_minutes(void *unused) {
    (void)unused;
    for (uint32_t i = 0; i < HISTORY_MINUTES; i++) {
        for (unsigned n = 0; n < 80; n++)
            (void)connect_in(MINUTE + i, n);
        __atomic_store_n(&minutes_over, i + 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

/* As a client does that names the evidence of a failure, while others make entries and take places. */
START_TEST(a_look_back_meets_entries_that_are_being_made) {
    pthread_t thread[THREADS];
    uint32_t i;
    for (unsigned t = 0; t < THREADS; t++)
        ck_assert_int_eq(pthread_create(&thread[t], NULL, write_minutes, NULL), 0);
    while ((i = __atomic_load_n(&minutes_over, __ATOMIC_RELAXED)) < HISTORY_MINUTES) {
        struct history_counts recent;
        history_recent(&state, &flow(i % 80)->f, MINUTE + i, &recent);
        ck_assert_uint_le(recent.connects, 2 * THREADS * 80);
    }
    for (unsigned t = 0; t < THREADS; t++)
        pthread_join(thread[t], NULL);
}
END_TEST

START_TEST(processes_lose_no_count) {
    for (unsigned i = 0; i < THREADS; i++) {
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            write_many(NULL);
            _exit(0);
        }
    }
    for (unsigned i = 0; i < THREADS; i++)
        ck_assert_int_gt(wait(NULL), 0);
    all_is_counted(THREADS);
}
END_TEST

int main(void) {
    Suite *s = suite_create("history_many");
    TCase *tc = tcase_create("history_many");
    tcase_add_checked_fixture(tc, fresh, gone);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, threads_lose_no_count_while_somebody_reads);
    tcase_add_test(tc, a_look_back_meets_entries_that_are_being_made);
    tcase_add_test(tc, processes_lose_no_count);
    suite_add_tcase(s, tc);
    return run(s);
}
