/* What one exhausted event tells of its moment: report_moment.h. */
#include "tool/report/moment.h"
#include "suite.h"

static struct event_record event;
static struct moment moment;

static struct exhausted_source source(enum cause cause, uint32_t open, uint32_t waits, enum counted counted) {
    return (struct exhausted_source){
        .open = open,
        .time_wait = waits,
        .cause = (uint16_t)cause,
        .kernel = {[KERNEL_ESTABLISHED] = (uint16_t)open, [KERNEL_TIME_WAIT] = (uint16_t)waits},
        .counted = (uint8_t)counted,
    };
}

static void two_full_sources(void) {
    event = (struct event_record){.e = {.kind = EVENT_EXHAUSTED, .time_us = 5, .program = "curl", .peer_port = 80}};
    event.u.exhausted = (struct event_exhausted){.cause = CAUSE_RANGE_FULL, .capacity = 100, .n_sources = 2};
    event.u.exhausted.source[0] = source(CAUSE_RANGE_FULL, 40, 60, COUNTED_ALL);
    event.u.exhausted.source[1] = source(CAUSE_RANGE_FULL, 10, 90, COUNTED_ALL);
    moment = (struct moment){0};
}

START_TEST(sources_add_up) {
    moment_begin(&moment, &event);
    ck_assert_uint_eq(moment.sources, 2);
    ck_assert_uint_eq(moment.ports, 100);
    ck_assert_uint_eq(moment.own_open, 50);
    ck_assert_uint_eq(moment.own_waits, 150);
    moment_count(&moment, &event.u.exhausted, (struct logged){0});
    ck_assert_int_eq(moment.counted, COUNTED_ALL);
    ck_assert_uint_eq(moment.kernel[KERNEL_TIME_WAIT], 150);
}
END_TEST

START_TEST(a_source_that_is_not_on_this_host_says_nothing_of_ports) {
    event.u.exhausted.source[1] = source(CAUSE_ADDRESS_NOT_LOCAL, 7, 7, COUNTED_NO);
    moment_begin(&moment, &event);
    moment_count(&moment, &event.u.exhausted, (struct logged){0});
    ck_assert_uint_eq(moment.sources, 1);
    ck_assert_uint_eq(moment.own_waits, 60);
    ck_assert_int_eq(moment.counted, COUNTED_ALL);
}
END_TEST

START_TEST(reserved_ports_say_that_there_are_no_others) {
    event.u.exhausted.capacity = 0;
    event.u.exhausted.reserved = 28232;
    event.u.exhausted.source[0].ports = (struct port_range){32768, 60999};
    moment_begin(&moment, &event);
    ck_assert(moment.ports_known);
    ck_assert_uint_eq(moment.ports, 0);
    ck_assert_uint_eq(moment.reserved, 28232);
}
END_TEST

START_TEST(a_range_that_is_not_the_hosts_is_known) {
    moment_begin(&moment, &event);
    ck_assert(!moment.own_range);
    event.u.exhausted.source[0].ports = event.u.exhausted.source[1].ports = (struct port_range){40000, 40049};
    moment_begin(&moment, &event);
    ck_assert(moment.own_range);
    event.u.exhausted.source[1].ports = (struct port_range){0, 0};
    moment_begin(&moment, &event);
    ck_assert(!moment.own_range);
}
END_TEST

START_TEST(sources_that_the_event_does_not_list_are_not_in_its_numbers) {
    event.u.exhausted.omitted = 7;
    moment_begin(&moment, &event);
    ck_assert_uint_eq(moment.sources, 2);
    ck_assert_uint_eq(moment.more_sources, 7);
}
END_TEST

START_TEST(what_is_ours_is_of_the_moment_of_the_count) {
    struct event_exhausted first = event.u.exhausted;
    first.source[0].counted = COUNTED_NO;
    first.source[0].time_wait = 5;
    moment_begin(&moment, &event);
    moment_count(&moment, &first, (struct logged){100, 0});
    moment_count(&moment, &event.u.exhausted, (struct logged){170, 30});
    ck_assert_uint_eq(moment.counted_open, 50);
    ck_assert_uint_eq(moment.counted_waits, 170);
    ck_assert_uint_eq(moment.counted_old, 30);
}
END_TEST

START_TEST(a_later_connect_that_tried_more_sources_has_the_numbers) {
    struct event_exhausted wider = event.u.exhausted;
    wider.n_sources = 3;
    wider.source[2] = source(CAUSE_RANGE_FULL, 0, 100, COUNTED_NO);
    moment_begin(&moment, &event);
    moment_count(&moment, &event.u.exhausted, (struct logged){0});
    moment_widen(&moment, &wider, 297);
    ck_assert_uint_eq(moment.sources, 3);
    ck_assert_uint_eq(moment.own_waits, 250);
    ck_assert_uint_eq(moment.logged_waits, 297);
    ck_assert_uint_eq(moment.counted_sources, 2);
    moment_widen(&moment, &event.u.exhausted, 1);
    ck_assert_uint_eq(moment.sources, 3);
}
END_TEST

START_TEST(without_sources_it_is_the_kernels_choice_of_one) {
    event.u.exhausted.n_sources = 0;
    moment_begin(&moment, &event);
    moment_count(&moment, &event.u.exhausted, (struct logged){0});
    ck_assert_uint_eq(moment.sources, 1);
    ck_assert_int_eq(moment.counted, COUNTED_NO);
}
END_TEST

START_TEST(an_older_event_has_its_ports_as_a_range) {
    event.u.exhausted.capacity = 0;
    event.u.exhausted.source[0].ports = (struct port_range){32768, 60999};
    moment_begin(&moment, &event);
    ck_assert_uint_eq(moment.ports, 28232);
}
END_TEST

START_TEST(the_best_count_is_kept) {
    struct event_exhausted none = event.u.exhausted, some = event.u.exhausted, all = event.u.exhausted;
    none.source[0].counted = COUNTED_NO;
    some.source[0].counted = COUNTED_SAMPLE;
    some.source[0].kernel[KERNEL_TIME_WAIT] = 1;
    moment_begin(&moment, &event);
    moment_count(&moment, &none, (struct logged){0});
    ck_assert_int_eq(moment.counted, COUNTED_NO);
    moment_count(&moment, &some, (struct logged){0});
    ck_assert_int_eq(moment.counted, COUNTED_SAMPLE);
    ck_assert_uint_eq(moment.kernel[KERNEL_TIME_WAIT], 91);
    moment_count(&moment, &all, (struct logged){0});
    moment_count(&moment, &some, (struct logged){0});
    ck_assert_int_eq(moment.counted, COUNTED_ALL);
    ck_assert_uint_eq(moment.kernel[KERNEL_TIME_WAIT], 150);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("report_moment");
    TCase *tc = tcase_create("report_moment");
    tcase_add_checked_fixture(tc, two_full_sources, NULL);
    tcase_add_test(tc, sources_add_up);
    tcase_add_test(tc, a_source_that_is_not_on_this_host_says_nothing_of_ports);
    tcase_add_test(tc, reserved_ports_say_that_there_are_no_others);
    tcase_add_test(tc, a_range_that_is_not_the_hosts_is_known);
    tcase_add_test(tc, sources_that_the_event_does_not_list_are_not_in_its_numbers);
    tcase_add_test(tc, what_is_ours_is_of_the_moment_of_the_count);
    tcase_add_test(tc, a_later_connect_that_tried_more_sources_has_the_numbers);
    tcase_add_test(tc, without_sources_it_is_the_kernels_choice_of_one);
    tcase_add_test(tc, an_older_event_has_its_ports_as_a_range);
    tcase_add_test(tc, the_best_count_is_kept);
    suite_add_tcase(suite, tc);
    return run(suite);
}
