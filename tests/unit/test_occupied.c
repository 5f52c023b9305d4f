/* cli/occupied: who had the quadruplets. */
#include "tool/events/occupied.h"
#include "suite.h"

static struct event_exhausted event(unsigned sources, uint16_t capacity) {
    struct event_exhausted x = {.cause = CAUSE_RANGE_FULL, .capacity = capacity, .n_sources = (uint16_t)sources};
    for (unsigned i = 0; i < sources; i++)
        x.source[i].cause = CAUSE_RANGE_FULL;
    return x;
}

static struct event_exhausted one(uint32_t open, uint32_t time_wait, uint16_t established, uint16_t waiting) {
    struct event_exhausted x = event(1, 100);
    x.source[0].open = open;
    x.source[0].time_wait = time_wait;
    x.source[0].counted = COUNTED_ALL;
    x.source[0].kernel[KERNEL_ESTABLISHED] = established;
    x.source[0].kernel[KERNEL_TIME_WAIT] = waiting;
    return x;
}

START_TEST(the_greater_half_of_what_is_taken_decides) {
    static const struct {
        uint32_t open, time_wait;
        uint16_t established, waiting;
        enum occupied by;
    } rows[] = {
        {0, 100, 0, 100, OCCUPIED_INSTANCE}, {100, 0, 100, 0, OCCUPIED_INSTANCE}, {25, 25, 50, 50, OCCUPIED_INSTANCE},
        {25, 24, 50, 50, OCCUPIED_OTHERS},   {0, 0, 0, 100, OCCUPIED_OTHERS},     {0, 0, 85, 0, OCCUPIED_OTHERS},
        {0, 0, 84, 0, OCCUPIED_BOUND},       {0, 0, 0, 0, OCCUPIED_BOUND},        {10, 10, 10, 10, OCCUPIED_BOUND},
    };
    struct event_exhausted x = one(rows[_i].open, rows[_i].time_wait, rows[_i].established, rows[_i].waiting);
    ck_assert_int_eq(occupied_by(&x), rows[_i].by);
}
END_TEST

START_TEST(without_a_count_only_our_own_can_be_told) {
    struct event_exhausted x = one(40, 60, 0, 0);
    x.source[0].counted = COUNTED_NO;
    ck_assert_int_eq(occupied_by(&x), OCCUPIED_INSTANCE);
    x.source[0].open = 20;
    ck_assert_int_eq(occupied_by(&x), OCCUPIED_UNKNOWN);
}
END_TEST

START_TEST(sources_are_added_up_and_those_that_were_not_full_left_out) {
    struct event_exhausted x = event(3, 100);
    for (unsigned i = 0; i < 3; i++) {
        x.source[i].counted = COUNTED_ALL;
        x.source[i].kernel[KERNEL_TIME_WAIT] = 100;
    }
    x.source[0].time_wait = x.source[1].time_wait = 60;
    x.source[2].cause = CAUSE_ADDRESS_NOT_LOCAL;
    ck_assert_int_eq(occupied_by(&x), OCCUPIED_INSTANCE);
    x.source[2].cause = CAUSE_RANGE_FULL;
    ck_assert_int_eq(occupied_by(&x), OCCUPIED_OTHERS);
}
END_TEST

START_TEST(no_sources_another_cause_or_no_capacity_is_unknown) {
    struct event_exhausted x = event(0, 100), y = one(0, 100, 0, 100), z = one(0, 100, 0, 100);
    y.cause = CAUSE_FAMILY_DISABLED;
    z.capacity = 0;
    ck_assert_int_eq(occupied_by(&x), OCCUPIED_UNKNOWN);
    ck_assert_int_eq(occupied_by(&y), OCCUPIED_UNKNOWN);
    ck_assert_int_eq(occupied_by(&z), OCCUPIED_UNKNOWN);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("occupied");
    TCase *tc = tcase_create("occupied");
    tcase_add_loop_test(tc, the_greater_half_of_what_is_taken_decides, 0, 9);
    tcase_add_test(tc, without_a_count_only_our_own_can_be_told);
    tcase_add_test(tc, sources_are_added_up_and_those_that_were_not_full_left_out);
    tcase_add_test(tc, no_sources_another_cause_or_no_capacity_is_unknown);
    suite_add_tcase(suite, tc);
    return run(suite);
}
