/* JSON Lines read back: what `connspread log` wrote, and what others or accidents made of it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tool/events/jsonl.h"
#include "sample_events.h"
#include "suite.h"
#include "tool/events/json.h"
#include "tool/events/jsonl_close.h"

START_TEST(what_is_written_can_be_read_back) {
    struct event_record records[] = {close_event(), exhausted_event(EXHAUSTED_SOURCES), close_event(), close_event()};
    records[0].e.verified = VERIFIED_TRUE;
    records[0].e.decided_before_ms = 77;
    records[2].e.kind = EVENT_SOURCE_DOWN;
    records[2].e.phase = TCP_STATE_UNKNOWN;
    records[2].u.exhausted = (struct event_exhausted){.cause = CAUSE_ADDRESS_NOT_LOCAL, .error = EADDRNOTAVAIL};
    records[3] = (struct event_record){.e = {.kind = EVENT_ATTACH, .time_us = 5, .program = "12345678901234567890"},
                                       .u.text = "hello"};
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
        struct event_record back;
        struct event_context c;
        char line[EVENT_LINE_MAX], again[EVENT_LINE_MAX];
        int n = event_json(&records[i], &context, line, sizeof line);
        const char *wrong = jsonl_parse(line, (size_t)n, &back, &c);
        ck_assert_msg(!wrong, "%s: %s", wrong, line);
        ck_assert_int_eq(event_json(&back, &c, again, sizeof again), n);
        ck_assert_str_eq(again, line);
        ck_assert(memcmp(&back.e, &records[i].e, sizeof back.e) == 0);
    }
}
END_TEST

/* The two readers agree on a line that the first one takes. */
static bool agreed(const char *line, size_t length) {
    struct event_record r, other;
    struct event_context c, c_other;
    if (!jsonl_parse_close(line, length, &r, &c))
        return false;
    const char *wrong = jsonl_parse_any(line, length, &other, &c_other);
    ck_assert_msg(!wrong, "%s: %s", wrong, line);
    ck_assert_msg(memcmp(&r, &other, sizeof r) == 0 && memcmp(&c, &c_other, sizeof c) == 0, "%s", line);
    return true;
}

START_TEST(a_close_is_read_without_the_parser) {
    struct event_record records[] = {close_event(), close_event(), close_event()};
    char line[EVENT_LINE_MAX];
    records[1].e.kind = EVENT_CLOSE;
    records[1].e.direction = INBOUND;
    records[1].e.peer = (struct addr){.b = {0xfd, [15] = 1}};
    records[1].e.decided_by = DECIDED_BY_SHUTDOWN;
    records[1].e.decided_before_ms = 2123;
    records[1].e.verified = VERIFIED_FALSE;
    records[1].e.fate = FATE_RESET;
    records[2].e.verified = VERIFIED_TRUE;
    records[2].e.local_port = records[2].e.peer_port = 0;
    memcpy(records[2].e.program, "12345678901234567890", EVENT_PROGRAM);
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
        int n = event_json(&records[i], &context, line, sizeof line);
        ck_assert_msg(agreed(line, (size_t)n), "%s", line);
    }
}
END_TEST

/* Whatever byte of it is another: the first reader says no, or what the second one says. */
START_TEST(a_close_written_otherwise_is_left_to_the_parser) {
    static const char others[] = "\"\\ ,:{}019az\x01\x7f\xc3";
    struct event_record r = close_event();
    char line[EVENT_LINE_MAX];
    size_t n = (size_t)event_json(&r, &context, line, sizeof line);
    unsigned taken = 0, left = 0;
    for (size_t i = 0; i < n; i++) {
        char was = line[i];
        for (const char *other = others; *other; other++) {
            line[i] = *other;
            if (agreed(line, n))
                taken++;
            else
                left++;
        }
        line[i] = was;
        ck_assert(!jsonl_parse_close(line, i, &r, &(struct event_context){0}));
    }
    ck_assert_uint_gt(taken, 0);
    ck_assert_uint_gt(left, taken);
}
END_TEST

START_TEST(damaged_lines_are_refused) {
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "{\"time\":\"2026-11-21T03:27:59Z\"}",
        "{\"event\":\"close\"}",
        "{\"time\":\"2026-11-21T03:27:59Z\",\"event\":\"close\"",
        "{\"time\":\"yesterday\",\"event\":\"close\"}",
        "{\"time\":\"2026-11-21T03:27:59Z\",\"event\":\"lunch\"}",
        "{\"time\":\"2026-11-21T03:27:59Z\",\"event\":\"close\",\"pid\":-1}",
        "{\"time\":\"2026-11-21T03:27:59Z\",\"event\":\"close\",\"pid\":\"1\"}",
        "{\"time\":\"2026-11-21T03:27:59Z\",\"event\":\"close\",\"local_port\":65536}",
        "{\"time\":\"2026-11-21T03:27:59Z\",\"event\":\"close\",\"peer_address\":\"localhost\"}",
        "{\"time\":\"2026-11-21T03:27:59Z\",\"event\":\"close\",\"event\":\"close\"}",
        "{\"time\":\"2026-11-21T03:27:59Z\",\"event\":\"exhausted\",\"sources\":[{\"address\":1}]}",
    };
    struct event_record r;
    struct event_context c;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(jsonl_parse(bad[i], strlen(bad[i]), &r, &c) != NULL, "%s", bad[i]);
}
END_TEST

START_TEST(unknown_keys_are_passed_over) {
    static const char line[] =
        "{\"time\":\"2026-11-21T03:27:59Z\",\"event\":\"attach\",\"weather\":[1,{}],\"text\":\"x\"}";
    struct event_record r;
    struct event_context c;
    ck_assert_ptr_null(jsonl_parse(line, sizeof line - 1, &r, &c));
    ck_assert_int_eq(r.e.kind, EVENT_ATTACH);
    ck_assert_str_eq(r.u.text, "x");
}
END_TEST

START_TEST(lines_are_split_and_overlong_ones_passed_over) {
    FILE *file = tmpfile();
    struct jsonl j = {.file = file};
    fputs("one\n\n", file);
    for (int i = 0; i < 200000; i++)
        fputc('x', file);
    fputs("\nlast", file);
    rewind(file);
    ck_assert_int_eq(jsonl_next(&j), JSONL_LINE);
    ck_assert(j.length == 3 && memcmp(j.line, "one", 3) == 0 && j.number == 1);
    ck_assert_int_eq(jsonl_next(&j), JSONL_LINE);
    ck_assert_int_eq((int)j.length, 0);
    ck_assert_int_eq(jsonl_next(&j), JSONL_TOO_LONG);
    ck_assert_int_eq(jsonl_next(&j), JSONL_LINE);
    ck_assert(j.length == 4 && memcmp(j.line, "last", 4) == 0 && j.number == 4);
    ck_assert_int_eq(jsonl_next(&j), JSONL_END);
    jsonl_close(&j);
}
END_TEST

int main(void) {
    Suite *s = suite_create("jsonl");
    TCase *tc = tcase_create("lines");
    tcase_add_test(tc, what_is_written_can_be_read_back);
    tcase_add_test(tc, a_close_is_read_without_the_parser);
    tcase_add_test(tc, a_close_written_otherwise_is_left_to_the_parser);
    tcase_add_test(tc, damaged_lines_are_refused);
    tcase_add_test(tc, unknown_keys_are_passed_over);
    tcase_add_test(tc, lines_are_split_and_overlong_ones_passed_over);
    suite_add_tcase(s, tc);
    return run(s);
}
