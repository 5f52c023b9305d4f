/* config: what is said about a file that is wrong. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/load.h"
#include "suite.h"
#include "policy/policy.h"

#define COUNT(array) (int)(sizeof(array) / sizeof *(array))

static struct policy policy;
static char errors[16384];

static int parse(const char *text) {
    return config_parse("f", text, strlen(text), &policy, errors, sizeof errors);
}

/* Each text has exactly one mistake, and the message begins like this. */

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
    {"log { } log { }", "f:1: log: is given twice; try: "},
    {"state { size-max = 8X }", "f:1: size-max: \"8X\" "},
    {"state {\n size-max = 15M }", "f:2: size-max: \"15M\" is not in range; try: 16M to 2G"},
    {"state { size-max = 3G }", "f:1: size-max: \"3G\" is not in range; try: 16M to 2G"},
    {"state { size-max = 20M }\nlog { size = 9M }",
     "f:1: size-max: \"20M\" is less than log.size and the 12M that all else may take; try: more, or a smaller"},
    {"state { } state { }", "f:1: state: is given twice; try: "},
    {"size-max = 64M", "f:1: size-max: is not known here; try: in section state"},
    {"state { size_max = 64M }", "f:1: size_max: is not known in state; try: size-max"},
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
    {"pool p { addresses = \"10.0.0.1\" exclude-addresses = \"10.0.0.0/24\" }",
     "f:1: exclude-addresses: none of the pool's addresses is left"},
    {"pool p {\n exclude-addresses = \"10.0.0.0/24\" }",
     "f:2: exclude-addresses: pool \"p\" names no addresses, so there is nothing to leave out; try: addresses = { ... "
     "} beside it"},
    {"pool p { addresses = \"10.0.0.1\" exclude-addresses = \"*\" }", "f:1: exclude-addresses: \"*\" is no address"},
    {"pool p { addresses = \"10.0.0.1\" exclude-addresses = \"10.0.0.1:80\" }",
     "f:1: exclude-addresses: \"10.0.0.1:80\" is no address"},
    {"pool p { addresses = \"fd00::/48\" prefix-step = 64 exclude-addresses = \"fd00:0:0:1::1\" }",
     "f:1: exclude-addresses: \"fd00:0:0:1::1\" is a part of a /64 that prefix-step goes over; try: the whole /64"},
    {"pool p { prefix-step = 48 }", "f:1: prefix-step: \"48\" is no step; try: 64"},
    {"pool p { hash-by = process }", "f:1: hash-by: the pool does not hash; try: policy = \"hash\""},
    {"pool p { policy = hash hash-by = thread }", "f:1: hash-by: \"thread\" is not one of its values"},
    {"pool p { policy = hash hash-by = \"env:\" }", "f:1: hash-by: \"env:\" names no variable"},
    {"pool p { policy = hash hash-by = \"env:A-B\" }", "f:1: hash-by: \"env:A-B\" names no variable"},
    {"pool p { policy = hash hash-by = { \"env:A\", \"env:B\" } }", "f:1: hash-by: \"env:B\" is a second variable"},
    {"pool p { freebind = maybe }", "f:1: freebind: "},
    {"pool p { reuse-after = 61s }", "f:1: reuse-after: \"61s\" "},
    {"pool p { reuse-after = 999ms }", "f:1: reuse-after: \"999ms\" "},
    {"pool p { reuse-after = 60 }", "f:1: reuse-after: \"60\" "},
    {"pool p { port-sharing = none }", "f:1: port-sharing: \"none\" "},
    {"\npool p { port-sharing = never }", "f:2: port-sharing: \"never\" needs the addresses of pool \"p\""},
    {"pool p { } rule r { to = \"*\" pool = p also-to = \"10.0.0.1\" }", "f:1: also-to: \"10.0.0.1\" has no port"},
    {"pool p { } rule r { to = \"*\" pool = p also-to = \"*:80\" }", "f:1: also-to: \"*:80\" is not one address"},
    {"pool p { } rule r { to = \"*\" pool = p also-to = \"10.0.0.0/8:80\" }",
     "f:1: also-to: \"10.0.0.0/8:80\" is not one "},
    {"pool p { } rule r { to = \"*\" pool = p also-to = \"0.0.0.0:80\" }", "f:1: also-to: \"0.0.0.0:80\" is not one "},
    {"pool p { } rule r { to = \"*\" pool = p also-to = \"[fe80::1]:80\" }",
     "f:1: also-to: \"[fe80::1]:80\" is link-local"},
    {"pool p { } rule r { to = \"*\" pool = p also-to = \"10.0.0.1:80-96\" }",
     "f:1: also-to: \"10.0.0.1:80-96\" is one "},
    {"pool p { } rule r { to = \"*\" pool = p also-to = { \"10.0.0.1:80-95\", \"10.0.0.2:1\" } }",
     "f:1: also-to: \"10.0.0.2:1\" is one endpoint too many"},
    {"pool p { } rule r { to = \"*\" pool = p also-to = redis }", "f:1: also-to: \"redis\" "},
    {"pool p { } rule r { to = \"*\" pool = p also-to = \"10.0.0.1:1\" to-policy = all }", "f:1: to-policy: \"all\" "},
    {"pool p { } rule r { to = \"*\" pool = p also-to = \"10.0.0.1:1\" show-peer = true }",
     "f:1: show-peer: \"true\" "},
    {"pool p { } rule r { to = \"*\" pool = p also-to = \"10.0.0.1:1\" to-timeout = 9ms }",
     "f:1: to-timeout: \"9ms\" "},
    {"pool p { } rule r { to = \"*\" pool = p also-to = \"10.0.0.1:1\" to-hold-down = 6m }",
     "f:1: to-hold-down: \"6m\" "},
    {"pool p { }\nrule r { to = \"*\" pool = p to-policy = round-robin }", "f:2: also-to: is missing in rule \"r\""},
    {"\npool\n\"\" { }", "f:2: pool: \"\" is empty"},
    {"pool \"12345678901234567890123456789012\" { }", "f:1: pool: \"12345678901234567890123456789012\" is too long"},
    {"pool \"a\001b\" { }", "f:1: byte 0x01"},
    {"pool p { }\npool p { }", "f:2: \"p\": is a title used before"},
    {"pool { }", "f:1: syntax: missing title"},
    {"rule r { action = ignore }", "f:1: to: is missing in rule \"r\"; try: to = "},
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
    {"rule r { to = \"*\" }", "f:1: pool: is missing in rule \"r\"; try: pool = "},
    {"rule r { to = \"*\"\n pool = p }", "f:2: pool: \"p\" is no pool of this file"},
    {"rule r { to = \"*\" action = ignore attempts = 0 }", "f:1: attempts: \"0\" "},
    {"rule r { to = \"*\" action = ignore attempts = 65 }", "f:1: attempts: \"65\" "},
    {"rule r { to = \"*\" action = ignore wait = 61s }", "f:1: wait: \"61s\" "},
    {"rule r { to = \"*\" action = ignore wait = soon }", "f:1: wait: \"soon\" "},
    {"rule r { to = \"*\" action = ignore on-exhausted = die }", "f:1: on-exhausted: "},
    {"rule r { to = \"*\" action = ignore client-bind = drop }", "f:1: client-bind: "},
    /* not what it seems */
    {"pool p { addresses = \"10.0.0.11/24\" }",
     "f:1: addresses: \"10.0.0.11/24\" is an address and the prefix length of its network; try: \"10.0.0.11\" for that "
     "address alone, or \"10.0.0.0/24\" for its whole network\n"},
    {"pool p { addresses = \"fd00::5/64\" }", "f:1: addresses: \"fd00::5/64\" is an address and the prefix length"},
    {"pool p { addresses = \"10.0.0.1-10.0.0.4:1024-65535\" }",
     "f:1: addresses: \"10.0.0.1-10.0.0.4:1024-65535\" has ports, which stand apart from the addresses; try: addresses "
     "= "
     "\"10.0.0.1-10.0.0.4\" and ports = \"1024-65535\"\n"},
    {"pool p { addresses = \"[fd00::1]:80\" }", "f:1: addresses: \"[fd00::1]:80\" has ports"},
    {"pool p { addresses = \"!10.0.0.0/24\" }", "f:1: addresses: \"!10.0.0.0/24\" is an exclusion"},
    {"pool p { addresses = \"fe80::1%eth0\" }",
     "f:1: addresses: \"fe80::1%eth0\" names an interface behind an address; try: \"fe80::1\", or \"eth0\" for all"},
    {"pool p { addresses = \"10.0.0.1, 10.0.0.2\" }",
     "f:1: addresses: \"10.0.0.1, 10.0.0.2\" is a list in one string; try: { \"10.0.0.1\", \"10.0.0.2\" }\n"},
    {"pool p { addresses = \"10.0.0.11-14\" }",
     "f:1: addresses: \"10.0.0.11-14\" has only the end of its last address; try: \"10.0.0.11-10.0.0.14\"\n"},
    {"pool p { ports = \"80,443\" }", "f:1: ports: \"80,443\" is a list in one string; try: { \"80\", \"443\" }\n"},
    {"pool p { exclude-ports = \"80,443\" }", "f:1: exclude-ports: \"80,443\" is a list in one string"},
    {"pool p { ports = \"1024 65535\" }", "f:1: ports: \"1024 65535\" has something else than - between its ends; try: "
                                          "\"1024-65535\"\n"},
    {"rule r { to = \"fd00::2:443\" action = ignore }", "f:1: to: \"fd00::2:443\" can be read as an address, and as an "
                                                        "address with a port; try: \"[fd00::2]:443\" with the "
                                                        "port, or \"[fd00::2:443]\" for the address\n"},
    {"rule r { to = \"fd00::2:65535\" action = ignore }", "f:1: to: \"fd00::2:65535\" has a port behind IPv6"},
    {"rule r { to = \"fd00::/64:443\" action = ignore }",
     "f:1: to: \"fd00::/64:443\" has a port behind IPv6 without brackets; try: \"[fd00::/64]:443\"\n"},
    {"rule r { to = \"0.0.0.0:443\" action = ignore }", "f:1: to: \"0.0.0.0:443\" is the wildcard address, which "
                                                        "matches no connection; try: \"*:443\" for every address, or "
                                                        "\"0.0.0.0/0:443\" for every IPv4 address\n"},
    {"rule r { to = \"::\" action = ignore }", "f:1: to: \"::\" is the wildcard"},
    {"rule r { to = \"10.2.0.5/16:80\" action = ignore }",
     "f:1: to: \"10.2.0.5/16:80\" is an address and the prefix length of its network; try: \"10.2.0.5:80\" for that "
     "address alone, or \"10.2.0.0/16:80\" for its whole network\n"},
    {"rule r { to = \"*\" except = \"!10.0.0.1\" action = ignore }", "f:1: except: \"!10.0.0.1\" is an exclusion"},
    {"rule r { to = \"!10.0.0.0/24\" action = ignore }",
     "f:1: to: \"!10.0.0.0/24\" is an exclusion, which has a key of its own; try: except = { \"10.0.0.0/24\" }\n"},
    {"rule r { to = \"10.0.0.1:80,443\" action = ignore }",
     "f:1: to: \"10.0.0.1:80,443\" is a list in one string; try: { \"10.0.0.1:80\", \"10.0.0.1:443\" }\n"},
    {"rule r { to = \"[fe80::1%eth0]:80\" action = ignore }",
     "f:1: to: \"[fe80::1%eth0]:80\" names an interface, and destinations are compared without it; try: "
     "\"[fe80::1]:80\"\n"},
    {"rule r { to = \"10.0.0.9-10.0.0.1\" action = ignore }",
     "f:1: to: \"10.0.0.9-10.0.0.1\" is not a destination; try: a range A-B"},
    {"rule r { to = \"10.0.0.1-fd00::1\" action = ignore }", "f:1: to: \"10.0.0.1-fd00::1\" is not a destination"},
    {"rule r { to = \"10.0.0.1-9\" action = ignore }", "f:1: to: \"10.0.0.1-9\" is not a destination"},
    {"rule r { to = \"10.0.0.1:https\" action = ignore }", "f:1: to: \"10.0.0.1:https\" names its port"},
    {"\xef\xbb\xbfmode = \"off\"", "f:1: byte order mark: stands before the first word; try: "},
    {"\xef\xbb\xbfmode = \"observe\"\nlog { }", "f:1: byte order mark"},
    {"\xff\xfem", "f:1: byte order mark: the file is UTF-16; try: "},
    /* keys */
    {"moed = off", "f:1: moed: is not known here; try: mode"},
    {"log { inbuond = true }", "f:1: inbuond: is not known in log; try: inbound"},
    {"rule r { to = \"*\" action = ignore\n app-bound = keep }",
     "f:2: app-bound: is not known in rule; try: client-bind\n"},
    {"size = 8M", "f:1: size: is not known here; try: in section log"},
    {"log { mode = off }", "f:1: mode: is not known in log; try: outside of sections"},
    {"pools \"p\" { ports = 1 }", "f:1: pools: is not known here; try: pool"},
    {"include(\"/etc/passwd\")", "f:1: include: is not known here"},
    {"mode = off\nmode = off", "f:2: mode: is given twice, first in line 1; try: "},
    {"pool p { ports = 1 ports = 2 }", "f:1: ports: is given twice, first in line 1; try: "},
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
};

START_TEST(a_mistake_is_named_with_line_key_and_value) {
    int count = parse(mistakes[_i].text);
    ck_assert_msg(strncmp(errors, mistakes[_i].message, strlen(mistakes[_i].message)) == 0, "%s\n%s", mistakes[_i].text,
                  errors);
    ck_assert_msg(count == 1 || strstr(mistakes[_i].text, "${HOME\n"), "%s\n%s", mistakes[_i].text, errors);
    ck_assert_int_eq(errors[strlen(errors) - 1], '\n');
}
END_TEST

/* What is meant as it is written is not taken for something else. */
static const char *const meant_so[] = {
    "rule r { to = \"fd00::1:2\" action = ignore }",
    "rule r { to = \"[fd00::2:443]\" action = ignore }",
    "rule r { to = \"fd00:2::11\" action = ignore }",
    "rule r { to = \"0.0.0.0/0:443\" action = ignore }",
    "rule r { to = \"::/0\" action = ignore }",
    "rule r { to = \"10.2.0.0/16:6379-6384\" action = ignore }",
    "rule r { to = \"10.2.9.9/32\" action = ignore }",
    "pool p { addresses = \"10.0.1.0/29\" } mode = \"off\"",
    "pool p { addresses = \"fd00::1:10\" } mode = \"off\"",
    "mode = \"observe\"",
};

START_TEST(what_is_meant_as_written_is_taken_as_written) {
    ck_assert_msg(parse(meant_so[_i]) == 0 && !*errors, "%s\n%s", meant_so[_i], errors);
}
END_TEST

START_TEST(a_config_without_a_rule_is_noted) {
    static const char *const texts[] = {"", "# nothing\n", "log { size = \"8M\" }\n",
                                        "pool p { addresses = \"10.0.0.1\" }"};
    for (int i = 0; i < COUNT(texts); i++) {
        ck_assert_int_eq(parse(texts[i]), 0);
        ck_assert_msg(strncmp(errors, "f: no rule: nothing is spread", 29) == 0 && strstr(errors, "; try: "), "%s",
                      errors);
    }
    /* A mistake comes first, and alone. */
    ck_assert_int_eq(parse("canary = 101"), 1);
    ck_assert_ptr_null(strstr(errors, "no rule"));
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
    static char text[80000];
    size_t used = 0;
    for (int i = 0; i <= POLICY_POOLS; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "pool p%d { }\n", i);
    ck_assert_int_eq(parse(text), 1);
    ck_assert_ptr_nonnull(strstr(errors, "f:33: pool: \"p32\" is one too many; try: at most 32"));
    used = 0;
    for (int i = 0; i < POLICY_RULES; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "rule r%d { to = \"*\" action = ignore }\n", i);
    ck_assert_int_eq(parse(text), 0);
    ck_assert_uint_eq(policy.n_rules, POLICY_RULES);
    snprintf(text + used, sizeof text - used, "rule r%d { to = \"*\" action = ignore }\n", POLICY_RULES);
    ck_assert_int_eq(parse(text), 1);
    ck_assert_ptr_nonnull(strstr(errors, "f:1025: rule: \"r1024\" is one too many; try: at most 1024"));
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
    ck_assert_ptr_nonnull(strstr(errors, "ports: 33 ranges"));
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

int main(void) {
    Suite *suite = suite_create("config_mistakes");
    TCase *tcase = tcase_create("config_mistakes");
    tcase_add_loop_test(tcase, a_mistake_is_named_with_line_key_and_value, 0, COUNT(mistakes));
    tcase_add_loop_test(tcase, what_is_meant_as_written_is_taken_as_written, 0, COUNT(meant_so));
    tcase_add_test(tcase, a_config_without_a_rule_is_noted);
    tcase_add_test(tcase, ten_mistakes_give_ten_lines_in_order);
    tcase_add_test(tcase, unknown_keys_do_not_hide_each_other);
    tcase_add_test(tcase, very_many_unknown_keys_come_to_an_end);
    tcase_add_test(tcase, capacities_are_enforced);
    tcase_add_test(tcase, messages_are_cut_at_whole_lines);
    suite_add_tcase(suite, tcase);
    return run(suite);
}
