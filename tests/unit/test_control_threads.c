/* state/control, policy/policy: threads that look at the policy while another publishes one. What they read may change
 * at any moment, so each member is to be read once, as a word: under TSan a plain access to one is a race. */
#include <pthread.h>

#include "client/client.h"
#include "connect/hash_by.h"
#include "marked_policy.h"
#include "state/control.h"
#include "suite.h"

enum { READERS = 3, POLICIES = 3, READINGS = 300, PAUSE_US = 50 };

static struct client client;
static struct policy policy[POLICIES];
static const struct endpoint destination = {.addr.b = {[10] = 0xff, 0xff, 10, 2, 0, 1}, .port = 80};
static bool over;

/* With everything that a match looks at. */
static void fill(struct policy *p, uint32_t mark) {
    mark_policy(p, mark);
    struct policy_rule *rule = &p->rule[0];
    rule->programs = (struct policy_span){.first = POLICY_PROGRAMS - 2, .count = 1};
    (void)snprintf(p->program[POLICY_PROGRAMS - 2], POLICY_PROGRAM, "c?rl*");
    p->target[0] = (struct policy_target){.prefix = addr_from_v4(0x0a020009), .length = 128, .ports = {443, 443}};
    rule->also = (struct policy_span){.first = 0, .count = 1};
    rule->to_policy = TO_ROUND_ROBIN;
    rule->show_asked = 1;
    rule->to_timeout_ms = rule->to_hold_down_ms = mark;
    p->pool[0].policy = POOL_HASH;
    p->pool[0].hash_by = HASH_BY_PROGRAM | HASH_BY_DESTINATION;
    p->pool[0].exclusive = p->pool[0].freebind = 1;
}

static void *publish(void *unused) {
    (void)unused;
    for (unsigned i = 1; !__atomic_load_n(&over, __ATOMIC_RELAXED); i++) {
        ck_assert(state_publish(&client.state, &policy[i % POLICIES], NULL));
        sys_sleep_us(PAUSE_US);
    }
    return NULL;
}

static void *read_all(void *unused) {
    struct match match;
    struct settings s;
    (void)unused;
    for (unsigned matched = 0, i = 0; i < READINGS || matched == 0; i++) {
        if (state_match(&client.state, &destination, "curl", &match)) {
            assert_whole_plan(&match);
            ck_assert_uint_eq(match.also.timeout_ms, match.wait_ms);
            ck_assert_uint_eq(match.n_also, 1);
            matched++;
        }
        ck_assert(state_settings(&client.state, &s));
        ck_assert(s.canary == s.log_closes && s.canary == s.log_inbound && s.canary == s.log_verify);
        (void)state_client_bind(&client.state, "curl");
        ck_assert(!state_policy_is(&client.state, &(struct policy_origin){0}));
        ck_assert_uint_ne(hash_by(&client, 0, &destination), 0);
    }
    return NULL;
}

START_TEST(a_policy_is_whole_for_threads_that_look_while_it_changes) {
    pthread_t publisher, reader[READERS];
    ck_assert(state_private(&client.state, "test"));
    for (unsigned i = 0; i < POLICIES; i++)
        fill(&policy[i], 1000 + i);
    ck_assert(state_publish(&client.state, &policy[0], NULL));
    for (int i = 0; i < READERS; i++)
        ck_assert_int_eq(pthread_create(&reader[i], NULL, read_all, NULL), 0);
    ck_assert_int_eq(pthread_create(&publisher, NULL, publish, NULL), 0);
    for (int i = 0; i < READERS; i++)
        pthread_join(reader[i], NULL);
    __atomic_store_n(&over, true, __ATOMIC_RELAXED);
    pthread_join(publisher, NULL);
    state_unmap(&client.state);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("control_threads");
    TCase *tc = tcase_create("control_threads");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, a_policy_is_whole_for_threads_that_look_while_it_changes);
    suite_add_tcase(suite, tc);
    return run(suite);
}
