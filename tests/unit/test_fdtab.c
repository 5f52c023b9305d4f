/* shim/fdtab: one winner for every descriptor, one owner for every connection, also under threads. */
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/fdtab.h"
#include "suite.h"

enum { THREADS = 8, ROUNDS = 4000, HELD = 16 };

static pthread_barrier_t barrier;

/* A close as a whole. */
static enum fd_kind claim(int fd, struct conn **conn) {
    enum fd_kind kind = fd_closing(fd_word_of(fd), conn);
    if (kind == FD_TCP)
        fd_closed(fd_word_of(fd));
    return kind;
}

static struct conn *install(int fd) {
    bool kept;
    struct conn *c = conn_new();
    ck_assert_ptr_nonnull(c);
    ck_assert_ptr_null(fd_assign(fd, c, &kept));
    ck_assert(kept);
    return c;
}

/* Whether fd is what kind says; the connection for FD_TCP. */
static struct conn *look(int fd, enum fd_kind kind) {
    struct conn *c;
    ck_assert_int_eq(fd_look(fd, &c), kind);
    ck_assert_int_eq(c != NULL, kind == FD_TCP);
    return c;
}

START_TEST(a_descriptor_never_seen_is_unknown) {
    static const int fds[] = {0, 1, 1023, 1024, FD_MAX - 1, FD_MAX, INT_MAX, -1, INT_MIN};
    struct conn *c;
    for (unsigned i = 0; i < sizeof fds / sizeof *fds; i++) {
        look(fds[i], FD_UNKNOWN);
        ck_assert_int_eq(claim(fds[i], &c), FD_UNKNOWN);
        ck_assert_ptr_null(c);
    }
}
END_TEST

START_TEST(an_assigned_descriptor_is_found_and_claimed_once) {
    struct conn *c = install(5), *claimed;
    ck_assert_ptr_eq(look(5, FD_TCP), c);
    ck_assert_int_eq(claim(5, &claimed), FD_TCP);
    ck_assert_ptr_eq(claimed, c);
    ck_assert_int_eq(claim(5, &claimed), FD_UNKNOWN);
    look(5, FD_UNKNOWN);
    ck_assert(conn_unref(c));
    conn_free(c);
}
END_TEST

START_TEST(a_number_that_is_being_closed_is_one_thread_s_until_it_is_closed) {
    struct conn *c = install(11), *claimed;
    ck_assert_int_eq(fd_closing(fd_word_of(11), &claimed), FD_TCP);
    ck_assert_ptr_eq(claimed, c);
    look(11, FD_CLOSING);
    ck_assert_int_eq(fd_closing(fd_word_of(11), &claimed), FD_CLOSING);
    ck_assert_ptr_null(claimed);
    ck_assert_int_eq(fd_next_tcp(11, 11), -1);
    fd_closed(fd_word_of(11));
    look(11, FD_UNKNOWN);
    ck_assert_int_eq(fd_closing(fd_word_of(11), &claimed), FD_UNKNOWN);
    ck_assert_int_eq(fd_closing(fd_word_of(FD_MAX), &claimed), FD_UNKNOWN);
    fd_closed(fd_word_of(FD_MAX));
    fd_set_not_tcp(11);
    ck_assert_int_eq(fd_closing(fd_word_of(11), &claimed), FD_NOT_TCP);
    fd_closed(fd_word_of(11));
    look(11, FD_NOT_TCP);
    ck_assert(conn_unref(c));
}
END_TEST

START_TEST(a_number_that_was_given_away_meanwhile_is_left_to_its_new_owner) {
    struct conn *old = install(12), *claimed;
    ck_assert_int_eq(fd_closing(fd_word_of(12), &claimed), FD_TCP);
    struct conn *new = install(12);
    fd_closed(fd_word_of(12));
    ck_assert_ptr_eq(look(12, FD_TCP), new);
    ck_assert(conn_unref(old));
    fd_set_unknown(12);
    look(12, FD_UNKNOWN);
    ck_assert_msg(conn_new() == new, "its record was not freed");
}
END_TEST

START_TEST(a_number_that_is_not_closed_after_all_is_put_back) {
    struct conn *c = install(13), *claimed;
    ck_assert_int_eq(fd_closing(fd_word_of(13), &claimed), FD_TCP);
    ck_assert(fd_put_back(fd_word_of(13), c));
    ck_assert_ptr_eq(look(13, FD_TCP), c);
    ck_assert(!fd_put_back(fd_word_of(13), c));
    ck_assert_int_eq(fd_closing(fd_word_of(13), &claimed), FD_TCP);
    ck_assert_int_eq(fd_closing(fd_word_of(13), &claimed), FD_CLOSING); /* another thread closes it */
    ck_assert_int_eq(fd_closing(fd_word_of(13), &claimed), FD_CLOSING);
    look(13, FD_CLOSING);
    ck_assert_int_eq(fd_next_tcp(13, 13), -1);
    ck_assert(!fd_put_back(fd_word_of(13), c));
    fd_closed(fd_word_of(13));
    look(13, FD_UNKNOWN);
    ck_assert(conn_unref(c));
}
END_TEST

START_TEST(who_may_want_it_back_keeps_what_others_have_too) {
    struct conn *c = conn_new();
    bool held = true;
    ck_assert(conn_unref_held(c, true, &held));
    ck_assert(!held);
    conn_ref(c);
    conn_ref(c);
    ck_assert(!conn_unref_held(c, true, &held));
    ck_assert(held);
    ck_assert_uint_eq(conn_descriptors(c), 1);
    ck_assert(!conn_unref(c)); /* another thread closes the copy */
    ck_assert(conn_unhold(c));
    conn_ref(c);
    for (int i = 0; i < 255; i++)
        ck_assert(conn_take(c, conn_serial(c)));
    ck_assert(!conn_take(c, conn_serial(c)));
    ck_assert(!conn_unref_held(c, true, &held));
    ck_assert(!held);
    ck_assert_uint_eq(conn_descriptors(c), 0);
}
END_TEST

START_TEST(a_close_holds_what_only_threads_have) {
    struct conn *c = conn_new();
    bool held = true;
    ck_assert(conn_unref_only(c));
    ck_assert_int_eq(c->refs, 0);
    conn_ref(c);
    conn_ref(c);
    ck_assert(!conn_unref_only(c));
    ck_assert(!conn_unref_held(c, false, &held)); /* the other descriptor's close is to come */
    ck_assert(!held);
    ck_assert(conn_take(c, conn_serial(c)));
    ck_assert(!conn_unref_only(c));
    ck_assert(!conn_unref_held(c, false, &held));
    ck_assert(held && !conn_held_alone(c));
    ck_assert(!conn_unhold(c)); /* the thread */
    ck_assert(conn_held_alone(c));
    ck_assert(conn_unhold(c));
}
END_TEST

START_TEST(a_fork_child_knows_nothing_of_what_others_were_closing) {
    static const int fds[] = {3, 1500, FD_MAX - 1};
    struct conn *c;
    for (int i = 0; i < 3; i++) {
        install(fds[i]);
        ck_assert_int_eq(fd_closing(fd_word_of(fds[i]), &c), FD_TCP);
    }
    install(4);
    fd_set_not_tcp(5);
    fd_forget_closing();
    for (int i = 0; i < 3; i++)
        look(fds[i], FD_UNKNOWN);
    look(4, FD_TCP);
    look(5, FD_NOT_TCP);
}
END_TEST

START_TEST(what_is_not_tcp_is_remembered_until_its_number_is_forgotten) {
    struct conn *c;
    fd_set_not_tcp(6);
    look(6, FD_NOT_TCP);
    ck_assert_int_eq(claim(6, &c), FD_NOT_TCP);
    look(6, FD_NOT_TCP);
    fd_set_unknown(6);
    look(6, FD_UNKNOWN);
}
END_TEST

START_TEST(a_number_that_becomes_something_else_gives_its_connection_back) {
    struct conn *old = install(7);
    fd_set_not_tcp(7);
    look(7, FD_NOT_TCP);
    ck_assert_msg(conn_new() == old, "its record was not freed");
}
END_TEST

START_TEST(a_stale_connection_is_handed_to_who_replaces_it) {
    bool kept;
    struct conn *old = install(8), *new = conn_new();
    ck_assert_ptr_eq(fd_assign(8, new, &kept), old);
    ck_assert(kept);
    ck_assert_ptr_eq(look(8, FD_TCP), new);
    ck_assert(conn_unref(old));
}
END_TEST

START_TEST(a_connection_ends_with_its_last_descriptor) {
    bool kept;
    struct conn *c = install(9), *claimed;
    conn_ref(c);
    ck_assert_ptr_null(fd_assign(10, c, &kept));
    ck_assert_int_eq(claim(9, &claimed), FD_TCP);
    ck_assert(!conn_unref(claimed));
    ck_assert_ptr_eq(look(10, FD_TCP), c);
    ck_assert_int_eq(claim(10, &claimed), FD_TCP);
    ck_assert(conn_unref(claimed));
}
END_TEST

START_TEST(a_number_beyond_the_table_leaves_the_reference_with_the_caller) {
    static const int fds[] = {FD_MAX, INT_MAX, -1, INT_MIN};
    struct conn *c = conn_new();
    for (int i = 0; i < 4; i++) {
        bool kept = true;
        ck_assert_ptr_null(fd_assign(fds[i], c, &kept));
        ck_assert(!kept);
        fd_set_not_tcp(fds[i]);
        look(fds[i], FD_UNKNOWN);
    }
    ck_assert(conn_unref(c));
}
END_TEST

START_TEST(the_next_tcp_descriptor_is_found_across_empty_spans) {
    static const int fds[] = {3, 1023, 1024, 5000, FD_MAX - 1};
    for (int i = 0; i < 5; i++)
        install(fds[i]);
    fd_set_not_tcp(4);
    int fd = 0;
    for (int i = 0; i < 5; i++, fd++) {
        fd = fd_next_tcp(fd, INT_MAX);
        ck_assert_int_eq(fd, fds[i]);
    }
    ck_assert_int_eq(fd_next_tcp(fd, INT_MAX), -1);
    ck_assert_int_eq(fd_next_tcp(INT_MIN, 3), 3);
    ck_assert_int_eq(fd_next_tcp(4, 1022), -1);
    ck_assert_int_eq(fd_next_tcp(1025, 4999), -1);
    ck_assert_int_eq(fd_next_tcp(5, 4), -1);
    ck_assert_int_eq(fd_next_tcp(INT_MAX, INT_MAX), -1);
    ck_assert_int_eq(fd_next_tcp(0, -1), -1);
}
END_TEST

START_TEST(a_new_connection_is_blank_also_when_its_record_is_a_used_one) {
    struct conn *c = conn_new(), blank;
    for (int i = 0; i < 3; i++) {
        memset(&c->generation, 0xff, sizeof *c - offsetof(struct conn, generation));
        ck_assert(conn_unref(c));
        conn_free(c);
        struct conn *again = conn_new();
        ck_assert_ptr_eq(again, c);
        memset(&blank, 0, sizeof blank);
        blank.refs = 1;
        blank.next = again->next;
        blank.serial = again->serial;
        ck_assert_mem_eq(again, &blank, sizeof blank);
    }
}
END_TEST

START_TEST(a_record_is_taken_again_only_while_it_is_the_same_connection) {
    struct conn *c = conn_new();
    uint32_t serial = conn_serial(c);
    ck_assert(conn_take(c, serial));
    ck_assert_uint_eq(conn_descriptors(c), 1);
    ck_assert(!conn_unref(c)); /* another thread closes it */
    ck_assert(conn_unhold(c));
    ck_assert(!conn_take(c, serial));
    ck_assert_uint_eq(c->refs, 0);
    conn_free(c);
    ck_assert_ptr_eq(conn_new(), c);
    ck_assert(!conn_take(c, serial));
    ck_assert_uint_eq(c->refs, 1);
    ck_assert(conn_take(c, conn_serial(c)));
}
END_TEST

START_TEST(a_fork_child_has_the_descriptors_but_not_the_threads_that_were_at_work) {
    struct conn *c = conn_new();
    bool kept;
    (void)fd_assign(8, c, &kept);
    ck_assert_ptr_eq(conn_share(8), c);
    (void)fd_assign(9, c, &kept);
    ck_assert_ptr_eq(conn_hold_of(8), c);
    ck_assert(conn_take(c, conn_serial(c)));
    ck_assert_uint_eq(conn_descriptors(c), 2);
    fd_forget_closing();
    ck_assert_uint_eq(c->refs, 2);
    ck_assert(!conn_unhold(c)); /* by the thread that forked in a signal handler */
    ck_assert_uint_eq(c->refs, 2);
    ck_assert(!conn_unref(c));
    ck_assert(conn_unref(c));
}
END_TEST

static void *free_one(void *c) {
    pthread_barrier_wait(&barrier); /* all threads at once, so that they have different lanes */
    conn_free(c);
    return NULL;
}

START_TEST(what_other_threads_gave_back_is_used_again) {
    pthread_t thread[THREADS];
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) {
        struct conn *c = conn_new();
        ck_assert_uint_eq(conn_index(c), (uint32_t)i);
        ck_assert_int_eq(pthread_create(&thread[i], NULL, free_one, c), 0);
    }
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
    for (int i = 0; i < THREADS; i++)
        ck_assert_uint_lt(conn_index(conn_new()), THREADS);
}
END_TEST

START_TEST(there_is_an_end_to_connections_and_they_come_back) {
    struct conn *last = NULL, *c;
    unsigned n = 0;
    while ((c = conn_new()) != NULL) {
        last = c;
        n++;
    }
    ck_assert_uint_eq(n, CONN_MAX);
    ck_assert(conn_unref(last));
    conn_free(last);
    ck_assert_ptr_eq(conn_new(), last);
    ck_assert_ptr_null(conn_new());
}
END_TEST

/* --- threads --- */

static unsigned winners[ROUNDS];

static void in_threads(void *(*body)(void *)) {
    pthread_t thread[THREADS];
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (uintptr_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, body, (void *)i), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
}

static void *claim_all(void *unused) {
    struct conn *c;
    (void)unused;
    pthread_barrier_wait(&barrier);
    for (int fd = 0; fd < ROUNDS; fd++)
        if (claim(fd, &c) == FD_TCP)
            __atomic_fetch_add(&winners[fd], conn_unref(c) ? 1 : 100, __ATOMIC_RELAXED);
    return NULL;
}

START_TEST(of_threads_that_close_one_descriptor_exactly_one_gets_the_connection) {
    for (int fd = 0; fd < ROUNDS; fd++)
        install(fd);
    in_threads(claim_all);
    for (int fd = 0; fd < ROUNDS; fd++)
        ck_assert_uint_eq(winners[fd], 1);
}
END_TEST

static struct conn *shared;

static void *unref_shared(void *unused) {
    (void)unused;
    pthread_barrier_wait(&barrier);
    if (conn_unref(shared))
        __atomic_fetch_add(&winners[0], 1, __ATOMIC_RELAXED);
    return NULL;
}

START_TEST(of_copies_closed_at_once_exactly_one_is_the_last) {
    shared = conn_new();
    for (int round = 0; round < 100; round++) {
        __atomic_store_n(&shared->refs, 1, __ATOMIC_RELAXED);
        for (int i = 1; i < THREADS; i++)
            conn_ref(shared);
        winners[0] = 0;
        in_threads(unref_shared);
        ck_assert_uint_eq(winners[0], 1);
    }
}
END_TEST

/* Takes connections, marks them as its own, and finds them unmarked by others when it gives them back. */
static void *take_and_give_back(void *thread) {
    struct conn *held[HELD] = {0};
    uint16_t mark = (uint16_t)(1 + (uintptr_t)thread);
    pthread_barrier_wait(&barrier);
    for (unsigned i = 0; i < ROUNDS * 4; i++) {
        struct conn **slot = &held[(i * 7 + i / 5) % HELD];
        if (*slot) {
            ck_assert_msg((*slot)->rule_id == mark && (*slot)->pool_id == mark, "somebody else has this one too");
            ck_assert(conn_unref(*slot));
            conn_free(*slot);
            *slot = NULL;
        } else {
            *slot = conn_new();
            ck_assert_ptr_nonnull(*slot);
            ck_assert_msg((*slot)->rule_id == 0 && (*slot)->pool_id == 0, "not blank");
            (*slot)->rule_id = (*slot)->pool_id = mark;
        }
    }
    return NULL;
}

START_TEST(no_connection_has_two_owners_when_threads_take_and_give_back) {
    in_threads(take_and_give_back);
}
END_TEST

/* Opens and closes numbers that other threads open and close too, as a client's descriptors do. */
static void *open_and_close(void *thread) {
    unsigned state = 1 + (unsigned)(uintptr_t)thread;
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < ROUNDS; i++) {
        int fd = rand_r(&state) % 64 * 700; /* several pages */
        struct conn *c = NULL;
        bool kept;
        if (rand_r(&state) % 3 == 0) {
            c = conn_new();
            c->local_port = 1;
            c = fd_assign(fd, c, &kept);
        } else if (rand_r(&state) % 8 == 0) {
            fd_set_not_tcp(fd);
        } else {
            (void)claim(fd, &c);
        }
        if (c) {
            ck_assert_uint_eq(c->local_port, 1);
            ck_assert(conn_unref(c));
            conn_free(c);
        }
        (void)fd_next_tcp(fd, fd + 1000);
    }
    return NULL;
}

START_TEST(nothing_is_lost_when_threads_open_and_close_the_same_numbers) {
    in_threads(open_and_close);
    struct conn *c;
    unsigned n = 0;
    for (int fd = 0; (fd = fd_next_tcp(fd, INT_MAX)) >= 0; fd++) {
        ck_assert_int_eq(claim(fd, &c), FD_TCP);
        ck_assert(conn_unref(c));
        conn_free(c);
    }
    while (conn_new()) /* all of them are back: the table's limit is still the limit */
        n++;
    ck_assert_uint_eq(n, CONN_MAX);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("fdtab");
    TCase *tc = tcase_create("fdtab");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, a_descriptor_never_seen_is_unknown);
    tcase_add_test(tc, an_assigned_descriptor_is_found_and_claimed_once);
    tcase_add_test(tc, a_number_that_is_being_closed_is_one_thread_s_until_it_is_closed);
    tcase_add_test(tc, a_number_that_was_given_away_meanwhile_is_left_to_its_new_owner);
    tcase_add_test(tc, a_number_that_is_not_closed_after_all_is_put_back);
    tcase_add_test(tc, who_may_want_it_back_keeps_what_others_have_too);
    tcase_add_test(tc, a_close_holds_what_only_threads_have);
    tcase_add_test(tc, a_fork_child_knows_nothing_of_what_others_were_closing);
    tcase_add_test(tc, what_is_not_tcp_is_remembered_until_its_number_is_forgotten);
    tcase_add_test(tc, a_number_that_becomes_something_else_gives_its_connection_back);
    tcase_add_test(tc, a_stale_connection_is_handed_to_who_replaces_it);
    tcase_add_test(tc, a_connection_ends_with_its_last_descriptor);
    tcase_add_test(tc, a_number_beyond_the_table_leaves_the_reference_with_the_caller);
    tcase_add_test(tc, the_next_tcp_descriptor_is_found_across_empty_spans);
    tcase_add_test(tc, a_new_connection_is_blank_also_when_its_record_is_a_used_one);
    tcase_add_test(tc, a_record_is_taken_again_only_while_it_is_the_same_connection);
    tcase_add_test(tc, a_fork_child_has_the_descriptors_but_not_the_threads_that_were_at_work);
    tcase_add_test(tc, what_other_threads_gave_back_is_used_again);
    tcase_add_test(tc, there_is_an_end_to_connections_and_they_come_back);
    tcase_add_test(tc, of_threads_that_close_one_descriptor_exactly_one_gets_the_connection);
    tcase_add_test(tc, of_copies_closed_at_once_exactly_one_is_the_last);
    tcase_add_test(tc, no_connection_has_two_owners_when_threads_take_and_give_back);
    tcase_add_test(tc, nothing_is_lost_when_threads_open_and_close_the_same_numbers);
    suite_add_tcase(suite, tc);
    return run(suite);
}
