/* cli/stat: what is read out of a state file that anybody may have scribbled over. */
#include <errno.h>
#include <stdlib.h>
#include <pthread.h>
#include <string.h>

#include "tool/common/override.h"
#include "tool/stat/model.h"
#include "state/stats.h"
#include "suite.h"
#include "state/control.h"
#include "tool/stat/take.h"
#include "tool/stat/names.h"
#include "tool/stat/compare.h"

static struct state state;
static struct stat_report *report, *before;
static const struct addr any;

static void fresh(void) {
    ck_assert(state_private(&state, "test"));
    report = stat_report_new();
    before = stat_report_new();
    ck_assert(report && before);
}

static void gone(void) {
    free(report);
    free(before);
    state_unmap(&state);
}

static void title(uint16_t id, const char *text) {
    memset(state.name[id], 0, POLICY_TITLE);
    memcpy(state.name[id], text, strlen(text));
}

static struct stat_entry *entry(enum arm arm, uint16_t rule, uint32_t v4) {
    struct addr source = v4 ? addr_from_v4(v4) : any;
    struct stat_entry *e = stats_find(&state, arm, rule, &source);
    ck_assert(e);
    return e;
}

static void connected(struct stat_entry *e, int error, uint64_t ns) {
    stats_connect(&state, e, ARM_ENFORCE, &(struct stat_connect){.error = error, .elapsed_ns = ns});
}

static void take(void) {
    stat_take(report, &state, "/run/x/test.state", NULL);
}

START_TEST(rows_are_sorted_by_rule_arm_and_address) {
    title(1, "b");
    title(2, "a");
    connected(entry(ARM_CONTROL, 1, 0), 0, 5000);
    connected(entry(ARM_ENFORCE, 1, 0x0a000014), 0, 5000);
    connected(entry(ARM_ENFORCE, 1, 0x0a000009), 0, 5000);
    connected(entry(ARM_ENFORCE, 2, 0x0a000001), 0, 5000);
    take();
    static const char *const want[][2] = {{"a", "10.0.0.1"}, {"b", "10.0.0.9"}, {"b", "10.0.0.20"}, {"b", "any"}};
    ck_assert_uint_eq(report->n_rows, 4);
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_str_eq(report->row[i].rule, want[i][0]);
        ck_assert_str_eq(report->row[i].source, want[i][1]);
        ck_assert_uint_eq(report->row[i].counter[STAT_CONNECTS], 1);
    }
}
END_TEST

enum { THREADS = 32 };
static pthread_barrier_t all_there;

static void *connect_once(void *seen) {
    (void)pthread_barrier_wait(&all_there);
    struct stat_entry *e = entry(ARM_ENFORCE, 1, 0x0a000001);
    connected(e, 0, 5000);
    __atomic_fetch_or((unsigned *)seen, 1u << e->lane, __ATOMIC_RELAXED);
    return NULL;
}

START_TEST(threads_that_count_apart_are_one_row) {
    pthread_t thread[THREADS];
    unsigned seen = 0;
    ck_assert_int_eq(pthread_barrier_init(&all_there, NULL, THREADS), 0);
    for (unsigned i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, connect_once, &seen), 0);
    for (unsigned i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
    ck_assert_uint_gt(seen & (seen - 1), 0); /* more than one lane */
    take();
    ck_assert_uint_eq(report->n_rows, 1);
    ck_assert_uint_eq(report->row[0].counter[STAT_CONNECTS], THREADS);
}
END_TEST

START_TEST(an_entry_that_does_not_fit_its_key_is_left_out) {
    struct stat_entry *e = entry(ARM_ENFORCE, 1, 0x0a000001);
    e->rule_id = 2;
    take();
    ck_assert_uint_eq(report->n_rows, 0);
    e->rule_id = 1;
    e->arm = 200;
    take();
    ck_assert_uint_eq(report->n_rows, 0);
    e->arm = ARM_ENFORCE;
    e->lane++;
    take();
    ck_assert_uint_eq(report->n_rows, 0);
}
END_TEST

/* A process was killed right after it had taken the entry: the next one labels it. */
START_TEST(an_entry_without_labels_gets_them) {
    struct stat_entry *e = entry(ARM_OBSERVE, 3, 0x0a000001);
    e->rule_id = 0;
    e->arm = 0;
    e->source = any;
    ck_assert_ptr_eq(entry(ARM_OBSERVE, 3, 0x0a000001), e);
    take();
    ck_assert_uint_eq(report->n_rows, 1);
    ck_assert_str_eq(report->row[0].source, "10.0.0.1");
}
END_TEST

START_TEST(two_entries_of_one_name_are_one_row) {
    title(1, "same");
    title(2, "same");
    entry(ARM_ENFORCE, 1, 0x0a000001)->counter[STAT_CONNECTS] = 5;
    entry(ARM_ENFORCE, 2, 0x0a000001)->counter[STAT_CONNECTS] = UINT64_MAX - 1;
    take();
    ck_assert_uint_eq(report->n_rows, 1);
    ck_assert_uint_eq(report->row[0].counter[STAT_CONNECTS], UINT64_MAX);
}
END_TEST

START_TEST(failures_are_errors_and_what_was_given_up) {
    struct stat_entry *e = entry(ARM_ENFORCE, 1, 0);
    static const int errors[] = {0,           EINPROGRESS, EADDRNOTAVAIL, ECONNREFUSED, ETIMEDOUT,
                                 ENETUNREACH, EACCES,      ENOBUFS,       EINTR};
    for (unsigned i = 0; i < sizeof errors / sizeof *errors; i++)
        connected(e, errors[i], 1000);
    take();
    ck_assert_uint_eq(report->row[0].counter[STAT_CONNECTS], 9);
    ck_assert_uint_eq(stat_failed(report->row[0].counter), 6);
    stats_add(e, STAT_SYN_TIMEOUT); /* one of the two in progress, closed in SYN_SENT */
    take();
    ck_assert_uint_eq(stat_failed(report->row[0].counter), 7);
    e->counter[STAT_REFUSED] = UINT64_MAX;
    take();
    ck_assert_uint_eq(stat_failed(report->row[0].counter), 9);
}
END_TEST

START_TEST(each_errno_has_one_counter) {
    static const int errors[] = {EADDRNOTAVAIL, ECONNREFUSED, ETIMEDOUT,  ENETUNREACH, EHOSTUNREACH, ENETDOWN, EACCES,
                                 EPERM,         ECONNRESET,   EADDRINUSE, EINVAL,      EAGAIN,       ENOBUFS};
    enum { ERRORS = sizeof errors / sizeof *errors };
    struct stat_entry *e = entry(ARM_ENFORCE, 1, 0);
    unsigned counted = 0;
    for (unsigned i = 0; i < ERRORS; i++)
        for (unsigned n = 0; n <= i; n++)
            connected(e, errors[i], 1000);
    connected(e, EPROTO, 1000);
    take();
    for (unsigned c = 0; c < STAT_COUNTERS; c++)
        for (unsigned i = 0; i < ERRORS; i++)
            if (stats_errno(c) == errors[i]) {
                ck_assert_uint_eq(report->row[0].counter[c], i + 1);
                counted++;
            }
    ck_assert_uint_eq(counted, ERRORS);
    ck_assert_uint_eq(report->row[0].counter[STAT_OTHER_ERROR], 9 + 10 + 11 + 12 + 13 + 1);
    ck_assert_uint_eq(stat_failed(report->row[0].counter), ERRORS * (ERRORS + 1) / 2 + 1);
}
END_TEST

/* The control arm's binds fail where the canary's connects do. */
START_TEST(a_bind_that_found_no_port_is_a_failed_call) {
    struct compare_arm canary, control;
    title(1, "r");
    for (int i = 0; i < 12; i++) {
        connected(entry(ARM_ENFORCE, 1, 0x0a000001), 0, 1000);
        connected(entry(ARM_CONTROL, 1, 0x0a000001), 0, 1000);
    }
    for (int i = 0; i < 8; i++)
        connected(entry(ARM_ENFORCE, 1, 0x0a000001), EADDRNOTAVAIL, 1000);
    for (int i = 0; i < 7; i++)
        stats_add(entry(ARM_CONTROL, 0, 0x0a000001), STAT_BIND_IN_USE);
    stats_add(entry(ARM_CONTROL, 0, 0x0a000002), STAT_BIND_NOT_LOCAL);
    connected(entry(ARM_ENFORCE, 0, 0x0a000001), EADDRNOTAVAIL, 1000); /* to where no rule is: left out ... */
    stats_add(entry(ARM_CONTROL, 0, 0x0a000001), STAT_BIND_IN_USE);    /* ... but its bind would have failed */
    stats_add(entry(ARM_ENFORCE, 0, 0x0a000001), STAT_LATE_FAILED);
    take();
    stat_arm(report, ARM_ENFORCE, &canary);
    stat_arm(report, ARM_CONTROL, &control);
    ck_assert_uint_eq(canary.connects, 21);
    ck_assert_uint_eq(canary.failed, 9);
    ck_assert_uint_eq(control.connects, 21);
    ck_assert_uint_eq(control.failed, 9);
}
END_TEST

START_TEST(an_arms_counters_are_its_entries_and_what_found_none) {
    const struct stat_connect one = {.spread = true, .elapsed_ns = 1000};
    struct stat_entry *e = entry(ARM_ENFORCE, 1, 0x0a000001), *other = entry(ARM_ENFORCE, 0, 0);
    for (int i = 0; i < 3; i++) {
        stats_connect(&state, e, ARM_ENFORCE, &one);
        stats_close(&state, e, ARM_ENFORCE, FATE_TIME_WAIT);
    }
    connected(other, 0, 1000);
    connected(entry(ARM_CONTROL, 1, 0), 0, 1000);
    stats_connect(&state, NULL, ARM_ENFORCE, &one);
    stats_close(&state, NULL, ARM_ENFORCE, FATE_TIME_WAIT);
    stats_close(&state, NULL, ARM_ENFORCE, FATE_RESET);
    take();
    const uint64_t *sum = report->counter[ARM_ENFORCE];
    ck_assert_uint_eq(sum[COUNT_CONNECTS], 5);
    ck_assert_uint_eq(sum[COUNT_SPREAD], 4);
    ck_assert_uint_eq(sum[COUNT_TIME_WAIT], 4);
    ck_assert_uint_eq(sum[COUNT_RESET], 1);
    ck_assert_uint_eq(report->counter[ARM_CONTROL][COUNT_CONNECTS], 1);
}
END_TEST

START_TEST(only_connects_under_a_rule_are_compared) {
    struct compare_arm arm;
    title(1, "r");
    entry(ARM_ENFORCE, 1, 0x0a000001)->counter[STAT_CONNECTS] = 5;
    entry(ARM_ENFORCE, 1, 0x0a000002)->counter[STAT_CONNECTS] = 6;
    entry(ARM_ENFORCE, 0, 0)->counter[STAT_CONNECTS] = 100;
    entry(ARM_CONTROL, 1, 0)->counter[STAT_CONNECTS] = 7;
    take();
    stat_arm(report, ARM_ENFORCE, &arm);
    ck_assert_uint_eq(arm.connects, 11);
    stat_arm(report, ARM_CONTROL, &arm);
    ck_assert_uint_eq(arm.connects, 7);
}
END_TEST

START_TEST(a_difference_is_what_came_since) {
    title(1, "r");
    connected(entry(ARM_ENFORCE, 1, 0x0a000001), 0, 3000000);
    take();
    free(before);
    before = stat_report_keep(report);
    connected(entry(ARM_ENFORCE, 1, 0x0a000001), ECONNREFUSED, 1000);
    connected(entry(ARM_ENFORCE, 1, 0x0a000002), 0, 1000);
    state_count(&state, ARM_CONTROL, COUNT_ATTACHED);
    take();
    stat_subtract(report, before);
    ck_assert_uint_eq(report->n_rows, 2);
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_uint_eq(report->row[i].counter[STAT_CONNECTS], 1);
        ck_assert_uint_eq(histogram_count(report->row[i].bucket), 1);
    }
    ck_assert_uint_eq(report->row[0].counter[STAT_IMMEDIATE], 0);
    ck_assert_uint_eq(report->counter[ARM_CONTROL][COUNT_ATTACHED], 1);
}
END_TEST

START_TEST(the_override_wins) {
    take();
    ck_assert_uint_eq(stat_mode(report), MODE_OFF); /* no policy yet */
    report->has_policy = true;
    report->settings = (struct settings){.mode = MODE_ENFORCE, .canary = 200};
    ck_assert_uint_eq(stat_mode(report), MODE_ENFORCE);
    ck_assert_uint_eq(stat_canary(report), 100);
    report->control = (struct control){.has_mode = true, .mode = MODE_OBSERVE, .has_canary = true, .canary = 7};
    ck_assert_uint_eq(stat_mode(report), MODE_OBSERVE);
    ck_assert_uint_eq(stat_canary(report), 7);
}
END_TEST

START_TEST(every_counter_has_a_name_and_a_meaning) {
    for (unsigned i = 0; i <= COUNT_ENDPOINT_OUT; i++)
        ck_assert_msg(counter_name(i) && counter_help(i), "counter %u", i);
    for (unsigned i = 0; i < STAT_ERRNO; i++)
        ck_assert_msg(stat_counter_name(i) && stat_counter_help(i), "stat counter %u", i);
    ck_assert_ptr_null(counter_name(COUNTERS));
    ck_assert_ptr_null(stat_counter_name(STAT_COUNTERS));
}
END_TEST

START_TEST(modes_have_names) {
    for (unsigned i = 0; i < MODE_COUNT; i++)
        ck_assert_int_eq(override_mode(override_mode_name(i)), (int)i);
    ck_assert_int_eq(override_mode("config"), -1);
    ck_assert_str_eq(override_mode_name(MODE_COUNT), "unknown");
}
END_TEST

START_TEST(the_dial_in_words) {
    char text[OVERRIDE_TEXT];
    struct settings settings = {.mode = MODE_ENFORCE, .canary = 100};
    override_text(text, (struct control){.has_canary = true, .canary = 5}, &settings);
    ck_assert_str_eq(text, "mode enforce (config), canary 5 % (set)");
    override_text(text, (struct control){.has_mode = true, .mode = MODE_OFF}, NULL);
    ck_assert_str_eq(text, "mode off (set), canary as configured");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("stat");
    TCase *reading = tcase_create("reading");
    tcase_add_checked_fixture(reading, fresh, gone);
    tcase_add_test(reading, rows_are_sorted_by_rule_arm_and_address);
    tcase_add_test(reading, threads_that_count_apart_are_one_row);
    tcase_add_test(reading, an_entry_that_does_not_fit_its_key_is_left_out);
    tcase_add_test(reading, an_entry_without_labels_gets_them);
    tcase_add_test(reading, two_entries_of_one_name_are_one_row);
    tcase_add_test(reading, failures_are_errors_and_what_was_given_up);
    tcase_add_test(reading, each_errno_has_one_counter);
    tcase_add_test(reading, a_bind_that_found_no_port_is_a_failed_call);
    tcase_add_test(reading, an_arms_counters_are_its_entries_and_what_found_none);
    tcase_add_test(reading, only_connects_under_a_rule_are_compared);
    tcase_add_test(reading, a_difference_is_what_came_since);
    tcase_add_test(reading, the_override_wins);
    tcase_add_test(reading, every_counter_has_a_name_and_a_meaning);
    tcase_add_test(reading, modes_have_names);
    tcase_add_test(reading, the_dial_in_words);
    suite_add_tcase(suite, reading);
    return run(suite);
}
