/* What the page gathers in bounded memory, and how text gets into it (tool/page/, tool/common/foreign_text.h). */
#include <stdlib.h>
#include <string.h>

#include "suite.h"
#include "tool/common/foreign_text.h"
#include "tool/page/heat.h"
#include "tool/page/story.h"
#include "tool/page/write.h"
#include "tool/report/facts_add.h"

static struct facts facts;
static struct heat heat;
static struct stories stories;
static const struct event_context context = {.epoch = 1, .host = "web1", .rule = "r", .pool = "p"};
static const uint64_t start = UINT64_C(1795231680) * 1000000, second = 1000000, day = UINT64_C(86400000000);

static void begin(void) {
    ck_assert(facts_init(&facts, 4) && heat_init(&heat));
    memset(&stories, 0, sizeof stories);
}
static void end(void) {
    facts_free(&facts);
    heat_free(&heat);
}

/* --- writing --- */

static char written[4096];

static FILE *open_written(void) {
    memset(written, 0, sizeof written);
    return fmemopen(written, sizeof written - 1, "w");
}

START_TEST(markup_becomes_text) {
    static const struct {
        const char *text, *html;
    } row[] = {
        {"curl", "curl"},
        {"<script>", "&lt;script&gt;"},
        {"\"x\" 'y' &amp;", "&quot;x&quot; &#39;y&#39; &amp;amp;"},
        {"a\x1b[2J\x07\n\x7f", "a?[2J???"},
        {"\xc3\xa4\xe2\x82\xac", "\xc3\xa4\xe2\x82\xac"},
        {"\xc3(\xff\xed\xa0\x80", "?(????"},
        {"\xe2\x80\xae\xc2\x9b\xef\xbf\xbe\xef\xb7\x90\xf0\x9f\xbf\xbf", "?????"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        FILE *out = open_written();
        foreign_print_html(out, row[i].text, strlen(row[i].text));
        (void)fclose(out);
        ck_assert_str_eq(written, row[i].html);
    }
}
END_TEST

START_TEST(a_slot_takes_text_that_looks_like_one) {
    FILE *out = open_written();
    PAGE_WRITE(out, PAGE_SECTION, SLOT("id", "a"), SLOT("title", "{{id}} <b>"));
    (void)fclose(out);
    ck_assert_str_eq(written,
                     "<section id=\"a\" aria-labelledby=\"a-head\">\n<h2 id=\"a-head\">{{id}} &lt;b&gt;</h2>\n");
}
END_TEST

START_TEST(places_have_a_point_and_one_digit) {
    static const struct {
        double place;
        const char *text;
    } row[] = {{0, "0"}, {12.34, "12.3"}, {99.96, "100"}, {-0.04, "0"}, {-4.5, "-4.5"}, {1e300, "1000000"}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char want[128];
        FILE *out = open_written();
        PAGE_WRITE(out, PAGE_TEXT, SLOT("class", "c"), SLOT_PLACE("x", row[i].place), SLOT_NUMBER("y", 1234),
                   SLOT("text", "t"));
        (void)fclose(out);
        snprintf(want, sizeof want, "<text class=\"c\" x=\"%s%%\" y=\"1,234\">t</text>\n", row[i].text);
        ck_assert_str_eq(written, want);
    }
}
END_TEST

/* --- events --- */

static struct addr address(uint8_t last) {
    return (struct addr){.b = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = last}};
}

static struct event_record event(enum event_kind kind, uint64_t time_us) {
    return (struct event_record){.e = {.kind = (uint8_t)kind,
                                       .time_us = time_us,
                                       .netns = 1,
                                       .local = address(1),
                                       .peer = address(200),
                                       .local_port = 40000,
                                       .peer_port = 6379,
                                       .program = "curl"}};
}

static void take(const struct event_record *r) {
    facts_add(&facts, r, &context);
    const struct destination_key to = facts_destination(&facts, &r->e, &context);
    heat_take(&heat, &facts, &to, r);
    stories_take(&stories, &facts, &to, r, &context);
}

static void close_at(uint64_t time_us, uint16_t port) {
    struct event_record r = event(EVENT_TIME_WAIT, time_us);
    r.e.local_port = port;
    take(&r);
}

static void fail_at(uint64_t time_us, enum outcome outcome) {
    struct event_record r = event(EVENT_EXHAUSTED, time_us);
    r.u.exhausted = (struct event_exhausted){.cause = CAUSE_RANGE_FULL, .capacity = 10, .outcome = (uint8_t)outcome};
    r.u.exhausted.n_sources = 1;
    r.u.exhausted.source[0] =
        (struct exhausted_source){.address = address(1), .cause = CAUSE_RANGE_FULL, .open = 3, .time_wait = 7};
    take(&r);
}

static const struct heat_row *only_row(void) {
    size_t at = 0;
    const struct heat_row *row = report_table_next(&heat.rows, &at);
    ck_assert_ptr_nonnull(row);
    ck_assert_ptr_null(report_table_next(&heat.rows, &at));
    return row;
}

START_TEST(a_cell_has_the_most_that_was_taken) {
    for (uint16_t i = 0; i < 5; i++)
        close_at(start, (uint16_t)(40000 + i));
    fail_at(start + 2 * second, OUTCOME_FAILED);
    const struct heat_row *row = only_row();
    ck_assert_uint_eq(row->cell[0].taken, 5);
    ck_assert_uint_eq(row->cell[1].taken, 0);
    ck_assert_uint_eq(row->cell[2].taken, 10);
    ck_assert_uint_eq(row->cell[2].failed, 1);
    ck_assert_uint_eq(heat.all[2].logged, 1);
    ck_assert_uint_eq(row->ports, 10);
    ck_assert_uint_eq(row->peak, 10);
}
END_TEST

START_TEST(any_span_fits_and_nothing_is_lost) {
    static const uint64_t spans[] = {1, 239, 240, 2400, 14400, 86400, UINT64_C(10) * 365 * 86400};
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
        end();
        begin();
        uint64_t failed = 0;
        fail_at(start, OUTCOME_FAILED);
        fail_at(start + spans[i] * second, OUTCOME_FAILED);
        fail_at(start > spans[i] * second ? start - spans[i] * second : 0, OUTCOME_FAILED); /* comes late */
        ck_assert_uint_le(heat.n, HEAT_COLUMNS);
        for (size_t column = 0; column < heat.n; column++)
            failed += heat.all[column].logged;
        ck_assert_uint_eq(failed, 3);
        ck_assert_uint_eq(only_row()->failed, 3);
        size_t group = heat_grouping(&heat, 72);
        ck_assert_uint_le((heat.n + group - 1) / group, 72);
    }
}
END_TEST

START_TEST(a_history_fills_what_no_event_has) {
    const struct route_key key = {.to = {.netns = 1, .peer = address(200), .port = 6379}, .source = address(2)};
    const struct history_counts n = {.peak = 4, .count = {[HISTORY_FAILED] = 2}};
    uint64_t minute = start / (60 * second);
    fail_at(start + 70 * second, OUTCOME_FAILED);
    heat_remember(&heat, &key, &n, minute, start + day);     /* no event tells of this one */
    heat_remember(&heat, &key, &n, minute + 1, start + day); /* its failures are those that were logged */
    const struct heat_row *row = report_table_find(&heat.rows, &key);
    ck_assert_ptr_nonnull(row);
    ck_assert_uint_eq(row->failed, 2);
    ck_assert_uint_eq(row->cell[0].failed, 2);
    ck_assert_uint_eq(row->cell[59].taken, 4);
    ck_assert_uint_eq(row->cell[119].taken, 4);
    ck_assert_uint_eq(heat.all[0].remembered, 2);
    ck_assert_uint_eq(heat.all[70].logged, 1);
    ck_assert(heat.by_minute);
}
END_TEST

/* --- stories --- */

static const struct story *only_story(void) {
    ck_assert_uint_eq(stories.n, 1);
    return stories_find(&stories, &stories.story[0].key);
}

START_TEST(a_story_has_what_came_before_and_after) {
    for (unsigned i = 0; i < 20; i++)
        close_at(start + i * second, (uint16_t)(40000 + i));
    fail_at(start + 20 * second, OUTCOME_FAILED);
    for (unsigned i = 0; i < 20; i++)
        close_at(start + 21 * second + i * second, (uint16_t)(40020 + i));
    fail_at(start + 3600 * second, OUTCOME_FAILED);
    const struct story *s = only_story();
    uint64_t waits = 0, failed = 0;
    for (unsigned i = 0; i < STORY_SLOTS; i++) {
        waits += s->slot[i].waits;
        failed += s->slot[i].failed;
    }
    ck_assert_uint_eq(waits, 40);
    ck_assert_uint_eq(failed, 1);
    ck_assert_uint_eq(s->slot[WINDOW_SLOTS - 1].failed, 1);
    ck_assert_uint_eq(s->n_before, STORY_EVENTS);
    ck_assert_uint_eq(s->before[STORY_EVENTS - 1].record.e.time_us, start + 19 * second);
    ck_assert_uint_eq(s->after[0].record.e.kind, EVENT_EXHAUSTED);
    ck_assert_uint_eq(s->after[1].record.e.time_us, start + 21 * second);
}
END_TEST

START_TEST(the_first_failure_begins_it_anew) {
    fail_at(start, OUTCOME_RECOVERED);
    fail_at(start + 8 * second, OUTCOME_FAILED);
    fail_at(start + 9 * second, OUTCOME_FAILED);
    const struct story *s = only_story();
    ck_assert(s->failed);
    ck_assert_uint_eq(s->after[0].record.e.time_us, start + 8 * second);
    ck_assert_uint_eq(s->n_before, 1);
    ck_assert_uint_eq(s->slot[WINDOW_SLOTS - 1].failed + s->slot[WINDOW_SLOTS].failed, 2);
    ck_assert_uint_eq(s->slot[WINDOW_SLOTS - 3].recovered, 1);
}
END_TEST

START_TEST(other_destinations_are_left_out) {
    struct event_record other = event(EVENT_TIME_WAIT, start), process = event(EVENT_RELOAD, start + second);
    other.e.peer_port = 80;
    process.e.peer_port = 0;
    take(&other);
    take(&process);
    fail_at(start + 2 * second, OUTCOME_FAILED);
    ck_assert_uint_eq(only_story()->n_before, 1);
    ck_assert_uint_eq(only_story()->before[0].record.e.kind, EVENT_RELOAD);
    ck_assert_uint_eq(only_story()->slot[WINDOW_SLOTS - 1].waits, 0);
}
END_TEST

START_TEST(failures_are_told_before_what_was_recovered) {
    for (unsigned i = 0; i < STORIES + 8; i++) {
        struct event_record r = event(EVENT_EXHAUSTED, start + i * second);
        r.e.peer_port = (uint16_t)(1000 + i);
        r.u.exhausted = (struct event_exhausted){.cause = CAUSE_PORT_BUSY, .outcome = OUTCOME_RECOVERED};
        take(&r);
    }
    fail_at(start + day, OUTCOME_FAILED);
    unsigned failed = 0;
    ck_assert_uint_eq(stories.n, STORIES);
    for (unsigned i = 0; i < stories.n; i++)
        failed += stories.story[i].failed;
    ck_assert_uint_eq(failed, 1);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("page");
    TCase *tc = tcase_create("page");
    tcase_add_checked_fixture(tc, begin, end);
    tcase_add_test(tc, markup_becomes_text);
    tcase_add_test(tc, a_slot_takes_text_that_looks_like_one);
    tcase_add_test(tc, places_have_a_point_and_one_digit);
    tcase_add_test(tc, a_cell_has_the_most_that_was_taken);
    tcase_add_test(tc, any_span_fits_and_nothing_is_lost);
    tcase_add_test(tc, a_history_fills_what_no_event_has);
    tcase_add_test(tc, a_story_has_what_came_before_and_after);
    tcase_add_test(tc, the_first_failure_begins_it_anew);
    tcase_add_test(tc, other_destinations_are_left_out);
    tcase_add_test(tc, failures_are_told_before_what_was_recovered);
    suite_add_tcase(suite, tc);
    return run(suite);
}
