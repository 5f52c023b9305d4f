/* Times as people write them after --since and --until. */
#include <string.h>

#include "tool/common/time_text.h"
#include "tool/common/strbuf.h"
#include "suite.h"

static const uint64_t second = 1000000, now = 1795231679123456; /* 2026-11-21T03:27:59.123456Z */

static uint64_t parsed(const char *text) {
    uint64_t us = 0;
    const char *wrong = time_from_text(text, now, &us);
    ck_assert_msg(!wrong, "%s: %s", text, wrong);
    return us;
}

static void refused(const char *text) {
    uint64_t us = 7;
    ck_assert_msg(time_from_text(text, now, &us) != NULL, "%s", text);
    ck_assert_uint_eq(us, 7);
}

START_TEST(rfc3339_with_fraction_and_zone) {
    ck_assert_uint_eq(parsed("2026-11-21T03:27:59.123456Z"), now);
    ck_assert_uint_eq(parsed("2026-11-21T03:27:59.123456789Z"), now);
    ck_assert_uint_eq(parsed("2026-11-21t04:27:59.123456+01:00"), now);
    ck_assert_uint_eq(parsed("2026-11-20T22:57:59.123456-04:30"), now);
    ck_assert_uint_eq(parsed("1970-01-01T00:00:00Z"), 0);
}
END_TEST

START_TEST(what_is_missing_of_a_date_is_midnight_and_utc) {
    ck_assert_uint_eq(parsed("2026-11-21T03:27:59"), now / second * second);
    ck_assert_uint_eq(parsed("2026-11-21 03:27"), now / second * second - 59 * second);
    ck_assert_uint_eq(parsed("2026-11-21"), now / (86400 * second) * (86400 * second));
}
END_TEST

START_TEST(a_clock_time_is_today) {
    ck_assert_uint_eq(parsed("03:27:59"), now / second * second);
    ck_assert_uint_eq(parsed("03:27"), now / second * second - 59 * second);
    ck_assert_uint_eq(parsed("23:59"), now / second * second + (20 * 3600 + 31 * 60 + 1) * second);
}
END_TEST

START_TEST(durations_are_before_now) {
    ck_assert_uint_eq(parsed("10m"), now - 600 * second);
    ck_assert_uint_eq(parsed("-10m"), now - 600 * second);
    ck_assert_uint_eq(parsed("10min"), now - 600 * second);
    ck_assert_uint_eq(parsed("2h ago"), now - 7200 * second);
    ck_assert_uint_eq(parsed("1h30m"), now - 5400 * second);
    ck_assert_uint_eq(parsed("1w"), now - 604800 * second);
    ck_assert_uint_eq(parsed("90s"), now - 90 * second);
}
END_TEST

START_TEST(now_and_seconds_since_1970) {
    ck_assert_uint_eq(parsed("now"), now);
    ck_assert_uint_eq(parsed("1795231679.123456"), now);
    ck_assert_uint_eq(parsed("@1795231679"), now / second * second);
    ck_assert_uint_eq(parsed("0"), 0);
}
END_TEST

START_TEST(anything_else_is_refused) {
    static const char *const bad[] = {"",
                                      "yesterday",
                                      "99y",
                                      "2026-13-01",
                                      "2026-02-29",
                                      "1969-12-31",
                                      "24:00",
                                      "12:60",
                                      "1:30",
                                      "2026-11-21T03:27:59+1",
                                      "10x",
                                      "m",
                                      "10m 5s",
                                      "10m later",
                                      "--10m",
                                      "2026-11-21T",
                                      "03:27 ",
                                      " 03:27",
                                      "12e3",
                                      "-5",
                                      "999999999999999999999",
                                      "99999999999999w",
                                      "1970-01-01T00:00:00+01:00",
                                      "2026-11-21T03:27:59Zjunk"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        refused(bad[i]);
}
END_TEST

START_TEST(rfc3339_alone_is_strict) {
    uint64_t us;
    ck_assert(time_from_rfc3339("2024-02-29T23:59:60Z", &us));
    ck_assert(!time_from_rfc3339("2026-11-21", &us));
    ck_assert(!time_from_rfc3339("2026-11-21T03:27Z", &us));
    ck_assert(!time_from_rfc3339("2026-11-21T03:27:59", &us));
    ck_assert(!time_from_rfc3339("2026-11-21T03:27:59.Z", &us));
}
END_TEST

static void expect_written(uint64_t us, const char *expected) {
    char out[64];
    struct strbuf s;
    strbuf_init(&s, out, sizeof out);
    strbuf_time(&s, us);
    ck_assert_int_eq(strbuf_finish(&s), (int)strlen(expected));
    ck_assert_str_eq(out, expected);
}

START_TEST(times_are_written_as_they_are_read) {
    expect_written(0, "1970-01-01T00:00:00.000000Z");
    expect_written(now, "2026-11-21T03:27:59.123456Z");
    expect_written(UINT64_MAX, "9999-12-31T23:59:59.999999Z");
    /* A day and a bit at a time through four centuries, leap years of all kinds among them. */
    for (uint64_t us = 0; us < 400 * 366 * (86400 * second); us += 86477000001) {
        char out[64];
        struct strbuf s;
        uint64_t back;
        strbuf_init(&s, out, sizeof out);
        strbuf_time(&s, us);
        (void)strbuf_finish(&s);
        ck_assert_msg(time_from_rfc3339(out, &back) && back == us, "%s", out);
    }
}
END_TEST

START_TEST(large_numbers_are_grouped) {
    char out[64];
    struct strbuf s;
    strbuf_init(&s, out, sizeof out);
    strbuf_grouped(&s, 0);
    strbuf_text(&s, " ");
    strbuf_grouped(&s, 999);
    strbuf_text(&s, " ");
    strbuf_grouped(&s, 28232);
    strbuf_text(&s, " ");
    strbuf_grouped(&s, UINT64_MAX);
    ck_assert_int_gt(strbuf_finish(&s), 0);
    ck_assert_str_eq(out, "0 999 28,232 18,446,744,073,709,551,615");
}
END_TEST

int main(void) {
    Suite *s = suite_create("cli_time");
    TCase *t = tcase_create("times");
    tcase_add_test(t, rfc3339_with_fraction_and_zone);
    tcase_add_test(t, what_is_missing_of_a_date_is_midnight_and_utc);
    tcase_add_test(t, a_clock_time_is_today);
    tcase_add_test(t, durations_are_before_now);
    tcase_add_test(t, now_and_seconds_since_1970);
    tcase_add_test(t, anything_else_is_refused);
    tcase_add_test(t, rfc3339_alone_is_strict);
    tcase_add_test(t, times_are_written_as_they_are_read);
    tcase_add_test(t, large_numbers_are_grouped);
    suite_add_tcase(s, t);
    return run(s);
}
