/* state/endpoint, client/asked: endpoints that are left out, with a clock that the test moves; what clients asked for.
 * Also under TSan. */
#include <pthread.h>
#include <string.h>

#include "client/asked.h"
#include "client/fdtab.h"
#include "state/endpoint.h"
#include "state/pair.h"
#include "state/pair_table.h"
#include "suite.h"

enum { HOLD_MS = 500 };

static const uint64_t ms = 1000000, start = 3600 * (uint64_t)1000000000;

static struct state state;
static const struct endpoint there = {.addr = {.b = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1}}, .port = 80};

static void fresh(void) {
    ck_assert(state_private(&state, "test"));
}

static void gone(void) {
    state_unmap(&state);
}

static struct pair *entry(void) {
    struct pair *p = endpoint_find(&state, 7, &there, true, start);
    ck_assert_ptr_nonnull(p);
    return p;
}

static bool failed(struct pair *p, uint64_t at_ms) {
    return endpoint_failed(p, &there, 3, start + at_ms * ms, HOLD_MS);
}

static bool may_try(struct pair *p, uint64_t at_ms) {
    return endpoint_may_try(p, start + at_ms * ms, HOLD_MS);
}

START_TEST(an_endpoint_that_fails_is_left_out_and_then_tried_by_one) {
    struct pair *p = entry();
    ck_assert(may_try(p, 0));
    ck_assert(failed(p, 0));
    ck_assert(endpoint_is_out(p));
    ck_assert(!failed(p, 10)); /* another that was under way: the time is not longer for it */
    ck_assert(!may_try(p, 499));
    ck_assert(may_try(p, 500));
    ck_assert(!may_try(p, 501));
    ck_assert(!failed(p, 600)); /* the one that tried */
    ck_assert(!may_try(p, 999));
    ck_assert(may_try(p, 1000));
}
END_TEST

START_TEST(an_answer_brings_it_back_unless_it_is_older_than_the_failure) {
    struct pair *p = entry();
    ck_assert(failed(p, 100));
    endpoint_answered(p, start + 50 * ms);
    ck_assert(!may_try(p, 200));
    ck_assert(may_try(p, 700));
    endpoint_answered(p, start + 700 * ms);
    ck_assert(!endpoint_is_out(p));
    ck_assert(may_try(p, 701) && may_try(p, 702));
    ck_assert(failed(p, 800)); /* is new again */
}
END_TEST

START_TEST(it_is_no_pair_and_another_namespaces_is_another) {
    struct pair *p = entry();
    ck_assert_ptr_ne(p, pair_find(&state, pair_key(7, &there.addr, &there), true, start));
    ck_assert_ptr_ne(p, endpoint_find(&state, 8, &there, true, start));
    ck_assert_ptr_eq(p, endpoint_find(&state, 7, &there, false, start));
    ck_assert(endpoint_may_try(NULL, start, HOLD_MS) && !endpoint_is_out(NULL));
    ck_assert(!endpoint_failed(NULL, &there, 0, start, HOLD_MS));
    endpoint_answered(NULL, start);
}
END_TEST

enum { FAILERS = 3, FAILURES = 200 };

static uint32_t failures;

/* Each of all failures comes when the one before is over. */
static void *fail_again_and_again(void *newly) {
    for (unsigned i = 0; i < FAILURES; i++)
        *(unsigned *)newly += failed(entry(), __atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED) * (HOLD_MS + 1));
    return NULL;
}

START_TEST(threads_that_find_it_silent_at_once_leave_it_out) {
    pthread_t thread[FAILERS];
    unsigned newly[FAILERS] = {0}, all = 0;
    for (int i = 0; i < FAILERS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, fail_again_and_again, &newly[i]), 0);
    for (int i = 0; i < FAILERS; i++) {
        pthread_join(thread[i], NULL);
        all += newly[i];
    }
    ck_assert_uint_eq(all, 1); /* it never answered */
    struct pair *p = entry();
    ck_assert(endpoint_is_out(p));
    ck_assert_mem_eq(&p->destination, &there.addr, sizeof there.addr);
    ck_assert_uint_eq(p->port, there.port);
    ck_assert_uint_eq(p->rule_id, 3);
}
END_TEST

START_TEST(a_scribbled_time_leaves_nothing_out_for_ever) {
    struct pair *p = entry();
    p->down_until = UINT64_MAX;
    ck_assert(may_try(p, 0));
    ck_assert(!may_try(p, 1));
    ck_assert(may_try(p, HOLD_MS));
    p->down_until = start + 1;
    ck_assert(endpoint_may_try(p, start + ms, UINT32_MAX)); /* a hold-down of a scribbled policy */
    ck_assert_uint_le(p->down_until, start + ms + (uint64_t)DOWN_MAX_MS * ms);
}
END_TEST

START_TEST(turns_go_round) {
    struct pair *p = entry();
    uint32_t count[3] = {0};
    for (int i = 0; i < 30; i++)
        count[endpoint_turn(p, 3)]++;
    ck_assert(count[0] == 10 && count[1] == 10 && count[2] == 10);
    ck_assert_uint_eq(endpoint_turn(NULL, 3), 0);
    ck_assert_uint_eq(endpoint_turn(p, 0), 0);
}
END_TEST

START_TEST(a_whole_network_may_be_asked_for) {
    for (uint32_t i = 0; i < 256; i++) {
        const struct endpoint to = {.addr = addr_from_v4(0x0a020000 + i), .port = 6379};
        ck_assert_uint_ne(asked_number(&to), 0);
    }
}
END_TEST

START_TEST(what_was_asked_for_is_kept_by_number_until_there_is_no_room) {
    struct endpoint to = there;
    struct conn conn = {0};
    uint32_t first = asked_number(&to), seen = 0;
    ck_assert_uint_ne(first, 0);
    ck_assert_uint_eq(asked_number(&to), first);
    ck_assert_ptr_null(asked_of(&conn));
    asked_set(&conn, first, false);
    ck_assert_mem_eq(asked_of(&conn), &to, sizeof to);
    for (unsigned port = 1; port <= 3000; port++) {
        to.port = (uint16_t)port;
        uint32_t number = asked_number(&to);
        seen += number != 0;
        asked_set(&conn, number, true);
        if (number)
            ck_assert_uint_eq(asked_of(&conn)->port, port);
        else
            ck_assert_ptr_null(asked_of(&conn));
    }
    ck_assert_uint_gt(seen, 512);
    ck_assert_uint_le(seen, 1024);
    asked_clear(&conn);
    ck_assert_ptr_null(asked_of(&conn));
}
END_TEST

enum { ASKERS = 3, DESTINATIONS = 200, FD = 5 };

/* Its address says its port. */
static struct endpoint numbered(unsigned n) {
    return (struct endpoint){.addr = addr_from_v4(0x0a030000 + n), .port = (uint16_t)(1 + n)};
}

static pthread_barrier_t all_at_once;
static bool connected; /* all of them */

/* As getpeername in a thread that has asked for nothing itself. */
static void *show(void *unused) {
    (void)unused;
    do {
        const struct endpoint *shown = asked_shown(FD);
        if (shown)
            ck_assert_mem_eq(shown, &(struct endpoint[]){numbered(shown->port - 1u)}, sizeof *shown);
    } while (!__atomic_load_n(&connected, __ATOMIC_RELAXED));
    return NULL;
}

/* All threads ask for the same destinations and say so of the same connection. */
static void *connect_elsewhere(void *unused) {
    struct conn *c;
    (void)unused;
    for (unsigned n = 0; n < DESTINATIONS; n++) {
        struct endpoint to = numbered(n);
        (void)asked_number(&to);
    }
    pthread_barrier_wait(&all_at_once);
    for (unsigned n = 0; n < DESTINATIONS && fd_look(FD, &c) == FD_TCP; n++) {
        struct endpoint to = numbered(n);
        asked_set(c, asked_number(&to), true);
    }
    return NULL;
}

START_TEST(what_was_asked_for_is_shown_whole_whichever_thread_connected) {
    pthread_t thread[ASKERS], shower;
    bool kept;
    fd_assign(FD, conn_new(), &kept);
    ck_assert(kept);
    pthread_barrier_init(&all_at_once, NULL, ASKERS);
    for (int i = 0; i < ASKERS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, connect_elsewhere, NULL), 0);
    ck_assert_int_eq(pthread_create(&shower, NULL, show, NULL), 0);
    for (int i = 0; i < ASKERS; i++)
        pthread_join(thread[i], NULL);
    __atomic_store_n(&connected, true, __ATOMIC_RELAXED);
    pthread_join(shower, NULL);
    ck_assert_ptr_nonnull(asked_shown(FD));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("endpoint");
    TCase *tc = tcase_create("endpoint");
    tcase_add_checked_fixture(tc, fresh, gone);
    tcase_add_test(tc, an_endpoint_that_fails_is_left_out_and_then_tried_by_one);
    tcase_add_test(tc, an_answer_brings_it_back_unless_it_is_older_than_the_failure);
    tcase_add_test(tc, it_is_no_pair_and_another_namespaces_is_another);
    tcase_add_test(tc, threads_that_find_it_silent_at_once_leave_it_out);
    tcase_add_test(tc, a_scribbled_time_leaves_nothing_out_for_ever);
    tcase_add_test(tc, turns_go_round);
    tcase_add_test(tc, a_whole_network_may_be_asked_for);
    tcase_add_test(tc, what_was_asked_for_is_kept_by_number_until_there_is_no_room);
    tcase_add_test(tc, what_was_asked_for_is_shown_whole_whichever_thread_connected);
    suite_add_tcase(suite, tc);
    return run(suite);
}
