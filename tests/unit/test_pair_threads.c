/* state/pair_table: threads that first use a pair at once, in a table where all places had another pair. */
#include <pthread.h>

#include "state/pair.h"
#include "state/pair_table.h"
#include "suite.h"

enum { THREADS = 4, ROUNDS = 40, KEYS = 2000 };

static const uint64_t second = 1000000000;

static struct state state;
static pthread_barrier_t barrier;
static uint32_t opened;

static void fresh(void) {
    ck_assert(state_private(&state, "test"));
}

static void gone(void) {
    state_unmap(&state);
}

/* What was used in one round is idle in the next. */
static uint64_t time_of(unsigned round) {
    return (3600 + round * 300) * second;
}

static uint64_t key_of(unsigned round, unsigned i) {
    const struct endpoint to = {.addr = addr_from_v4(0x0a000000 + i), .port = 80};
    return pair_key(1 + round, &(struct addr){{0}}, &to);
}

static void *open_all(void *unused) {
    (void)unused;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint32_t found = 0;
        pthread_barrier_wait(&barrier);
        for (unsigned i = 0; i < KEYS; i++) {
            struct pair *p = pair_find(&state, key_of(round, i), true, time_of(round));
            pair_opened(p, time_of(round));
            found += p != NULL;
        }
        __atomic_add_fetch(&opened, found, __ATOMIC_RELAXED);
        pthread_barrier_wait(&barrier); /* counted, and closed */
    }
    return NULL;
}

/* In all pairs; then none is. */
static uint32_t open_and_close(void) {
    uint32_t n = 0;
    for (unsigned i = 0; i < PAIRS; i++)
        n += (uint32_t)__atomic_exchange_n(&state.pairs->pair[i].open, 0, __ATOMIC_RELAXED);
    return n;
}

START_TEST(a_connection_that_is_opened_while_the_place_is_cleared_is_counted) {
    pthread_t thread[THREADS];
    for (unsigned i = 0; i < 4 * PAIRS; i++)
        (void)pair_find(&state, key_of(ROUNDS, i), true, time_of(0) - 300 * second);
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, open_all, NULL), 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        /* The threads are at the first barrier of the next round. */
        uint32_t counted = __atomic_exchange_n(&opened, 0, __ATOMIC_RELAXED);
        ck_assert_uint_gt(counted, 0);
        ck_assert_uint_eq(open_and_close(), counted);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("pair_threads");
    TCase *tc = tcase_create("pair_threads");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, fresh, gone);
    tcase_add_test(tc, a_connection_that_is_opened_while_the_place_is_cleared_is_counted);
    suite_add_tcase(suite, tc);
    return run(suite);
}
