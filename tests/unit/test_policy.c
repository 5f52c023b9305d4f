/* state/policy: which rule and which sources a connection gets. Policies are built by the config loader where that
 * reads better than structs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/load.h"
#include "text/parse.h"
#include "suite.h"
#include "policy/glob.h"

#define COUNT(array) (int)(sizeof(array) / sizeof *(array))

static struct policy policy;
static struct match match;

/* Compiles a config and numbers the titles as publishing does: rule i is 1 + i, pool i is 101 + i. */
static void config(const char *text) {
    char errors[1024];
    int count = config_parse("test", text, strlen(text), &policy, errors, sizeof errors);
    ck_assert_msg(count == 0, "%s", errors);
    for (unsigned i = 0; i < policy.n_rules; i++)
        policy.rule[i].title_id = (uint16_t)(1 + i);
    for (unsigned i = 0; i < policy.n_pools; i++)
        policy.pool[i].title_id = (uint16_t)(101 + i);
}

static struct endpoint to(const char *address, uint16_t port) {
    struct endpoint e = {.port = port};
    ck_assert_ptr_null(parse_address(address, &e.addr));
    return e;
}

static void find_match(const char *address, uint16_t port, const char *program) {
    struct endpoint destination = to(address, port);
    policy_match(&policy, &destination, program, &match);
}

static void assert_source(uint32_t n, const char *wanted) {
    char text[ADDR_TEXT];
    struct endpoint source = match_source(&match, n);
    format_address(text, &source.addr);
    ck_assert_str_eq(text, wanted);
}

START_TEST(the_default_spreads_everything_but_loopback) {
    policy_default(&policy);
    find_match("10.0.0.1", 80, "curl");
    ck_assert(match.matched);
    ck_assert_uint_eq(match.attempts, 16);
    ck_assert_uint_eq(match.n_ports, 0);
    ck_assert_uint_eq(match.total, 0);
    ck_assert(!match.has_sources);
    find_match("fd00::1", 80, "curl");
    ck_assert(match.matched);
    find_match("127.0.0.1", 80, "curl");
    ck_assert(!match.matched);
    find_match("::1", 80, "curl");
    ck_assert(!match.matched);
}
END_TEST

START_TEST(the_default_logs) {
    policy_default(&policy);
    ck_assert_uint_eq(policy.mode, MODE_ENFORCE);
    ck_assert_uint_eq(policy.canary, 100);
    ck_assert_uint_eq(policy.log_closes, CLOSES_TIME_WAIT);
    ck_assert_uint_eq(policy.log_inbound, 1);
    ck_assert_uint_eq(policy.log_verify, VERIFY_AUTO);
    ck_assert_uint_eq(policy.log_size, 8u << 20);
    ck_assert_str_eq(policy.rule[0].title, "default");
}
END_TEST

START_TEST(the_first_matching_rule_wins) {
    config("pool a {} pool b {}"
           "rule one { to = \"10.0.0.0/8:80\" pool = b } rule two { to = \"10.0.0.0/8\" pool = a }");
    find_match("10.0.0.1", 80, "x");
    ck_assert_uint_eq(match.rule_id, 1);
    ck_assert_uint_eq(match.pool_id, 102);
    ck_assert_uint_eq(match.pool, 1);
    find_match("10.0.0.1", 81, "x");
    ck_assert_uint_eq(match.rule_id, 2);
    ck_assert_uint_eq(match.pool_id, 101);
}
END_TEST

START_TEST(no_rule_means_no_match) {
    config("pool a {} rule one { to = \"10.0.0.0/8\" pool = a }");
    find_match("11.0.0.1", 80, "x");
    ck_assert(!match.matched);
    ck_assert_uint_eq(match.rule_id, 0);
}
END_TEST

START_TEST(an_ignoring_rule_is_named_but_does_not_spread) {
    config("pool a {} rule one { to = \"10.9.0.0/16\" action = ignore } rule two { to = \"*\" pool = a }");
    find_match("10.9.0.1", 80, "x");
    ck_assert(!match.matched);
    ck_assert_uint_eq(match.rule_id, 1);
    find_match("10.8.0.1", 80, "x");
    ck_assert(match.matched);
}
END_TEST

START_TEST(what_a_rule_excepts_goes_on_to_the_next) {
    config("pool a {} rule one { to = \"10.0.0.0/8\" except = { \"10.2.9.9\", \"*:22\" } pool = a }"
           "rule two { to = \"10.2.9.9\" pool = a }");
    find_match("10.2.9.9", 80, "x");
    ck_assert_uint_eq(match.rule_id, 2);
    find_match("10.1.1.1", 22, "x");
    ck_assert_uint_eq(match.rule_id, 0);
    find_match("10.1.1.1", 80, "x");
    ck_assert_uint_eq(match.rule_id, 1);
}
END_TEST

START_TEST(a_rule_may_be_for_some_programs) {
    config("pool a {} rule one { to = \"*\" program = { \"php-fpm*\", nginx } pool = a }");
    find_match("10.0.0.1", 80, "php-fpm8.2");
    ck_assert(match.matched);
    find_match("10.0.0.1", 80, "nginx");
    ck_assert(match.matched);
    find_match("10.0.0.1", 80, "nginx2");
    ck_assert(!match.matched);
    find_match("10.0.0.1", 80, "");
    ck_assert(!match.matched);
}
END_TEST

START_TEST(ipv4_rules_match_v4_mapped_destinations) {
    config("pool a {} rule one { to = \"10.0.0.0/8\" pool = a }");
    find_match("::ffff:10.0.0.1", 80, "x");
    ck_assert(match.matched);
}
END_TEST

START_TEST(all_of_ipv6_is_not_ipv4) {
    config("pool a {} rule one { to = \"::/0\" pool = a }");
    find_match("fd00::1", 80, "x");
    ck_assert(match.matched);
    find_match("10.0.0.1", 80, "x");
    ck_assert(!match.matched);
}
END_TEST

START_TEST(all_of_ipv4_is_not_ipv6) {
    config("pool a {} rule one { to = \"0.0.0.0/0\" pool = a }");
    find_match("fd00::1", 80, "x");
    ck_assert(!match.matched);
    find_match("10.0.0.1", 80, "x");
    ck_assert(match.matched);
}
END_TEST

START_TEST(a_connection_to_the_wildcard_is_left_alone) {
    config("pool a { addresses = \"10.0.0.1\" } rule one { to = \"*\" pool = a }");
    find_match("0.0.0.0", 80, "x");
    ck_assert(!match.matched);
    find_match("::", 80, "x");
    ck_assert(!match.matched);
}
END_TEST

static const struct {
    const char *destination;
    uint32_t total;
    const char *first, *last;
} scopes[] = {
    {"10.9.9.9", 6, "10.0.0.11", "10.0.1.1"},
    {"127.0.0.1", 2, "127.0.0.2", "127.0.0.3"},
    {"::1", 1, "::1", "::1"},
    {"fd00::9", 3, "fd00::1", "fd00::3"},
};

START_TEST(a_plan_has_only_sources_of_the_destinations_scope) {
    config("pool a { addresses = { \"10.0.0.11-10.0.0.14\", \"fd00::1-fd00::3\", \"127.0.0.2/31\", \"::1\", "
           "\"10.0.1.0/31\" } }"
           "rule one { to = \"*\" pool = a }");
    find_match(scopes[_i].destination, 80, "x");
    ck_assert(match.has_sources);
    ck_assert_uint_eq(match.total, scopes[_i].total);
    assert_source(0, scopes[_i].first);
    assert_source(match.total - 1, scopes[_i].last);
}
END_TEST

START_TEST(a_pool_of_another_family_has_sources_but_none_that_fit) {
    config("pool a { addresses = { \"10.0.0.11\" } } rule one { to = \"*\" pool = a }");
    find_match("fd00::1", 80, "x");
    ck_assert(match.matched);
    ck_assert(match.has_sources);
    ck_assert_uint_eq(match.total, 0);
    ck_assert_uint_eq(match.n_sources, 0);
}
END_TEST

START_TEST(link_local_sources_stay_on_their_interface) {
    config("pool a { } rule one { to = \"*\" pool = a }");
    policy.source[0] = (struct policy_source){.first = to("fe80::1", 0).addr, .count = 1, .interface = 2};
    policy.source[1] = (struct policy_source){.first = to("fe80::2", 0).addr, .count = 1, .interface = 3};
    policy.pool[0].sources[SCOPE_V6_LINK] = (struct policy_span){.first = 0, .count = 2};
    struct endpoint destination = to("fe80::9", 80);
    destination.scope = 3;
    policy_match(&policy, &destination, "x", &match);
    ck_assert_uint_eq(match.total, 1);
    assert_source(0, "fe80::2");
    ck_assert_uint_eq(match_source(&match, 0).scope, 3);
    destination.scope = 4;
    policy_match(&policy, &destination, "x", &match);
    ck_assert_uint_eq(match.total, 0);
    destination.scope = 0;
    policy_match(&policy, &destination, "x", &match);
    ck_assert_uint_eq(match.total, 2);
}
END_TEST

START_TEST(a_plan_copies_what_its_pool_and_rule_say) {
    config("pool a { ports = { \"2000-3000\", \"1024\" } policy = hash freebind = true }"
           "rule one { to = \"*\" pool = a attempts = 5 on-exhausted = error client-bind = override }");
    find_match("10.0.0.1", 80, "x");
    ck_assert_uint_eq(match.n_ports, 2);
    ck_assert_uint_eq(match.ports[0].low, 1024);
    ck_assert_uint_eq(match.ports[1].low, 2000);
    ck_assert_uint_eq(match.ports[1].high, 3000);
    ck_assert_uint_eq(match.policy, POOL_HASH);
    ck_assert_uint_eq(match.binding, 1);
    ck_assert_uint_eq(match.attempts, 5);
    ck_assert_uint_eq(match.on_exhausted, EXHAUSTED_ERROR);
    ck_assert_uint_eq(match.client_bind, CLIENT_BIND_OVERRIDE);
    ck_assert_uint_eq(match.reuse_after_ms, 60000);
}
END_TEST

START_TEST(attempts_are_clamped) {
    config("pool a { } rule one { to = \"*\" pool = a }");
    policy.rule[0].attempts = 0;
    find_match("10.0.0.1", 80, "x");
    ck_assert_uint_eq(match.attempts, 1);
    policy.rule[0].attempts = 255;
    find_match("10.0.0.1", 80, "x");
    ck_assert_uint_eq(match.attempts, RULE_ATTEMPTS_MAX);
}
END_TEST

START_TEST(a_rule_that_points_at_no_pool_does_not_spread) {
    config("pool a { } rule one { to = \"*\" pool = a }");
    policy.rule[0].pool = 1;
    find_match("10.0.0.1", 80, "x");
    ck_assert(!match.matched);
    policy.n_pools = UINT16_MAX;
    policy.rule[0].pool = UINT16_MAX;
    find_match("10.0.0.1", 80, "x");
    ck_assert(!match.matched);
}
END_TEST

START_TEST(sources_are_numbered_across_ranges) {
    config("pool a { addresses = { \"10.0.0.3\", \"10.0.0.10-10.0.0.11\", \"10.0.0.1\" } } rule one { to = \"*\" pool "
           "= a }");
    find_match("10.9.9.9", 80, "x");
    assert_source(0, "10.0.0.3");
    assert_source(1, "10.0.0.10");
    assert_source(2, "10.0.0.11");
    assert_source(3, "10.0.0.1");
    assert_source(4, "::"); /* past the end: the wildcard, which binds nothing */
}
END_TEST

START_TEST(the_total_of_a_scribbled_pool_does_not_overflow) {
    config("pool a { addresses = { \"10.0.0.3\", \"10.0.0.10\" } } rule one { to = \"*\" pool = a }");
    policy.source[0].count = policy.source[1].count = UINT32_MAX;
    find_match("10.9.9.9", 80, "x");
    ck_assert_uint_eq(match.total, UINT32_MAX);
    ck_assert_uint_eq(match.n_sources, 1);
}
END_TEST

START_TEST(the_strongest_client_bind_of_a_programs_rules_counts) {
    config("pool a {} rule one { to = \"*\" program = a pool = a client-bind = keep }"
           "rule two { to = \"*\" program = { a, b } pool = a client-bind = late-port }"
           "rule three { to = \"10.0.0.0/8\" program = b pool = a client-bind = override }"
           "rule four { to = \"*\" program = c action = ignore client-bind = override }");
    ck_assert_int_eq(policy_client_bind(&policy, "a"), CLIENT_BIND_LATE_PORT);
    ck_assert_int_eq(policy_client_bind(&policy, "b"), CLIENT_BIND_OVERRIDE);
    ck_assert_int_eq(policy_client_bind(&policy, "c"), CLIENT_BIND_KEEP);
    ck_assert_int_eq(policy_client_bind(&policy, "d"), CLIENT_BIND_KEEP);
}
END_TEST

static const struct {
    const char *pattern, *text;
    bool matches;
} globs[] = {
    {"", "", true},
    {"", "a", false},
    {"a", "", false},
    {"*", "", true},
    {"*", "abc", true},
    {"***", "abc", true},
    {"?", "", false},
    {"?", "a", true},
    {"a?c", "abc", true},
    {"php-fpm*", "php-fpm", true},
    {"php-fpm*", "php-fpm8.2", true},
    {"php-fpm*", "php-cgi", false},
    {"*fpm", "php-fpm", true},
    {"*fpm", "php-fpm8", false},
    {"a*b*c", "aXbYbZc", true},
    {"a*b*c", "aXbYbZ", false},
    {"[a-c]x", "bx", true},
    {"[a-c]x", "dx", false},
    {"[!a-c]x", "dx", true},
    {"[!a-c]x", "ax", false},
    {"[^a]", "b", true},
    {"[]]", "]", true},
    {"[]a]", "a", true},
    {"[!]]", "]", false},
    {"[a-]", "-", true},
    {"[-a]", "-", true},
    {"[\\]]", "]", true},
    {"[abc", "[abc", true}, /* no end: the bracket is itself */
    {"[", "[", true},
    {"\\*", "*", true},
    {"\\*", "a", false},
    {"\\", "\\", true},
    {"*[0-9]", "php8", true},
    {"Nginx", "nginx", false},
    {"\xc3?", "\xc3\xa9", true},
};

START_TEST(a_glob_matches_as_in_a_shell) {
    ck_assert_msg(policy_glob(globs[_i].pattern, globs[_i].text) == globs[_i].matches, "%s %s", globs[_i].pattern,
                  globs[_i].text);
}
END_TEST

/* Takes for ever where stars recurse. */
START_TEST(many_stars_take_no_time) {
    char text[4096];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < 100; i++)
        ck_assert(!policy_glob("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", text));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("policy");
    TCase *tcase = tcase_create("policy");
    tcase_add_test(tcase, the_default_spreads_everything_but_loopback);
    tcase_add_test(tcase, the_default_logs);
    tcase_add_test(tcase, the_first_matching_rule_wins);
    tcase_add_test(tcase, no_rule_means_no_match);
    tcase_add_test(tcase, an_ignoring_rule_is_named_but_does_not_spread);
    tcase_add_test(tcase, what_a_rule_excepts_goes_on_to_the_next);
    tcase_add_test(tcase, a_rule_may_be_for_some_programs);
    tcase_add_test(tcase, ipv4_rules_match_v4_mapped_destinations);
    tcase_add_test(tcase, all_of_ipv6_is_not_ipv4);
    tcase_add_test(tcase, all_of_ipv4_is_not_ipv6);
    tcase_add_test(tcase, a_connection_to_the_wildcard_is_left_alone);
    tcase_add_loop_test(tcase, a_plan_has_only_sources_of_the_destinations_scope, 0, COUNT(scopes));
    tcase_add_test(tcase, a_pool_of_another_family_has_sources_but_none_that_fit);
    tcase_add_test(tcase, link_local_sources_stay_on_their_interface);
    tcase_add_test(tcase, a_plan_copies_what_its_pool_and_rule_say);
    tcase_add_test(tcase, attempts_are_clamped);
    tcase_add_test(tcase, a_rule_that_points_at_no_pool_does_not_spread);
    tcase_add_test(tcase, sources_are_numbered_across_ranges);
    tcase_add_test(tcase, the_total_of_a_scribbled_pool_does_not_overflow);
    tcase_add_test(tcase, the_strongest_client_bind_of_a_programs_rules_counts);
    tcase_add_loop_test(tcase, a_glob_matches_as_in_a_shell, 0, COUNT(globs));
    tcase_add_test(tcase, many_stars_take_no_time);
    suite_add_tcase(suite, tcase);
    return run(suite);
}
