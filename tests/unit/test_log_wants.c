/* Which events `log --to` and `log --source` show: those that have such an end, of every kind. */
#include <string.h>

#include "text/parse.h"
#include "tool/host/netns.h"
#include "tool/log/print.h"
#include "suite.h"

static struct log_request request;

static void set_up(void) {
    request = (struct log_request){.until_us = UINT64_MAX, .kinds = UINT32_MAX};
}

static struct event_record of_kind(enum event_kind kind) {
    struct event_record r = {.e = {.kind = (uint8_t)kind, .local_port = 40000, .peer_port = 6379}};
    ck_assert_ptr_null(parse_address("10.0.0.11", &r.e.local));
    ck_assert_ptr_null(parse_address("10.2.0.1", &r.e.peer));
    return r;
}

static bool wants_to(enum event_kind kind, const char *to) {
    struct event_record r = of_kind(kind);
    request.has_to = true;
    ck_assert_ptr_null(parse_target(to, &request.to));
    return log_wants(&request, &r);
}

static const enum event_kind with_peer[] = {EVENT_TIME_WAIT,   EVENT_TIME_WAIT_GONE, EVENT_CLOSE,       EVENT_EXHAUSTED,
                                            EVENT_SOURCE_DOWN, EVENT_TRACE_CONNECT,  EVENT_TRACE_CLOSE, EVENT_HOLDERS};

START_TEST(every_kind_that_has_a_peer) {
    ck_assert(wants_to(with_peer[_i], "10.2.0.1:6379"));
    ck_assert(!wants_to(with_peer[_i], "10.2.0.2:6379"));
}
END_TEST

START_TEST(what_is_about_no_connection_has_none) {
    static const enum event_kind without[] = {EVENT_ATTACH, EVENT_DETACH, EVENT_RELOAD, EVENT_OVERRIDE};
    ck_assert(!wants_to(without[_i], "*:6379"));
}
END_TEST

START_TEST(a_source_that_a_connect_asked) {
    struct event_record r = of_kind(_i ? EVENT_TRACE_CONNECT : EVENT_EXHAUSTED);
    request.has_source = true;
    ck_assert_ptr_null(parse_target("10.0.0.12", &request.source));
    ck_assert(!log_wants(&request, &r));
    r.u.exhausted.n_sources = 1;
    ck_assert_ptr_null(parse_address("10.0.0.12", &r.u.exhausted.source[0].address));
    ck_assert(log_wants(&request, &r));
}
END_TEST

START_TEST(holders_are_of_no_source) {
    struct event_record r = of_kind(EVENT_HOLDERS);
    memset(&r.e.local, 0, sizeof r.e.local);
    request.has_source = true;
    ck_assert_ptr_null(parse_target("*", &request.source));
    ck_assert(!log_wants(&request, &r));
}
END_TEST

/* Searching for a namespace starts a process for each that there is: a file of another user may name any number. */
START_TEST(namespaces_are_searched_for_so_often) {
    static struct netns_seen seen;
    seen.own = 1;
    for (uint64_t cookie = 2; cookie < 2 + 2 * NETNS_SEARCHES; cookie++)
        ck_assert(netns_is_other(&seen, UINT64_MAX - cookie, UINT32_MAX, "x"));
    ck_assert_uint_eq(seen.searches, NETNS_SEARCHES);
    ck_assert_ptr_nonnull(strstr(seen.way, "not searched for"));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("log_wants");
    TCase *tc = tcase_create("log_wants");
    tcase_add_checked_fixture(tc, set_up, NULL);
    tcase_add_loop_test(tc, every_kind_that_has_a_peer, 0, sizeof with_peer / sizeof *with_peer);
    tcase_add_loop_test(tc, what_is_about_no_connection_has_none, 0, 4);
    tcase_add_loop_test(tc, a_source_that_a_connect_asked, 0, 2);
    tcase_add_test(tc, holders_are_of_no_source);
    tcase_add_test(tc, namespaces_are_searched_for_so_often);
    suite_add_tcase(suite, tc);
    return run(suite);
}
