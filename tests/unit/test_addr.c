/* net/addr: one form for both families. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "net/addr.h"
#include "suite.h"

static struct addr v6(const char *text) {
    struct addr a;
    ck_assert_int_eq(inet_pton(AF_INET6, text, a.b), 1);
    return a;
}

static struct addr v4(const char *text) {
    struct in_addr in;
    ck_assert_int_eq(inet_pton(AF_INET, text, &in), 1);
    return addr_from_v4(ntohl(in.s_addr));
}

static void assert_addr(struct addr got, struct addr wanted) {
    ck_assert_mem_eq(got.b, wanted.b, 16);
}

START_TEST(ipv4_is_held_as_v4_mapped) {
    assert_addr(v4("10.1.2.3"), v6("::ffff:10.1.2.3"));
    struct addr four = v4("10.1.2.3"), six = v6("fd00::1"), compatible = v6("::10.1.2.3");
    ck_assert(addr_is_v4(&four));
    ck_assert(!addr_is_v4(&six));
    ck_assert(!addr_is_v4(&compatible));
}
END_TEST

START_TEST(wildcards_of_both_families_are_any) {
    struct addr four = v4("0.0.0.0"), six = v6("::"), one = v6("::1"), low = v4("0.0.0.1");
    ck_assert(addr_is_any(&four));
    ck_assert(addr_is_any(&six));
    ck_assert(!addr_is_any(&one));
    ck_assert(!addr_is_any(&low));
}
END_TEST

static const struct {
    const char *text;
    enum addr_scope scope;
} scopes[] = {
    {"::ffff:127.0.0.1", SCOPE_V4_LOOPBACK},
    {"::ffff:127.255.255.255", SCOPE_V4_LOOPBACK},
    {"::ffff:126.255.255.255", SCOPE_V4},
    {"::ffff:128.0.0.0", SCOPE_V4},
    {"::1", SCOPE_V6_LOOPBACK},
    {"::2", SCOPE_V6},
    {"fe80::1", SCOPE_V6_LINK},
    {"febf::1", SCOPE_V6_LINK},
    {"fec0::1", SCOPE_V6},
    {"fd00::1", SCOPE_V6},
};

START_TEST(scope_tells_what_can_reach_what) {
    struct addr a = v6(scopes[_i].text);
    ck_assert_int_eq(addr_scope(&a), scopes[_i].scope);
}
END_TEST

START_TEST(compare_is_numerical) {
    struct addr a = v4("9.255.255.255"), b = v4("10.0.0.0"), c = v6("fd00::");
    ck_assert_int_lt(addr_compare(&a, &b), 0);
    ck_assert_int_gt(addr_compare(&c, &b), 0);
    ck_assert_int_eq(addr_compare(&b, &b), 0);
}
END_TEST

START_TEST(add_carries_over_bytes) {
    struct addr a = v4("10.0.0.255"), b = v6("fd00::ffff:ffff:ffff:ffff"), c = v4("10.0.0.0");
    assert_addr(addr_add(&a, 1), v4("10.0.1.0"));
    assert_addr(addr_add(&b, 1), v6("fd00:0:0:1::"));
    assert_addr(addr_add(&c, 0), c);
    assert_addr(addr_add(&c, 0x01020304), v4("11.2.3.4"));
    struct addr e = addr_add(&b, 1), far = v6("fd01::");
    ck_assert_uint_eq(addr_distance(&b, &e), 1);
    ck_assert_uint_eq(addr_distance(&a, &a), 0);
    ck_assert(addr_distance(&b, &far) == UINT64_MAX);
}
END_TEST

START_TEST(add_takes_64_bits) {
    struct addr a = v6("fd00::1");
    assert_addr(addr_add(&a, UINT64_MAX), v6("fd00:0:0:1::"));
}
END_TEST

START_TEST(add_wraps_at_the_end) {
    struct addr a = v6("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    assert_addr(addr_add(&a, 2), v6("::1"));
}
END_TEST

START_TEST(a_prefix_holds_what_shares_its_bits) {
    struct addr p = v4("10.2.0.0"), in = v4("10.2.255.255"), out = v4("10.3.0.0");
    ck_assert(addr_in_prefix(&in, &p, 96 + 16));
    ck_assert(!addr_in_prefix(&out, &p, 96 + 16));
    ck_assert(addr_in_prefix(&out, &p, 96 + 15));
}
END_TEST

START_TEST(prefix_lengths_at_the_edges) {
    struct addr a = v6("fd00::1"), b = v6("fd00::2");
    ck_assert(addr_in_prefix(&a, &b, 0));
    ck_assert(addr_in_prefix(&a, &a, 128));
    ck_assert(!addr_in_prefix(&a, &b, 128));
    ck_assert(!addr_in_prefix(&a, &a, 129));
    ck_assert(!addr_in_prefix(&a, &a, 255));
}
END_TEST

START_TEST(sockaddr_of_ipv4) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(6379), .sin_addr.s_addr = htonl(0x0a010203)};
    struct endpoint e;
    ck_assert(endpoint_from_sockaddr(&e, &in, sizeof in));
    assert_addr(e.addr, v4("10.1.2.3"));
    ck_assert_uint_eq(e.port, 6379);
    ck_assert_uint_eq(e.scope, 0);
}
END_TEST

START_TEST(sockaddr_of_ipv6_with_scope) {
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(80), .sin6_scope_id = 7};
    struct addr wanted = v6("fe80::1");
    memcpy(&in6.sin6_addr, wanted.b, 16);
    struct endpoint e;
    ck_assert(endpoint_from_sockaddr(&e, &in6, sizeof in6));
    assert_addr(e.addr, wanted);
    ck_assert_uint_eq(e.scope, 7);
    ck_assert(endpoint_from_sockaddr(&e, &in6, 24));
    ck_assert_uint_eq(e.scope, 0);
}
END_TEST

START_TEST(short_and_foreign_sockaddrs_are_left_alone) {
    struct sockaddr_storage s = {.ss_family = AF_INET};
    struct endpoint e;
    memset(&e, 0x5a, sizeof e);
    struct endpoint before = e;
    ck_assert(!endpoint_from_sockaddr(&e, &s, 0));
    ck_assert(!endpoint_from_sockaddr(&e, &s, 1));
    ck_assert(!endpoint_from_sockaddr(&e, &s, 15));
    s.ss_family = AF_INET6;
    ck_assert(!endpoint_from_sockaddr(&e, &s, 23));
    s.ss_family = AF_UNIX;
    ck_assert(!endpoint_from_sockaddr(&e, &s, sizeof s));
    s.ss_family = AF_UNSPEC;
    ck_assert(!endpoint_from_sockaddr(&e, &s, sizeof s));
    ck_assert_mem_eq(&e, &before, sizeof e);
}
END_TEST

START_TEST(an_ipv6_socket_takes_ipv4_as_mapped) {
    struct sockaddr_storage s;
    struct endpoint e = {.addr = v4("10.0.0.1"), .port = 80};
    ck_assert_uint_eq(endpoint_to_sockaddr(&s, &e, AF_INET6), sizeof(struct sockaddr_in6));
    struct sockaddr_in6 in6;
    memcpy(&in6, &s, sizeof in6);
    ck_assert_int_eq(in6.sin6_family, AF_INET6);
    ck_assert_mem_eq(&in6.sin6_addr, e.addr.b, 16);
    ck_assert_uint_eq(ntohs(in6.sin6_port), 80);
}
END_TEST

START_TEST(the_wildcard_becomes_that_of_the_socket) {
    struct sockaddr_storage s;
    struct endpoint four = {.addr = v4("0.0.0.0")}, six = {0};
    struct sockaddr_in6 in6;
    ck_assert_uint_eq(endpoint_to_sockaddr(&s, &four, AF_INET6), sizeof in6);
    memcpy(&in6, &s, sizeof in6);
    ck_assert(IN6_IS_ADDR_UNSPECIFIED(&in6.sin6_addr));
    struct sockaddr_in in;
    ck_assert_uint_eq(endpoint_to_sockaddr(&s, &six, AF_INET), sizeof in);
    memcpy(&in, &s, sizeof in);
    ck_assert_uint_eq(in.sin_addr.s_addr, 0);
}
END_TEST

START_TEST(what_a_family_cannot_say_is_refused) {
    struct sockaddr_storage s;
    struct endpoint e = {.addr = v6("fd00::1")};
    ck_assert_uint_eq(endpoint_to_sockaddr(&s, &e, AF_INET), 0);
    ck_assert_uint_eq(endpoint_to_sockaddr(&s, &e, AF_UNIX), 0);
}
END_TEST

START_TEST(upper_half_counts_in_64) {
    struct addr a = v6("fd00:0:0:ffff::7"), b = v6("fd00:0:1::7"), sum = addr_add_upper(&a, 1);
    ck_assert_uint_eq(addr_upper(&a), UINT64_C(0xfd0000000000ffff));
    ck_assert_mem_eq(&sum, &b, sizeof sum);
}
END_TEST

START_TEST(last_of_a_prefix) {
    static const struct {
        const char *prefix, *last;
        unsigned length;
    } known[] = {{"fd00::", "fd00::ffff", 112},
                 {"::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 0},
                 {"fd00::1", "fd00::1", 128},
                 {"fd00::8", "fd00::f", 125}};
    struct addr prefix = v6(known[_i].prefix), last = v6(known[_i].last), is = addr_last(&prefix, known[_i].length);
    ck_assert_mem_eq(&is, &last, sizeof is);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("addr");
    TCase *tcase = tcase_create("addr");
    tcase_add_test(tcase, ipv4_is_held_as_v4_mapped);
    tcase_add_test(tcase, wildcards_of_both_families_are_any);
    tcase_add_loop_test(tcase, scope_tells_what_can_reach_what, 0, sizeof scopes / sizeof *scopes);
    tcase_add_test(tcase, compare_is_numerical);
    tcase_add_test(tcase, add_carries_over_bytes);
    tcase_add_test(tcase, add_takes_64_bits);
    tcase_add_test(tcase, add_wraps_at_the_end);
    tcase_add_test(tcase, upper_half_counts_in_64);
    tcase_add_loop_test(tcase, last_of_a_prefix, 0, 4);
    tcase_add_test(tcase, a_prefix_holds_what_shares_its_bits);
    tcase_add_test(tcase, prefix_lengths_at_the_edges);
    tcase_add_test(tcase, sockaddr_of_ipv4);
    tcase_add_test(tcase, sockaddr_of_ipv6_with_scope);
    tcase_add_test(tcase, short_and_foreign_sockaddrs_are_left_alone);
    tcase_add_test(tcase, an_ipv6_socket_takes_ipv4_as_mapped);
    tcase_add_test(tcase, the_wildcard_becomes_that_of_the_socket);
    tcase_add_test(tcase, what_a_family_cannot_say_is_refused);
    suite_add_tcase(suite, tcase);
    return run(suite);
}
