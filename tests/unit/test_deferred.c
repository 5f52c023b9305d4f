/* close/deferred: whoever has the last reference tells, and it alone, also under threads. */
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "close/deferred.h"
#include "suite.h"

enum { NOTES = 8, SOCKETS = 3, HOLDERS = 4, ROUNDS = 8000 };

static struct conn a_connection = {.refs = 1, .local_port = 4711};
static struct closing a_close = {.conn = &a_connection, .fd = 9};
static unsigned asked;
static bool known;

static bool settle(struct closing *c) {
    ck_assert_int_eq(c->fd, a_close.fd);
    ck_assert_uint_eq(c->conn->local_port, a_connection.local_port);
    asked++;
    return known;
}

static unsigned asked_by(uint32_t mark) {
    asked = 0;
    deferred_settle(mark, settle);
    return asked;
}

static void blank(void) {
    deferred_forget();
    known = false;
}

START_TEST(a_note_is_asked_about_by_those_who_came_before_it) {
    uint32_t before = deferred_mark();
    ck_assert_uint_ne(deferred_leave(&a_close), 0);
    ck_assert_uint_eq(asked_by(before), 1);
    ck_assert_uint_eq(asked_by(before), 1); /* still not known */
    ck_assert_uint_eq(asked_by(deferred_mark()), 0);
    known = true;
    ck_assert_uint_eq(asked_by(before), 1);
    ck_assert_uint_eq(asked_by(before), 0);
}
END_TEST

START_TEST(a_note_is_a_copy) {
    struct conn changing = a_connection;
    struct closing c = {.conn = &changing, .fd = a_close.fd};
    uint32_t before = deferred_mark();
    ck_assert_uint_ne(deferred_leave(&c), 0);
    memset(&changing, 0xff, sizeof changing);
    memset(&c, 0xff, sizeof c);
    ck_assert_uint_eq(asked_by(before), 1);
}
END_TEST

START_TEST(a_note_is_withdrawn_once_and_not_after_it_was_settled) {
    uint32_t before = deferred_mark();
    uint64_t note = deferred_leave(&a_close);
    ck_assert(deferred_withdraw(note));
    ck_assert(!deferred_withdraw(note));
    ck_assert_uint_eq(asked_by(before), 0);
    note = deferred_leave(&a_close);
    known = true;
    ck_assert_uint_eq(asked_by(before), 1);
    ck_assert(!deferred_withdraw(note));
    ck_assert(deferred_withdraw(0)); /* there was no room for it */
}
END_TEST

static uint64_t meanwhile;
static uint32_t mark_meanwhile;

/* While the first answer is on its way somebody else comes by, or learns the end himself: that answer is too old. */
static bool overtaken(struct closing *c) {
    (void)c;
    if (++asked > 1)
        return true;
    if (meanwhile)
        ck_assert(!deferred_withdraw(meanwhile));
    else
        deferred_settle(mark_meanwhile, overtaken);
    return false;
}

START_TEST(whoever_finds_a_note_busy_has_it_asked_again) {
    mark_meanwhile = deferred_mark();
    uint64_t note = deferred_leave(&a_close);
    meanwhile = _i ? note : 0;
    asked = 0;
    deferred_settle(mark_meanwhile, overtaken);
    ck_assert_uint_eq(asked, 2);
    ck_assert(!deferred_withdraw(note));
}
END_TEST

START_TEST(where_there_is_no_room_the_oldest_goes) {
    uint32_t mark[NOTES + 2];
    uint64_t note[NOTES + 2];
    for (int i = 0; i < NOTES + 2; i++) {
        mark[i] = deferred_mark();
        note[i] = deferred_leave(&a_close);
        ck_assert_uint_ne(note[i], 0);
    }
    ck_assert_uint_eq(asked_by(mark[0]), NOTES);
    ck_assert_uint_eq(asked_by(mark[3]), NOTES - 1);
    ck_assert_uint_eq(asked_by(mark[NOTES + 1]), 1);
    for (int i = 0; i < NOTES + 2; i++)
        ck_assert_int_eq(deferred_withdraw(note[i]), i >= 2);
}
END_TEST

START_TEST(a_fork_child_has_none) {
    uint32_t before = deferred_mark();
    (void)deferred_leave(&a_close);
    deferred_forget();
    ck_assert_uint_eq(asked_by(before), 0);
}
END_TEST

/* --- threads: sockets with references, as the kernel counts them --- */

static pthread_barrier_t barrier;
static uint32_t references[SOCKETS], told[SOCKETS];

/* The kernel's answer takes its time to come, and may be too old by then. */
static bool settle_model(struct closing *c) {
    bool held = __atomic_load_n(&references[c->fd], __ATOMIC_SEQ_CST) != 0;
    sched_yield();
    if (held)
        return false;
    __atomic_fetch_add(&told[c->fd], 1, __ATOMIC_RELAXED);
    return true;
}

/* closes: the one to whom the table gave the connection. The others merely have the socket for a moment. */
static void leave_a_close(int socket, bool closes) {
    struct conn conn = {.refs = 1};
    struct closing c = {.conn = &conn, .fd = socket};
    uint32_t mark = deferred_mark();
    pthread_barrier_wait(&barrier);
    if (!closes)
        sched_yield();
    __atomic_fetch_sub(&references[socket], 1, __ATOMIC_SEQ_CST);
    if (closes && __atomic_load_n(&references[socket], __ATOMIC_SEQ_CST) == 0) {
        __atomic_fetch_add(&told[socket], 1, __ATOMIC_RELAXED);
    } else if (closes) {
        uint64_t note = deferred_leave(&c);
        ck_assert_uint_ne(note, 0);
        if (__atomic_load_n(&references[socket], __ATOMIC_SEQ_CST) == 0 && deferred_withdraw(note))
            __atomic_fetch_add(&told[socket], 1, __ATOMIC_RELAXED);
    }
    if (deferred_mark() != mark)
        deferred_settle(mark, settle_model);
}

static void *holder(void *number) {
    for (int i = 0; i < ROUNDS; i++) {
        leave_a_close((int)((uintptr_t)number % SOCKETS), (uintptr_t)number < SOCKETS);
        pthread_barrier_wait(&barrier); /* counted */
        pthread_barrier_wait(&barrier); /* and begun again */
    }
    return NULL;
}

START_TEST(of_threads_that_leave_at_once_exactly_one_tells) {
    pthread_t thread[SOCKETS * HOLDERS];
    uint32_t wrong = 0;
    pthread_barrier_init(&barrier, NULL, SOCKETS * HOLDERS + 1);
    for (int i = 0; i < SOCKETS; i++)
        references[i] = HOLDERS;
    for (uintptr_t i = 0; i < SOCKETS * HOLDERS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, holder, (void *)i), 0);
    for (int i = 0; i < ROUNDS; i++) {
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        for (int j = 0; j < SOCKETS; j++) {
            wrong += told[j] != 1;
            told[j] = 0;
            references[j] = HOLDERS;
        }
        deferred_forget();
        pthread_barrier_wait(&barrier);
    }
    for (int i = 0; i < SOCKETS * HOLDERS; i++)
        pthread_join(thread[i], NULL);
    ck_assert_uint_eq(wrong, 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("deferred");
    TCase *tc = tcase_create("deferred");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, blank, NULL);
    tcase_add_test(tc, a_note_is_asked_about_by_those_who_came_before_it);
    tcase_add_test(tc, a_note_is_a_copy);
    tcase_add_test(tc, a_note_is_withdrawn_once_and_not_after_it_was_settled);
    tcase_add_loop_test(tc, whoever_finds_a_note_busy_has_it_asked_again, 0, 2);
    tcase_add_test(tc, where_there_is_no_room_the_oldest_goes);
    tcase_add_test(tc, a_fork_child_has_none);
    tcase_add_test(tc, of_threads_that_leave_at_once_exactly_one_tells);
    suite_add_tcase(suite, tc);
    return run(suite);
}
