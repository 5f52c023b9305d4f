#include "tool/report/text.h"

#include <stdio.h>
#include <string.h>

#include "tool/report/model.h"
#include "tool/report/find.h"
#include "tool/report/fleet_print.h"
#include "tool/report/words.h"
#include "tool/report/advice.h"
#include "tool/common/strbuf.h"
#include "tool/common/sentence.h"

enum { COLUMNS = 100, TIMELINE_ROWS = 24, BAR = 30, TOP = 10 };

/* --- laying out --- */

static void print_filled(struct strbuf *s, const char *text) {
    (void)strbuf_finish(s);
    fputs(text, stdout);
}

/* Breaks at spaces; first stands before the first line, the others are indented as far. */
static void print_wrapped(const char *first, const char *text) {
    size_t indent = strlen(first), room = COLUMNS - indent;
    fputs(first, stdout);
    while (strlen(text) > room) {
        size_t cut = room;
        while (cut > 0 && text[cut] != ' ')
            cut--;
        cut = cut ? cut : room;
        printf("%.*s\n%*s", (int)cut, text, (int)indent, "");
        text += cut;
        text += *text == ' ';
    }
    printf("%s\n", text);
}

static void print_bar(uint64_t n, uint64_t all) {
    uint64_t marks = all ? (n * BAR + all / 2) / all : 0;
    marks = marks > BAR ? BAR : n && marks == 0 ? 1 : marks;
    for (uint64_t i = 0; i < marks; i++)
        putchar('#');
}

/* A number, grouped, right-aligned. */
static void print_number(unsigned width, uint64_t n) {
    char text[32];
    struct strbuf s;
    strbuf_init(&s, text, sizeof text);
    strbuf_grouped(&s, n);
    (void)strbuf_finish(&s);
    printf("%*s", (int)width, text);
}

static void print_time(uint64_t us, uint64_t width_us) {
    char text[32];
    struct strbuf s;
    strbuf_init(&s, text, sizeof text);
    strbuf_time(&s, us);
    (void)strbuf_finish(&s);
    text[10] = ' ';
    printf("  %.*s", width_us < 60000000 ? 19 : 16, text);
}

static void print_plain(int width, const char *untrusted) {
    char text[128];
    struct strbuf s;
    strbuf_init(&s, text, sizeof text);
    strbuf_plain(&s, untrusted, sizeof text - 1);
    (void)strbuf_finish(&s);
    printf("%-*s", width, text);
}

/* --- the parts --- */

static void print_head(const struct report *r) {
    char text[REPORT_WORDS];
    words_head(text, r);
    print_wrapped("", text);
}

static void print_minutes(const struct finding *f) {
    const struct moment *m = &f->incident->first;
    uint64_t minute = m->time_us / 60000000;
    unsigned first = 0;
    while (first < WINDOW_MINUTES && moment_waits(f->incident, first) == 0)
        first++;
    if (first == WINDOW_MINUTES || f->conclusion.n_shares == 0)
        return;
    printf("\n   The minutes before, towards %s: closes that left a TIME-WAIT (full bar: all %llu quadruplets)\n",
           f->destination, (unsigned long long)f->conclusion.capacity);
    for (unsigned i = first ? first - 1 : 0; i < WINDOW_MINUTES; i++) {
        print_time((minute - (WINDOW_MINUTES - 1 - i)) * 60000000, 60000000);
        print_number(10, moment_waits(f->incident, i));
        print_number(8, (moment_waits(f->incident, i) + 30) / 60);
        fputs(" a second  ", stdout);
        print_bar(moment_waits(f->incident, i), f->conclusion.capacity);
        puts(i == WINDOW_MINUTES - 1 ? "  <- the first" : "");
    }
}

static void print_finding(const struct finding *f, unsigned number) {
    char text[REPORT_WORDS], first[32];
    printf("\n%u. %s: %s%s%s\n", number,
           f->failed                                 ? "FAILED"
           : conclusion_is_quiet(f->conclusion.kind) ? "no call failed"
                                                     : "met, and recovered",
           conclusion_name(f->conclusion.kind), f->destination[0] ? ", " : "", f->destination);
    words_summary(text, f);
    print_wrapped("   ", text);
    for (unsigned i = 0, said = 0; i < REPORT_BECAUSE; i++) {
        if (!words_because(text, f, i))
            continue;
        fputs(said++ ? "" : "\n", stdout);
        print_wrapped("   - ", text);
    }
    print_minutes(f);
    puts("\n   What to do, the least intrusive first:");
    for (unsigned i = 0; i < f->conclusion.n_remedies; i++) {
        snprintf(first, sizeof first, "   %u) ", i + 1);
        words_remedy(text, f, f->conclusion.remedy[i]);
        print_wrapped(first, text);
    }
}

static void print_timeline(const struct report *r) {
    static struct timeline rows;
    uint64_t most = 0;
    bool outbound = false; /* a connection that was accepted takes no port of a source */
    timeline_rows(&r->facts.timeline, &rows, TIMELINE_ROWS, report_row_us(r));
    for (size_t i = 0; i < rows.n; i++) {
        most = larger(most, bucket_waits(&rows.bucket[i]));
        outbound |= rows.bucket[i].fullest > 0;
    }
    printf("\nTimeline (UTC)%s\n                       failed recovered%s  TIME-WAITs left here\n",
           outbound ? "; fullest: the most TIME-WAITs that one source held towards one destination" : "",
           outbound ? "   fullest" : "");
    for (size_t i = 0; i < rows.n; i++) {
        const struct timeline_bucket *b = &rows.bucket[i];
        print_time(rows.start_us + i * rows.width_us, rows.width_us);
        if (rows.width_us >= 60000000)
            fputs("   ", stdout);
        print_number(8, bucket_failed(b));
        print_number(10, bucket_recovered(b));
        if (outbound)
            print_number(10, b->fullest);
        print_number(12, bucket_waits(b));
        fputs("  ", stdout);
        print_bar(bucket_waits(b), most);
        puts(bucket_failed(b) ? "  !" : "");
    }
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
    const void *top[TOP];
    char program[EVENT_PROGRAM + 1], destination[ENDPOINT_TEXT];
    size_t n = report_table_top(&r->facts.flows, top, TOP, compare_flows);
    if (n == 0)
        return;
    puts("\nWhich programs closed first\n  program              host              destination              closed "
         "first   "
         "otherwise "
         " failed");
    for (size_t i = 0; i < n; i++) {
        const struct flow *f = top[i];
        program_text(program, f->key.program);
        words_flow(destination, f);
        fputs("  ", stdout);
        print_plain(20, program);
        putchar(' ');
        print_plain(17, r->facts.host[f->key.to.host % REPORT_HOSTS].name);
        printf(" %-25s", destination);
        print_number(12, flow_waits(f));
        print_number(11, flow_otherwise(f));
        print_number(9, flow_failed(f));
        puts("");
    }
}

static int compare_routes(const void *left, const void *right) {
    const struct route *a = left, *b = right;
    if (route_peak(a) != route_peak(b))
        return route_peak(a) > route_peak(b) ? -1 : 1;
    return a->full > b->full ? -1 : a->full < b->full;
}

static void print_routes(const struct report *r) {
    const void *top[TOP];
    char source[ADDR_TEXT], destination[ENDPOINT_TEXT], text[REPORT_WORDS];
    struct strbuf s;
    size_t n = report_table_top(&r->facts.routes, top, TOP, compare_routes);
    if (n == 0)
        return;
    puts("\nWhich source carried what (peak: TIME-WAITs at one time, of its ports)\n"
         "  source                  destination                 closed first      peak   of ports   found full");
    for (size_t i = 0; i < n; i++) {
        const struct route *route = top[i];
        enum ports_from from;
        format_address(source, &route->key.source);
        format_endpoint(destination, &route->key.to.peer, route->key.to.port);
        printf("  %-23s %-25s", source, destination);
        print_number(15, route_waits(route));
        print_number(10, route_peak(route));
        print_number(11, route_ports(route, report_ports(r, &route->key.to, &from)));
        print_number(13, route->full);
        puts("");
    }
    strbuf_init(&s, text, sizeof text);
    if (r->facts.routes.evicted)
        words_fill(&s, "  and $n more\n", r->facts.routes.evicted);
    print_filled(&s, text);
}

static void print_connect_times(const struct report *r) {
    static const char *const classes[REPORT_CLASSES] = {"under 25 %", "25 to 50 %", "50 to 75 %", "75 to 90 %",
                                                        "90 % and more"};
    uint64_t any = 0;
    for (unsigned i = 0; i < REPORT_CLASSES; i++)
        any |= r->by_occupancy[i].connects;
    if (!any)
        return;
    puts("\nTime inside connect(), by how full its source was that minute (by the history)\n"
         "  taken              connects   mean us");
    for (unsigned i = 0; i < REPORT_CLASSES; i++) {
        printf("  %-13s", classes[i]);
        print_number(14, r->by_occupancy[i].connects);
        if (r->by_occupancy[i].connects)
            print_number(10, r->by_occupancy[i].connect_us / r->by_occupancy[i].connects);
        puts("");
    }
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
