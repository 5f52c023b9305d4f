/* shim/matches: what is remembered is what the policy says, however many ask while it changes. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned hurry = UINT32_MAX; /* at every so many steps the others go first */

static void step(void) {
    static _Thread_local unsigned steps;
    if (++steps % hurry == 0)
        (void)sched_yield();
}
#define MATCH_CACHE_STEP() step()
#include "client/match_cache.c" /* NOLINT: with its steps visible */

#include "marked_policy.h"
#include "suite.h"
#include "client/client.h"
#include "state/control.h"

enum { DESTINATIONS = 300, THREADS = 4, ROUNDS = 20000 };

static struct client client = {.program = "curl", .names = "curl", .program_key = 1, .names_key = 1};
static struct policy policy;

static void fresh(void) {
    ck_assert(state_private(&client.state, "test"));
    policy_default(&policy);
}

static void gone(void) {
    state_unmap(&client.state);
}

static void publish(void) {
    ck_assert(state_publish(&client.state, &policy, NULL));
}

static struct endpoint destination(unsigned n) {
    return (struct endpoint){.addr = addr_from_v4(0x0a020000 + n / 3), .port = (uint16_t)(80 + n % 3)};
}

static void assert_same(const struct match *a, const struct match *b) {
    ck_assert_mem_eq(a, b, offsetof(struct match, source));
    ck_assert_mem_eq(a->source, b->source, a->n_sources * sizeof a->source[0]);
    ck_assert_mem_eq(a->ports, b->ports, a->n_ports * sizeof a->ports[0]);
}

static void ask(const struct endpoint *to, struct match *out) {
    memset(out, 0xee, sizeof *out);
    ck_assert(match_cache_find(&client, to, out));
}

/* Servers of one network, on one port: they share the places and not one set of them. */
START_TEST(neighbours_are_kept_apart) {
    bool seen[SETS] = {false};
    unsigned n = 0;
    for (unsigned i = 0; i < SETS * WAYS; i++) {
        const struct endpoint to = {.addr = addr_from_v4(0x0a020000 + i), .port = 6379};
        uint64_t key[3];
        memcpy(key, &to, sizeof key);
        unsigned at = (unsigned)(set_of(key) - kept[0]) / WAYS;
        n += !seen[at];
        seen[at] = true;
    }
    ck_assert_uint_ge(n, SETS / 2);
}
END_TEST

/* Asked twice: the second time what was remembered answers. */
static void assert_as_the_policy_says(const struct endpoint *to) {
    struct match wanted, got;
    ck_assert(state_match(&client.state, to, "curl", &wanted));
    for (int i = 0; i < 2; i++) {
        ask(to, &got);
        assert_same(&got, &wanted);
    }
}

/* Rule i is for port 80 + i, and leads to a pool of its own with so many sources and port ranges. */
static void rule_with(unsigned i, unsigned sources, unsigned ports) {
    struct policy_pool *pool = &policy.pool[i];
    struct policy_rule *rule = &policy.rule[i];
    *pool = policy.pool[0];
    *rule = policy.rule[0];
    rule->to = (struct policy_span){.first = policy.n_targets, .count = 1};
    rule->except.count = 0;
    rule->pool = (uint16_t)i;
    rule->wait_ms = 1000 + i;
    policy.target[policy.n_targets++] =
        (struct policy_target){.any = 1, .ports = {(uint16_t)(80 + i), (uint16_t)(80 + i)}};
    pool->sources[SCOPE_V4] = (struct policy_span){.first = policy.n_sources, .count = (uint16_t)sources};
    for (unsigned n = 0; n < sources; n++)
        policy.source[policy.n_sources++] =
            (struct policy_source){.first = addr_from_v4(0x0a000000 + 100 * i + n), .count = n + 1};
    pool->ports = (struct policy_span){.first = policy.n_ports, .count = (uint16_t)ports};
    for (unsigned n = 0; n < ports; n++)
        policy.ports[policy.n_ports++] =
            (struct port_range){(uint16_t)(1000 * i + 10 * n + 1), (uint16_t)(1000 * i + 10 * n + 9)};
    policy.n_rules = policy.n_pools = (uint16_t)(i + 1);
}

START_TEST(without_a_policy_there_is_no_plan) {
    struct match match;
    struct endpoint to = destination(0);
    ck_assert(!match_cache_find(&client, &to, &match));
}
END_TEST

START_TEST(each_destination_gets_what_the_policy_says) {
    rule_with(0, 0, 0);
    rule_with(1, 8, 7);
    rule_with(2, 1, 8);
    publish();
    for (unsigned n = 0; n < DESTINATIONS; n++) {
        struct endpoint to = destination(n);
        assert_as_the_policy_says(&to);
    }
}
END_TEST

START_TEST(what_is_too_large_to_keep_is_right_all_the_same) {
    rule_with(0, 9, 0);
    rule_with(1, 1, 9);
    rule_with(2, POOL_SOURCES, POOL_PORTS);
    publish();
    for (unsigned n = 0; n < 9; n++) {
        struct endpoint to = destination(n);
        assert_as_the_policy_says(&to);
    }
}
END_TEST

START_TEST(what_the_policy_said_is_kept_until_there_is_another) {
    struct match before, after;
    struct endpoint to = destination(0), other = destination(1);
    rule_with(0, 4, 2);
    policy.target[policy.rule[0].to.first].ports = (struct port_range){1, 65535};
    publish();
    uint64_t live = client.state.header->generation & 1;
    ask(&to, &before);
    ck_assert_uint_eq(before.wait_ms, 1000);
    client.state.policy[live].rule[0].wait_ms = 7; /* as nobody does: without a new generation */
    ask(&to, &after);
    assert_same(&after, &before);
    ask(&other, &after);
    ck_assert_uint_eq(after.wait_ms, 7);
    policy.rule[0].wait_ms = 8;
    publish();
    ask(&to, &after);
    ck_assert_uint_eq(after.wait_ms, 8);
}
END_TEST

/* As a fork child finds them when a thread of its parent was just writing one in each set. */
START_TEST(a_writer_who_never_comes_back_costs_one_entry) {
    struct match before, after;
    struct endpoint to = destination(0);
    for (unsigned i = 0; i < SETS; i++)
        kept[i][i % WAYS].version = 1;
    rule_with(0, 4, 2);
    for (uint32_t i = 0; i < 3; i++) {
        policy.rule[0].wait_ms = 100 + i;
        publish();
        ask(&to, &before);
        client.state.policy[client.state.header->generation & 1].rule[0].wait_ms = 7;
        ask(&to, &after);
        assert_same(&after, &before);
        ck_assert_uint_eq(after.wait_ms, 100 + i);
    }
}
END_TEST

/* Runs asker in threads, each from a number of its own on; each must have got a match. */
static void in_threads(void *(*asker)(void *)) {
    hurry = 13;
    pthread_t thread[THREADS];
    unsigned first[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        first[i] = i * 50;
        ck_assert_int_eq(pthread_create(&thread[i], NULL, asker, &first[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        void *asked;
        ck_assert_int_eq(pthread_join(thread[i], &asked), 0);
        ck_assert_ptr_nonnull(asked);
    }
}

/* More destinations than places, so that threads take each other's. */
static struct endpoint destination_for(const void *first, unsigned n) {
    return destination((*(const unsigned *)first + n / 4) % DESTINATIONS);
}

static void *ask_while_it_changes(void *first) {
    uintptr_t asked = 0;
    for (unsigned n = 0; n < ROUNDS || asked == 0; n++) {
        struct match match;
        struct endpoint to = destination_for(first, n);
        if (!match_cache_find(&client, &to, &match))
            continue;
        assert_whole_plan(&match);
        asked++;
    }
    return (void *)asked;
}

START_TEST(a_plan_is_never_made_of_two_policies) {
    mark_policy(&policy, 999);
    publish();
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (uint32_t i = 0;; i = (i + 1) % 1000) {
            mark_policy(&policy, 1000 + i);
            (void)state_publish(&client.state, &policy, NULL);
        }
    }
    in_threads(ask_while_it_changes);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}
END_TEST

static struct match wanted[3];

static void *ask_in_turn(void *first) {
    for (unsigned n = 0; n < 4 * ROUNDS; n++) {
        struct match match;
        struct endpoint to = destination_for(first, n);
        ask(&to, &match);
        assert_same(&match, &wanted[to.port - 80]);
    }
    return &wanted;
}

START_TEST(a_plan_is_never_that_of_another_destination) {
    rule_with(0, 4, 1);
    rule_with(1, 8, 8);
    rule_with(2, 1, 0);
    publish();
    for (unsigned n = 0; n < 3; n++) {
        struct endpoint to = destination(n);
        ck_assert(state_match(&client.state, &to, "curl", &wanted[n]));
    }
    in_threads(ask_in_turn);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("match_cache");
    TCase *tc = tcase_create("match_cache");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, fresh, gone);
    tcase_add_test(tc, without_a_policy_there_is_no_plan);
    tcase_add_test(tc, neighbours_are_kept_apart);
    tcase_add_test(tc, each_destination_gets_what_the_policy_says);
    tcase_add_test(tc, what_is_too_large_to_keep_is_right_all_the_same);
    tcase_add_test(tc, what_the_policy_said_is_kept_until_there_is_another);
    tcase_add_test(tc, a_writer_who_never_comes_back_costs_one_entry);
    tcase_add_test(tc, a_plan_is_never_made_of_two_policies);
    tcase_add_test(tc, a_plan_is_never_that_of_another_destination);
    suite_add_tcase(suite, tc);
    return run(suite);
}
