/* What `connspread check` calculates. */
#include <string.h>

#include "tool/host/capacity.h"
#include "text/parse.h"
#include "suite.h"

static struct host_ports host;
static struct policy policy;

static void set_up(void) {
    ck_assert(host_ports_parse(&host, "32768\t60999\n", "\n"));
    memset(&policy, 0, sizeof policy);
}

static struct policy_pool *add_pool(void) {
    struct policy_pool *pool = &policy.pool[policy.n_pools++];
    strcpy(pool->title, "pool");
    return pool;
}

static void add_source(struct policy_pool *pool, const char *text) {
    struct policy_source source;
    ck_assert_ptr_null(parse_source(text, &source));
    struct policy_span *span = &pool->sources[addr_scope(&source.first)];
    if (span->count == 0)
        span->first = policy.n_sources;
    span->count++;
    policy.source[policy.n_sources++] = source;
}

static void add_port_range(struct policy_pool *pool, uint16_t low, uint16_t high) {
    if (pool->ports.count == 0)
        pool->ports.first = policy.n_ports;
    pool->ports.count++;
    policy.ports[policy.n_ports++] = (struct port_range){low, high};
}

static void add_target(struct policy_span *span, const char *text) {
    struct policy_target target;
    ck_assert_ptr_null(parse_target(text, &target));
    if (span->count == 0)
        span->first = policy.n_targets;
    span->count++;
    policy.target[policy.n_targets++] = target;
}

static struct policy_rule *add_rule(const char *to) {
    struct policy_rule *rule = &policy.rule[policy.n_rules++];
    *rule = (struct policy_rule){.action = ACTION_SPREAD, .attempts = 16};
    add_target(&rule->to, to);
    return rule;
}

static struct capacity capacity(const struct policy_pool *pool, enum addr_scope scope) {
    return capacity_of(&policy, pool, scope, &host, 57344);
}

START_TEST(the_default_range_is_28232_ports_and_470_connections_a_second) {
    struct capacity c = capacity(add_pool(), SCOPE_V4);
    ck_assert(c.own_choice);
    ck_assert_uint_eq(c.sources, 1);
    ck_assert_uint_eq(c.ports, 28232);
    ck_assert_uint_eq(c.quadruplets, 28232);
    ck_assert(c.per_second > 470.5 && c.per_second < 470.6);
    ck_assert(c.ring_seconds > 121 && c.ring_seconds < 122);
}
END_TEST

START_TEST(sources_multiply_it) {
    struct policy_pool *pool = add_pool();
    add_source(pool, "10.0.0.11-10.0.0.14");
    add_source(pool, "10.0.1.0/29");
    ck_assert_uint_eq(capacity(pool, SCOPE_V4).sources, 12);
    ck_assert_uint_eq(capacity(pool, SCOPE_V4).quadruplets, 12 * 28232);
}
END_TEST

START_TEST(only_sources_of_the_destinations_scope_count) {
    struct policy_pool *pool = add_pool();
    add_source(pool, "10.0.0.11");
    add_source(pool, "fd00::1-fd00::3");
    ck_assert_uint_eq(capacity(pool, SCOPE_V6).sources, 3);
    ck_assert_uint_eq(capacity(pool, SCOPE_V4_LOOPBACK).sources, 0);
    ck_assert_uint_eq(capacity(pool, SCOPE_V4_LOOPBACK).quadruplets, 0);
    ck_assert(capacity(pool, SCOPE_V4_LOOPBACK).ring_seconds == 0);
}
END_TEST

START_TEST(a_prefix_of_a_whole_family_does_not_overflow) {
    struct policy_pool *pool = add_pool();
    add_source(pool, "1.0.0.0/8");
    ck_assert_uint_eq(capacity(pool, SCOPE_V4).quadruplets, UINT64_C(28232) << 24);
}
END_TEST

START_TEST(ports_outside_the_range_are_used_where_there_is_an_address_to_bind) {
    struct policy_pool *pool = add_pool();
    ck_assert(host_ports_parse(&host, "32768 60999", "8080"));
    add_port_range(pool, 8000, 8099);
    ck_assert_uint_eq(pool_ports(&policy, pool, &host).usable, 0);
    add_source(pool, "10.0.0.1");
    ck_assert_uint_eq(pool_ports(&policy, pool, &host).usable, 100);
    ck_assert_uint_eq(pool_ports(&policy, pool, &host).reserved, 0);
}
END_TEST

START_TEST(reserved_ports_and_ports_outside_the_range_are_not_used) {
    struct policy_pool *pool = add_pool();
    ck_assert(host_ports_parse(&host, "32768 60999", "8080,40000-40009,50000"));
    ck_assert_uint_eq(pool_ports(&policy, pool, &host).usable, 28232 - 11);
    ck_assert_uint_eq(pool_ports(&policy, pool, &host).reserved, 11); /* 8080 is outside of the range */
    add_port_range(pool, 1024, 32777);
    add_port_range(pool, 40000, 40019);
    struct port_count count = pool_ports(&policy, pool, &host);
    ck_assert_uint_eq(count.configured, 32777 - 1024 + 1 + 20);
    ck_assert_uint_eq(count.outside, 32768 - 1024);
    ck_assert_uint_eq(count.reserved, 10);
    ck_assert_uint_eq(count.usable, 10 + 10);
}
END_TEST

START_TEST(the_kernels_files_are_parsed_or_refused) {
    struct host_ports h;
    ck_assert(host_ports_parse(&h, "1024\t65535\n", "8080,9148-9150\n"));
    ck_assert_uint_eq(h.ephemeral.low, 1024);
    ck_assert_uint_eq(h.ephemeral.high, 65535);
    for (unsigned port = 0; port < PORTS; port++)
        ck_assert_int_eq(port_in(&h.reserved, port), port == 8080 || (port >= 9148 && port <= 9150));
    ck_assert(!port_in(&h.reserved, PORTS + 8080));
    ck_assert(!host_ports_parse(&h, "1024", ""));
    ck_assert(!host_ports_parse(&h, "65535 1024", ""));
    ck_assert(!host_ports_parse(&h, "1024 65536", ""));
    ck_assert(!host_ports_parse(&h, "1024 2048", "8080,x"));
    ck_assert(!host_ports_parse(&h, "1024 2048", "10-"));
    ck_assert(!host_ports_parse(&h, "1024 2048", "10-5"));
}
END_TEST

START_TEST(a_rule_reaches_the_scopes_of_its_targets) {
    struct policy_rule *any = add_rule("*"), *ten = add_rule("10.0.0.0/8:80"), *loopback = add_rule("127.0.0.1");
    struct policy_rule *four = add_rule("0.0.0.0/0"), *six = add_rule("[::/0]:443"), *link = add_rule("fe80::/16");
    for (int scope = 0; scope < SCOPE_COUNT; scope++) {
        enum addr_scope s = (enum addr_scope)scope;
        bool v4 = s == SCOPE_V4 || s == SCOPE_V4_LOOPBACK;
        ck_assert(rule_reaches(&policy, any, s));
        ck_assert_int_eq(rule_reaches(&policy, ten, s), s == SCOPE_V4);
        ck_assert_int_eq(rule_reaches(&policy, loopback, s), s == SCOPE_V4_LOOPBACK);
        ck_assert_int_eq(rule_reaches(&policy, four, s), v4);
        ck_assert_int_eq(rule_reaches(&policy, six, s), !v4);
        ck_assert_int_eq(rule_reaches(&policy, link, s), s == SCOPE_V6_LINK);
    }
}
END_TEST

START_TEST(an_exception_takes_a_scope_out_only_as_a_whole) {
    struct policy_rule *rule = add_rule("*");
    add_target(&rule->except, "127.0.0.0/8");
    add_target(&rule->except, "10.0.0.0/8");
    add_target(&rule->except, "[::1]:80");
    ck_assert(!rule_reaches(&policy, rule, SCOPE_V4_LOOPBACK));
    ck_assert(rule_reaches(&policy, rule, SCOPE_V4));
    ck_assert(rule_reaches(&policy, rule, SCOPE_V6_LOOPBACK));
}
END_TEST

START_TEST(one_destination_is_one_address_and_one_port) {
    ck_assert(rule_has_one_destination(&policy, add_rule("10.0.0.1:80")));
    ck_assert(rule_has_one_destination(&policy, add_rule("[fd00::1]:80")));
    ck_assert(!rule_has_one_destination(&policy, add_rule("10.0.0.1")));
    ck_assert(!rule_has_one_destination(&policy, add_rule("10.0.0.0/24:80")));
    ck_assert(!rule_has_one_destination(&policy, add_rule("*:80")));
}
END_TEST

START_TEST(a_rule_is_shadowed_by_an_earlier_wider_one) {
    struct policy_rule *any = add_rule("*"), *ten = add_rule("10.0.0.0/8"), *narrow = add_rule("10.1.0.0/16:80-90");
    struct policy_rule *web = add_rule("*:80"), *six = add_rule("::/0");
    ck_assert(rule_shadows(&policy, any, ten));
    ck_assert(rule_shadows(&policy, any, web));
    ck_assert(rule_shadows(&policy, ten, narrow));
    ck_assert(!rule_shadows(&policy, narrow, ten));
    ck_assert(!rule_shadows(&policy, web, narrow));
    ck_assert(!rule_shadows(&policy, six, ten));
    ck_assert(!rule_shadows(&policy, six, any));
}
END_TEST

START_TEST(a_rule_with_exceptions_or_for_some_programs_shadows_nothing) {
    struct policy_rule *excepting = add_rule("*"), *some = add_rule("*"), *later = add_rule("10.0.0.0/8");
    add_target(&excepting->except, "192.168.0.0/16");
    ck_assert(!rule_shadows(&policy, excepting, later));
    strcpy(policy.program[0], "curl");
    policy.n_programs = 1;
    some->programs = (struct policy_span){0, 1};
    ck_assert(!rule_shadows(&policy, some, later));
    later->programs = some->programs;
    ck_assert(rule_shadows(&policy, some, later));
}
END_TEST

START_TEST(spans_beyond_the_arrays_are_clamped) {
    struct policy_pool *pool = add_pool();
    struct policy_rule *rule = add_rule("10.0.0.1:80");
    pool->sources[SCOPE_V4] = (struct policy_span){UINT16_MAX, UINT16_MAX};
    pool->ports = (struct policy_span){POLICY_PORTS - 1, UINT16_MAX};
    policy.n_ports = UINT16_MAX;
    rule->to = (struct policy_span){0, UINT16_MAX};
    ck_assert_uint_eq(capacity(pool, SCOPE_V4).sources, 0);
    ck_assert(rule_reaches(&policy, rule, SCOPE_V4));
    ck_assert(rule_shadows(&policy, rule, rule));
}
END_TEST

int main(void) {
    Suite *s = suite_create("capacity");
    TCase *t = tcase_create("capacity");
    tcase_add_checked_fixture(t, set_up, NULL);
    tcase_add_test(t, the_default_range_is_28232_ports_and_470_connections_a_second);
    tcase_add_test(t, sources_multiply_it);
    tcase_add_test(t, only_sources_of_the_destinations_scope_count);
    tcase_add_test(t, a_prefix_of_a_whole_family_does_not_overflow);
    tcase_add_test(t, ports_outside_the_range_are_used_where_there_is_an_address_to_bind);
    tcase_add_test(t, reserved_ports_and_ports_outside_the_range_are_not_used);
    tcase_add_test(t, the_kernels_files_are_parsed_or_refused);
    tcase_add_test(t, a_rule_reaches_the_scopes_of_its_targets);
    tcase_add_test(t, an_exception_takes_a_scope_out_only_as_a_whole);
    tcase_add_test(t, one_destination_is_one_address_and_one_port);
    tcase_add_test(t, a_rule_is_shadowed_by_an_earlier_wider_one);
    tcase_add_test(t, a_rule_with_exceptions_or_for_some_programs_shadows_nothing);
    tcase_add_test(t, spans_beyond_the_arrays_are_clamped);
    suite_add_tcase(s, t);
    return run(s);
}
