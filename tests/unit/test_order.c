/* shim/order: which source a connect begins with. */
#include <string.h>

#include "policy/order.h"
#include "suite.h"

enum { TOTAL = 7, TURNS = 7000 };

static uint32_t seen[TOTAL];

static void count(enum pool_policy policy, uint64_t seed, uint64_t destination) {
    memset(seen, 0, sizeof seen);
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        uint32_t first = order_first(policy, TOTAL, turn, seed, destination);
        ck_assert_uint_lt(first, TOTAL);
        seen[first]++;
    }
}

START_TEST(no_source_or_one_source_is_the_first) {
    for (int policy = 0; policy < POOL_POLICY_COUNT; policy++)
        for (uint32_t total = 0; total < 2; total++)
            ck_assert_uint_eq(order_first((enum pool_policy)policy, total, 12345, 678, 9), 0);
}
END_TEST

START_TEST(the_first_source_is_always_below_the_total) {
    for (int policy = 0; policy < POOL_POLICY_COUNT + 2; policy++)
        for (uint32_t total = 2; total != 0 && total < UINT32_MAX / 3; total = total * 3 + 1)
            for (uint32_t turn = UINT32_MAX - 50; turn != 50; turn++)
                ck_assert_uint_lt(order_first((enum pool_policy)policy, total, turn, turn * 77u, turn), total);
}
END_TEST

START_TEST(round_robin_takes_the_sources_in_turn) {
    for (uint32_t turn = 0; turn < 100; turn++)
        ck_assert_uint_eq(order_first(POOL_ROUND_ROBIN, TOTAL, turn, turn, turn), turn % TOTAL);
}
END_TEST

START_TEST(random_is_even_and_differs_between_instances) {
    unsigned same = 0, repeated = 0;
    count(POOL_RANDOM, 42, 1);
    for (int i = 0; i < TOTAL; i++) {
        ck_assert_uint_gt(seen[i], TURNS / TOTAL * 8 / 10);
        ck_assert_uint_lt(seen[i], TURNS / TOTAL * 12 / 10);
    }
    for (uint32_t turn = 1; turn < TURNS; turn++) {
        uint32_t first = order_first(POOL_RANDOM, TOTAL, turn, 42, 1);
        same += first == order_first(POOL_RANDOM, TOTAL, turn, 43, 1);
        repeated += first == order_first(POOL_RANDOM, TOTAL, turn - 1, 42, 1);
    }
    ck_assert_uint_lt(same, TURNS / 5);
    ck_assert_uint_lt(repeated, TURNS / 5);
}
END_TEST

START_TEST(hash_depends_on_the_destination_alone) {
    memset(seen, 0, sizeof seen);
    for (uint64_t destination = 0; destination < TURNS; destination++) {
        uint32_t first = order_first(POOL_HASH, TOTAL, 1, 2, destination);
        ck_assert_uint_eq(first, order_first(POOL_HASH, TOTAL, 3, 4, destination));
        seen[first]++;
    }
    for (int i = 0; i < TOTAL; i++)
        ck_assert_uint_gt(seen[i], TURNS / TOTAL * 8 / 10);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("order");
    TCase *tc = tcase_create("order");
    tcase_add_test(tc, no_source_or_one_source_is_the_first);
    tcase_add_test(tc, the_first_source_is_always_below_the_total);
    tcase_add_test(tc, round_robin_takes_the_sources_in_turn);
    tcase_add_test(tc, random_is_even_and_differs_between_instances);
    tcase_add_test(tc, hash_depends_on_the_destination_alone);
    suite_add_tcase(suite, tc);
    return run(suite);
}
