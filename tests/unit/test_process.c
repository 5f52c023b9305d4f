/* client/process: threads of a fork child that come at once do nothing before what the parent had is forgotten. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/client.h"
#include "client/process.h"
#include "suite.h"

enum { THREADS = 4, FORGETTING_MS = 50 };

static int forgotten; /* how often */
static pthread_barrier_t barrier;

static void forget(struct client *client) {
    (void)client;
    sys_sleep_ms(FORGETTING_MS);
    __atomic_add_fetch(&forgotten, 1, __ATOMIC_RELAXED);
}

static struct client client = {.active = true, .renewed = forget};

static void ask(bool *may) {
    *may = process_may_record(&client) && __atomic_load_n(&forgotten, __ATOMIC_RELAXED) == 1;
}

/* As connect and socket come by. */
static void refresh(bool *may) {
    process_refresh(&client);
    *may = __atomic_load_n(&forgotten, __ATOMIC_RELAXED) == 1;
}

static void (*come)(bool *);

static void *come_at_once(void *may) {
    pthread_barrier_wait(&barrier);
    come(may);
    return NULL;
}

/* In the child: how many of its threads were wrong; or what else was. */
static int threads(void) {
    pthread_t thread[THREADS];
    bool may[THREADS] = {0};
    int wrong = 0;
    uint32_t before = process_generation();
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&thread[i], NULL, come_at_once, &may[i]) != 0)
            return 100;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        wrong += !may[i];
    }
    if (process_generation() != before + 1 || process_first_generation() != before + 1)
        return 101;
    return process_pid() == (uint32_t)getpid() ? wrong : 102;
}

static int threads_that_ask(void) {
    come = ask;
    return threads();
}

static int threads_that_refresh(void) {
    come = refresh;
    return threads();
}

static void in_a_child(int (*what)(void)) {
    int status;
    client.env_mode = MODE_ENFORCE;
    ck_assert(state_private(&client.state, "test"));
    process_init();
    pid_t pid = fork();
    if (pid == 0)
        _exit(what());
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    ck_assert_msg(WEXITSTATUS(status) == 0, "%d threads; or from 100 on, what else was wrong", WEXITSTATUS(status));
    state_unmap(&client.state);
}

START_TEST(threads_that_close_at_once_wait_until_the_parents_is_forgotten) {
    in_a_child(threads_that_ask);
}
END_TEST

START_TEST(threads_that_connect_at_once_wait_until_the_parents_is_forgotten) {
    in_a_child(threads_that_refresh);
}
END_TEST

static uint64_t waited_ns;

/* As a signal handler does that interrupts the thread which forgets. */
static void come_in_between(struct client *c) {
    uint64_t began = clock_ns(CLOCK_MONOTONIC);
    process_refresh(c);
    waited_ns = clock_ns(CLOCK_MONOTONIC) - began;
    forget(c);
}

static int interrupted(void) {
    client.renewed = come_in_between;
    alarm(30);
    bool may = process_may_record(&client);
    if (waited_ns >= 1000000000) /* as long as one waits at most for another thread */
        return 103;
    return may && forgotten == 1 ? 0 : 1;
}

START_TEST(a_handler_that_interrupts_it_does_not_wait) {
    in_a_child(interrupted);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("process");
    TCase *tc = tcase_create("process");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, threads_that_close_at_once_wait_until_the_parents_is_forgotten);
    tcase_add_test(tc, threads_that_connect_at_once_wait_until_the_parents_is_forgotten);
    tcase_add_test(tc, a_handler_that_interrupts_it_does_not_wait);
    suite_add_tcase(suite, tc);
    return run(suite);
}
