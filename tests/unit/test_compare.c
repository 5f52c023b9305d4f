/* cli/compare: canary against control. Reference values of the intervals: Newcombe, Statistics in Medicine 17 (1998),
 * pp. 857-890, tables I and II. */
#include <math.h>
#include <stdint.h>

#include "tool/stat/compare.h"
#include "suite.h"

#define Z95 1.959964

/* xorshift64*: the same runs everywhere. */
static uint64_t seed;

static double uniform(void) {
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (double)(seed * 0x2545f4914f6cdd1du >> 11) / 9007199254740992.0;
}

static unsigned bucket_of(double us) {
    unsigned i = 0;
    while (i < STAT_BUCKETS - 1 && us >= (double)(1u << i))
        i++;
    return i;
}

/* connects of which a share fails; times log-normal (Box-Muller) around median_us. */
static struct compare_arm draw(unsigned connects, double failing, double median_us) {
    struct compare_arm a = {.connects = connects};
    for (unsigned i = 0; i < connects; i++) {
        double normal = sqrt(-2 * log(1 - uniform())) * cos(6.283185307 * uniform());
        a.failed += uniform() < failing;
        a.bucket[bucket_of(median_us * exp(0.5 * normal))]++;
    }
    return a;
}

static enum compare_verdict verdict(const struct compare_arm *canary, const struct compare_arm *control) {
    struct comparison c;
    compare_arms(canary, control, &c);
    return c.verdict;
}

static void assert_near(double got, double want, double tolerance) {
    ck_assert_msg(fabs(got - want) <= tolerance, "got %.6f, want %.6f", got, want);
}

/* --- the parts --- */

START_TEST(wilson_is_newcombe_s) {
    double low, high;
    compare_wilson(81, 263, Z95, &low, &high);
    assert_near(low, 0.2553, 0.00005);
    assert_near(high, 0.3662, 0.00005);
    compare_wilson(0, 20, Z95, &low, &high);
    assert_near(low, 0, 0);
    assert_near(high, 0.1611, 0.00005);
    compare_wilson(29, 29, Z95, &low, &high);
    assert_near(low, 0.8830, 0.00005);
    assert_near(high, 1, 0);
    compare_wilson(0, 0, Z95, &low, &high);
    assert_near(low, 0, 0);
    assert_near(high, 1, 0);
}
END_TEST

START_TEST(interval_is_newcombe_s_method_10) {
    static const struct {
        unsigned a, m, b, n;
        double low, high;
    } rows[] = {
        {56, 70, 48, 80, 0.0524, 0.3339},
        {9, 10, 3, 10, 0.1705, 0.8090},
        {10, 10, 0, 20, 0.6791, 1.0000},
        {10, 10, 0, 10, 0.6075, 1.0000},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct compare_share s;
        compare_shares(rows[i].a, rows[i].m, rows[i].b, rows[i].n, Z95, &s);
        assert_near(s.low, rows[i].low, 0.0001);
        assert_near(s.high, rows[i].high, 0.0001);
        assert_near(s.difference, (double)rows[i].a / rows[i].m - (double)rows[i].b / rows[i].n, 1e-12);
    }
}
END_TEST

START_TEST(quantiles_lie_within_their_bucket) {
    uint64_t none[STAT_BUCKETS] = {0}, one[STAT_BUCKETS] = {[7] = 100}, two[STAT_BUCKETS] = {[3] = 50, [10] = 50};
    assert_near(histogram_quantile_us(none, 0.5), 0, 0);
    assert_near(histogram_quantile_us(one, 0.5), 96, 1e-9); /* 64..128 */
    assert_near(histogram_quantile_us(one, 1), 128, 1e-9);
    assert_near(histogram_quantile_us(two, 0.5), 8, 1e-9);
    assert_near(histogram_quantile_us(two, 0.75), 768, 1e-9);
}
END_TEST

START_TEST(hostile_histograms_do_not_wrap) {
    uint64_t all[STAT_BUCKETS];
    for (unsigned i = 0; i < STAT_BUCKETS; i++)
        all[i] = UINT64_MAX;
    ck_assert_uint_eq(histogram_count(all), UINT64_MAX);
    struct compare_arm a = {.connects = UINT64_MAX, .failed = UINT64_MAX}, b = {.connects = 1};
    for (unsigned i = 0; i < STAT_BUCKETS; i++)
        a.bucket[i] = UINT64_MAX;
    (void)verdict(&a, &b);
    (void)verdict(&b, &a);
}
END_TEST

/* Two samples without ties: {8 values below 8} and {8 values}, all of one bucket each; against U by hand. */
START_TEST(ranks_are_mann_whitney_s) {
    struct compare_arm canary = {.bucket = {[2] = 3, [5] = 7}}, control = {.bucket = {[2] = 6, [5] = 4}};
    struct comparison c;
    compare_arms(&canary, &control, &c);
    /* U = 3 * 3 + 7 * (6 + 2) = 65 of 100; ties of 9 and 11: variance 100 / 12 * (21 - (720 + 1320) / 380) */
    assert_near(c.times.z, (65 - 50) / sqrt(100.0 / 12 * (21 - 2040.0 / 380)), 1e-9);
}
END_TEST

/* --- the verdict --- */

START_TEST(twenty_connections_are_not_enough) {
    seed = 1;
    for (int i = 0; i < 20; i++) {
        struct compare_arm canary = draw(10, 0.5, 100), control = draw(10, 0, 100);
        ck_assert_int_eq(verdict(&canary, &control), COMPARE_TOO_FEW);
    }
    struct compare_arm canary = {.connects = 20, .failed = 20}, control = {.connects = 0};
    ck_assert_int_eq(verdict(&canary, &control), COMPARE_TOO_FEW);
}
END_TEST

/* Both arms alike: 20 seeded runs each, over sizes, shares of failures and times. */
START_TEST(identical_arms_are_the_same) {
    static const struct {
        unsigned n;
        double failing, median_us;
    } cases[] = {{800, 0, 60}, {1500, 0.005, 60}, {5000, 0.01, 400}, {20000, 0.05, 20000}, {100000, 0.2, 250}};
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned same = 0;
        for (uint64_t run = 1; run <= 20; run++) {
            seed = run * 0x9e3779b97f4a7c15u;
            struct compare_arm a = draw(cases[i].n, cases[i].failing, cases[i].median_us);
            struct compare_arm b = draw(cases[i].n, cases[i].failing, cases[i].median_us);
            same += verdict(&a, &b) == COMPARE_SAME;
        }
        ck_assert_msg(same >= 18, "case %u: same in %u of 20 runs", i, same);
    }
}
END_TEST

START_TEST(a_source_that_drops_is_worse) {
    for (uint64_t run = 1; run <= 20; run++) {
        seed = run * 0x9e3779b97f4a7c15u;
        struct compare_arm canary = draw(400, 0.25, 60), control = draw(400, 0.001, 60);
        ck_assert_int_eq(verdict(&canary, &control), COMPARE_WORSE);
        ck_assert_int_eq(verdict(&control, &canary), COMPARE_BETTER);
    }
}
END_TEST

START_TEST(slower_is_worse) {
    for (uint64_t run = 1; run <= 20; run++) {
        seed = run * 0x9e3779b97f4a7c15u;
        struct compare_arm canary = draw(600, 0, 900), control = draw(600, 0, 300);
        ck_assert_int_eq(verdict(&canary, &control), COMPARE_WORSE);
        ck_assert_int_eq(verdict(&control, &canary), COMPARE_BETTER);
    }
}
END_TEST

/* What the shim's own system calls cost is significant in any large sample, and does not matter. */
START_TEST(a_few_microseconds_do_not_matter) {
    seed = 5;
    struct compare_arm canary = draw(100000, 0, 50), control = draw(100000, 0, 30);
    struct comparison c;
    compare_arms(&canary, &control, &c);
    ck_assert(c.times.z > COMPARE_Z);
    ck_assert_int_eq(c.verdict, COMPARE_SAME);
}
END_TEST

START_TEST(a_tiny_difference_does_not_matter) {
    struct compare_arm canary = {.connects = 10000000, .failed = 14000},
                       control = {.connects = 10000000, .failed = 10000};
    struct comparison c;
    compare_arms(&canary, &control, &c);
    ck_assert(c.failed.low > 0);
    ck_assert_int_eq(c.failed.verdict, COMPARE_SAME);
}
END_TEST

/* Lost SYNs that are sent again: nothing fails and the median stays. */
START_TEST(resent_syns_are_worse) {
    seed = 6;
    struct compare_arm canary = draw(600, 0, 60), control = draw(600, 0, 60);
    canary.bucket[20] += 100;
    canary.connects += 100;
    ck_assert_int_eq(verdict(&canary, &control), COMPARE_WORSE);
}
END_TEST

/* A wide interval is no proof of sameness. */
START_TEST(few_connections_prove_nothing) {
    struct compare_arm canary = {.connects = 100, .failed = 3}, control = {.connects = 100, .failed = 2};
    canary.bucket[6] = control.bucket[6] = 100;
    ck_assert_int_eq(verdict(&canary, &control), COMPARE_TOO_FEW);
}
END_TEST

START_TEST(one_arm_alone_is_not_enough) {
    struct compare_arm canary = {.connects = 100000}, control = {0};
    canary.bucket[6] = 100000;
    ck_assert_int_eq(verdict(&canary, &control), COMPARE_TOO_FEW);
    ck_assert_int_eq(verdict(&control, &canary), COMPARE_TOO_FEW);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("compare");
    TCase *parts = tcase_create("parts"), *verdicts = tcase_create("verdict");
    tcase_add_test(parts, wilson_is_newcombe_s);
    tcase_add_test(parts, interval_is_newcombe_s_method_10);
    tcase_add_test(parts, quantiles_lie_within_their_bucket);
    tcase_add_test(parts, hostile_histograms_do_not_wrap);
    tcase_add_test(parts, ranks_are_mann_whitney_s);
    tcase_add_test(verdicts, twenty_connections_are_not_enough);
    tcase_add_test(verdicts, identical_arms_are_the_same);
    tcase_add_test(verdicts, a_source_that_drops_is_worse);
    tcase_add_test(verdicts, slower_is_worse);
    tcase_add_test(verdicts, a_few_microseconds_do_not_matter);
    tcase_add_test(verdicts, a_tiny_difference_does_not_matter);
    tcase_add_test(verdicts, resent_syns_are_worse);
    tcase_add_test(verdicts, few_connections_prove_nothing);
    tcase_add_test(verdicts, one_arm_alone_is_not_enough);
    suite_add_tcase(suite, parts);
    suite_add_tcase(suite, verdicts);
    return run(suite);
}
