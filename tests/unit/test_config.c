/* config: from a file to a policy. What is said about a file that is wrong: test_config_mistakes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/load.h"
#include "text/parse.h"
#include "suite.h"

static struct policy policy;
static char errors[16384];

static int parse(const char *text) {
    return config_parse("f", text, strlen(text), &policy, errors, sizeof errors);
}

static void good(const char *text) {
    ck_assert_msg(parse(text) == 0, "%s", errors);
    /* That nothing is spread without a rule is a note, and a matter of test_config_mistakes.c. */
    ck_assert_msg(!*errors || (policy.n_rules == 0 && strncmp(errors, "f: no rule: ", 12) == 0), "%s", errors);
}

static void assert_source(unsigned i, const char *wanted, uint32_t count) {
    char text[ADDR_TEXT];
    ck_assert_uint_lt(i, policy.n_sources);
    format_address(text, &policy.source[i].first);
    ck_assert_str_eq(text, wanted);
    ck_assert_uint_eq(policy.source[i].count, count);
}

static void assert_ports(unsigned i, unsigned low, unsigned high) {
    ck_assert_uint_lt(i, policy.n_ports);
    ck_assert_uint_eq(policy.ports[i].low, low);
    ck_assert_uint_eq(policy.ports[i].high, high);
}

/* What is right */

START_TEST(an_empty_file_has_the_default_settings_and_no_rule) {
    good("");
    ck_assert_uint_eq(policy.mode, MODE_ENFORCE);
    ck_assert_uint_eq(policy.canary, 100);
    ck_assert_uint_eq(policy.canary_by, BY_PROCESS);
    ck_assert_uint_eq(policy.log_size, 8u << 20);
    ck_assert_uint_eq(policy.size_max, 0); /* not given */
    ck_assert_uint_eq(policy.log_closes, CLOSES_TIME_WAIT);
    ck_assert_uint_eq(policy.log_inbound, 1);
    ck_assert_uint_eq(policy.log_verify, VERIFY_AUTO);
    ck_assert_str_eq(policy.log_file, "");
    ck_assert_uint_eq(policy.n_rules, 0);
    ck_assert_uint_eq(policy.n_pools, 0);
    ck_assert_uint_eq(policy.n_targets, 0);
}
END_TEST

START_TEST(a_pool_and_a_rule_have_the_defaults_of_the_manual) {
    good("pool \"p\" {}\nrule \"r\" { to = { \"*\" } pool = \"p\" }");
    ck_assert_str_eq(policy.pool[0].title, "p");
    ck_assert_uint_eq(policy.pool[0].policy, POOL_ROUND_ROBIN);
    ck_assert_uint_eq(policy.pool[0].freebind, 0);
    ck_assert_uint_eq(policy.pool[0].reuse_after_ms, 60000);
    ck_assert_uint_eq(policy.pool[0].ports.count, 0);
    ck_assert_str_eq(policy.rule[0].title, "r");
    ck_assert_uint_eq(policy.rule[0].action, ACTION_SPREAD);
    ck_assert_uint_eq(policy.rule[0].attempts, 16);
    ck_assert_uint_eq(policy.rule[0].wait_ms, 0);
    ck_assert_uint_eq(policy.rule[0].on_exhausted, EXHAUSTED_FALLBACK);
    ck_assert_uint_eq(policy.rule[0].client_bind, CLIENT_BIND_LATE_PORT);
}
END_TEST

START_TEST(every_key_is_taken) {
    good("mode = \"observe\" canary = 25 canary-by = \"connection\" state { size-max = \"32M\" }\n"
         "log { size = \"1M\" file = \"\" closes = \"time-wait\" inbound = false verify = \"never\" }\n"
         "pool \"p\" { addresses = { \"10.0.0.1\" } ports = { \"1024-2047\" } exclude-ports = { \"1100\" }\n"
         "  policy = \"random\" freebind = true reuse-after = \"60s\" }\n"
         "rule \"r\" { to = { \"10.0.0.0/8\" } except = { \"10.1.1.1\" } program = { \"php*\" } action = \"spread\"\n"
         "  pool = \"p\" attempts = 64 wait = \"0ms\" on-exhausted = \"error\" client-bind = \"keep\" }");
    ck_assert_uint_eq(policy.mode, MODE_OBSERVE);
    ck_assert_uint_eq(policy.canary, 25);
    ck_assert_uint_eq(policy.canary_by, BY_CONNECTION);
    ck_assert_uint_eq(policy.log_size, 1u << 20);
    ck_assert_uint_eq(policy.size_max, 32u << 20);
    ck_assert_uint_eq(policy.log_inbound, 0);
    ck_assert_uint_eq(policy.log_verify, VERIFY_NEVER);
    ck_assert_uint_eq(policy.pool[0].policy, POOL_RANDOM);
    ck_assert_uint_eq(policy.pool[0].freebind, 1);
    ck_assert_uint_eq(policy.rule[0].attempts, 64);
    ck_assert_uint_eq(policy.rule[0].on_exhausted, EXHAUSTED_ERROR);
    ck_assert_uint_eq(policy.rule[0].client_bind, CLIENT_BIND_KEEP);
    ck_assert_uint_eq(policy.rule[0].programs.count, 1);
    ck_assert_str_eq(policy.program[policy.rule[0].programs.first], "php*");
    assert_source(0, "10.0.0.1", 1);
    assert_ports(0, 1024, 1099);
    assert_ports(1, 1101, 2047);
}
END_TEST

START_TEST(a_rule_may_stand_before_its_pool) {
    good("rule r { to = \"*\" pool = b } pool a {} pool b {}");
    ck_assert_uint_eq(policy.rule[0].pool, 1);
}
END_TEST

START_TEST(an_ignoring_rule_needs_no_pool) {
    good("rule r { to = \"*\" action = ignore }");
    ck_assert_uint_eq(policy.rule[0].action, ACTION_IGNORE);
}
END_TEST

START_TEST(targets_of_rules_do_not_mix) {
    good("pool p {} rule a { except = { \"10.0.0.1\" } to = { \"10.0.0.0/8\", \"11.0.0.0/8\" } pool = p }"
         "rule b { to = \"12.0.0.0/8\" pool = p }");
    ck_assert_uint_eq(policy.rule[0].to.first, 0);
    ck_assert_uint_eq(policy.rule[0].to.count, 2);
    ck_assert_uint_eq(policy.rule[0].except.first, 2);
    ck_assert_uint_eq(policy.rule[0].except.count, 1);
    ck_assert_uint_eq(policy.rule[1].to.first, 3);
    ck_assert_uint_eq(policy.n_targets, 4);
}
END_TEST

START_TEST(adjacent_and_repeated_addresses_become_one_range) {
    good("pool p { addresses = { \"10.0.0.2\", \"10.0.0.1\", \"10.0.0.3-10.0.0.9\", \"10.0.0.2\", \"10.0.0.0/29\" } }");
    ck_assert_uint_eq(policy.n_sources, 1);
    assert_source(0, "10.0.0.0", 10);
    ck_assert_uint_eq(policy.pool[0].total[SCOPE_V4], 10);
}
END_TEST

START_TEST(addresses_apart_keep_the_order_of_the_file) {
    good("pool p { addresses = { \"10.0.0.9\", \"10.0.0.1\", \"10.0.0.5\", \"10.0.0.2\" } }");
    ck_assert_uint_eq(policy.n_sources, 3);
    assert_source(0, "10.0.0.9", 1);
    assert_source(1, "10.0.0.1", 2);
    assert_source(2, "10.0.0.5", 1);
}
END_TEST

START_TEST(a_range_that_closes_a_gap_joins_both_sides) {
    good("pool p { addresses = { \"10.0.0.1\", \"10.0.9.9\", \"10.0.0.3\", \"10.0.0.2\" } }");
    ck_assert_uint_eq(policy.n_sources, 2);
    assert_source(0, "10.0.0.1", 3);
    assert_source(1, "10.0.9.9", 1);
}
END_TEST

START_TEST(each_scope_is_one_span) {
    good("pool p { addresses = { \"10.0.0.1\", \"fd00::1\", \"127.0.0.2\", \"10.0.0.9\", \"fd00::9\", \"::1\" } }"
         "pool q { addresses = { \"10.9.0.1\" } }");
    const struct policy_pool *p = &policy.pool[0];
    ck_assert_uint_eq(p->sources[SCOPE_V4].count, 2);
    assert_source(p->sources[SCOPE_V4].first, "10.0.0.1", 1);
    assert_source(p->sources[SCOPE_V4].first + 1u, "10.0.0.9", 1);
    ck_assert_uint_eq(p->sources[SCOPE_V6].count, 2);
    ck_assert_uint_eq(p->sources[SCOPE_V4_LOOPBACK].count, 1);
    ck_assert_uint_eq(p->sources[SCOPE_V6_LOOPBACK].count, 1);
    ck_assert_uint_eq(p->sources[SCOPE_V6_LINK].count, 0);
    assert_source(policy.pool[1].sources[SCOPE_V4].first, "10.9.0.1", 1);
}
END_TEST

START_TEST(the_total_of_a_scope_stays_below_2_32) {
    good("pool p { addresses = { \"fd00::/64\", \"fd01::/64\" } }");
    ck_assert_uint_eq(policy.pool[0].total[SCOPE_V6], UINT32_MAX);
}
END_TEST

START_TEST(the_loopback_interface_stands_for_its_addresses) {
    good("pool p { addresses = { lo } }");
    ck_assert_uint_ge(policy.pool[0].total[SCOPE_V4_LOOPBACK], 1);
    assert_source(policy.pool[0].sources[SCOPE_V4_LOOPBACK].first, "127.0.0.1", 1);
}
END_TEST

START_TEST(ports_are_sorted_and_joined) {
    good("pool p { ports = { \"5000-6000\", \"80\", \"81\", \"5500-7000\", \"7001\" } }");
    ck_assert_uint_eq(policy.pool[0].ports.count, 2);
    assert_ports(0, 80, 81);
    assert_ports(1, 5000, 7001);
}
END_TEST

START_TEST(exclusions_split_ranges_wherever_they_stand) {
    good("pool p { exclude-ports = { \"1024\", \"2000-2999\", \"65535\", \"10\" } ports = { \"1024-65535\" } }");
    ck_assert_uint_eq(policy.pool[0].ports.count, 2);
    assert_ports(0, 1025, 1999);
    assert_ports(1, 3000, 65534);
}
END_TEST

START_TEST(exclusions_alone_start_from_the_hosts_range) {
    unsigned low, high;
    FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%u %u", &low, &high), 2);
    fclose(file);
    char text[64];
    snprintf(text, sizeof text, "pool p { exclude-ports = { %u } }", low);
    good(text);
    ck_assert_uint_eq(policy.pool[0].ports.count, 1);
    assert_ports(0, low + 1, high);
}
END_TEST

START_TEST(comments_stand_anywhere_and_do_not_move_lines) {
    ck_assert_int_eq(
        parse("/* one */ # two\n// three \"\n/* four\n five ${X} */ log { // six\n size = /* x */ \"1M\" }\n"
              "pool p { addresses = { # in a list\n \"10.0.0.1\", // \"10.0.0.2\",\n /* */ \"10.0.0.3\" } }\n"
              "mode = bad\n"),
        1);
    ck_assert_msg(strncmp(errors, "f:9: mode: ", 11) == 0, "%s", errors);
    ck_assert_uint_eq(policy.log_size, 1u << 20);
    ck_assert_uint_eq(policy.n_sources, 2);
}
END_TEST

START_TEST(windows_line_ends_are_taken) {
    good("mode = off\r\nlog {\r\n size = 1M\r\n}\r\n");
    ck_assert_uint_eq(policy.mode, MODE_OFF);
}
END_TEST

START_TEST(lists_can_be_appended_to) {
    good("pool p { addresses = { \"10.0.0.1\" } addresses += { \"10.0.0.9\" } }");
    ck_assert_uint_eq(policy.n_sources, 2);
}
END_TEST

START_TEST(a_parse_leaves_nothing_behind_for_the_next) {
    ck_assert_int_ge(parse("mode = \"of"), 1);
    ck_assert_int_ge(parse("rule \"x\" { to = {"), 1);
    ck_assert_int_ge(parse("/* "), 1);
    ck_assert_int_ge(parse("nonsense = 1"), 1);
    good("mode = off");
}
END_TEST

/* The shipped file: tests are run from the top of the tree. */
static char *shipped_text(void) {
    char *text = calloc(1, 65536);
    FILE *file = fopen("conf/connspread.conf", "r");
    ck_assert_ptr_nonnull(text);
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_gt(fread(text, 1, 65535, file), 0);
    fclose(file);
    return text;
}

START_TEST(the_shipped_file_loads_and_does_what_the_default_does) {
    struct policy without;
    policy_default(&without);
    ck_assert_msg(config_load("conf/connspread.conf", &policy, errors, sizeof errors) == 0, "%s", errors);
    ck_assert_uint_eq(policy.mode, without.mode);
    ck_assert_uint_eq(policy.log_size, without.log_size);
    ck_assert_uint_eq(policy.n_rules, without.n_rules);
    ck_assert_uint_eq(policy.n_pools, without.n_pools);
    ck_assert_uint_eq(policy.n_sources, without.n_sources);
    ck_assert_uint_eq(policy.n_ports, without.n_ports);
    ck_assert_mem_eq(policy.target, without.target, sizeof without.target);
}
END_TEST

/* Takes the comment sign away from every line that is a setting. */
START_TEST(every_setting_that_the_shipped_file_shows_is_valid) {
    static const char *const begins[] = {"pool \"", "rule \"", "}"};
    char *text = shipped_text(), *eth1 = strstr(text, "\"eth1\"");
    int settings = 0;
    ck_assert_ptr_nonnull(eth1);
    memcpy(eth1, "\"lo\"  ", 6);
    for (char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        char *hash = line + strspn(line, " "), *word = hash + 1 + strspn(hash + (*hash == '#'), " ");
        if (*hash != '#')
            continue;
        const char *behind = word + strspn(word, "abcdefghijklmnopqrstuvwxyz-");
        bool setting = behind > word && strncmp(behind + strspn(behind, " "), "= ", 2) == 0;
        for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
            setting |= strncmp(word, begins[i], strlen(begins[i])) == 0;
        if (setting)
            *hash = ' ';
        settings += setting;
    }
    ck_assert_msg(parse(text) == 0, "%s", errors);
    ck_assert_int_gt(settings, 25);
    ck_assert_uint_eq(policy.n_rules, 3);
    free(text);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("config");
    TCase *tcase = tcase_create("config");
    tcase_add_test(tcase, an_empty_file_has_the_default_settings_and_no_rule);
    tcase_add_test(tcase, a_pool_and_a_rule_have_the_defaults_of_the_manual);
    tcase_add_test(tcase, every_key_is_taken);
    tcase_add_test(tcase, a_rule_may_stand_before_its_pool);
    tcase_add_test(tcase, an_ignoring_rule_needs_no_pool);
    tcase_add_test(tcase, targets_of_rules_do_not_mix);
    tcase_add_test(tcase, adjacent_and_repeated_addresses_become_one_range);
    tcase_add_test(tcase, addresses_apart_keep_the_order_of_the_file);
    tcase_add_test(tcase, a_range_that_closes_a_gap_joins_both_sides);
    tcase_add_test(tcase, each_scope_is_one_span);
    tcase_add_test(tcase, the_total_of_a_scope_stays_below_2_32);
    tcase_add_test(tcase, the_loopback_interface_stands_for_its_addresses);
    tcase_add_test(tcase, ports_are_sorted_and_joined);
    tcase_add_test(tcase, exclusions_split_ranges_wherever_they_stand);
    tcase_add_test(tcase, exclusions_alone_start_from_the_hosts_range);
    tcase_add_test(tcase, comments_stand_anywhere_and_do_not_move_lines);
    tcase_add_test(tcase, windows_line_ends_are_taken);
    tcase_add_test(tcase, lists_can_be_appended_to);
    tcase_add_test(tcase, a_parse_leaves_nothing_behind_for_the_next);
    tcase_add_test(tcase, the_shipped_file_loads_and_does_what_the_default_does);
    tcase_add_test(tcase, every_setting_that_the_shipped_file_shows_is_valid);
    suite_add_tcase(suite, tcase);
    return run(suite);
}
