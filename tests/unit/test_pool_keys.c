/* config/pool_keys: which addresses of a pool there are, in which order, and for whom. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/load.h"
#include "connect/hash_by.h"
#include "policy/policy.h"
#include "suite.h"
#include "text/parse.h"
#include "tool/host/capacity.h"

static struct policy policy;
static char errors[16384];

static void good(const char *text) {
    int n = config_parse("f", text, strlen(text), &policy, errors, sizeof errors);
    ck_assert_msg(n == 0, "%s", errors);
}

/* "10.0.0.1+3 fd00::+16777216/65536 ": first address, count, and how many /64 take turns. */
static void assert_ranges(const char *wanted) {
    char got[2048] = "", text[ADDR_TEXT];
    for (unsigned i = 0; i < policy.n_sources; i++) {
        const struct policy_source *s = &policy.source[i];
        size_t used = strlen(got);
        format_address(text, &s->first);
        used += (size_t)snprintf(got + used, sizeof got - used, "%s+%u", text, s->count);
        if (s->prefixes && addr_scope(&s->first) == SCOPE_V6)
            used += (size_t)snprintf(got + used, sizeof got - used, "/%u", s->prefixes);
        (void)snprintf(got + used, sizeof got - used, " ");
    }
    ck_assert_str_eq(got, wanted);
}

static const struct {
    const char *pool, *ranges;
} pools[] = {
    {"addresses = \"10.0.0.1-10.0.0.9\" exclude-addresses = { \"10.0.0.4\" }", "10.0.0.1+3 10.0.0.5+5 "},
    {"exclude-addresses = { \"10.0.0.0/30\" } addresses = \"10.0.0.0/29\"", "10.0.0.4+4 "},
    {"addresses = \"10.0.0.0/24\" exclude-addresses = { \"10.0.0.0\", \"10.0.0.255\" }", "10.0.0.1+254 "},
    {"addresses = { \"10.0.0.1-10.0.0.4\", \"10.0.1.1-10.0.1.4\" } exclude-addresses = \"10.0.0.3-10.0.1.2\"",
     "10.0.0.1+2 10.0.1.3+2 "},
    {"addresses = { \"10.0.0.1\", \"10.0.0.9\" } exclude-addresses = { \"10.0.0.1\", \"10.0.0.7\", \"fd00::/16\" }",
     "10.0.0.9+1 "},
    {"addresses = \"fd00::/64\" exclude-addresses = \"fd00::/127\"", "fd00::2+4294967293 "},
    {"addresses = \"fd00::/48\" prefix-step = 64", "fd00::+16777216/65536 "},
    {"addresses = { \"fd00::/48\", \"fd00:1::/63\", \"fd00:2::/64\", \"10.0.0.1\" } prefix-step = 64",
     "10.0.0.1+1 fd00::+16777216/65536 fd00:1::+512/2 fd00:2::+4278189567 "},
    {"addresses = \"fd00::/48\" prefix-step = 0", "fd00::+4294967295 "},
    {"addresses = \"2000::/3\" prefix-step = 64", "2000::+4294967295/4294967295 "},
    {"addresses = \"fd00::/62\" prefix-step = 64 exclude-addresses = \"fd00:0:0:1::/64\"",
     "fd00::+256/1 fd00:0:0:2::+512/2 "},
    {"addresses = \"fd00::/62\" prefix-step = 64 exclude-addresses = { \"fd00::/63\", \"fd01::1\" }",
     "fd00:0:0:2::+512/2 "},
};

START_TEST(a_pool_has_these_addresses) {
    char text[512];
    (void)snprintf(text, sizeof text, "pool p { %s }\nrule r { to = \"*\" pool = p }", pools[_i].pool);
    good(text);
    assert_ranges(pools[_i].ranges);
}
END_TEST

START_TEST(a_new_64_comes_before_a_new_address_in_one) {
    const char *const wanted[] = {"fd00::", "fd00:0:0:1::", "fd00:0:0:2::", "fd00:0:0:3::", "fd00::1", "fd00:0:0:1::1"};
    char text[ADDR_TEXT];
    good("pool p { addresses = \"fd00::/62\" prefix-step = 64 }\nrule r { to = \"*\" pool = p }");
    for (unsigned i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        struct addr a = policy_source_at(&policy.source[0], i);
        format_address(text, &a);
        ck_assert_str_eq(text, wanted[i]);
        ck_assert(source_has(&policy.source[0], &a));
    }
    struct addr outside = policy_source_at(&policy.source[0], 3);
    outside.b[7] = 4;
    ck_assert(!source_has(&policy.source[0], &outside));

    struct match match;
    const struct endpoint to = {.addr = {.b = {0x20, 1}}, .port = 80};
    policy_match(&policy, &to, "x", &match);
    ck_assert_uint_eq(match.total, 4 * 256);
    struct endpoint second = match_source(&match, 5);
    format_address(text, &second.addr);
    ck_assert_str_eq(text, "fd00:0:0:1::1");
    ck_assert_uint_eq(second.scope, 0);
}
END_TEST

static const struct {
    const char *keys;
    unsigned by;
    const char *variable;
    uint8_t policy;
} hashes[] = {
    {"policy = hash", 0, "", POOL_HASH},
    {"policy = hash hash-by = destination", HASH_BY_DESTINATION, "", POOL_HASH},
    {"policy = hash hash-by = { \"process\", \"user\" }", HASH_BY_PROCESS | HASH_BY_USER, "", POOL_HASH_BY},
    {"hash-by = { \"destination\", \"program\" } policy = hash", HASH_BY_DESTINATION | HASH_BY_PROGRAM, "",
     POOL_HASH_BY},
    {"policy = hash hash-by = \"env:TENANT_1\"", HASH_BY_ENV, "TENANT_1", POOL_HASH_BY},
};

START_TEST(hash_by_is_what_was_written) {
    char text[512];
    struct match match;
    const struct endpoint to = {.addr = addr_from_v4(0x0a010001), .port = 80};
    (void)snprintf(text, sizeof text, "pool p { addresses = \"10.0.0.1\" %s }\nrule r { to = \"*\" pool = p }",
                   hashes[_i].keys);
    good(text);
    ck_assert_uint_eq(policy.pool[0].hash_by, hashes[_i].by);
    ck_assert_str_eq(policy.pool[0].hash_variable, hashes[_i].variable);
    policy_match(&policy, &to, "x", &match);
    ck_assert_uint_eq(match.policy, hashes[_i].policy);
}
END_TEST

static uint32_t value_in(const char *text, size_t length, const char *name) {
    char path[] = "/tmp/environ.XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, length), (ssize_t)length);
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    uint32_t hash = hash_of_variable(fd, name);
    (void)close(fd);
    (void)unlink(path);
    return hash;
}
#define VALUE(text, name) value_in(text, sizeof(text) - 1, name)

START_TEST(a_variable_is_found_by_its_whole_name) {
    uint32_t a = VALUE("T=a\0", "T"), b = VALUE("T=b\0", "T");
    ck_assert_uint_ne(a, 0);
    ck_assert_uint_ne(a, b);
    ck_assert_uint_eq(VALUE("X=1\0TT=b\0T=a\0Z=2\0", "T"), a);
    ck_assert_uint_eq(VALUE("XT=b\0T=a\0", "T"), a);
    ck_assert_uint_eq(VALUE("Y=T=b\0T=a\0", "T"), a);
    ck_assert_uint_eq(VALUE("T=a", "T"), a);
    ck_assert_uint_eq(VALUE("T=a\0T=b\0", "T"), a);
    ck_assert_uint_eq(VALUE("TT=b\0", "T"), 0);
    ck_assert_uint_eq(VALUE("T\0", "T"), 0);
    ck_assert_uint_eq(VALUE("", "T"), 0);
}
END_TEST

START_TEST(a_variable_may_lie_across_two_reads) {
    char text[4096];
    uint32_t wanted = VALUE("TENANT=blue\0", "TENANT");
    for (size_t before = 490; before < 520; before++) {
        memset(text, 'x', before);
        text[before - 1] = '\0';
        memcpy(text + before, "TENANT=blue", 12);
        ck_assert_uint_eq(value_in(text, before + 12, "TENANT"), wanted);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("pool_keys");
    TCase *tcase = tcase_create("pool_keys");
    tcase_add_loop_test(tcase, a_pool_has_these_addresses, 0, (int)(sizeof pools / sizeof *pools));
    tcase_add_test(tcase, a_new_64_comes_before_a_new_address_in_one);
    tcase_add_loop_test(tcase, hash_by_is_what_was_written, 0, (int)(sizeof hashes / sizeof *hashes));
    tcase_add_test(tcase, a_variable_is_found_by_its_whole_name);
    tcase_add_test(tcase, a_variable_may_lie_across_two_reads);
    suite_add_tcase(suite, tcase);
    return run(suite);
}
