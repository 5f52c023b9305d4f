/* client/fdtab: what a thread wrote into a record is there for those that find it by its descriptor, hold it, or have
 * it last. The records' members are plain, so that TSan sees each order that is too weak; see tests/full.sh. */
#include <pthread.h>

#include "client/fdtab.h"
#include "suite.h"

enum { LOOKERS = 3, HOLDERS = 2, DESCRIPTORS = 600, ROUNDS = 3000, FD = 7 };

static bool over; /* nothing is opened any more */

/* Its port says its number. */
static uint16_t port_of(int fd) {
    return (uint16_t)(1 + fd);
}

static void open_as(int fd, uint16_t port) {
    bool kept;
    struct conn *c = conn_new();
    ck_assert_ptr_nonnull(c);
    c->peer.port = c->rule_id = port;
    struct conn *stale = fd_assign(fd, c, &kept);
    ck_assert(kept);
    if (stale && conn_unref(stale))
        conn_free(stale);
}

static void *open_all(void *unused) {
    (void)unused;
    for (int fd = 0; fd < DESCRIPTORS; fd++)
        open_as(fd, port_of(fd));
    return NULL;
}

static void *look_at_all(void *unused) {
    struct conn *c;
    (void)unused;
    for (int fd = 0; fd < DESCRIPTORS; fd++) {
        while (fd_look(fd, &c) != FD_TCP)
            continue;
        ck_assert_uint_eq(c->peer.port, port_of(fd));
    }
    return NULL;
}

START_TEST(a_record_that_is_found_is_whole) {
    pthread_t opener, looker[LOOKERS];
    for (int i = 0; i < LOOKERS; i++)
        ck_assert_int_eq(pthread_create(&looker[i], NULL, look_at_all, NULL), 0);
    ck_assert_int_eq(pthread_create(&opener, NULL, open_all, NULL), 0);
    pthread_join(opener, NULL);
    for (int i = 0; i < LOOKERS; i++)
        pthread_join(looker[i], NULL);
}
END_TEST

/* By the one that has it last: what the holders wrote is there, if they had it. */
static void end(struct conn *c) {
    ck_assert_uint_eq(c->peer.port, c->rule_id);
    ck_assert(c->flow == 0 || c->flow == c->rule_id);
    ck_assert(c->so_error == 0 || c->so_error == c->rule_id);
    c->rule_id = 0;
    conn_free(c);
}

static void *open_again_and_again(void *unused) {
    (void)unused;
    for (int i = 0; i < ROUNDS; i++)
        open_as(FD, port_of(i));
    __atomic_store_n(&over, true, __ATOMIC_RELAXED);
    return NULL;
}

static void *close_again_and_again(void *unused) {
    struct conn *c;
    (void)unused;
    while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
        fd_word *word = fd_word_of(FD);
        if (fd_closing(word, &c) != FD_TCP)
            continue;
        fd_closed(word);
        if (conn_unref(c))
            end(c);
    }
    return NULL;
}

/* Each holder has a member of its own. */
static void *hold_again_and_again(void *number) {
    while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
        struct conn *c = conn_hold_of(FD);
        if (!c)
            continue;
        ck_assert_uint_eq(c->peer.port, c->rule_id);
        if (*(int *)number == 0)
            c->flow = c->rule_id;
        else
            c->so_error = c->rule_id;
        if (conn_unhold(c))
            end(c);
    }
    return NULL;
}

START_TEST(what_holders_wrote_is_there_for_the_last) {
    pthread_t opener, closer, holder[HOLDERS];
    int number[HOLDERS];
    ck_assert_int_eq(pthread_create(&closer, NULL, close_again_and_again, NULL), 0);
    for (int i = 0; i < HOLDERS; i++) {
        number[i] = i;
        ck_assert_int_eq(pthread_create(&holder[i], NULL, hold_again_and_again, &number[i]), 0);
    }
    ck_assert_int_eq(pthread_create(&opener, NULL, open_again_and_again, NULL), 0);
    pthread_join(opener, NULL);
    pthread_join(closer, NULL);
    for (int i = 0; i < HOLDERS; i++)
        pthread_join(holder[i], NULL);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("fdtab_threads");
    TCase *tc = tcase_create("fdtab_threads");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, a_record_that_is_found_is_whole);
    tcase_add_test(tc, what_holders_wrote_is_there_for_the_last);
    suite_add_tcase(suite, tc);
    return run(suite);
}
