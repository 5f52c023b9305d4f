/* What the report adds up in bounded memory: its tables, windows and timeline. */
#include <stdlib.h>
#include <string.h>

#include "tool/common/table.h"
#include "tool/report/timeline.h"
#include "tool/common/window.h"
#include "suite.h"

#define SECOND ((uint64_t)1000000)
#define MINUTE (60 * SECOND)
static const uint64_t start = 1795231680 * SECOND; /* 2026-11-21T03:28:00Z */

/* --- tables --- */

struct counter {
    struct report_entry entry;
    uint64_t key;
    uint64_t n;
};

static void fold(void *to, const void *from) {
    ((struct counter *)to)->n += ((const struct counter *)from)->n;
}

static struct report_table table;

static void make_table(void) {
    ck_assert(report_table_init(&table, sizeof(struct counter), sizeof(uint64_t), 4, fold));
}
static void free_table(void) {
    report_table_free(&table);
}

static void count(uint64_t key) {
    struct counter *c = report_table_get(&table, &key);
    c->entry.weight++;
    c->n++;
}

static uint64_t counted(uint64_t key) {
    const struct counter *c = report_table_find(&table, &key);
    return c ? c->n : 0;
}

static uint64_t sum(void) {
    const struct counter *c = report_table_rest(&table);
    uint64_t n = c->n;
    size_t at = 0;
    while ((c = report_table_next(&table, &at)))
        n += c->n;
    return n;
}

START_TEST(a_table_counts_by_key) {
    for (uint64_t i = 0; i < 100; i++)
        count(i % 3);
    ck_assert_uint_eq(counted(0), 34);
    ck_assert_uint_eq(counted(1), 33);
    ck_assert_uint_eq(counted(7), 0);
    ck_assert_uint_eq(table.evicted, 0);
}
END_TEST

/* As IPv4 addresses lie in the last word of a key. */
START_TEST(keys_that_differ_in_the_uppermost_bits_have_room) {
    struct report_table large;
    ck_assert(report_table_init(&large, sizeof(struct counter), sizeof(uint64_t), 1024, fold));
    for (uint64_t i = 0; i < 1024; i++) {
        uint64_t key = (i & 255) << 56 | (i >> 8) << 48 | 0x140affff0000;
        ck_assert_ptr_nonnull(report_table_get(&large, &key));
    }
    ck_assert_uint_eq(large.evicted, 0);
    report_table_free(&large);
}
END_TEST

START_TEST(more_keys_than_room_lose_no_count) {
    for (uint64_t i = 0; i < 10000; i++)
        count(i % 1000);
    ck_assert_uint_gt(table.evicted, 0);
    ck_assert_uint_eq(sum(), 10000);
}
END_TEST

START_TEST(what_weighs_most_stays) {
    for (uint64_t i = 0; i < 20000; i++) {
        count(1000000);
        count(i);
    }
    ck_assert_uint_eq(counted(1000000), 20000);
    ck_assert_uint_eq(sum(), 40000);
}
END_TEST

static int compare(const void *a, const void *b) {
    uint64_t x = ((const struct counter *)a)->n, y = ((const struct counter *)b)->n;
    return x > y ? -1 : x < y;
}

START_TEST(the_top_is_in_order) {
    const void *top[3];
    for (uint64_t key = 1; key <= 9; key++)
        for (uint64_t i = 0; i < key; i++)
            count(key);
    ck_assert_uint_eq(report_table_top(&table, top, 3, compare), 3);
    for (uint64_t i = 0; i < 3; i++)
        ck_assert_uint_eq(((const struct counter *)top[i])->key, 9 - i);
}
END_TEST

START_TEST(the_top_of_a_few_is_all_of_them) {
    const void *top[3];
    ck_assert_uint_eq(report_table_top(&table, top, 3, compare), 0);
    count(5);
    ck_assert_uint_eq(report_table_top(&table, top, 3, compare), 1);
}
END_TEST

/* --- windows --- */

START_TEST(a_window_holds_a_minute) {
    struct window w = {0};
    for (unsigned i = 0; i < 300; i++)
        window_add(&w, start + i * SECOND, 10);
    ck_assert_uint_ge(w.sum, 600);
    ck_assert_uint_le(w.sum, 640);
    ck_assert_uint_eq(window_at(&w, start + 299 * SECOND), w.sum);
    ck_assert_uint_eq(window_at(&w, start + 400 * SECOND), 0);
}
END_TEST

START_TEST(its_peak_stays) {
    struct window w = {0};
    for (unsigned i = 0; i < 50; i++)
        window_add(&w, start + i * SECOND, 100);
    window_add(&w, start + 3600 * SECOND, 1);
    ck_assert_uint_eq(w.sum, 1);
    ck_assert_uint_eq(w.peak, 5000);
    ck_assert_uint_eq(w.peak_us, start + 49 * SECOND);
}
END_TEST

START_TEST(what_comes_late_counts_where_it_belongs) {
    struct window w = {0};
    window_add(&w, start + 30 * SECOND, 1);
    window_add(&w, start, 1);
    window_add(&w, start - 600 * SECOND, 1); /* too late */
    ck_assert_uint_eq(w.sum, 2);
    ck_assert_uint_eq(window_at(&w, start + SECOND), 1);
}
END_TEST

START_TEST(minutes_are_remembered_for_a_while) {
    struct minutes m = {0};
    uint64_t first = start / MINUTE;
    for (unsigned i = 0; i < 30; i++)
        minutes_add(&m, start + i * MINUTE, i);
    ck_assert_uint_eq(minutes_at(&m, first + 29), 29);
    ck_assert_uint_eq(minutes_at(&m, first + 30 - WINDOW_MINUTES), 30 - WINDOW_MINUTES);
    ck_assert_uint_eq(minutes_at(&m, first + 29 - WINDOW_MINUTES), 0);
    ck_assert_uint_eq(minutes_at(&m, first + 30), 0);
    minutes_add(&m, start + 100 * MINUTE, 7);
    ck_assert_uint_eq(minutes_at(&m, first + 95), 0);
    ck_assert_uint_eq(minutes_at(&m, first + 100), 7);
}
END_TEST

/* --- the timeline --- */

static struct timeline timeline, rows;

static void clear_timeline(void) {
    memset(&timeline, 0, sizeof timeline);
}

static uint64_t all_of(const struct timeline *t) {
    uint64_t n = 0;
    for (size_t i = 0; i < TIMELINE_BUCKETS; i++)
        n += t->bucket[i].time_wait;
    return n;
}

START_TEST(seconds_are_kept_while_there_is_room) {
    for (unsigned i = 0; i < TIMELINE_BUCKETS; i++)
        timeline_at(&timeline, start + i * SECOND)->time_wait++;
    ck_assert_uint_eq(timeline.width_us, SECOND);
    ck_assert_uint_eq(timeline.n, TIMELINE_BUCKETS);
    ck_assert_uint_eq(all_of(&timeline), TIMELINE_BUCKETS);
}
END_TEST

START_TEST(a_longer_span_is_coarser_and_loses_nothing) {
    for (unsigned i = 0; i < 100000; i++)
        timeline_at(&timeline, start + 7 * SECOND + i * 11 * SECOND)->time_wait++;
    ck_assert_uint_gt(timeline.width_us, SECOND);
    ck_assert_uint_eq(timeline.start_us % timeline.width_us, 0);
    ck_assert_uint_eq(all_of(&timeline), 100000);
}
END_TEST

START_TEST(each_bucket_has_what_happened_in_it) {
    for (unsigned i = 0; i < 7200; i++) /* two hours: 10 s buckets */
        timeline_at(&timeline, start + i * SECOND)->time_wait += i;
    ck_assert_uint_eq(timeline.width_us, 10 * SECOND);
    for (unsigned i = 0; i < 720; i++)
        ck_assert_uint_eq(timeline.bucket[i].time_wait, 100 * i + 45);
}
END_TEST

START_TEST(time_may_run_backwards) {
    for (unsigned i = 0; i < 50000; i++)
        timeline_at(&timeline, start - i * 13 * SECOND)->time_wait++;
    ck_assert_uint_eq(all_of(&timeline), 50000);
    ck_assert_uint_le(timeline.start_us, start - 49999 * 13 * SECOND);
}
END_TEST

START_TEST(the_largest_span_there_is_fits) {
    timeline_at(&timeline, 0)->time_wait++;
    timeline_at(&timeline, UINT64_MAX)->time_wait++;
    timeline_at(&timeline, start)->time_wait++;
    ck_assert_uint_eq(all_of(&timeline), 3);
}
END_TEST

START_TEST(rows_are_round_and_few) {
    for (unsigned i = 0; i < 7000; i++)
        timeline_at(&timeline, start + i * SECOND)->time_wait++;
    for (size_t max = 1; max < 200; max++) {
        timeline_rows(&timeline, &rows, max, 0);
        ck_assert_uint_le(rows.n, max);
        ck_assert_uint_eq(rows.start_us % rows.width_us, 0);
        ck_assert_uint_eq(all_of(&rows), 7000);
    }
    timeline_rows(&timeline, &rows, 24, 0);
    ck_assert_uint_eq(rows.width_us, 5 * MINUTE);
}
END_TEST

START_TEST(rows_are_no_finer_than_asked) {
    for (unsigned i = 0; i < 100; i++)
        timeline_at(&timeline, start + i * SECOND)->time_wait++;
    timeline_rows(&timeline, &rows, 1000, MINUTE);
    ck_assert_uint_eq(rows.width_us, MINUTE);
    ck_assert_uint_eq(all_of(&rows), 100);
}
END_TEST

START_TEST(nothing_has_no_rows) {
    timeline_rows(&timeline, &rows, 24, 0);
    ck_assert_uint_eq(rows.n, 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("report_sums");
    TCase *tc = tcase_create("report_sums");
    TCase *tables = tcase_create("report_tables");
    tcase_add_checked_fixture(tables, make_table, free_table);
    tcase_add_test(tables, a_table_counts_by_key);
    tcase_add_test(tables, keys_that_differ_in_the_uppermost_bits_have_room);
    tcase_add_test(tables, more_keys_than_room_lose_no_count);
    tcase_add_test(tables, what_weighs_most_stays);
    tcase_add_test(tables, the_top_is_in_order);
    tcase_add_test(tables, the_top_of_a_few_is_all_of_them);
    tcase_add_test(tc, a_window_holds_a_minute);
    tcase_add_test(tc, its_peak_stays);
    tcase_add_test(tc, what_comes_late_counts_where_it_belongs);
    tcase_add_test(tc, minutes_are_remembered_for_a_while);
    tcase_add_checked_fixture(tc, clear_timeline, NULL);
    tcase_add_test(tc, seconds_are_kept_while_there_is_room);
    tcase_add_test(tc, a_longer_span_is_coarser_and_loses_nothing);
    tcase_add_test(tc, each_bucket_has_what_happened_in_it);
    tcase_add_test(tc, time_may_run_backwards);
    tcase_add_test(tc, the_largest_span_there_is_fits);
    tcase_add_test(tc, rows_are_round_and_few);
    tcase_add_test(tc, rows_are_no_finer_than_asked);
    tcase_add_test(tc, nothing_has_no_rows);
    suite_add_tcase(suite, tables);
    suite_add_tcase(suite, tc);
    return run(suite);
}
