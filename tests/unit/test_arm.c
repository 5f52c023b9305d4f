/* client/arm: a process has one place in the canary sequence, however many threads ask for it first, and its next image
 * has the same. Also under TSan. */
#include <pthread.h>
#include <string.h>

#include "base/sys.h"

/* A thread that writes its number down dwells between the number and its birth, so that others come meanwhile. */
static uint64_t dwell(clockid_t clock) {
    sys_sleep_us(300);
    return clock_ns(clock);
}
#define clock_ns dwell
#include "client/arm.c" /* NOLINT: to see the place that was drawn */
#undef clock_ns

#include "suite.h"

enum { THREADS = 4, ROUNDS = 100 };

static struct client client;
static pthread_barrier_t barrier;

static void fresh(void) {
    ck_assert(state_private(&client.state, "test"));
    process_init();
    arm_forget();
}

static void gone(void) {
    state_unmap(&client.state);
}

static struct place *written_down(void) {
    struct place *p = &client.state.place[process_pid() % PLACES];
    ck_assert_uint_eq(p->owner, process_pid());
    return p;
}

START_TEST(the_next_image_has_the_place_of_the_first) {
    client.state.header->next_process = 41;
    unsigned place = own_place(&client);
    ck_assert_uint_eq(place, arm_place(41));
    ck_assert_uint_eq(written_down()->number, 41);
    arm_forget();
    ck_assert_uint_eq(own_place(&client), place);
    ck_assert_uint_eq(client.state.header->next_process, 42);
}
END_TEST

START_TEST(an_earlier_process_of_this_pid_leaves_nothing) {
    *(&client.state.place[process_pid() % PLACES]) = (struct place){.owner = process_pid(), .born_ns = 1, .number = 7};
    client.state.header->next_process = 41;
    ck_assert_uint_eq(own_place(&client), arm_place(41));
    ck_assert_uint_eq(written_down()->number, 41);
}
END_TEST

START_TEST(where_all_places_are_taken_one_goes) {
    for (unsigned i = 0; i < PLACES; i++)
        client.state.place[i].owner = UINT32_MAX;
    ck_assert_uint_eq(own_place(&client), arm_place(0));
    ck_assert_uint_eq(written_down()->number, 0);
}
END_TEST

static unsigned drawn[THREADS];

static void *draw_at_once(void *mine) {
    for (int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&barrier);
        *(unsigned *)mine = own_place(&client);
        pthread_barrier_wait(&barrier); /* looked at, and forgotten */
    }
    return NULL;
}

START_TEST(threads_that_draw_at_once_have_the_place_that_is_written_down) {
    pthread_t thread[THREADS];
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, draw_at_once, &drawn[i]), 0);
    for (int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        unsigned place = arm_place(written_down()->number);
        for (int i = 0; i < THREADS; i++)
            ck_assert_msg(drawn[i] == place, "round %d: %u was drawn, %u is written down", round, drawn[i], place);
        arm_forget();
        memset(client.state.place, 0, PLACES * sizeof *client.state.place);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("arm");
    TCase *tc = tcase_create("arm");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, fresh, gone);
    tcase_add_test(tc, the_next_image_has_the_place_of_the_first);
    tcase_add_test(tc, an_earlier_process_of_this_pid_leaves_nothing);
    tcase_add_test(tc, where_all_places_are_taken_one_goes);
    tcase_add_test(tc, threads_that_draw_at_once_have_the_place_that_is_written_down);
    suite_add_tcase(suite, tc);
    return run(suite);
}
