/* net/parse: what people write. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/parse.h"
#include "suite.h"

#define COUNT(array) (int)(sizeof(array) / sizeof *(array))

static struct addr address(const char *text) {
    struct addr a;
    ck_assert_msg(parse_address(text, &a) == NULL, "%s", text);
    return a;
}

static const struct {
    const char *text, *shown;
} addresses[] = {{"10.0.0.1", "10.0.0.1"},
                 {"fd00::1", "fd00::1"},
                 {"[fd00::1]", "fd00::1"},
                 {"0.0.0.0", "0.0.0.0"},
                 {"::ffff:10.0.0.1", "10.0.0.1"},
                 {"FD00:0:0::A", "fd00::a"},
                 {"255.255.255.255", "255.255.255.255"}};

START_TEST(an_address_reads_and_shows) {
    char text[ADDR_TEXT];
    struct addr a = address(addresses[_i].text);
    format_address(text, &a);
    ck_assert_str_eq(text, addresses[_i].shown);
}
END_TEST

static const char *const no_addresses[] = {
    "",          "10.0.0", "10.0.0.256",   "10.0.0.1 ",
    " 10.0.0.1", "host",   "fe80::1%eth0", "[10.0.0.1]",
    "[fd00::1",  "[]",     "10.0.0.1/8",   "::ffff:10.0.0.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1"};

START_TEST(what_is_no_address_is_refused_and_leaves_out_alone) {
    struct addr a, before;
    memset(&a, 0x5a, sizeof a);
    before = a;
    ck_assert_ptr_nonnull(parse_address(no_addresses[_i], &a));
    ck_assert_mem_eq(&a, &before, sizeof a);
}
END_TEST

static const struct {
    const char *text, *first;
    uint32_t count;
} sources[] = {
    {"10.0.0.11", "10.0.0.11", 1},
    {"10.0.0.11-10.0.0.14", "10.0.0.11", 4},
    {"10.0.0.11-10.0.0.11", "10.0.0.11", 1},
    {"10.0.1.0/29", "10.0.1.0", 8},
    {"10.0.1.5/29", "10.0.1.0", 8},
    {"10.0.1.5/32", "10.0.1.5", 1},
    {"10.0.0.250-10.0.1.5", "10.0.0.250", 12},
    {"127.0.0.0/8", "127.0.0.0", 1u << 24},
    {"128.0.0.0/2", "128.0.0.0", 1u << 30},
    {"fd00::/64", "fd00::", UINT32_MAX},
    {"fd00::/96", "fd00::", UINT32_MAX},
    {"fd00::/97", "fd00::", 1u << 31},
    {"fd00::ffff-fd00::1:2", "fd00::ffff", 4},
    {"[fd00::1]-[fd00::2]", "fd00::1", 2},
    {"fd00::1:0:0-fd00::1:ffff:fffe", "fd00::1:0:0", UINT32_MAX},
    {"::1", "::1", 1},
    {"fe80::1", "fe80::1", 1},
};

START_TEST(a_source_is_a_first_address_and_a_count) {
    struct policy_source s;
    struct addr first = address(sources[_i].first);
    ck_assert_ptr_null(parse_source(sources[_i].text, &s));
    ck_assert_mem_eq(&s.first, &first, sizeof first);
    ck_assert_uint_eq(s.count, sources[_i].count);
    ck_assert_uint_eq(s.interface, 0);
}
END_TEST

static const char *const no_sources[] = {
    "",
    "-",
    "/",
    "10.0.0.4-10.0.0.3",
    "10.0.0.1-9",
    "10.0.0.1-fd00::1",
    "10.0.0.1-10.0.0.2-10.0.0.3",
    "10.0.0.0/33",
    "10.0.0.0/-1",
    "10.0.0.0/",
    "10.0.0.0/8x",
    "10.0.0.0/99999999999999999999",
    "fd00::/129",
    "::ffff:10.0.0.0/24",
    "0.0.0.0",
    "0.0.0.0/8",
    "::",
    "::/0",
    "126.0.0.0-127.0.0.1", /* into loopback */
    "126.0.0.0-128.0.0.1", /* over it */
    "112.0.0.0/4",         /* around it */
    "223.0.0.0-240.0.0.1", /* over multicast */
    "224.0.0.1",
    "255.255.255.255",
    "ff02::1",
    "fd00::1:0:0-fd00::1:ffff:ffff", /* 2^32 of them */
    "fe7f::1-fe80::1",
    "eth0",
};

START_TEST(what_cannot_be_a_source_is_refused) {
    struct policy_source s;
    ck_assert_msg(parse_source(no_sources[_i], &s) != NULL, "%s", no_sources[_i]);
}
END_TEST

static const struct {
    const char *text, *prefix;
    unsigned length, any, low, high;
} targets[] = {
    {"*", "::", 0, 1, 1, 65535},
    {"*:443", "::", 0, 1, 443, 443},
    {"*:1-10", "::", 0, 1, 1, 10},
    {"10.2.0.0/16:6379", "10.2.0.0", 112, 0, 6379, 6379},
    {"10.2.3.4/16", "10.2.0.0", 112, 0, 1, 65535},
    {"10.2.9.9", "10.2.9.9", 128, 0, 1, 65535},
    {"0.0.0.0/0", "0.0.0.0", 96, 0, 1, 65535},
    {"[fd00:2::/64]:6379-6384", "fd00:2::", 64, 0, 6379, 6384},
    {"[fd00:2::1]:80", "fd00:2::1", 128, 0, 80, 80},
    {"[fd00:2::]", "fd00:2::", 128, 0, 1, 65535},
    {"fd00:2::/64", "fd00:2::", 64, 0, 1, 65535},
    {"::/0", "::", 0, 0, 1, 65535},
    {"::1", "::1", 128, 0, 1, 65535},
};

START_TEST(a_target_is_a_prefix_and_ports) {
    struct policy_target t;
    struct addr prefix = address(targets[_i].prefix);
    ck_assert_ptr_null(parse_target(targets[_i].text, &t));
    ck_assert_mem_eq(&t.prefix, &prefix, sizeof prefix);
    ck_assert_uint_eq(t.length, targets[_i].length);
    ck_assert_uint_eq(t.any, targets[_i].any);
    ck_assert_uint_eq(t.ports.low, targets[_i].low);
    ck_assert_uint_eq(t.ports.high, targets[_i].high);
}
END_TEST

/* Every prefix, "ADDRESS/LENGTH" in bits of the 128-bit form, in order. */
static const struct {
    const char *text, *prefixes;
    unsigned low, high;
} ranges[] = {
    {"10.2.0.10-10.2.0.20", "10.2.0.10/127 10.2.0.12/126 10.2.0.16/126 10.2.0.20/128 ", 1, 65535},
    {"10.2.0.7-10.2.0.7:80", "10.2.0.7/128 ", 80, 80},
    {"10.2.0.0-10.2.0.255:81-83", "10.2.0.0/120 ", 81, 83},
    {"0.0.0.0-255.255.255.255", "0.0.0.0/96 ", 1, 65535},
    {"255.255.255.254-255.255.255.255", "255.255.255.254/127 ", 1, 65535},
    {"fd00::1-fd00::4", "fd00::1/128 fd00::2/127 fd00::4/128 ", 1, 65535},
    {"[fd00::-fd00::ffff]:443", "fd00::/112 ", 443, 443},
    {"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:1",
     "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127 ", 1, 1},
    {"10.0.0.1:80", "10.0.0.1/128 ", 80, 80},
};

START_TEST(a_range_of_targets_is_its_prefixes) {
    struct policy_target t[TARGET_PREFIXES];
    unsigned count;
    char got[512] = "", one[ADDR_TEXT];
    ck_assert_ptr_null(parse_targets(ranges[_i].text, t, TARGET_PREFIXES, &count));
    for (unsigned i = 0; i < count; i++) {
        format_address(one, &t[i].prefix);
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s/%u ", one, t[i].length);
        ck_assert_uint_eq(t[i].any, 0);
        ck_assert_uint_eq(t[i].ports.low, ranges[_i].low);
        ck_assert_uint_eq(t[i].ports.high, ranges[_i].high);
    }
    ck_assert_str_eq(got, ranges[_i].prefixes);
}
END_TEST

static unsigned fitting(const struct policy_target *t, unsigned count, const struct addr *a) {
    const struct endpoint e = {.addr = *a, .port = 80};
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++)
        n += policy_target_fits(&t[i], &e);
    return n;
}

START_TEST(the_longest_ranges_have_room_and_match_what_lies_in_them) {
    struct policy_target t[TARGET_PREFIXES];
    unsigned count;
    ck_assert_ptr_null(parse_targets("0.0.0.1-255.255.255.254", t, 62, &count));
    ck_assert_uint_eq(count, 62);
    ck_assert_ptr_nonnull(parse_targets("0.0.0.1-255.255.255.254", t, 61, &count));
    ck_assert_ptr_nonnull(parse_targets("10.0.0.1", t, 0, &count));
    ck_assert_ptr_null(parse_targets("10.2.0.10-10.2.1.20", t, 62, &count));
    for (uint32_t i = 0; i < 1024; i++) {
        struct addr a = addr_from_v4(0x0a020000 + i);
        ck_assert_uint_eq(fitting(t, count, &a), i >= 10 && i <= 256 + 20);
    }
}
END_TEST

static const char *const no_ranges[] = {"10.0.0.2-10.0.0.1",   "10.0.0.1-fd00::1",
                                        "10.0.0.1-",           "-10.0.0.1",
                                        "10.0.0.1-9",          "*-10.0.0.1",
                                        "10.0.0.0/8-10.0.0.9", "[10.0.0.1-10.0.0.2",
                                        "10.0.0.1-10.0.0.2:0", "10.0.0.1-10.0.0.2-10.0.0.3",
                                        "host-10.0.0.1"};

START_TEST(what_is_no_range_of_targets_is_refused) {
    struct policy_target t[TARGET_PREFIXES];
    unsigned count;
    ck_assert_ptr_nonnull(parse_targets(no_ranges[_i], t, TARGET_PREFIXES, &count));
}
END_TEST

static const char *const no_targets[] = {"",
                                         "**",
                                         "*:",
                                         "*:0",
                                         "*:65536",
                                         "*:2-1",
                                         "*/8",
                                         "10.0.0.0/8:",
                                         "10.0.0.0:/8",
                                         "[10.0.0.1]:80",
                                         "[::1:80",
                                         "::1]:80",
                                         "[fd00::]/64:80",
                                         "host:80",
                                         "10.0.0.1:http",
                                         ":80",
                                         "10.0.0.1-10.0.0.2",
                                         "[",
                                         "[]:1",
                                         "::ffff:10.0.0.0/8"};

START_TEST(what_is_no_target_is_refused) {
    struct policy_target t;
    ck_assert_msg(parse_target(no_targets[_i], &t) != NULL, "%s", no_targets[_i]);
}
END_TEST

START_TEST(ports_are_one_or_a_range) {
    struct port_range r;
    ck_assert_ptr_null(parse_ports("8080", &r));
    ck_assert_uint_eq(r.low, 8080);
    ck_assert_uint_eq(r.high, 8080);
    ck_assert_ptr_null(parse_ports("1-65535", &r));
    ck_assert_uint_eq(r.low, 1);
    ck_assert_uint_eq(r.high, 65535);
}
END_TEST

static const char *const no_ports[] = {"", "0", "0-5", "65536", "5-4", "1-2-3", "-1", "1-", "http", " 1", "1 ", "0x10"};

START_TEST(what_are_no_ports_is_refused) {
    struct port_range r;
    ck_assert_ptr_nonnull(parse_ports(no_ports[_i], &r));
}
END_TEST

static const struct {
    const char *text;
    uint32_t ms;
} durations[] = {{"0", 0}, {"0ms", 0}, {"250ms", 250}, {"60s", 60000}, {"2m", 120000}, {"1h", 3600000}};

START_TEST(a_duration_has_a_unit) {
    uint32_t ms;
    ck_assert_ptr_null(parse_duration(durations[_i].text, &ms));
    ck_assert_uint_eq(ms, durations[_i].ms);
}
END_TEST

static const char *const no_durations[] = {"", "60", "s", "1d", "1 s", "-1s", "1.5s", "1sm", "4294967296ms", "1194h"};

START_TEST(what_is_no_duration_is_refused) {
    uint32_t ms = 7;
    ck_assert_ptr_nonnull(parse_duration(no_durations[_i], &ms));
    ck_assert_uint_eq(ms, 7);
}
END_TEST

static const struct {
    const char *text;
    uint64_t bytes;
} sizes[] = {{"65536", 65536}, {"512k", 524288}, {"8M", 8388608}, {"1G", 1073741824}, {"1K", 1024}, {"0", 0}};

START_TEST(a_size_counts_in_powers_of_1024) {
    uint64_t bytes;
    ck_assert_ptr_null(parse_size(sizes[_i].text, &bytes));
    ck_assert_uint_eq(bytes, sizes[_i].bytes);
}
END_TEST

static const char *const no_sizes[] = {"", "M", "8MB", "8T", "-1", "1.5M", "18446744073709551616", "17179869184G"};

START_TEST(what_is_no_size_is_refused) {
    uint64_t bytes;
    ck_assert_ptr_nonnull(parse_size(no_sizes[_i], &bytes));
}
END_TEST

START_TEST(an_endpoint_shows_ipv6_in_brackets) {
    char text[ENDPOINT_TEXT];
    struct addr four = address("10.0.0.1"), six = address("fd00::1");
    format_endpoint(text, &four, 80);
    ck_assert_str_eq(text, "10.0.0.1:80");
    format_endpoint(text, &six, 65535);
    ck_assert_str_eq(text, "[fd00::1]:65535");
}
END_TEST

START_TEST(the_longest_endpoint_fits) {
    char text[ENDPOINT_TEXT];
    struct addr a = address("fd00:1111:2222:3333:4444:5555:6666:7777");
    format_endpoint(text, &a, 65535);
    ck_assert_str_eq(text, "[fd00:1111:2222:3333:4444:5555:6666:7777]:65535");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("parse");
    TCase *tcase = tcase_create("parse");
    tcase_add_loop_test(tcase, an_address_reads_and_shows, 0, COUNT(addresses));
    tcase_add_loop_test(tcase, what_is_no_address_is_refused_and_leaves_out_alone, 0, COUNT(no_addresses));
    tcase_add_loop_test(tcase, a_source_is_a_first_address_and_a_count, 0, COUNT(sources));
    tcase_add_loop_test(tcase, what_cannot_be_a_source_is_refused, 0, COUNT(no_sources));
    tcase_add_loop_test(tcase, a_target_is_a_prefix_and_ports, 0, COUNT(targets));
    tcase_add_loop_test(tcase, what_is_no_target_is_refused, 0, COUNT(no_targets));
    tcase_add_loop_test(tcase, a_range_of_targets_is_its_prefixes, 0, COUNT(ranges));
    tcase_add_test(tcase, the_longest_ranges_have_room_and_match_what_lies_in_them);
    tcase_add_loop_test(tcase, what_is_no_range_of_targets_is_refused, 0, COUNT(no_ranges));
    tcase_add_test(tcase, ports_are_one_or_a_range);
    tcase_add_loop_test(tcase, what_are_no_ports_is_refused, 0, COUNT(no_ports));
    tcase_add_loop_test(tcase, a_duration_has_a_unit, 0, COUNT(durations));
    tcase_add_loop_test(tcase, what_is_no_duration_is_refused, 0, COUNT(no_durations));
    tcase_add_loop_test(tcase, a_size_counts_in_powers_of_1024, 0, COUNT(sizes));
    tcase_add_loop_test(tcase, what_is_no_size_is_refused, 0, COUNT(no_sizes));
    tcase_add_test(tcase, an_endpoint_shows_ipv6_in_brackets);
    tcase_add_test(tcase, the_longest_endpoint_fits);
    suite_add_tcase(suite, tcase);
    return run(suite);
}
