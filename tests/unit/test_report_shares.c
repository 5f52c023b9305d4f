/* Who has the ports of a range that is full: tool/report/shares.h. */
#include <stdlib.h>
#include <string.h>

#include "state/event.h"
#include "suite.h"
#include "tool/report/shares.h"

static struct share share[SHARES_MAX];
static unsigned shares;

/* One source of 100 ports, counted. */
static struct evidence counted(uint64_t open, uint64_t waits, uint64_t fin, uint64_t close, uint64_t other) {
    return (struct evidence){.cause = CAUSE_RANGE_FULL,
                             .ports = 100,
                             .sources = 1,
                             .counted = true,
                             .counted_sources = 1,
                             .kernel = {[KERNEL_ESTABLISHED] = open,
                                        [KERNEL_TIME_WAIT] = waits,
                                        [KERNEL_FIN_WAIT] = fin,
                                        [KERNEL_CLOSE_WAIT] = close,
                                        [KERNEL_OTHER] = other}};
}

static struct evidence ours(struct evidence e, uint64_t open, uint64_t waits) {
    e.open = e.counted_open = open;
    e.waits = e.counted_waits = waits;
    return e;
}

static void find(const struct evidence *e) {
    shares = shares_find(e, share);
}

static unsigned percent(enum conclusion_kind kind) {
    for (unsigned i = 0; i < shares; i++)
        if (share[i].kind == kind)
            return share[i].percent;
    return 0;
}

START_TEST(binds_of_others_and_our_time_waits_have_each_their_share) {
    const struct evidence e = ours(counted(0, 60, 0, 0, 0), 0, 60);
    find(&e);
    ck_assert_uint_eq(shares, 2);
    ck_assert_int_eq(share[0].kind, CONCLUDE_TIME_WAIT);
    ck_assert_uint_eq(share[0].percent, 60);
    ck_assert_uint_eq(percent(CONCLUDE_EXPLICIT), 40);
}
END_TEST

START_TEST(what_the_kernel_has_and_we_have_not_is_of_others) {
    const struct evidence e = ours(counted(30, 70, 0, 0, 0), 10, 40);
    find(&e);
    ck_assert_uint_eq(percent(CONCLUDE_OTHERS), 50);
    ck_assert_uint_eq(percent(CONCLUDE_OPEN), 10);
    ck_assert_uint_eq(percent(CONCLUDE_TIME_WAIT), 40);
}
END_TEST

START_TEST(what_the_log_has_and_the_kernel_has_not_counts_no_more) {
    const struct evidence e = ours(counted(50, 50, 0, 0, 0), 0, 397);
    find(&e);
    ck_assert_uint_eq(percent(CONCLUDE_TIME_WAIT), 50);
    ck_assert_uint_eq(percent(CONCLUDE_OTHERS), 50);
}
END_TEST

START_TEST(close_wait_is_told_from_open) {
    const struct evidence e = ours(counted(20, 0, 0, 80, 0), 100, 0);
    find(&e);
    ck_assert_int_eq(share[0].kind, CONCLUDE_CLOSE_WAIT);
    ck_assert_uint_eq(share[0].percent, 80);
    ck_assert_uint_eq(percent(CONCLUDE_OPEN), 20);
}
END_TEST

START_TEST(fin_wait_is_a_cause_only_when_it_lasts) {
    struct evidence e = ours(counted(0, 20, 80, 0, 0), 0, 100);
    find(&e);
    ck_assert_uint_eq(percent(CONCLUDE_TIME_WAIT), 100);
    e.fin_wait = 80;
    find(&e);
    ck_assert_uint_eq(percent(CONCLUDE_FIN_WAIT), 80);
    ck_assert_uint_eq(percent(CONCLUDE_TIME_WAIT), 20);
}
END_TEST

START_TEST(reserved_ports_have_their_share_of_the_range) {
    struct evidence e = ours(counted(0, 100, 0, 0, 0), 0, 100);
    e.reserved = 300;
    find(&e);
    ck_assert_uint_eq(percent(CONCLUDE_RESERVED), 75);
    ck_assert_uint_eq(percent(CONCLUDE_TIME_WAIT), 25);
    e = (struct evidence){.cause = CAUSE_RANGE_FULL, .sources = 1, .reserved = 28232};
    find(&e);
    ck_assert_uint_eq(shares, 1);
    ck_assert_uint_eq(percent(CONCLUDE_RESERVED), 100);
}
END_TEST

START_TEST(a_sample_does_not_prove_a_few_binds) {
    struct evidence e = ours(counted(0, 96, 0, 0, 0), 0, 96);
    e.estimated = true;
    find(&e);
    ck_assert_uint_eq(percent(CONCLUDE_TIME_WAIT), 100);
    e.estimated = false;
    find(&e);
    ck_assert_uint_eq(percent(CONCLUDE_EXPLICIT), 4);
}
END_TEST

START_TEST(without_a_count_the_rest_is_somewhere_else) {
    struct evidence e = {.cause = CAUSE_RANGE_FULL, .ports = 100, .sources = 2, .open = 20, .waits = 100};
    find(&e);
    ck_assert_uint_eq(percent(CONCLUDE_TIME_WAIT), 50);
    ck_assert_uint_eq(percent(CONCLUDE_OPEN), 10);
    ck_assert_uint_eq(percent(CONCLUDE_ELSEWHERE), 40);
}
END_TEST

static uint64_t random_below(uint64_t n) {
    return (uint64_t)rand() % n;
}

/* Any numbers, that fit each other or not. */
START_TEST(shares_add_up_whatever_comes) {
    srand(1);
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t most = UINT64_C(1) << random_below(40);
        struct evidence e = counted(random_below(most), random_below(most), random_below(most), random_below(most), 0);
        e = ours(e, random_below(most), random_below(most));
        e.counted = random_below(4);
        e.estimated = random_below(2);
        e.fin_wait = random_below(most);
        e.ports = (uint32_t)random_below(65536);
        e.sources = (uint32_t)random_below(9);
        e.counted_sources = (uint32_t)random_below(9);
        e.reserved = random_below(2) ? (uint32_t)random_below(65536) : 0;
        e.ports_from = (enum ports_from)random_below(3);
        find(&e);
        unsigned sum = 0;
        ck_assert_uint_ge(shares, 1);
        ck_assert_uint_le(shares, SHARES_MAX);
        for (unsigned n = 0; n < shares; n++) {
            sum += share[n].percent;
            ck_assert_uint_ge(share[n].percent, n ? 1 : 0);
            ck_assert(n == 0 || share[n].quadruplets <= share[n - 1].quadruplets);
            /* No share without proof. */
            ck_assert(e.counted || (share[n].kind != CONCLUDE_OTHERS && share[n].kind != CONCLUDE_EXPLICIT &&
                                    share[n].kind != CONCLUDE_FIN_WAIT && share[n].kind != CONCLUDE_CLOSE_WAIT));
            ck_assert(!e.counted || share[n].kind != CONCLUDE_ELSEWHERE || shares == 1);
            ck_assert(share[n].kind != CONCLUDE_RESERVED || e.reserved);
            ck_assert(share[n].kind != CONCLUDE_TIME_WAIT || e.waits);
        }
        ck_assert_uint_eq(sum, 100);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("report_shares");
    TCase *tc = tcase_create("report_shares");
    tcase_add_test(tc, binds_of_others_and_our_time_waits_have_each_their_share);
    tcase_add_test(tc, what_the_kernel_has_and_we_have_not_is_of_others);
    tcase_add_test(tc, what_the_log_has_and_the_kernel_has_not_counts_no_more);
    tcase_add_test(tc, close_wait_is_told_from_open);
    tcase_add_test(tc, fin_wait_is_a_cause_only_when_it_lasts);
    tcase_add_test(tc, reserved_ports_have_their_share_of_the_range);
    tcase_add_test(tc, a_sample_does_not_prove_a_few_binds);
    tcase_add_test(tc, without_a_count_the_rest_is_somewhere_else);
    tcase_add_test(tc, shares_add_up_whatever_comes);
    suite_add_tcase(suite, tc);
    return run(suite);
}
