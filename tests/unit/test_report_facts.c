/* What a stream of events adds up to: numbers that cannot be must not come out (tool/report/facts.h). */
#include <string.h>

#include "suite.h"
#include "tool/report/facts.h"
#include "tool/report/facts_add.h"

static struct facts facts;
static const struct event_context context = {.epoch = 1, .host = "web1", .rule = "r", .pool = "p"};
static const uint64_t start = UINT64_C(1795231680) * 1000000;
static uint64_t now;

static void begin(void) {
    ck_assert(facts_init(&facts, 4));
    now = start;
}
static void end(void) {
    facts_free(&facts);
}

static struct addr address(uint8_t last) {
    return (struct addr){.b = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = last}};
}

static struct event event(enum event_kind kind, uint8_t source) {
    return (struct event){.kind = (uint8_t)kind,
                          .time_us = now += 1000,
                          .netns = 1,
                          .local = address(source),
                          .peer = address(200),
                          .peer_port = 6379,
                          .program = "curl"};
}

static void close_from(uint8_t source, uint16_t port, enum direction direction) {
    struct event_record r = {.e = event(EVENT_TIME_WAIT, source)};
    r.e.local_port = port;
    r.e.direction = (uint8_t)direction;
    facts_add(&facts, &r, &context);
}

static struct event_record exhausted(enum cause cause, unsigned sources, uint32_t open, uint32_t waits) {
    struct event_record r = {.e = event(EVENT_EXHAUSTED, 0)};
    struct event_exhausted *x = &r.u.exhausted;
    r.e.local = (struct addr){{0}};
    *x = (struct event_exhausted){.cause = (uint8_t)cause, .capacity = 100, .outcome = OUTCOME_FAILED};
    for (x->n_sources = 0; x->n_sources < sources; x->n_sources++)
        x->source[x->n_sources] = (struct exhausted_source){.address = address((uint8_t)(1 + x->n_sources)),
                                                            .cause = (uint16_t)cause,
                                                            .open = open,
                                                            .time_wait = waits};
    return r;
}

static const struct incident *only_incident(void) {
    size_t at = 0;
    const struct incident *i = report_table_next(&facts.incidents, &at);
    ck_assert_ptr_nonnull(i);
    ck_assert_ptr_null(report_table_next(&facts.incidents, &at));
    return i;
}

START_TEST(closes_count_for_the_sources_that_the_event_is_about) {
    for (unsigned i = 0; i < 400; i++)
        close_from((uint8_t)(1 + i % 4), (uint16_t)(40000 + i / 4), OUTBOUND);
    struct event_record r = exhausted(CAUSE_RANGE_FULL, 2, 0, 0);
    facts_add(&facts, &r, &context);
    const struct moment *m = &only_incident()->first;
    ck_assert_uint_eq(m->sources, 2);
    ck_assert_uint_eq(m->logged_waits, 200);
    ck_assert_uint_eq(m->all_waits, 400);
    r = exhausted(CAUSE_RANGE_FULL, 4, 0, 0);
    facts_add(&facts, &r, &context);
    ck_assert_uint_eq(m->sources, 4);
    ck_assert_uint_eq(m->logged_waits, 400);
}
END_TEST

START_TEST(a_port_that_is_reused_is_in_time_wait_once) {
    for (unsigned i = 0; i < 198; i++)
        close_from(1, (uint16_t)(40000 + i % 64), OUTBOUND);
    size_t at = 0;
    const struct route *route = report_table_next(&facts.routes, &at);
    ck_assert_uint_eq(route->time_waits, 198);
    ck_assert_uint_eq(route->held, 64);
    ck_assert_uint_eq(timeline_at(&facts.timeline, now)->fullest, 64);
}
END_TEST

START_TEST(a_time_wait_that_was_none_is_taken_back) {
    for (unsigned i = 0; i < 10; i++)
        close_from(1, (uint16_t)(40000 + i), OUTBOUND);
    struct event_record gone = {.e = event(EVENT_TIME_WAIT_GONE, 1)};
    gone.e.time_us += 5000000;
    gone.e.decided_before_ms = 5000;
    for (unsigned i = 0; i < 4; i++)
        facts_add(&facts, &gone, &context);
    struct event_record r = exhausted(CAUSE_RANGE_FULL, 1, 0, 0);
    facts_add(&facts, &r, &context);
    ck_assert_uint_eq(facts.time_waits, 6);
    ck_assert_uint_eq(only_incident()->first.logged_waits, 6);
    for (unsigned i = 0; i < 20; i++)
        facts_add(&facts, &gone, &context);
    ck_assert_uint_eq(facts.time_waits, 0);
}
END_TEST

START_TEST(what_was_accepted_takes_no_port_of_a_source) {
    for (unsigned i = 0; i < 10; i++)
        close_from(1, 6379, INBOUND);
    size_t at = 0;
    ck_assert_ptr_null(report_table_next(&facts.routes, &at));
    ck_assert_uint_eq(timeline_at(&facts.timeline, now)->fullest, 0);
    ck_assert_uint_eq(timeline_at(&facts.timeline, now)->time_wait, 10);
}
END_TEST

START_TEST(a_pool_without_a_usable_source_is_about_its_source_and_no_failed_call) {
    struct event_record r = exhausted(CAUSE_ADDRESS_NOT_LOCAL, 1, 0, 0), down = {.e = event(EVENT_SOURCE_DOWN, 1)};
    r.u.exhausted.outcome = OUTCOME_FALLBACK;
    down.u.exhausted.cause = CAUSE_ADDRESS_NOT_LOCAL;
    facts_add(&facts, &down, &context);
    facts_add(&facts, &r, &context);
    const struct incident *i = only_incident();
    const struct addr source = address(1);
    ck_assert_int_eq(addr_compare(&i->key.local, &source), 0);
    ck_assert_uint_eq(i->key.kind, EVENT_SOURCE_DOWN);
    ck_assert_uint_eq(i->failed, 0);
    ck_assert_uint_eq(i->fallback, 1);
}
END_TEST

START_TEST(who_closed_most_comes_first) {
    static const char *const name[] = {"a", "b", "c", "d", "e"};
    for (unsigned program = 0; program < 5; program++)
        for (unsigned i = 0; i <= program * 7 % 5; i++) { /* 1, 3, 5, 2, 4 closes */
            struct event_record r = {.e = event(EVENT_TIME_WAIT, 1)};
            memcpy(r.e.program, name[program], 2);
            r.e.local_port = (uint16_t)(40000 + i);
            facts_add(&facts, &r, &context);
        }
    const struct event_record r = exhausted(CAUSE_RANGE_FULL, 1, 0, 0);
    facts_add(&facts, &r, &context);
    const struct moment *m = &only_incident()->first;
    ck_assert_str_eq(m->closer[0].program, "c");
    ck_assert_str_eq(m->closer[1].program, "e");
    ck_assert_str_eq(m->closer[2].program, "b");
    ck_assert_uint_eq(m->closer[0].waits, 5);
    ck_assert_uint_eq(m->all_waits, 15);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("report_facts");
    TCase *tc = tcase_create("report_facts");
    tcase_add_checked_fixture(tc, begin, end);
    tcase_add_test(tc, closes_count_for_the_sources_that_the_event_is_about);
    tcase_add_test(tc, a_port_that_is_reused_is_in_time_wait_once);
    tcase_add_test(tc, a_time_wait_that_was_none_is_taken_back);
    tcase_add_test(tc, what_was_accepted_takes_no_port_of_a_source);
    tcase_add_test(tc, a_pool_without_a_usable_source_is_about_its_source_and_no_failed_call);
    tcase_add_test(tc, who_closed_most_comes_first);
    suite_add_tcase(suite, tc);
    return run(suite);
}
