#include "tool/stat/text.h"

#include <stdio.h>
#include <string.h>

#include "tool/common/override.h"
#include "tool/events/names.h"
#include "tool/common/strbuf.h"
#include "tool/stat/model.h"
#include "tool/stat/take.h"
#include "tool/stat/names.h"
#include "state/event.h"
#include "tool/stat/compare.h"
#include "state/stats.h"

enum { TIME_TEXT = 32 };

static void format_us(char out[TIME_TEXT], double us) {
    if (us < 1000)
        snprintf(out, TIME_TEXT, "%.0f us", us);
    else if (us < 1000000)
        snprintf(out, TIME_TEXT, "%.1f ms", us / 1000);
    else
        snprintf(out, TIME_TEXT, "%.2f s", us / 1000000);
}

/* Titles and names come from memory that others can write to. */
static void print_plain(const char *text, size_t max, int width) {
    char out[STATE_PATH];
    struct strbuf s;
    strbuf_init(&s, out, sizeof out);
    strbuf_plain(&s, text, max);
    (void)strbuf_finish(&s);
    printf("%-*s", width, out);
}

static void print_recorder(const struct stat_report *r) {
    char number[GROUPED_TEXT], lost[GROUPED_TEXT];
    if (r->progress.pending == 0)
        printf("log file    has every event");
    else
        printf("log file    lacks %s event%s, of the last %.1f s", grouped(number, r->progress.pending),
               r->progress.pending == 1 ? "" : "s", stat_behind_s(r));
    printf(r->progress.lost ? "; %s lost\n" : "\n", grouped(lost, r->progress.lost));
}

static void print_head(const struct stat_report *r) {
    char text[OVERRIDE_TEXT], created[TIME_TEXT];
    const struct settings *settings = r->has_policy ? &r->settings : NULL;
    struct strbuf s;
    if (r->control.has_mode || r->control.has_canary) {
        override_text(text, r->control, settings);
        printf("override    %s: by connspread set, until set mode=config canary=config\n", text);
    }
    printf("instance    ");
    print_plain(r->instance, sizeof r->instance, 0);
    printf("\nstate file  ");
    print_plain(r->path, sizeof r->path, 0);
    if (r->users_known)
        printf(", in use by %u process%s", r->users, r->users == 1 ? "" : "es");
    strbuf_init(&s, created, sizeof created);
    strbuf_time(&s, r->created_us);
    (void)strbuf_finish(&s);
    printf("\ncounts since %s\n", created);
    if (r->recorded)
        print_recorder(r);
    override_text(text, (struct control){0}, settings);
    printf("in config   %s\n", settings ? text : "(no policy has been published yet)");
}

static void print_labels(const struct stat_row *row) {
    printf("%-8s ", event_name(NAMES_ARM, row->arm));
    print_plain(row->rule[0] ? row->rule : "(none)", sizeof row->rule, 12);
    printf(" %-16s", row->source);
}

static void print_connects(const struct stat_report *r) {
    static const struct {
        const char *title;
        enum stat_counter counter;
    } column[] = {
        {"connects", STAT_CONNECTS},   {"done", STAT_IMMEDIATE},      {"pending", STAT_IN_PROGRESS},
        {"recovered", STAT_RECOVERED}, {"fallback", STAT_FALLBACK},   {"failed", STAT_FAILED},
        {"refused", STAT_REFUSED},     {"timed-out", STAT_TIMED_OUT}, {"unreachable", STAT_UNREACHABLE},
        {"denied", STAT_DENIED},       {"other", STAT_OTHER_ERROR},   {"syn-timeouts", STAT_SYN_TIMEOUT},
    };
    char number[GROUPED_TEXT];
    printf("\n%-8s %-12s %-16s", "arm", "rule", "source");
    for (unsigned i = 0; i < sizeof column / sizeof *column; i++)
        printf(" %11s", column[i].title);
    putchar('\n');
    for (unsigned i = 0; i < r->n_rows; i++) {
        print_labels(&r->row[i]);
        for (unsigned j = 0; j < sizeof column / sizeof *column; j++)
            printf(" %11s", grouped(number, r->row[i].counter[column[j].counter]));
        putchar('\n');
    }
}

static void print_errors(const struct stat_report *r) {
    char number[GROUPED_TEXT];
    bool some = false;
    for (unsigned i = 0; i < r->n_rows; i++) {
        const struct stat_row *row = &r->row[i];
        const char *before = "";
        for (unsigned j = 0; j < STAT_COUNTERS; j++) {
            bool bind = j == STAT_BIND_IN_USE || j == STAT_BIND_NOT_LOCAL;
            if ((!bind && !stats_errno(j)) || row->counter[j] == 0)
                continue;
            if (!some)
                printf("\nfailed calls by errno\n");
            if (!*before)
                print_labels(row);
            printf("%s %s%s %s", before, bind ? "bind " : "",
                   bind ? (j == STAT_BIND_IN_USE ? "EADDRINUSE" : "EADDRNOTAVAIL")
                        : error_name((unsigned)stats_errno(j)),
                   grouped(number, row->counter[j]));
            before = ",";
            some = true;
        }
        if (*before)
            putchar('\n');
    }
}

static void print_times(const struct stat_row *row) {
    static const double quantile[] = {0.5, 0.9, 0.99};
    char text[TIME_TEXT];
    bool some = histogram_count(row->bucket) > 0;
    for (unsigned i = 0; i < sizeof quantile / sizeof *quantile; i++) {
        format_us(text, histogram_quantile_us(row->bucket, quantile[i]));
        printf(" %9s", some ? text : "-");
    }
}

static void print_closes(const struct stat_report *r) {
    char number[GROUPED_TEXT];
    printf("\ntime inside connect(), and closes by fate\n%-8s %-12s %-16s", "arm", "rule", "source");
    printf(" %9s %9s %9s", "p50", "p90", "p99");
    for (unsigned fate = 0; fate < FATES; fate++)
        printf(" %11s", event_name(NAMES_FATE, fate));
    putchar('\n');
    for (unsigned i = 0; i < r->n_rows; i++) {
        print_labels(&r->row[i]);
        print_times(&r->row[i]);
        for (unsigned fate = 0; fate < FATES; fate++)
            printf(" %11s", grouped(number, r->row[i].counter[STAT_CLOSED + fate]));
        putchar('\n');
    }
}

static void print_counters(const struct stat_report *r) {
    char number[GROUPED_TEXT];
    printf("\n%-24s", "counter");
    for (unsigned arm = 0; arm < ARMS; arm++)
        printf(" %11s", event_name(NAMES_ARM, arm));
    putchar('\n');
    for (unsigned i = 0; i < COUNTERS; i++) {
        const char *name = counter_name(i);
        if (!name)
            continue;
        printf("%-24s", name);
        for (unsigned arm = 0; arm < ARMS; arm++)
            printf(" %11s", grouped(number, r->counter[arm][i]));
        putchar('\n');
    }
}

static void print_occupancy(const struct stat_report *r) {
    char taken[GROUPED_TEXT], capacity[GROUPED_TEXT];
    if (r->n_occupancies)
        printf("\noccupancy towards the fullest destination, by all sockets of this network namespace\n");
    for (unsigned i = 0; i < r->n_occupancies; i++) {
        const struct stat_occupancy *o = &r->occupancy[i];
        print_plain(o->rule, sizeof o->rule, 12);
        printf(" %-16s %s of %s (%.1f %%)\n", o->source, grouped(taken, o->taken), grouped(capacity, o->capacity),
               100 * (double)o->taken / (double)o->capacity);
    }
}

static void print_downs(const struct stat_report *r) {
    if (r->n_downs)
        printf("\nmarked down: not answered by a destination that answers other sources (try: connspread check, "
               "tcpdump)\n");
    for (unsigned i = 0; i < r->n_downs && i < STAT_DOWNS; i++) {
        const struct stat_down *d = &r->down[i];
        print_plain(d->rule[0] ? d->rule : "(none)", sizeof d->rule, 12);
        printf(" %-16s to %s: %u connects in a row, ", d->source, d->destination, d->unanswered);
        if (d->retry_s)
            printf("tried again in %u s\n", d->retry_s);
        else
            printf("tried again by the next connect\n");
    }
    if (r->n_downs > STAT_DOWNS)
        printf("and %u more\n", r->n_downs - STAT_DOWNS);
}

void stat_print_text(const struct stat_report *r) {
    print_head(r);
    print_connects(r);
    print_errors(r);
    print_closes(r);
    print_counters(r);
    print_occupancy(r);
    print_downs(r);
}
