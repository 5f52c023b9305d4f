/* state/policy on memory that another process scribbles over: it stays within struct policy and comes to an end. Worth
 * most under ASan and UBSan; without them the pages around the policy catch what reads too far. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "policy/policy.h"
#include "suite.h"

enum { ROUNDS = 4000, FILES = 3 };

static uint64_t seed;

static uint64_t next_random(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* A policy whose last byte is the last one before a page that cannot be read. */
static struct policy *fenced(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = (sizeof(struct policy) + page - 1) / page;
    char *memory = mmap(NULL, (pages + 2) * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(memory, MAP_FAILED);
    ck_assert_int_eq(mprotect(memory + page, pages * page, PROT_READ | PROT_WRITE), 0);
    return (struct policy *)(void *)(memory + (pages + 1) * page - sizeof(struct policy));
}

static void scribble(struct policy *p) {
    unsigned char *bytes = (unsigned char *)p;
    for (size_t i = 0; i + 8 <= sizeof *p; i += 8) {
        uint64_t word = next_random();
        memcpy(bytes + i, &word, 8);
    }
}

static struct endpoint any_destination(void) {
    struct endpoint e = {.port = (uint16_t)next_random(), .scope = (uint32_t)next_random() & 3};
    for (int i = 0; i < 16; i++)
        e.addr.b[i] = (uint8_t)next_random();
    if (next_random() & 1)
        e.addr = addr_from_v4((uint32_t)next_random());
    return e;
}

/* What every match promises, whatever it was made from. */
static void assert_plan(const struct match *match, const struct endpoint *destination) {
    uint64_t total = 0;
    ck_assert_uint_le(match->n_sources, POOL_SOURCES);
    ck_assert_uint_le(match->n_ports, POOL_PORTS);
    for (unsigned i = 0; i < match->n_sources; i++) {
        ck_assert_uint_ge(match->source[i].count, 1);
        ck_assert_int_eq(addr_scope(&match->source[i].first), addr_scope(&destination->addr));
        total += match->source[i].count;
    }
    ck_assert_uint_eq(match->total, total);
    for (unsigned i = 0; i < match->n_ports; i++)
        ck_assert(match->ports[i].low >= 1 && match->ports[i].low <= match->ports[i].high);
    if (!match->matched)
        return;
    ck_assert(match->attempts >= 1 && match->attempts <= RULE_ATTEMPTS_MAX);
    ck_assert_uint_lt(match->pool, POLICY_POOLS);
    ck_assert_uint_le(match->policy, POOL_HASH_BY);
    ck_assert_uint_le(match->client_bind, CLIENT_BIND_OVERRIDE);
    ck_assert_uint_le(match->on_exhausted, EXHAUSTED_ERROR);
}

static void find_match(const struct policy *p) {
    struct match match;
    struct endpoint destination = any_destination();
    policy_match(p, &destination, "php-fpm8.2", &match);
    assert_plan(&match, &destination);
    match_source(&match, match.total ? match.total - 1 : 0);
    match_source(&match, UINT32_MAX);
    ck_assert_int_le(policy_client_bind(p, "php-fpm8.2"), CLIENT_BIND_OVERRIDE);
}

START_TEST(random_bytes_are_survived) {
    struct policy *p = fenced();
    seed = 88172645463325252u + (uint64_t)_i;
    for (int i = 0; i < ROUNDS; i++) {
        scribble(p);
        find_match(p);
    }
}
END_TEST

/* Random bytes seldom match. A rule that takes everything, with all else random, comes further. */
START_TEST(random_rules_and_pools_are_survived) {
    struct policy *p = fenced();
    int matched = 0;
    seed = 4101842887655102017u;
    for (int i = 0; i < ROUNDS; i++) {
        scribble(p);
        for (unsigned t = 0; t < POLICY_TARGETS; t++) {
            p->target[t].any = t % 2;
            p->target[t].ports = (struct port_range){.low = 1, .high = 65535};
        }
        for (unsigned r = 0; r < POLICY_RULES; r++) {
            p->rule[r].to.first %= POLICY_TARGETS;
            p->rule[r].except.count = 0;
            p->rule[r].programs.count = 0;
            p->rule[r].action = (uint8_t)(next_random() & 1);
            p->rule[r].pool %= 64;
        }
        for (unsigned s = 0; s < POLICY_SOURCES; s++)
            if (next_random() & 1)
                p->source[s].first = addr_from_v4((uint32_t)next_random());
        struct match match;
        struct endpoint destination = any_destination();
        policy_match(p, &destination, "x", &match);
        assert_plan(&match, &destination);
        matched += match.matched;
    }
    ck_assert_int_gt(matched, ROUNDS / 10);
}
END_TEST

/* The last entry of every array is reached, and nothing behind it. */
START_TEST(full_arrays_are_read_to_their_end) {
    struct policy *p = fenced();
    memset(p, 0xff, sizeof *p);
    find_match(p);
    policy_default(p);
    p->rule[0].programs = (struct policy_span){.first = POLICY_PROGRAMS - 1, .count = UINT16_MAX};
    memset(p->program, '*', sizeof p->program); /* no NUL anywhere */
    p->pool[0].sources[SCOPE_V4] = (struct policy_span){.first = POLICY_SOURCES - 1, .count = UINT16_MAX};
    p->source[POLICY_SOURCES - 1] = (struct policy_source){.first = addr_from_v4(0x0a000001), .count = 1};
    p->pool[0].ports = (struct policy_span){.first = POLICY_PORTS - 1, .count = UINT16_MAX};
    p->ports[POLICY_PORTS - 1] = (struct port_range){.low = 7, .high = 9};
    struct match match;
    struct endpoint destination = {.addr = addr_from_v4(0x0a000002), .port = 80};
    policy_match(p, &destination, "x", &match);
    ck_assert(match.matched);
    ck_assert_uint_eq(match.total, 1);
    ck_assert_uint_eq(match.n_ports, 1);
}
END_TEST

static bool done;

static void *scribbler(void *policy) {
    unsigned char *bytes = policy;
    uint64_t x = 1;
    while (!__atomic_load_n(&done, __ATOMIC_RELAXED))
        for (int i = 0; i < 4096; i++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            __atomic_store_n(&bytes[(x >> 33) % sizeof(struct policy)], (unsigned char)(x >> 20), __ATOMIC_RELAXED);
        }
    return NULL;
}

START_TEST(a_concurrent_scribbler_is_survived) {
    struct policy *p = fenced();
    pthread_t thread;
    seed = 2685821657736338717u;
    policy_default(p);
    ck_assert_int_eq(pthread_create(&thread, NULL, scribbler, p), 0);
    for (int i = 0; i < ROUNDS; i++)
        find_match(p);
    __atomic_store_n(&done, true, __ATOMIC_RELAXED);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("limits");
    TCase *tcase = tcase_create("limits");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, random_bytes_are_survived, 0, FILES);
    tcase_add_test(tcase, random_rules_and_pools_are_survived);
    tcase_add_test(tcase, full_arrays_are_read_to_their_end);
    tcase_add_test(tcase, a_concurrent_scribbler_is_survived);
    suite_add_tcase(suite, tcase);
    return run(suite);
}
