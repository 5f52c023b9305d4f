/* What `connspread log` prints is a contract with programs (connspread(1), EVENTS): keys, order, spelling, and that no
 * byte in a state file can break a line. */
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "tool/events/names.h"
#include "tool/events/occupied.h"
#include "tool/events/jsonl.h"
#include "text/parse.h"
#include "sample_events.h"
#include "suite.h"
#include "tool/events/json.h"
#include "tool/events/text.h"

#define HEAD(event)                                                                                                    \
    "{\"time\":\"2026-11-21T03:27:59.123456Z\",\"epoch\":\"0123456789abcdef\",\"seq\":42,\"event\":\"" event           \
    "\",\"host\":\"web1\",\"netns\":1,\"instance\":\"redis\",\"arm\":\"enforce\",\"pid\":123,\"tid\":124,"             \
    "\"program\":\"curl\""
#define NO_EVIDENCE                                                                                                    \
    ",\"proof\":\"none\",\"occupied_by\":\"unknown\",\"capacity\":0,\"reserved_ports\":0,\"bound_ports\":null,"        \
    "\"recent\":{\"seconds\":0,\"connects\":0,\"time_waits\":0},\"error\":\"0\"}"
#define CONNECTION(local, port)                                                                                        \
    ",\"direction\":\"outbound\",\"local_address\":\"" local "\",\"local_port\":" port                                 \
    ",\"peer_address\":\"10.2.0.1\",\"peer_port\":6379,\"rule\":\"redis\",\"pool\":\"lo\",\"age_us\":12345"

static void expect_json(const struct event_record *r, const char *expected) {
    char out[EVENT_LINE_MAX];
    int n = event_json(r, &context, out, sizeof out);
    ck_assert_str_eq(out, expected);
    ck_assert_int_eq(n, (int)strlen(expected));
}

static void expect_text(const struct event_record *r, const char *expected) {
    char out[EVENT_LINE_MAX];
    ck_assert_int_gt(event_text(r, &context, out, sizeof out), 0);
    ck_assert_str_eq(out, expected);
}

START_TEST(a_time_wait_has_the_contracts_keys_in_order) {
    struct event_record r = close_event();
    expect_json(
        &r,
        HEAD("time-wait") CONNECTION(
            "10.0.0.11",
            "40000") ",\"via\":\"close\",\"state\":\"established\","
                     "\"fate\":\"time-wait\",\"decided_by\":\"close\",\"decided_at\":\"2026-11-21T03:27:59.123456Z\","
                     "\"verified\":null}");
}
END_TEST

START_TEST(a_close_decided_by_shutdown_says_when) {
    struct event_record r = close_event();
    r.e.kind = EVENT_CLOSE;
    r.e.fate = FATE_PASSIVE;
    r.e.phase = TCP_STATE_CLOSED;
    r.e.via = VIA__EXIT;
    r.e.decided_by = DECIDED_BY_SHUTDOWN;
    r.e.decided_before_ms = 2123;
    r.e.verified = VERIFIED_FALSE;
    expect_json(
        &r,
        HEAD("close") CONNECTION(
            "10.0.0.11",
            "40000") ",\"via\":\"_exit\",\"state\":\"closed\","
                     "\"fate\":\"passive\",\"decided_by\":\"shutdown\",\"decided_at\":\"2026-11-21T03:27:57.000456Z\","
                     "\"verified\":false}");
}
END_TEST

START_TEST(an_exhausted_event_lists_what_was_tried) {
    struct event_record r = exhausted_event(1);
    expect_json(
        &r,
        HEAD("exhausted") CONNECTION(
            "::",
            "0") ",\"call\":\"connect\",\"cause\":\"range-full\","
                 "\"outcome\":\"failed\",\"attempts\":3,\"elapsed_us\":1500,\"sources\":[{\"address\":\"10.0.0.11\","
                 "\"ports\":\"32768-60999\",\"cause\":\"range-full\",\"open\":0,\"time_wait\":28000,"
                 "\"kernel\":null}]" NO_EVIDENCE);
}
END_TEST

START_TEST(an_exhausted_event_brings_its_evidence) {
    struct event_record r = exhausted_event(1), back;
    struct event_context with;
    char out[EVENT_LINE_MAX];
    struct event_exhausted *x = &r.u.exhausted;
    x->proof = PROOF_SEARCH;
    x->capacity = 28230;
    x->reserved = 2;
    x->bound = 3;
    x->bound_counted = COUNTED_ALL;
    x->recent_s = 75;
    x->recent_connects = 31000;
    x->recent_time_waits = 30000;
    x->source[0].counted = COUNTED_SAMPLE;
    memcpy(x->source[0].kernel, (uint16_t[]){1, 28000, 2, 3, 4}, sizeof x->source[0].kernel);
    ck_assert_int_gt(event_json(&r, &context, out, sizeof out), 0);
    ck_assert_ptr_nonnull(strstr(
        out, "\"kernel\":{\"established\":1,\"time_wait\":28000,\"fin_wait\":2,\"close_wait\":4,\"other\":3,"
             "\"complete\":false}}],"
             "\"proof\":\"search\",\"occupied_by\":\"instance\",\"capacity\":28230,\"reserved_ports\":2,"
             "\"bound_ports\":3,\"recent\":{\"seconds\":75,\"connects\":31000,\"time_waits\":30000},\"error\":\"0\"}"));
    ck_assert_ptr_null(jsonl_parse(out, strlen(out), &back, &with));
    ck_assert_mem_eq(&back.u.exhausted.source[0].kernel, &x->source[0].kernel, sizeof x->source[0].kernel);
    ck_assert_uint_eq(back.u.exhausted.bound, 3);
    ck_assert_uint_eq(back.u.exhausted.recent_time_waits, 30000);
    ck_assert_int_gt(event_text(&r, &context, out, sizeof out), 0);
    ck_assert_ptr_nonnull(strstr(
        out, "28000 in TIME-WAIT; in the kernel 1 established, 28000 in TIME-WAIT, "
             "2 in FIN-WAIT, 4 in CLOSE-WAIT, 3 other (estimated from a sample)\n    taken by this instance's own "
             "connections\n    28230 quadruplets a source, 2 of its ports reserved\n    3 ports taken without a "
             "connection\n    in the last 75 s this program made 31000 connects there and left 30000 TIME-WAITs"));
}
END_TEST

START_TEST(repeats_and_omitted_sources_appear_only_when_there_are_any) {
    struct event_record r = exhausted_event(0);
    r.u.exhausted.repeats = 7;
    r.u.exhausted.omitted = 2;
    expect_json(&r,
                HEAD("exhausted") CONNECTION(
                    "::", "0") ",\"call\":\"connect\",\"cause\":\"range-full\","
                               "\"outcome\":\"failed\",\"attempts\":3,\"elapsed_us\":1500,\"repeats\":7,\"sources\":[],"
                               "\"sources_omitted\":2" NO_EVIDENCE);
}
END_TEST

START_TEST(a_source_tried_with_the_whole_range_says_so) {
    struct event_record r = exhausted_event(1);
    char out[EVENT_LINE_MAX];
    r.u.exhausted.source[0].ports = (struct port_range){0, 0};
    ck_assert_int_gt(event_json(&r, &context, out, sizeof out), 0);
    ck_assert_ptr_nonnull(strstr(out, "\"ports\":\"ephemeral\""));
}
END_TEST

START_TEST(a_source_that_is_down_names_its_error) {
    struct event_record r = close_event();
    r.e.kind = EVENT_SOURCE_DOWN;
    r.u.exhausted.cause = CAUSE_UNREACHABLE;
    r.u.exhausted.error = ENETUNREACH;
    expect_json(&r, HEAD("source-down") CONNECTION("10.0.0.11", "40000") ",\"cause\":\"unreachable\","
                                                                         "\"error\":\"ENETUNREACH\"}");
    r.u.exhausted.error = 9999;
    expect_json(&r, HEAD("source-down") CONNECTION("10.0.0.11", "40000") ",\"cause\":\"unreachable\","
                                                                         "\"error\":\"9999\"}");
}
END_TEST

START_TEST(a_control_event_carries_its_text) {
    struct event_record r = close_event();
    r.e.kind = EVENT_OVERRIDE;
    strcpy(r.u.text, "mode=\"off\"");
    expect_json(&r, HEAD("override") ",\"text\":\"mode=\\\"off\\\"\"}");
}
END_TEST

static struct event_record traced_connect(void) {
    struct event_record r = exhausted_event(2);
    r.e.kind = EVENT_TRACE_CONNECT;
    r.e.local_port = 40000;
    r.u.exhausted.outcome = DECISION_RECOVERED;
    r.u.exhausted.cause = REASON_RULE;
    r.u.exhausted.error = EINPROGRESS;
    r.u.exhausted.source[0].cause = SAID_FULL;
    r.u.exhausted.source[0].error = EADDRNOTAVAIL;
    r.u.exhausted.source[1].cause = SAID_CHOSEN;
    r.u.exhausted.source[1].error = 0;
    return r;
}

/* What is written is read back as it was. */
static void expect_back(const char *line, int n) {
    struct event_record back;
    struct event_context with;
    char again[EVENT_LINE_MAX];
    ck_assert_int_gt(n, 0);
    ck_assert_ptr_null(jsonl_parse(line, (size_t)n, &back, &with));
    ck_assert_int_eq(event_json(&back, &with, again, sizeof again), n);
    ck_assert_str_eq(again, line);
}

START_TEST(a_traced_connect_lists_what_each_source_said) {
    struct event_record r = traced_connect();
    char out[EVENT_LINE_MAX];
    expect_back(out, event_json(&r, &context, out, sizeof out));
    ck_assert_ptr_nonnull(strstr(out, "\"event\":\"trace-connect\""));
    ck_assert_ptr_nonnull(strstr(out, "\"decision\":\"recovered\",\"reason\":\"rule\",\"attempts\":"));
    ck_assert_ptr_nonnull(strstr(out, "\"said\":\"full\",\"error\":\"EADDRNOTAVAIL\",\"open\":"));
    ck_assert_ptr_nonnull(strstr(out, "\"said\":\"chosen\",\"open\":"));
    ck_assert_ptr_nonnull(strstr(out, ",\"error\":\"EINPROGRESS\"}"));
    ck_assert_ptr_null(strstr(out, "\"outcome\""));
}
END_TEST

START_TEST(a_traced_close_says_why) {
    struct event_record r = close_event();
    char out[EVENT_LINE_MAX];
    r.e.kind = EVENT_TRACE_CLOSE;
    strcpy(r.u.text, "data in the receive queue");
    expect_back(out, event_json(&r, &context, out, sizeof out));
    ck_assert_ptr_nonnull(strstr(out, "\"fate\":\"time-wait\""));
    ck_assert_ptr_nonnull(strstr(out, ",\"text\":\"data in the receive queue\"}"));
    ck_assert_int_gt(event_text(&r, &context, out, sizeof out), 0);
    ck_assert_ptr_nonnull(strstr(out, ": time-wait, age 12.3ms, data in the receive queue, rule redis"));
}
END_TEST

START_TEST(v4_mapped_addresses_are_written_as_ipv4_and_others_as_ipv6) {
    struct event_record r = close_event();
    char out[EVENT_LINE_MAX];
    r.e.local = (struct addr){{0xfd, [15] = 1}};
    ck_assert_int_gt(event_json(&r, &context, out, sizeof out), 0);
    ck_assert_ptr_nonnull(
        strstr(out, "\"local_address\":\"fd00::1\",\"local_port\":40000,\"peer_address\":\"10.2.0.1\""));
}
END_TEST

/* Any byte may stand in a program's name, and 20 bytes need no NUL. */
START_TEST(every_program_name_gives_valid_json) {
    static const char nasty[][EVENT_PROGRAM + 1] = {"a\"b\\c\n\x01\x1f\x7f",        "\xff\xfe\x80\xc0\xaf",
                                                    "\xed\xa0\x80\xf4\x90\x80\x80", "caf\xc3\xa9 \xe2\x82\xac",
                                                    "12345678901234567890",         "1234567890123456789\xc3"};
    struct event_record r = close_event();
    char out[EVENT_LINE_MAX];
    for (size_t i = 0; i < sizeof nasty / sizeof nasty[0]; i++) {
        memcpy(r.e.program, nasty[i], EVENT_PROGRAM);
        int n = event_json(&r, &context, out, sizeof out);
        json_t *object = n > 0 ? json_loadb(out, (size_t)n, 0, NULL) : NULL;
        ck_assert_msg(json_is_object(object), "%s", out);
        ck_assert_ptr_null(strchr(out, '\n'));
        json_decref(object);
    }
}
END_TEST

START_TEST(invalid_utf8_becomes_the_replacement_character) {
    struct event_record r = close_event();
    char out[EVENT_LINE_MAX];
    memcpy(r.e.program, "a\xff\xe2\x82z", 6);
    ck_assert_int_gt(event_json(&r, &context, out, sizeof out), 0);
    ck_assert_ptr_nonnull(strstr(out, "\"program\":\"a\\ufffd\\ufffd\\ufffdz\""));
}
END_TEST

START_TEST(control_characters_do_not_reach_a_terminal) {
    struct event_record r = close_event();
    char out[EVENT_LINE_MAX];
    memcpy(r.e.program, "\x1b[2J\xc2\x9b\x07", 8);
    ck_assert_int_gt(event_text(&r, &context, out, sizeof out), 0);
    for (const char *p = out; *p; p++)
        ck_assert_int_ge((unsigned char)*p, 0x20);
    ck_assert_ptr_nonnull(strstr(out, "?[2J??[123]"));
}
END_TEST

static void expect_valid(enum event_schema schema, const struct event_record *r) {
    char out[EVENT_LINE_MAX];
    json_error_t error;
    int n = event_json_as(schema, r, &context, out, sizeof out);
    ck_assert_int_gt(n, 0);
    json_t *object = json_loadb(out, (size_t)n, JSON_DECODE_INT_AS_REAL | JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(json_is_object(object), "%s: %s", error.text, out);
    json_decref(object);
}

/* A scribbled record: every byte the same, for every byte; under the names of each schema. */
START_TEST(no_record_makes_an_invalid_line) {
    struct event_record r;
    char out[EVENT_LINE_MAX];
    memset(&r, _i, sizeof r);
    for (unsigned kind = 0; kind < 256; kind++) {
        r.e.kind = (uint8_t)kind;
        for (unsigned schema = 0; schema < SCHEMAS; schema++)
            expect_valid((enum event_schema)schema, &r);
        ck_assert_int_gt(event_text(&r, &context, out, sizeof out), 0);
    }
}
END_TEST

START_TEST(a_buffer_too_small_is_an_error_and_never_overrun) {
    struct event_record r = exhausted_event(EXHAUSTED_SOURCES);
    char out[EVENT_LINE_MAX], whole[EVENT_LINE_MAX];
    int length = event_json(&r, &context, whole, sizeof whole);
    for (int size = 1; size <= length + 1; size++) {
        memset(out, 'x', sizeof out);
        int n = event_json(&r, &context, out, (size_t)size);
        ck_assert_int_eq(n, size == length + 1 ? length : -1);
        ck_assert_int_eq(out[size], 'x');
    }
}
END_TEST

/* Read back, the record is the one that was written. */
START_TEST(text_reads_from_left_to_right) {
    struct event_record r = close_event();
    expect_text(&r, "2026-11-21T03:27:59.123456Z time-wait   curl[123] 10.0.0.11:40000 -> 10.2.0.1:6379 close in "
                    "established, age 12.3ms, rule redis");
    r.e.direction = INBOUND;
    r.e.arm = ARM_CONTROL;
    r.e.kind = EVENT_CLOSE;
    r.e.fate = FATE_RESET;
    expect_text(&r, "2026-11-21T03:27:59.123456Z close       curl[123] 10.0.0.11:40000 <- 10.2.0.1:6379 close in "
                    "established: reset, age 12.3ms, arm control, rule redis");
}
END_TEST

START_TEST(text_of_an_exhausted_event_indents_its_sources) {
    struct event_record r = exhausted_event(2);
    r.u.exhausted.repeats = 3;
    expect_text(&r, "2026-11-21T03:27:59.123456Z exhausted   curl[123] * -> 10.2.0.1:6379 connect: range-full, failed "
                    "after 3 attempts in 1.5ms, and 3 more like it since the last, rule redis\n"
                    "    10.0.0.11 ports 32768-60999: range-full, 0 open, 28000 in TIME-WAIT\n"
                    "    10.0.0.12 ports 32768-60999: range-full, 1 open, 28000 in TIME-WAIT");
}
END_TEST

/* Every value of every enum has a name of its own, but for the few that no event carries. */
START_TEST(every_value_has_a_name) {
    static const unsigned counts[NAME_TABLES] = {
        [NAMES_KIND] = EVENT_KINDS,
        [NAMES_ARM] = ARMS,
        [NAMES_DIRECTION] = DIRECTIONS,
        [NAMES_VIA] = VIAS,
        [NAMES_PHASE] = TCP_STATES,
        [NAMES_FATE] = FATES,
        [NAMES_DECIDED_BY] = DECIDED_BYS,
        [NAMES_VERIFIED] = VERIFIEDS,
        [NAMES_CALL] = CALLS,
        [NAMES_CAUSE] = CAUSES,
        [NAMES_OUTCOME] = OUTCOMES,
        [NAMES_PROOF] = PROOFS,
        [NAMES_GONE] = GONE_REASONS,
        [NAMES_OCCUPIED] = OCCUPIED_BYS,
        [NAMES_DECISION] = DECISIONS,
        [NAMES_REASON] = REASONS,
        [NAMES_SAID] = SAIDS,
    };
    for (unsigned table = 0; table < NAME_TABLES; table++) {
        for (unsigned value = 0; value < counts[table]; value++) {
            const char *name = event_name((enum name_table)table, value);
            uint8_t back = 0;
            bool nameless = (table == NAMES_KIND && value == EVENT_NONE) ||
                            (table == NAMES_PHASE && (value == TCP_STATE_UNKNOWN || value == TCP_STATE_LISTEN)) ||
                            (table == NAMES_CAUSE && value == CAUSE_UNKNOWN) ||
                            (table == NAMES_SAID && value == SAID_UNKNOWN) ||
                            (table == NAMES_GONE && value == GONE_UNKNOWN) ||
                            (table == NAMES_OCCUPIED && value == OCCUPIED_UNKNOWN);
            ck_assert_int_eq(strcmp(name, "unknown") == 0, nameless);
            if (!nameless) {
                ck_assert(event_value((enum name_table)table, name, &back));
                ck_assert_uint_eq(back, value);
            }
        }
        ck_assert_str_eq(event_name((enum name_table)table, counts[table]), "unknown");
        ck_assert_str_eq(event_name((enum name_table)table, UINT32_MAX), "unknown");
    }
}
END_TEST

int main(void) {
    Suite *s = suite_create("event_json");
    TCase *json = tcase_create("json"), *text = tcase_create("text");
    tcase_add_test(json, a_time_wait_has_the_contracts_keys_in_order);
    tcase_add_test(json, a_close_decided_by_shutdown_says_when);
    tcase_add_test(json, an_exhausted_event_lists_what_was_tried);
    tcase_add_test(json, an_exhausted_event_brings_its_evidence);
    tcase_add_test(json, repeats_and_omitted_sources_appear_only_when_there_are_any);
    tcase_add_test(json, a_source_tried_with_the_whole_range_says_so);
    tcase_add_test(json, a_source_that_is_down_names_its_error);
    tcase_add_test(json, a_control_event_carries_its_text);
    tcase_add_test(json, a_traced_connect_lists_what_each_source_said);
    tcase_add_test(json, a_traced_close_says_why);
    tcase_add_test(json, v4_mapped_addresses_are_written_as_ipv4_and_others_as_ipv6);
    tcase_add_test(json, every_program_name_gives_valid_json);
    tcase_add_test(json, invalid_utf8_becomes_the_replacement_character);
    tcase_add_loop_test(json, no_record_makes_an_invalid_line, 0, 256);
    tcase_add_test(json, a_buffer_too_small_is_an_error_and_never_overrun);
    tcase_add_test(json, every_value_has_a_name);
    tcase_add_test(text, control_characters_do_not_reach_a_terminal);
    tcase_add_test(text, text_reads_from_left_to_right);
    tcase_add_test(text, text_of_an_exhausted_event_indents_its_sources);
    suite_add_tcase(s, json);
    suite_add_tcase(s, text);
    return run(s);
}
