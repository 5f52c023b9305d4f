/* What the post-mortem concludes of each kind of incident, and what it advises first: report_conclude.h. */
#include "tool/report/conclude.h"
#include "state/event.h"
#include "suite.h"

/* A range of 28,232 ports of one source, in the event itself. */
static struct evidence range_full(uint64_t open, uint64_t waits) {
    return (struct evidence){.cause = CAUSE_RANGE_FULL,
                             .ports = 28232,
                             .sources = 1,
                             .open = open,
                             .waits = waits,
                             .peak_waits = waits,
                             .peak_failures = 1200};
}

static struct evidence kernel_counted(struct evidence e, uint64_t open, uint64_t waits) {
    e.counted = true;
    e.counted_sources = e.sources;
    e.kernel[KERNEL_ESTABLISHED] = open;
    e.kernel[KERNEL_TIME_WAIT] = waits;
    e.counted_open = e.open;
    e.counted_waits = e.waits;
    return e;
}

static struct conclusion expect(const struct evidence *e, enum conclusion_kind kind, enum remedy first) {
    struct conclusion c;
    conclude(e, &c);
    ck_assert_str_eq(conclusion_name(c.kind), conclusion_name(kind));
    ck_assert_uint_ge(c.n_remedies, 1);
    ck_assert_str_eq(remedy_name(c.remedy[0]), remedy_name(first));
    return c;
}

START_TEST(a_range_full_of_our_time_waits_is_short_lived_connections) {
    struct evidence e = range_full(31, 28201);
    expect(&e, CONCLUDE_TIME_WAIT, REMEDY_REUSE_CONNECTIONS);
    e = kernel_counted(e, 40, 28192);
    expect(&e, CONCLUDE_TIME_WAIT, REMEDY_REUSE_CONNECTIONS);
}
END_TEST

START_TEST(its_remedies_go_from_the_client_to_the_reset) {
    static const enum remedy order[] = {REMEDY_REUSE_CONNECTIONS, REMEDY_WIDEN_RANGE, REMEDY_ADD_SOURCES,
                                        REMEDY_ADD_DESTINATIONS,  REMEDY_TW_REUSE,    REMEDY_RESET_ON_CLOSE};
    const struct evidence e = range_full(31, 28201);
    const struct conclusion c = expect(&e, CONCLUDE_TIME_WAIT, REMEDY_REUSE_CONNECTIONS);
    ck_assert_uint_eq(c.n_remedies, sizeof order / sizeof *order);
    for (unsigned i = 0; i < c.n_remedies; i++)
        ck_assert_int_eq(c.remedy[i], order[i]);
}
END_TEST

START_TEST(a_range_full_of_open_connections_is_too_many_of_them) {
    const struct evidence e = range_full(28000, 232);
    expect(&e, CONCLUDE_OPEN, REMEDY_LIMIT_OPEN);
}
END_TEST

START_TEST(ports_that_nothing_towards_the_destination_holds_were_bound_explicitly) {
    const struct evidence e = kernel_counted(range_full(3, 90), 3, 90);
    expect(&e, CONCLUDE_EXPLICIT, REMEDY_RELEASE_BINDS);
}
END_TEST

START_TEST(connections_of_other_processes_are_told_from_explicit_binds_by_the_kernels_count) {
    const struct evidence e = kernel_counted(range_full(3, 90), 20000, 8000);
    expect(&e, CONCLUDE_OTHERS, REMEDY_FIND_OTHERS);
}
END_TEST

START_TEST(others_are_us_when_the_log_has_the_closes_of_what_no_rule_covered) {
    const struct evidence e = kernel_counted(range_full(0, 27000), 100, 28100);
    expect(&e, CONCLUDE_TIME_WAIT, REMEDY_REUSE_CONNECTIONS);
}
END_TEST

START_TEST(without_that_count_they_are_not_told_apart) {
    const struct evidence e = range_full(3, 90);
    expect(&e, CONCLUDE_ELSEWHERE, REMEDY_RELEASE_BINDS);
}
END_TEST

START_TEST(an_assumed_range_proves_no_hoarder) {
    struct evidence e = range_full(0, 12000);
    e.ports_from = PORTS_ASSUMED;
    expect(&e, CONCLUDE_TIME_WAIT, REMEDY_REUSE_CONNECTIONS);
    e.waits = e.peak_waits = 50;
    expect(&e, CONCLUDE_ELSEWHERE, REMEDY_RELEASE_BINDS);
}
END_TEST

START_TEST(other_causes_are_what_the_event_proved) {
    const struct evidence gone = {.cause = CAUSE_ADDRESS_NOT_LOCAL, .ports = 28232, .sources = 1};
    const struct evidence family = {.cause = CAUSE_FAMILY_DISABLED, .ports = 28232, .sources = 1};
    const struct evidence busy = {.cause = CAUSE_PORT_BUSY, .ports = 28232, .sources = 1};
    const struct evidence route = {.cause = CAUSE_UNREACHABLE, .source_down = true, .ports = 28232, .sources = 1};
    const struct evidence mute = {.cause = CAUSE_UNANSWERED, .source_down = true, .ports = 28232, .sources = 1};
    const struct evidence unknown = {.cause = CAUSE_UNKNOWN, .ports = 28232, .sources = 1};
    expect(&gone, CONCLUDE_ADDRESS, REMEDY_RESTORE_ADDRESS);
    expect(&family, CONCLUDE_IPV6, REMEDY_ENABLE_IPV6);
    expect(&busy, CONCLUDE_PORT_BUSY, REMEDY_LET_KERNEL_CHOOSE);
    expect(&route, CONCLUDE_UNREACHABLE, REMEDY_ROUTE_SOURCE);
    expect(&mute, CONCLUDE_UNANSWERED, REMEDY_FOLLOW_PACKETS);
    expect(&unknown, CONCLUDE_UNKNOWN, REMEDY_ASK_DOCTOR);
}
END_TEST

START_TEST(what_is_needed_is_computed_from_what_was_wanted) {
    struct evidence e = range_full(0, 28232);
    e.peak_failures = 60000 - 28232;
    const struct conclusion c = expect(&e, CONCLUDE_TIME_WAIT, REMEDY_REUSE_CONNECTIONS);
    ck_assert_uint_eq(c.capacity, 28232);
    ck_assert_uint_eq((unsigned)c.sustained, 455); /* 28232 / 62 */
    ck_assert_uint_eq((unsigned)c.wanted, 967);    /* 60000 / 62 */
    ck_assert_uint_eq(c.sources_needed, 3);        /* 66000 / 28232, rounded up */
    ck_assert_uint_eq(c.targets_needed, 3);
    ck_assert_uint_eq((unsigned)c.widest, 64512 / 62);
}
END_TEST

START_TEST(one_more_of_each_is_needed_in_any_case) {
    struct evidence e = range_full(0, 21000); /* three quarters were enough to fail */
    e.sources = 2;
    e.ports = 14000;
    e.peak_failures = 1;
    const struct conclusion c = expect(&e, CONCLUDE_TIME_WAIT, REMEDY_REUSE_CONNECTIONS);
    ck_assert_uint_eq(c.sources_needed, 3);
    ck_assert_uint_eq(c.targets_needed, 2);
}
END_TEST

START_TEST(a_range_that_is_nearly_the_widest_is_not_widened) {
    struct evidence e = range_full(0, 64000);
    e.ports = 64000;
    const struct conclusion c = expect(&e, CONCLUDE_TIME_WAIT, REMEDY_REUSE_CONNECTIONS);
    for (unsigned i = 0; i < c.n_remedies; i++)
        ck_assert_int_ne(c.remedy[i], REMEDY_WIDEN_RANGE);
}
END_TEST

START_TEST(nonsense_is_survived) {
    struct evidence e = {
        .cause = 200, .ports = 0, .sources = 0, .waits = UINT64_MAX / 2, .peak_failures = UINT64_MAX / 2};
    expect(&e, CONCLUDE_UNKNOWN, REMEDY_ASK_DOCTOR);
    e.cause = CAUSE_RANGE_FULL; /* of a range without ports */
    expect(&e, CONCLUDE_ELSEWHERE, REMEDY_RELEASE_BINDS);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("report_conclude");
    TCase *tc = tcase_create("report_conclude");
    tcase_add_test(tc, a_range_full_of_our_time_waits_is_short_lived_connections);
    tcase_add_test(tc, its_remedies_go_from_the_client_to_the_reset);
    tcase_add_test(tc, a_range_full_of_open_connections_is_too_many_of_them);
    tcase_add_test(tc, ports_that_nothing_towards_the_destination_holds_were_bound_explicitly);
    tcase_add_test(tc, connections_of_other_processes_are_told_from_explicit_binds_by_the_kernels_count);
    tcase_add_test(tc, others_are_us_when_the_log_has_the_closes_of_what_no_rule_covered);
    tcase_add_test(tc, without_that_count_they_are_not_told_apart);
    tcase_add_test(tc, an_assumed_range_proves_no_hoarder);
    tcase_add_test(tc, other_causes_are_what_the_event_proved);
    tcase_add_test(tc, what_is_needed_is_computed_from_what_was_wanted);
    tcase_add_test(tc, one_more_of_each_is_needed_in_any_case);
    tcase_add_test(tc, a_range_that_is_nearly_the_widest_is_not_widened);
    tcase_add_test(tc, nonsense_is_survived);
    suite_add_tcase(suite, tc);
    return run(suite);
}
