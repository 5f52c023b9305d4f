/* config: from a file to a policy, and what is said about a file that is wrong. */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/load.h"
#include "net/parse.h"
#include "suite.h"

#define COUNT(array) (int)(sizeof(array) / sizeof *(array))

static struct policy policy;
static char errors[16384], path[] = "/tmp/connspread-test-XXXXXX";

static int parse(const char *text) {
    return config_parse("f", text, strlen(text), &policy, errors, sizeof errors);
}

static void good(const char *text) {
    ck_assert_msg(parse(text) == 0, "%s", errors);
    ck_assert_str_eq(errors, "");
}

static void setup(void) {
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void teardown(void) {
    unlink(path);
    rmdir(path);
}

static void write_file(const void *text, size_t length) {
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(text, 1, length, file), length);
    ck_assert_int_eq(fclose(file), 0);
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
    ck_assert_uint_eq(policy.rule[0].app_bound, APP_BOUND_LATE_PORT);
}
END_TEST

START_TEST(every_key_is_taken) {
    good("mode = \"off\" canary = 100 canary-by = \"process\"\n"
         "log { size = \"1M\" file = \"\" closes = \"time-wait\" inbound = false verify = \"never\" }\n"
         "pool \"p\" { addresses = { \"10.0.0.1\" } ports = { \"1024-2047\" } exclude-ports = { \"1100\" }\n"
         "  policy = \"random\" freebind = true reuse-after = \"60s\" }\n"
         "rule \"r\" { to = { \"10.0.0.0/8\" } except = { \"10.1.1.1\" } program = { \"php*\" } action = \"spread\"\n"
         "  pool = \"p\" attempts = 64 wait = \"0ms\" on-exhausted = \"error\" app-bound = \"keep\" }");
    ck_assert_uint_eq(policy.mode, MODE_OFF);
    ck_assert_uint_eq(policy.log_size, 1u << 20);
    ck_assert_uint_eq(policy.log_inbound, 0);
    ck_assert_uint_eq(policy.log_verify, VERIFY_NEVER);
    ck_assert_uint_eq(policy.pool[0].policy, POOL_RANDOM);
    ck_assert_uint_eq(policy.pool[0].freebind, 1);
    ck_assert_uint_eq(policy.rule[0].attempts, 64);
    ck_assert_uint_eq(policy.rule[0].on_exhausted, EXHAUSTED_ERROR);
    ck_assert_uint_eq(policy.rule[0].app_bound, APP_BOUND_KEEP);
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

/* What is wrong: each text has exactly one mistake, and the message begins like this. */

static const struct {
    const char *text, *message;
} mistakes[] = {
    {"mode = fast", "f:1: mode: \"fast\" "},
    {"\n\nmode = \"\"", "f:3: mode: \"\" "},
    {"canary = 101", "f:1: canary: \"101\" "},
    {"canary = -1", "f:1: canary: \"-1\" "},
    {"canary = 50%", "f:1: canary: \"50%\" "},
    {"canary = 0x10", "f:1: canary: \"0x10\" "},
    {"canary = 99999999999999999999", "f:1: canary: "},
    {"canary-by = host", "f:1: canary-by: \"host\" "},
    {"log { size = 8X }", "f:1: size: \"8X\" "},
    {"log { size = 1k }", "f:1: size: \"1k\" "},
    {"log { size = 2G }", "f:1: size: \"2G\" "},
    {"log { file = log }", "f:1: file: \"log\" "},
    {"log { closes = some }", "f:1: closes: "},
    {"log { inbound = 1 }", "f:1: inbound: "},
    {"log { verify = once }", "f:1: verify: "},
    {"log { } log { }", "f:1: log: is given twice"},
    {"pool p { addresses = \"10.0.0.256\" }", "f:1: addresses: \"10.0.0.256\" "},
    {"pool p { addresses = nosuchinterface }", "f:1: addresses: \"nosuchinterface\" is no address and no interface"},
    {"pool p { addresses = \"\" }", "f:1: addresses: \"\" "},
    {"pool p { addresses = \"fe80::dead:1\" }", "f:1: addresses: \"fe80::dead:1\" is link-local"},
    {"pool p { addresses = { } }", "f:1: addresses: {} is empty"},
    {"pool p { ports = \"0\" }", "f:1: ports: \"0\" "},
    {"pool p { ports = { \"9-8\" } }", "f:1: ports: \"9-8\" "},
    {"pool p { exclude-ports = http }", "f:1: exclude-ports: \"http\" "},
    {"pool p { ports = \"80\"\n exclude-ports = \"1-100\" }", "f:2: exclude-ports: none of the pool's ports is left"},
    {"pool p { policy = fair }", "f:1: policy: "},
    {"pool p { freebind = maybe }", "f:1: freebind: "},
    {"pool p { reuse-after = 61s }", "f:1: reuse-after: \"61s\" "},
    {"pool p { reuse-after = 999ms }", "f:1: reuse-after: \"999ms\" "},
    {"pool p { reuse-after = 60 }", "f:1: reuse-after: \"60\" "},
    {"\npool\n\"\" { }", "f:2: pool: \"\" is empty"},
    {"pool \"12345678901234567890123456789012\" { }", "f:1: pool: \"12345678901234567890123456789012\" is too long"},
    {"pool \"a\001b\" { }", "f:1: byte 0x01"},
    {"pool p { }\npool p { }", "f:2: \"p\": is a title used before"},
    {"pool { }", "f:1: syntax: missing title"},
    {"rule r { action = ignore }", "f:1: to: is missing in rule \"r\""},
    {"\nrule r {\n action = ignore\n}", "f:2: to: is missing"},
    {"rule r { to = { } action = ignore }", "f:1: to: {} is empty"},
    {"rule r { to = host action = ignore }", "f:1: to: \"host\" "},
    {"rule r { to = \"10.0.0.0/33\" action = ignore }", "f:1: to: \"10.0.0.0/33\" "},
    {"rule r { to = \"*:0\" action = ignore }", "f:1: to: \"*:0\" "},
    {"rule r { to = \"*\" except = x action = ignore }", "f:1: except: \"x\" "},
    {"rule r { to = \"*\" program = \"/usr/bin/php\" action = ignore }", "f:1: program: "},
    {"rule r { to = \"*\" program = \"\" action = ignore }", "f:1: program: \"\" is empty"},
    {"rule r { to = \"*\" program = \"12345678901234567890123456789012\" action = ignore }", "f:1: program: "},
    {"rule r { to = \"*\" action = maybe pool = p } pool p { }", "f:1: action: \"maybe\" "},
    {"rule r { to = \"*\" }", "f:1: pool: is missing in rule \"r\""},
    {"rule r { to = \"*\"\n pool = p }", "f:2: pool: \"p\" is no pool of this file"},
    {"rule r { to = \"*\" action = ignore attempts = 0 }", "f:1: attempts: \"0\" "},
    {"rule r { to = \"*\" action = ignore attempts = 65 }", "f:1: attempts: \"65\" "},
    {"rule r { to = \"*\" action = ignore wait = 61s }", "f:1: wait: \"61s\" "},
    {"rule r { to = \"*\" action = ignore wait = soon }", "f:1: wait: \"soon\" "},
    {"rule r { to = \"*\" action = ignore on-exhausted = die }", "f:1: on-exhausted: "},
    {"rule r { to = \"*\" action = ignore app-bound = drop }", "f:1: app-bound: "},
    /* keys */
    {"moed = off", "f:1: moed: is not known here: did you mean mode?"},
    {"log { inbuond = true }", "f:1: inbuond: is not known in log: did you mean inbound?"},
    {"size = 8M", "f:1: size: is not known here: it stands in log"},
    {"log { mode = off }", "f:1: mode: is not known in log: it stands outside of sections"},
    {"pools \"p\" { ports = 1 }", "f:1: pools: is not known here: did you mean pool?"},
    {"include(\"/etc/passwd\")", "f:1: include: is not known here"},
    {"mode = off\nmode = off", "f:2: mode: is given twice: line 1 "},
    {"pool p { ports = 1 ports = 2 }", "f:1: ports: is given twice: line 1 "},
    {"\"mode\" = off", "f:1: \"mode\": is a key in quotes"},
    {"log|size = 8M", "f:1: |: stands outside quotes"},
    {"mode += off", "f:1: syntax: attempt to append"},
    /* syntax */
    {"mode", "f:1: syntax: "},
    {"mode off", "f:1: syntax: "},
    {"mode = { off }", "f:1: syntax: "},
    {"\n}", "f:2: syntax: "},
    {"log {\n size = 8M\n", "f:1: {: what begins here has no end"},
    {"log {\n mode = \"off", "f:2: \": the string has no end on its line"},
    {"log {\n mode = 'off\n'", "f:2: ': the string has no end on its line"},
    {"mode = off /* x\n\n", "f:1: /*: the comment has no end"},
    {"rule r { to = * action = ignore }", "f:1: *: stands outside quotes"},
    {"rule r { to = *:80 action = ignore }", "f:1: *: stands outside quotes"},
    {"mode = \"\\x6fff\"", "f:1: \\x: is not known in double quotes"},
    {"mode = \"off\\0\"", "f:1: \\0: is not known in double quotes"},
    {"mode = \f", "f:1: ?: stands outside quotes"},
    /* the environment */
    {"mode = \"${HOME}\"", "f:1: ${...}: is not expanded"},
    {"mode = ${HOME}", "f:1: ${...}: is not expanded"},
    {"mode = \"x${HOME\nmode = \"off\"", "f:1: "},
    {"mode = '${HOME}'", "f:1: mode: \"${HOME}\" "},
    {"mode = \"\\${HOME}\"", "f:1: mode: \"${HOME}\" "},
    /* not yet */
    {"mode = observe", "f:1: mode: \"observe\" is not available yet: "},
    {"canary = 99", "f:1: canary: \"99\" is not available yet: "},
    {"canary-by = connection", "f:1: canary-by: \"connection\" is not available yet: "},
    {"log { file = /var/log/x }", "f:1: file: \"/var/log/x\" is not available yet: "},
    {"log { closes = all }", "f:1: closes: \"all\" is not available yet: "},
    {"log { verify = always }", "f:1: verify: \"always\" is not available yet: "},
    {"pool p { policy = least-used }", "f:1: policy: \"least-used\" is not available yet: "},
    {"pool p { reuse-after = 30s }", "f:1: reuse-after: \"30s\" is not available yet: "},
    {"rule r { to = \"*\" action = ignore wait = 1s }", "f:1: wait: \"1s\" is not available yet: "},
};

START_TEST(a_mistake_is_named_with_line_key_and_value) {
    int count = parse(mistakes[_i].text);
    ck_assert_msg(strncmp(errors, mistakes[_i].message, strlen(mistakes[_i].message)) == 0, "%s\n%s", mistakes[_i].text,
                  errors);
    ck_assert_msg(count == 1 || strstr(mistakes[_i].text, "${HOME\n"), "%s\n%s", mistakes[_i].text, errors);
    ck_assert_int_eq(errors[strlen(errors) - 1], '\n');
}
END_TEST

START_TEST(ten_mistakes_give_ten_lines_in_order) {
    ck_assert_int_eq(parse("mode = 1\n"
                           "canary = x\n"
                           "log {\n"
                           "  size = many\n"
                           "  unknown = 1\n"
                           "}\n"
                           "rule r {\n"
                           "  to = { \"host\" }\n"
                           "  pool = q\n"
                           "  attempts = 100\n"
                           "}\n"
                           "pool p {\n"
                           "  addresses = { \"10.0.0.1.1\" }\n"
                           "  ports = { \"70000\" }\n"
                           "  freebind = 7\n"
                           "}\n"),
                     10);
    static const int lines[] = {1, 2, 4, 5, 8, 9, 10, 13, 14, 15};
    const char *line = errors;
    for (int i = 0; i < COUNT(lines); i++) {
        char begin[8];
        snprintf(begin, sizeof begin, "f:%d: ", lines[i]);
        ck_assert_msg(strncmp(line, begin, strlen(begin)) == 0, "%s", errors);
        line = strchr(line, '\n') + 1;
    }
    ck_assert_str_eq(line, "");
}
END_TEST

START_TEST(unknown_keys_do_not_hide_each_other) {
    ck_assert_int_eq(
        parse("a1 = 1\nb2 = { 1, 2 }\nlog { c3 = x }\nrule r { d4 = 1 to = \"*\" action = ignore }\na1 = 3\n"), 5);
}
END_TEST

START_TEST(very_many_unknown_keys_come_to_an_end) {
    static char text[20000];
    size_t used = 0;
    for (int i = 0; i < 1000; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "key%d = 1\n", i);
    ck_assert_int_ge(parse(text), 25);
}
END_TEST

START_TEST(capacities_are_enforced) {
    static char text[40000];
    size_t used = 0;
    for (int i = 0; i <= POLICY_POOLS; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "pool p%d { }\n", i);
    ck_assert_int_eq(parse(text), 1);
    ck_assert_ptr_nonnull(strstr(errors, "f:33: pool: \"p32\" is one too many: at most 32"));
    used = 0;
    for (int i = 0; i <= POLICY_RULES; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "rule r%d { to = \"*\" action = ignore }\n", i);
    ck_assert_int_eq(parse(text), 1);
    ck_assert_ptr_nonnull(strstr(errors, "f:65: rule: "));
    used = (size_t)snprintf(text, sizeof text, "pool p { addresses = { \"10.1.0.0\"");
    for (int i = 1; i <= POOL_SOURCES; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, ", \"10.1.0.%d\"", 2 * i);
    snprintf(text + used, sizeof text - used, "} }");
    ck_assert_int_eq(parse(text), 1);
    ck_assert_ptr_nonnull(strstr(errors, "addresses: \"10.1.0.64\" is one range too many"));
    used = (size_t)snprintf(text, sizeof text, "pool p { ports = { 1");
    for (int i = 1; i <= POOL_PORTS; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, ", %d", 1 + 2 * i);
    snprintf(text + used, sizeof text - used, "} }");
    ck_assert_int_eq(parse(text), 1);
    ck_assert_ptr_nonnull(strstr(errors, "ports: are 33 ranges"));
    used = (size_t)snprintf(text, sizeof text, "rule r { action = ignore to = { \"10.0.0.0\"");
    for (int i = 0; i < POLICY_TARGETS; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, ", \"10.0.0.1\"");
    snprintf(text + used, sizeof text - used, "} }");
    ck_assert_int_eq(parse(text), 1);
    ck_assert_ptr_nonnull(strstr(errors, "one destination too many"));
    used = (size_t)snprintf(text, sizeof text, "rule r { action = ignore to = \"*\" program = { a");
    for (int i = 0; i < POLICY_PROGRAMS; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, ", b");
    snprintf(text + used, sizeof text - used, "} }");
    ck_assert_int_eq(parse(text), 1);
    ck_assert_ptr_nonnull(strstr(errors, "one program too many"));
}
END_TEST

START_TEST(messages_are_cut_at_whole_lines) {
    static const char text[] = "mode = 1\ncanary = x\n";
    char all[512], small[512];
    ck_assert_int_eq(config_parse("f", text, strlen(text), &policy, all, sizeof all), 2);
    size_t first = (size_t)(strchr(all, '\n') - all) + 1;
    for (size_t size = 0; size < strlen(all) + 2; size++) {
        memset(small, 'x', sizeof small);
        ck_assert_int_eq(config_parse("f", text, strlen(text), &policy, small, size), 2);
        ck_assert_int_eq(small[size], 'x');
        if (size > strlen(all))
            ck_assert_str_eq(small, all);
        else if (size > first)
            ck_assert_msg(strlen(small) == first && strncmp(small, all, first) == 0, "%s", small);
    }
}
END_TEST

/* Files */

START_TEST(the_origin_is_that_of_the_file) {
    struct policy_origin origin;
    struct stat s;
    write_file("mode = off\n", 11);
    ck_assert_int_eq(config_load(path, &policy, errors, sizeof errors), 0);
    ck_assert_int_eq(stat(path, &s), 0);
    ck_assert_uint_eq(policy.origin.inode, s.st_ino);
    ck_assert_uint_eq(policy.origin.device, s.st_dev);
    ck_assert_uint_eq(policy.origin.size, 11);
    ck_assert(config_origin(path, &origin));
    ck_assert_mem_eq(&origin, &policy.origin, sizeof origin);
    ck_assert_str_eq(policy.path, path);
}
END_TEST

START_TEST(the_origin_of_a_missing_file_is_an_error) {
    struct policy_origin origin;
    ck_assert(!config_origin("/nonexistent/file", &origin));
    ck_assert_int_eq(errno, ENOENT);
}
END_TEST

START_TEST(a_missing_file_is_named) {
    ck_assert_int_eq(config_load("/nonexistent/file", &policy, errors, sizeof errors), 1);
    ck_assert_ptr_nonnull(strstr(errors, "/nonexistent/file: No such file or directory: "));
}
END_TEST

START_TEST(a_directory_is_refused) {
    ck_assert_int_eq(config_load("/", &policy, errors, sizeof errors), 1);
    ck_assert_ptr_nonnull(strstr(errors, "/: is a directory: "));
}
END_TEST

START_TEST(a_fifo_and_a_device_are_refused_without_waiting) {
    unlink(path);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_eq(config_load(path, &policy, errors, sizeof errors), 1);
    ck_assert_ptr_nonnull(strstr(errors, "is not a regular file"));
    ck_assert_int_eq(config_load("/dev/zero", &policy, errors, sizeof errors), 1);
}
END_TEST

START_TEST(an_unreadable_file_is_refused) {
    write_file("", 0);
    chmod(path, 0);
    if (geteuid() == 0 && seteuid(65534) != 0)
        return;
    ck_assert_int_eq(config_load(path, &policy, errors, sizeof errors), 1);
    ck_assert_ptr_nonnull(strstr(errors, ": Permission denied: "));
    ck_assert(geteuid() != 65534 || seteuid(0) == 0 || true);
}
END_TEST

START_TEST(a_nul_byte_is_refused_with_its_line) {
    write_file("mode = off\n\0mode = on\n", 22);
    ck_assert_int_eq(config_load(path, &policy, errors, sizeof errors), 1);
    ck_assert_ptr_nonnull(strstr(errors, ":2: byte 0x00"));
}
END_TEST

START_TEST(one_mebibyte_is_read_and_one_more_byte_refused) {
    size_t size = (1 << 20) + 1;
    char *text = malloc(size);
    ck_assert_ptr_nonnull(text);
    memset(text, '\n', size);
    write_file(text, size - 1);
    ck_assert_int_eq(config_load(path, &policy, errors, sizeof errors), 0);
    write_file(text, size);
    ck_assert_int_eq(config_load(path, &policy, errors, sizeof errors), 1);
    ck_assert_ptr_nonnull(strstr(errors, "more than 1 MiB"));
    free(text);
}
END_TEST

START_TEST(large_hostile_files_come_to_an_end_soon) {
    static const char *const units[] = {"{",     "}",  "a{", "pool p{}", "mode=a ", "a=b ",
                                        "log{}", "\"", "x ", "a={b,",    "# ",      "/*"};
    size_t size = (1 << 20) - 8, length = strlen(units[_i]);
    char *text = malloc(size);
    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i < size; i++)
        text[i] = units[_i][i % length];
    config_parse("f", text, size, &policy, errors, sizeof errors);
    memcpy(text, "pool p{addresses={lo", 20);
    for (size_t i = 20; i + 3 <= size - 2; i += 3)
        memcpy(text + i, ",lo", 3);
    memcpy(text + size - 2, "}}", 2);
    config_parse("f", text, size, &policy, errors, sizeof errors);
    free(text);
}
END_TEST

START_TEST(no_descriptor_stays_open) {
    int before = dup(0);
    close(before);
    write_file("pool p { addresses = lo exclude-ports = 7 }", 43);
    ck_assert_int_eq(config_load(path, &policy, errors, sizeof errors), 0);
    config_load("/", &policy, errors, sizeof errors);
    int after = dup(0);
    close(after);
    ck_assert_int_eq(before, after);
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
        bool setting = strncmp(word + strspn(word, "abcdefghijklmnopqrstuvwxyz-"), " = ", 3) == 0;
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
    TCase *right = tcase_create("right"), *wrong = tcase_create("wrong"), *files = tcase_create("files");
    tcase_add_test(right, an_empty_file_has_the_default_settings_and_no_rule);
    tcase_add_test(right, a_pool_and_a_rule_have_the_defaults_of_the_manual);
    tcase_add_test(right, every_key_is_taken);
    tcase_add_test(right, a_rule_may_stand_before_its_pool);
    tcase_add_test(right, an_ignoring_rule_needs_no_pool);
    tcase_add_test(right, targets_of_rules_do_not_mix);
    tcase_add_test(right, adjacent_and_repeated_addresses_become_one_range);
    tcase_add_test(right, addresses_apart_keep_the_order_of_the_file);
    tcase_add_test(right, a_range_that_closes_a_gap_joins_both_sides);
    tcase_add_test(right, each_scope_is_one_span);
    tcase_add_test(right, the_total_of_a_scope_stays_below_2_32);
    tcase_add_test(right, the_loopback_interface_stands_for_its_addresses);
    tcase_add_test(right, ports_are_sorted_and_joined);
    tcase_add_test(right, exclusions_split_ranges_wherever_they_stand);
    tcase_add_test(right, exclusions_alone_start_from_the_hosts_range);
    tcase_add_test(right, comments_stand_anywhere_and_do_not_move_lines);
    tcase_add_test(right, windows_line_ends_are_taken);
    tcase_add_test(right, lists_can_be_appended_to);
    tcase_add_test(right, a_parse_leaves_nothing_behind_for_the_next);
    tcase_add_test(right, the_shipped_file_loads_and_does_what_the_default_does);
    tcase_add_test(right, every_setting_that_the_shipped_file_shows_is_valid);
    suite_add_tcase(suite, right);
    tcase_add_loop_test(wrong, a_mistake_is_named_with_line_key_and_value, 0, COUNT(mistakes));
    tcase_add_test(wrong, ten_mistakes_give_ten_lines_in_order);
    tcase_add_test(wrong, unknown_keys_do_not_hide_each_other);
    tcase_add_test(wrong, very_many_unknown_keys_come_to_an_end);
    tcase_add_test(wrong, capacities_are_enforced);
    tcase_add_test(wrong, messages_are_cut_at_whole_lines);
    suite_add_tcase(suite, wrong);
    tcase_add_checked_fixture(files, setup, teardown);
    tcase_set_timeout(files, 20);
    tcase_add_test(files, the_origin_is_that_of_the_file);
    tcase_add_test(files, the_origin_of_a_missing_file_is_an_error);
    tcase_add_test(files, a_missing_file_is_named);
    tcase_add_test(files, a_directory_is_refused);
    tcase_add_test(files, a_fifo_and_a_device_are_refused_without_waiting);
    tcase_add_test(files, an_unreadable_file_is_refused);
    tcase_add_test(files, a_nul_byte_is_refused_with_its_line);
    tcase_add_test(files, one_mebibyte_is_read_and_one_more_byte_refused);
    tcase_add_loop_test(files, large_hostile_files_come_to_an_end_soon, 0, 12);
    tcase_add_test(files, no_descriptor_stays_open);
    suite_add_tcase(suite, files);
    return run(suite);
}
