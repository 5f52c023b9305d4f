#include "tool/report/text.h"

#include <stdio.h>
#include <string.h>

#include "tool/report/model.h"
#include "tool/report/find.h"
#include "tool/report/fleet_print.h"
#include "tool/report/words.h"
#include "tool/report/advice.h"
#include "tool/common/strbuf.h"
#include "tool/screen/columns.h"
#include "tool/screen/wrap.h"

enum { TIMELINE_ROWS = 24, BAR = 30, BAR_LEAST = 8, TOP = 10, TIME_TEXT = 32, PLAIN_TEXT = 128, TIMELINE_BESIDE = 68 };

/* --- laying out --- */

/* first stands before the first line, the others are indented as far. */
static void print_wrapped(const char *first, const char *text) {
    const struct screen to = screen_for_prose(screen_stdout());
    wrap_printf(&to, (unsigned)strlen(first), "%s%s", first, text);
}

/* As many marks as fit beside what else is in the line. */
static unsigned bar_room(const struct screen *to, unsigned beside) {
    unsigned room = to->width > beside ? to->width - beside : 0;
    return to->width == 0 || room > BAR ? BAR : room < BAR_LEAST ? BAR_LEAST : room;
}

static const char *bar(char out[BAR + 1], unsigned room, uint64_t n, uint64_t all) {
    uint64_t marks = all ? (n * room + all / 2) / all : 0;
    marks = marks > room ? room : n && marks == 0 ? 1 : marks;
    memset(out, '#', marks);
    out[marks] = '\0';
    return out;
}

static const char *time_of(char out[TIME_TEXT], uint64_t us, uint64_t width_us) {
    struct strbuf s;
    strbuf_init(&s, out, TIME_TEXT);
    strbuf_time(&s, us);
    (void)strbuf_finish(&s);
    out[10] = ' ';
    out[width_us < 60000000 ? 19 : 16] = '\0';
    return out;
}

static const char *plain(char out[PLAIN_TEXT], const char *untrusted) {
    struct strbuf s;
    strbuf_init(&s, out, PLAIN_TEXT);
    strbuf_plain(&s, untrusted, PLAIN_TEXT - 1);
    (void)strbuf_finish(&s);
    return out;
}

/* --- the parts --- */

static void print_head(const struct report *r) {
    char text[REPORT_WORDS];
    words_head(text, r);
    print_wrapped("", text);
}

static void print_minutes(const struct finding *f) {
    const struct moment *m = &f->incident->first;
    const struct screen to = screen_stdout();
    const unsigned room =
        bar_room(&to, (unsigned)strlen("  2026-11-21 03:27    28,232     471 a second    <- the first"));
    char time[TIME_TEXT], number[2][GROUPED_TEXT], marks[BAR + 1];
    uint64_t minute = m->time_us / 60000000;
    unsigned first = 0;
    while (first < WINDOW_MINUTES && moment_waits(f->incident, first) == 0)
        first++;
    if (first == WINDOW_MINUTES || f->conclusion.n_shares == 0)
        return;
    wrap_printf(&to, 3 + SCREEN_HANG,
                "\n   The minutes before, towards %s: closes that left a TIME-WAIT (full bar: all %llu quadruplets)",
                f->destination, (unsigned long long)f->conclusion.capacity);
    for (unsigned i = first ? first - 1 : 0; i < WINDOW_MINUTES; i++) {
        uint64_t waits = moment_waits(f->incident, i);
        wrap_printf(&to, 2 + SCREEN_HANG, "  %s%10s%8s a second  %s%s",
                    time_of(time, (minute - (WINDOW_MINUTES - 1 - i)) * 60000000, 60000000), grouped(number[0], waits),
                    grouped(number[1], (waits + 30) / 60), bar(marks, room, waits, f->conclusion.capacity),
                    i == WINDOW_MINUTES - 1 ? "  <- the first" : "");
    }
}

static void print_title(const struct finding *f, unsigned number) {
    const struct screen to = screen_for_prose(screen_stdout());
    const char *what = f->failed                                 ? "FAILED"
                       : conclusion_is_quiet(f->conclusion.kind) ? "no call failed"
                                                                 : "met, and recovered";
    char text[REPORT_WORDS];
    int at = snprintf(text, sizeof text, "%u. ", number);
    snprintf(text + at, sizeof text - (size_t)at, "%s: %s%s%s", what, conclusion_name(f->conclusion.kind),
             f->destination[0] ? ", " : "", f->destination);
    putchar('\n');
    wrap_print_painted(&to, text, 3,
                       (struct wrap_paint){f->failed ? COLOUR_BAD : COLOUR_NONE, (size_t)at, strlen("FAILED")});
}

static void print_finding(const struct finding *f, unsigned number) {
    const struct screen to = screen_stdout();
    char text[REPORT_WORDS], first[32];
    print_title(f, number);
    words_summary(text, f);
    print_wrapped("   ", text);
    for (unsigned i = 0, said = 0; i < REPORT_BECAUSE; i++) {
        if (!words_because(text, f, i))
            continue;
        fputs(said++ ? "" : "\n", stdout);
        print_wrapped("   - ", text);
    }
    print_minutes(f);
    wrap_print(&to, "\n   What to do, the least intrusive first:", 3);
    for (unsigned i = 0; i < f->conclusion.n_remedies; i++) {
        snprintf(first, sizeof first, "   %u) ", i + 1);
        words_remedy(text, f, f->conclusion.remedy[i]);
        print_wrapped(first, text);
    }
}

static void print_buckets(const struct timeline *rows, uint64_t most, bool outbound) {
    static const struct column with[] = {{"", 19, .right = false},          {"failed", 6, .right = true},
                                         {"recovered", 8, .right = true},   {"fullest", 8, .right = true},
                                         {"TIME-WAITs", 10, .right = true}, {"left here", 0, .right = false}};
    const struct screen to = screen_stdout();
    const unsigned room = bar_room(&to, TIMELINE_BESIDE);
    char time[TIME_TEXT], marks[BAR + 1], marked[BAR + sizeof "  !"];
    struct column column[6];
    unsigned n = 0;
    for (unsigned i = 0; i < 6; i++)
        if (outbound || i != 3)
            column[n++] = with[i];
    struct columns *t = columns_begin(column, n, 2, 2);
    for (size_t i = 0; i < rows->n; i++) {
        const struct timeline_bucket *b = &rows->bucket[i];
        columns_cell(t, time_of(time, rows->start_us + i * rows->width_us, rows->width_us));
        columns_number(t, bucket_failed(b));
        columns_number(t, bucket_recovered(b));
        if (outbound)
            columns_number(t, b->fullest);
        columns_number(t, bucket_waits(b));
        snprintf(marked, sizeof marked, "%s%s", bar(marks, room, bucket_waits(b), most), bucket_failed(b) ? "  !" : "");
        columns_cell_in(t, bucket_failed(b) ? COLOUR_BAD : COLOUR_NONE, marked);
    }
    columns_print(t, &to);
}

static void print_timeline(const struct report *r) {
    const struct screen to = screen_stdout();
    static struct timeline rows;
    uint64_t most = 0;
    bool outbound = false; /* a connection that was accepted takes no port of a source */
    timeline_rows(&r->facts.timeline, &rows, TIMELINE_ROWS, report_row_us(r));
    for (size_t i = 0; i < rows.n; i++) {
        most = larger(most, bucket_waits(&rows.bucket[i]));
        outbound |= rows.bucket[i].fullest > 0;
    }
    printf("\nTimeline (UTC)\n");
    if (outbound)
        wrap_print(&to, "fullest: the most TIME-WAITs that one source held towards one destination", SCREEN_HANG);
    print_buckets(&rows, most, outbound);
}

static int compare_flows(const void *left, const void *right) {
    const struct flow *a = left, *b = right;
    uint64_t x = flow_waits(a), y = flow_waits(b);
    if (x == y) {
        x = flow_failed(a);
        y = flow_failed(b);
    }
    return x > y ? -1 : x < y;
}

static void print_flows(const struct report *r) {
    static const struct column column[] = {{"program", 20, .right = false},     {"host", 17, .right = false},
                                           {"destination", 25, .right = false}, {"closed first", 12, .right = true},
                                           {"otherwise", 10, .right = true},    {"failed", 8, .right = true}};
    const struct screen to = screen_stdout();
    const void *top[TOP];
    char program[EVENT_PROGRAM + 1], destination[ENDPOINT_TEXT], text[PLAIN_TEXT];
    size_t n = report_table_top(&r->facts.flows, top, TOP, compare_flows);
    if (n == 0)
        return;
    puts("\nWhich programs closed first");
    struct columns *t = columns_begin(column, sizeof column / sizeof *column, 2, 1);
    for (size_t i = 0; i < n; i++) {
        const struct flow *f = top[i];
        program_text(program, f->key.program);
        words_flow(destination, f);
        columns_cell(t, plain(text, program));
        columns_cell(t, plain(text, r->facts.host[f->key.to.host % REPORT_HOSTS].name));
        columns_cell(t, destination);
        columns_number(t, flow_waits(f));
        columns_number(t, flow_otherwise(f));
        columns_number(t, flow_failed(f));
    }
    columns_print(t, &to);
}

static int compare_routes(const void *left, const void *right) {
    const struct route *a = left, *b = right;
    if (route_peak(a) != route_peak(b))
        return route_peak(a) > route_peak(b) ? -1 : 1;
    return a->full > b->full ? -1 : a->full < b->full;
}

static void print_routes(const struct report *r) {
    static const struct column column[] = {{"source", 23, .right = false},      {"destination", 25, .right = false},
                                           {"closed first", 14, .right = true}, {"peak", 9, .right = true},
                                           {"of ports", 10, .right = true},     {"found full", 12, .right = true}};
    const struct screen to = screen_stdout();
    const void *top[TOP];
    char source[ADDR_TEXT], destination[ENDPOINT_TEXT], more[GROUPED_TEXT];
    size_t n = report_table_top(&r->facts.routes, top, TOP, compare_routes);
    if (n == 0)
        return;
    wrap_print(&to, "\nWhich source carried what (peak: TIME-WAITs at one time, of its ports)", SCREEN_HANG);
    struct columns *t = columns_begin(column, sizeof column / sizeof *column, 2, 1);
    for (size_t i = 0; i < n; i++) {
        const struct route *route = top[i];
        enum ports_from from;
        format_address(source, &route->key.source);
        format_endpoint(destination, &route->key.to.peer, route->key.to.port);
        columns_cell(t, source);
        columns_cell(t, destination);
        columns_number(t, route_waits(route));
        columns_number(t, route_peak(route));
        columns_number(t, route_ports(route, report_ports(r, &route->key.to, &from)));
        columns_number(t, route->full);
    }
    columns_print(t, &to);
    size_t at = 0, all = 0;
    while (report_table_next(&r->facts.routes, &at))
        all++;
    if (r->facts.routes.evicted)
        puts("  and others, more than are kept apart");
    else if (all > n)
        printf("  and %s more\n", grouped(more, all - n));
}

static void print_connect_times(const struct report *r) {
    static const char *const classes[REPORT_CLASSES] = {"under 25 %", "25 to 50 %", "50 to 75 %", "75 to 90 %",
                                                        "90 % and more"};
    static const struct column column[] = {
        {"taken", 14, .right = false}, {"connects", 12, .right = true}, {"mean us", 9, .right = true}};
    const struct screen to = screen_stdout();
    char mean[GROUPED_TEXT];
    uint64_t any = 0;
    for (unsigned i = 0; i < REPORT_CLASSES; i++)
        any |= r->by_occupancy[i].connects;
    if (!any)
        return;
    wrap_print(&to, "\nTime inside connect(), by how full its source was that minute (by the history)", SCREEN_HANG);
    struct columns *t = columns_begin(column, sizeof column / sizeof *column, 2, 1);
    for (unsigned i = 0; i < REPORT_CLASSES; i++) {
        uint64_t connects = r->by_occupancy[i].connects;
        columns_cell(t, classes[i]);
        columns_number(t, connects);
        columns_cell(t, connects ? grouped(mean, r->by_occupancy[i].connect_us / connects) : "");
    }
    columns_print(t, &to);
}

void report_print_text(const struct report *r) {
    print_head(r);
    for (unsigned i = 0; i < r->n_findings; i++)
        print_finding(&r->finding[i], i + 1);
    if (r->facts.first_us == 0)
        return;
    fleet_print_text(r);
    print_timeline(r);
    print_flows(r);
    print_routes(r);
    print_connect_times(r);
}
