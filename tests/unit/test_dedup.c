/* state/once: each end is told once, whoever asks first; a later connection of the same quadruplet is another one. */
#include <pthread.h>
#include <string.h>

#include "state/dedup.h"
#include "state/pair.h"
#include "suite.h"

static const uint64_t second = 1000000000, start = 3600 * (uint64_t)1000000000;
static const struct endpoint peer = {.addr = {{[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1}}, .port = 80};
static const struct addr local = {{[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 2}};
static struct state state;

static void fresh(void) {
    ck_assert(state_private(&state, "test"));
}

static void gone(void) {
    state_unmap(&state);
}

/* dedup_first of a connection from from:port to to, in namespace netns. */
static bool told(uint64_t netns, const struct addr *from, uint16_t port, const struct endpoint *to, uint64_t since,
                 uint64_t now) {
    struct tuple tuple = tuple_of(from, port, &to->addr, to->port);
    return dedup_first(&state, netns, &tuple, since, now);
}

static bool first(uint16_t port, uint64_t since, uint64_t now) {
    return told(1, &local, port, &peer, since, now);
}

/* The ports of one pair never meet at one place; so each has a peer of its own. */
static bool first_of(unsigned i, uint64_t since, uint64_t now) {
    uint32_t random = i * 2654435761u;
    struct endpoint one = peer;
    memcpy(&one.addr.b[12], &random, sizeof random);
    return told(1, &local, (uint16_t)i, &one, since, now);
}

START_TEST(told_once) {
    ck_assert(first(4000, start, start + second));
    ck_assert(!first(4000, start, start + second));
    ck_assert(!first(4000, start, start + 3000 * second));
}
END_TEST

START_TEST(told_again_of_a_connection_that_had_not_ended_then) {
    ck_assert(first(4000, start, start + second));
    ck_assert(first(4000, start + 2 * second, start + 3 * second));
    ck_assert(!first(4000, start + 2 * second, start + 4 * second));
}
END_TEST

START_TEST(each_part_of_the_quadruplet_counts) {
    struct endpoint other_port = peer, other_address = peer;
    struct addr other = local;
    other_port.port++;
    other_address.addr.b[15]++;
    other.b[15]++;
    ck_assert(first(4000, start, start + second));
    ck_assert(first(4001, start, start + second));
    ck_assert(told(2, &local, 4000, &peer, start, start + second));
    ck_assert(told(1, &other, 4000, &peer, start, start + second));
    ck_assert(told(1, &local, 4000, &other_port, start, start + second));
    ck_assert(told(1, &local, 4000, &other_address, start, start + second));
}
END_TEST

START_TEST(a_quadruplet_is_claimed_by_one_until_it_is_released) {
    uint64_t pair = pair_key(1, &local, &peer);
    ck_assert(dedup_claim(&state, pair, 4000, start));
    ck_assert(!dedup_claim(&state, pair, 4000, start + second / 2));
    ck_assert(dedup_claim(&state, pair, 4001, start));
    ck_assert(dedup_claim(&state, pair + 1, 4000, start));
    dedup_release(&state, pair, 4000);
    ck_assert(dedup_claim(&state, pair, 4000, start + second / 2));
    ck_assert(!dedup_claim(&state, pair, 4001, start + second / 2)); /* was not released with it */
}
END_TEST

START_TEST(a_claim_of_the_dead_ends) {
    uint64_t pair = pair_key(1, &local, &peer);
    ck_assert(dedup_claim(&state, pair, 4000, start));
    ck_assert(dedup_claim(&state, pair, 4000, start + CLAIM_NS + second / 100));
}
END_TEST

START_TEST(a_claim_says_nothing_of_the_end) {
    uint64_t pair = pair_key(1, &local, &peer);
    ck_assert(dedup_claim(&state, pair, 4000, start));
    ck_assert(first(4000, start, start));
    dedup_release(&state, pair, 4000);
    ck_assert(!first(4000, start, start));
}
END_TEST

START_TEST(thousands_at_a_time) {
    unsigned lost = 0;
    for (unsigned i = 1; i <= 3000; i++)
        ck_assert(first_of(i, start, start + second));
    for (unsigned i = 1; i <= 3000; i++)
        lost += first_of(i, start, start + second);
    ck_assert_uint_le(lost, 3); /* displaced by more than four others */
}
END_TEST

/* In a full table, what was told lately is still known, and makes room after a minute. */
START_TEST(the_youngest_stay_known) {
    unsigned lost = 0;
    for (unsigned i = 1; i <= 60000; i++) {
        uint64_t now = start + i * (second / 1000);
        ck_assert(first_of(i, start, now));
        if (i > 300)
            lost += first_of(i - 300, start, now);
    }
    ck_assert_uint_le(lost, 6); /* of 59,700; a home alone loses two thousand */
}
END_TEST

START_TEST(a_claim_that_was_displaced_is_released_too) {
    uint64_t pair = pair_key(1, &local, &peer);
    for (unsigned i = 1; i <= 3000; i++)
        ck_assert(dedup_claim(&state, pair + i * 0x9e3779b97f4a7c15u, (uint16_t)i, start));
    for (unsigned i = 1; i <= 3000; i++)
        dedup_release(&state, pair + i * 0x9e3779b97f4a7c15u, (uint16_t)i);
    for (unsigned i = 1; i <= 3000; i++)
        ck_assert(dedup_claim(&state, pair + i * 0x9e3779b97f4a7c15u, (uint16_t)i, start));
}
END_TEST

enum { THREADS = 4, QUADRUPLETS = 60000, TOGETHER = 50 };
static unsigned char firsts[QUADRUPLETS + 1];
static pthread_barrier_t barrier;

/* Each a little behind the one before it, as the processes are that share a connection. */
static void *tell_all(void *thread) {
    uint64_t late = (uintptr_t)thread * (second / 1000);
    for (unsigned i = 1; i <= QUADRUPLETS; i++) {
        uint64_t now = start + i * (second / 1000);
        if (i % TOGETHER == 0)
            pthread_barrier_wait(&barrier);
        if (first_of(i, now, now + late))
            __atomic_fetch_add(&firsts[i], 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

START_TEST(of_threads_that_tell_at_once_exactly_one_is_first) {
    pthread_t thread[THREADS];
    unsigned never = 0, twice = 0;
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (uintptr_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, tell_all, (void *)i), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    for (unsigned i = 1; i <= QUADRUPLETS; i++) {
        never += firsts[i] == 0;
        twice += firsts[i] > 1;
    }
    ck_assert_uint_eq(never, 0);
    ck_assert_uint_le(twice, QUADRUPLETS / 10000);
}
END_TEST

/* A scribble, or another boot's: a time that is still to come says nothing. */
START_TEST(what_lies_in_the_future_is_not_believed) {
    ck_assert(first(4000, start, start + 100 * second));
    ck_assert(first(4000, start, start + second));
}
END_TEST

/* Two threads: the one that read the clock first came second. */
START_TEST(a_clock_read_before_the_other_told) {
    ck_assert(first(4000, start, start + second));
    ck_assert(!first(4000, start, start + second - second / 10));
}
END_TEST

START_TEST(the_clock_of_milliseconds_wraps) {
    const uint64_t wrap = ((uint64_t)1 << 32) * 1000000;
    ck_assert(first(4000, wrap - second, wrap - 1));
    ck_assert(!first(4000, wrap - second, wrap + second));
    ck_assert(first(4000, wrap + second, wrap + 2 * second));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("dedup");
    TCase *t = tcase_create("dedup");
    tcase_add_checked_fixture(t, fresh, gone);
    tcase_add_test(t, told_once);
    tcase_add_test(t, told_again_of_a_connection_that_had_not_ended_then);
    tcase_add_test(t, each_part_of_the_quadruplet_counts);
    tcase_add_test(t, a_quadruplet_is_claimed_by_one_until_it_is_released);
    tcase_add_test(t, a_claim_of_the_dead_ends);
    tcase_add_test(t, a_claim_says_nothing_of_the_end);
    tcase_add_test(t, thousands_at_a_time);
    tcase_add_test(t, the_youngest_stay_known);
    tcase_add_test(t, a_claim_that_was_displaced_is_released_too);
    tcase_add_test(t, of_threads_that_tell_at_once_exactly_one_is_first);
    tcase_add_test(t, what_lies_in_the_future_is_not_believed);
    tcase_add_test(t, a_clock_read_before_the_other_told);
    tcase_add_test(t, the_clock_of_milliseconds_wraps);
    suite_add_tcase(suite, t);
    return run(suite);
}
