/* state/control: the policy slots under a publisher that never rests, titles, the control word, the counters. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "marked_policy.h"
#include "state/state.h"
#include "base/sys.h"
#include "suite.h"
#include "client/client.h"
#include "state/control.h"

static struct state state;
static struct policy policy;
static const struct endpoint destination = {.addr.b = {[10] = 0xff, 0xff, 10, 2, 0, 1}, .port = 80};

static void fresh(void) {
    ck_assert(state_private(&state, "test"));
}

static void gone(void) {
    state_unmap(&state);
}

/* A child that publishes three policies in turn, as fast as it can, until it is killed: each slot gets all three. */
static pid_t publisher(void) {
    static struct policy three[3];
    for (uint32_t i = 0; i < 3; i++)
        mark_policy(&three[i], 1000 + i);
    ck_assert(state_publish(&state, &three[0], NULL));
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (unsigned i = 0;; i = (i + 1) % 3)
        (void)state_publish(&state, &three[i], NULL);
}

static void stop(pid_t pid) {
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* Readings under the publisher go on for half a second, and until there was one. */
static bool more(unsigned done) {
    static uint64_t begin;
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    if (begin == 0)
        begin = now;
    return done == 0 || now - begin < 500000000u;
}

START_TEST(without_a_policy_nothing_is_planned) {
    struct match match;
    struct settings settings;
    ck_assert(!state_match(&state, &destination, "x", &match));
    ck_assert(!state_settings(&state, &settings));
    ck_assert(!state_policy(&state, &policy));
    ck_assert(!state_policy_is(&state, &policy.origin));
}
END_TEST

START_TEST(a_published_policy_is_read_back) {
    static struct policy out;
    mark_policy(&policy, 77);
    ck_assert(state_publish(&state, &policy, NULL));
    ck_assert(state_policy(&state, &out));
    ck_assert_mem_eq(&out, &policy, sizeof out);
    ck_assert(state_policy_is(&state, &policy.origin));
    policy.origin.mtime_ns++;
    ck_assert(!state_policy_is(&state, &policy.origin));
}
END_TEST

START_TEST(a_plan_is_never_made_of_two_policies) {
    pid_t pid = publisher();
    for (unsigned done = 0; more(done);) {
        struct match match;
        if (!state_match(&state, &destination, "x", &match))
            continue;
        assert_whole_plan(&match);
        done++;
    }
    stop(pid);
}
END_TEST

START_TEST(a_whole_policy_is_never_made_of_two) {
    static struct policy out, wanted;
    pid_t pid = publisher();
    for (unsigned done = 0; more(done);) {
        if (!state_policy(&state, &out))
            continue;
        mark_policy(&wanted, (uint32_t)out.origin.size);
        wanted.rule[0].title_id = out.rule[0].title_id;
        wanted.pool[0].title_id = out.pool[0].title_id;
        ck_assert_mem_eq(&out, &wanted, sizeof out);
        done++;
    }
    stop(pid);
}
END_TEST

START_TEST(settings_are_never_made_of_two_policies) {
    pid_t pid = publisher();
    for (unsigned done = 0; more(done);) {
        struct settings s;
        if (!state_settings(&state, &s))
            continue;
        ck_assert(s.canary == s.log_closes && s.canary == s.log_inbound && s.canary == s.log_verify);
        ck_assert_uint_eq(state_client_bind(&state, "x"), CLIENT_BIND_LATE_PORT);
        done++;
    }
    stop(pid);
}
END_TEST

START_TEST(a_publisher_killed_at_any_moment_leaves_a_whole_policy) {
    for (unsigned i = 0; i < 50; i++) {
        struct match match;
        pid_t pid = publisher();
        usleep(i * 20);
        stop(pid);
        ck_assert(state_match(&state, &destination, "x", &match));
        assert_whole_plan(&match);
    }
}
END_TEST

START_TEST(a_title_keeps_its_number_for_ever) {
    char title[POLICY_TITLE];
    policy_default(&policy);
    ck_assert(state_publish(&state, &policy, NULL));
    uint16_t id = policy.rule[0].title_id;
    ck_assert_uint_ne(id, 0);
    ck_assert_uint_eq(policy.pool[0].title_id, id);
    strcpy(policy.rule[0].title, "other");
    ck_assert(state_publish(&state, &policy, NULL));
    ck_assert_uint_ne(policy.rule[0].title_id, id);
    ck_assert_uint_eq(policy.pool[0].title_id, id);
    state_title(&state, id, title);
    ck_assert_str_eq(title, "default");
}
END_TEST

START_TEST(a_full_name_table_gives_number_0_and_keeps_the_old_ones) {
    char title[POLICY_TITLE];
    unsigned given = 0;
    policy_default(&policy);
    for (unsigned i = 0; i < NAMES + 5; i++) {
        (void)snprintf(policy.rule[0].title, POLICY_TITLE, "rule %u", i);
        ck_assert(state_publish(&state, &policy, NULL));
        given += policy.rule[0].title_id != 0;
    }
    ck_assert_uint_eq(given, NAMES - 2); /* number 0 is nobody's, and "default" has one */
    state_title(&state, 1, title);
    ck_assert_str_eq(title, "rule 0");
    ck_assert_uint_eq(state.header->names, NAMES - 1);
}
END_TEST

START_TEST(a_hostile_name_table_gives_printable_text_and_no_overrun) {
    char title[POLICY_TITLE];
    memset(state.name, '\033', (size_t)NAMES * POLICY_TITLE);
    state.header->names = UINT64_MAX;
    for (unsigned id = 0; id <= UINT16_MAX; id++) {
        state_title(&state, (uint16_t)id, title);
        ck_assert_uint_lt(strnlen(title, POLICY_TITLE), POLICY_TITLE);
        for (const char *c = title; *c; c++)
            ck_assert_int_eq(*c, '?');
        ck_assert_int_eq(title[0] != 0, id > 0 && id < NAMES);
    }
    policy_default(&policy);
    ck_assert(state_publish(&state, &policy, NULL));
    ck_assert_uint_eq(policy.rule[0].title_id, 0);
}
END_TEST

START_TEST(a_control_word_says_what_was_packed) {
    for (unsigned bits = 0; bits < 4; bits++)
        for (uint8_t mode = 0; mode < MODE_COUNT; mode++)
            for (uint8_t canary = 0; canary <= 100; canary++) {
                struct control in = {.has_mode = bits & 1, .has_canary = bits & 2, .mode = mode, .canary = canary};
                struct control out = control_unpack(control_pack(in));
                ck_assert(out.has_mode == in.has_mode && out.has_canary == in.has_canary);
                ck_assert(!out.has_mode || out.mode == mode);
                ck_assert(!out.has_canary || out.canary == canary);
            }
}
END_TEST

START_TEST(no_word_overrides_nothing_and_nonsense_neither) {
    struct control c = control_unpack(0);
    ck_assert(!c.has_mode && !c.has_canary);
    c = control_unpack(UINT64_MAX);
    ck_assert(!c.has_mode && !c.has_canary);
}
END_TEST

START_TEST(a_counter_is_the_sum_over_the_arms) {
    for (int arm = 0; arm < ARMS; arm++)
        for (int i = 0; i <= arm; i++)
            state_count(&state, (enum arm)arm, COUNT_PASSIVE);
    ck_assert_uint_eq(state_counter(&state, COUNT_PASSIVE), 6);
    ck_assert_uint_eq(state_counter(&state, COUNT_RESET), 0);
}
END_TEST

static struct settings in_force(uint8_t env_mode, struct control set) {
    struct client of = {.state = state, .env_mode = env_mode};
    state.header->control = control_pack(set);
    return client_settings(&of);
}

START_TEST(the_environment_is_above_the_override_and_that_above_the_config) {
    const struct control none = {0}, set = {.has_mode = true, .mode = MODE_OBSERVE, .has_canary = true, .canary = 7};
    ck_assert_uint_eq(in_force(MODE_FROM_POLICY, none).mode, MODE_OFF); /* no policy */
    policy_default(&policy);
    policy.canary = 200;
    ck_assert(state_publish(&state, &policy, NULL));
    ck_assert_uint_eq(in_force(MODE_FROM_POLICY, none).mode, MODE_ENFORCE);
    ck_assert_uint_eq(in_force(MODE_FROM_POLICY, none).canary, 100); /* bounded, whatever the file says */
    ck_assert_uint_eq(in_force(MODE_FROM_POLICY, set).mode, MODE_OBSERVE);
    ck_assert_uint_eq(in_force(MODE_FROM_POLICY, set).canary, 7);
    ck_assert_uint_eq(in_force(MODE_OFF, set).mode, MODE_OFF);
    ck_assert_uint_eq(in_force(MODE_OFF, set).canary, 7);
    policy.mode = 77;
    ck_assert(state_publish(&state, &policy, NULL));
    ck_assert_uint_eq(in_force(MODE_FROM_POLICY, none).mode, MODE_OFF);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("control");
    TCase *tc = tcase_create("control");
    tcase_add_checked_fixture(tc, fresh, gone);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, without_a_policy_nothing_is_planned);
    tcase_add_test(tc, a_published_policy_is_read_back);
    tcase_add_test(tc, a_plan_is_never_made_of_two_policies);
    tcase_add_test(tc, a_whole_policy_is_never_made_of_two);
    tcase_add_test(tc, settings_are_never_made_of_two_policies);
    tcase_add_test(tc, a_publisher_killed_at_any_moment_leaves_a_whole_policy);
    tcase_add_test(tc, a_title_keeps_its_number_for_ever);
    tcase_add_test(tc, a_full_name_table_gives_number_0_and_keeps_the_old_ones);
    tcase_add_test(tc, a_hostile_name_table_gives_printable_text_and_no_overrun);
    tcase_add_test(tc, a_control_word_says_what_was_packed);
    tcase_add_test(tc, no_word_overrides_nothing_and_nonsense_neither);
    tcase_add_test(tc, a_counter_is_the_sum_over_the_arms);
    tcase_add_test(tc, the_environment_is_above_the_override_and_that_above_the_config);
    suite_add_tcase(suite, tc);
    return run(suite);
}
