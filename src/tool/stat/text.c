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
#include "tool/screen/columns.h"
#include "tool/screen/wrap.h"

enum { HEAD = 12, LABELS_WIDTH = 38, ERRORS_TEXT = 2048 };

void stat_time_text(char out[STAT_TIME_TEXT], double us) {
    if (us < 1000)
        snprintf(out, STAT_TIME_TEXT, "%.0f us", us);
    else if (us < 1000000)
        snprintf(out, STAT_TIME_TEXT, "%.1f ms", us / 1000);
    else
        snprintf(out, STAT_TIME_TEXT, "%.2f s", us / 1000000);
}

/* Titles and names come from memory that others can write to. */
static const char *plain(char out[STATE_PATH], const char *text, size_t max) {
    struct strbuf s;
    strbuf_init(&s, out, STATE_PATH);
    strbuf_plain(&s, text, max);
    (void)strbuf_finish(&s);
    return out;
}

const char *stat_rule_text(char out[STAT_RULE_TEXT], const char *rule) {
    return rule[0] ? plain(out, rule, POLICY_TITLE) : "(none)";
}

static void print_recorder(const struct stat_report *r, const struct screen *to) {
    char number[GROUPED_TEXT], lost[64] = "";
    if (r->progress.lost) {
        char many[GROUPED_TEXT];
        snprintf(lost, sizeof lost, "; %s lost", grouped(many, r->progress.lost));
    }
    if (r->progress.pending == 0)
        wrap_printf(to, HEAD, "log file    has every event%s", lost);
    else
        wrap_printf(to, HEAD, "log file    lacks %s event%s, of the last %.1f s%s",
                    grouped(number, r->progress.pending), r->progress.pending == 1 ? "" : "s", stat_behind_s(r), lost);
}

static void print_head(const struct stat_report *r, const struct screen *to) {
    char text[OVERRIDE_TEXT], created[STAT_TIME_TEXT], name[STATE_PATH], users[64] = "";
    const struct settings *settings = r->has_policy ? &r->settings : NULL;
    struct strbuf s;
    if (r->control.has_mode || r->control.has_canary) {
        override_text(text, r->control, settings);
        wrap_printf(to, HEAD, "override    %s: by connspread set, until set mode=config canary=config", text);
    }
    wrap_printf(to, HEAD, "instance    %s", plain(name, r->instance, sizeof r->instance));
    if (r->users_known)
        snprintf(users, sizeof users, ", in use by %u process%s", r->users, r->users == 1 ? "" : "es");
    wrap_printf(to, HEAD, "state file  %s%s", plain(name, r->path, sizeof r->path), users);
    strbuf_init(&s, created, sizeof created);
    strbuf_time(&s, r->created_us);
    (void)strbuf_finish(&s);
    wrap_printf(to, HEAD, "counts since %s", created);
    if (r->recorded)
        print_recorder(r, to);
    override_text(text, (struct control){0}, settings);
    wrap_printf(to, HEAD, "in config   %s", settings ? text : "(no policy has been published yet)");
}

#define LABELS                                                                                                         \
    {"arm", 8, .right = false}, {"rule", 12, .right = false}, {                                                        \
        "source", 16, .right = false                                                                                   \
    }

static void label_cells(struct columns *t, const struct stat_row *row) {
    char rule[STAT_RULE_TEXT];
    columns_cell(t, event_name(NAMES_ARM, row->arm));
    columns_cell(t, stat_rule_text(rule, row->rule));
    columns_cell(t, row->source);
}

static void print_connects(const struct stat_report *r, const struct screen *to) {
    static const struct column column[] = {
        LABELS,
        {"connects", 11, .right = true, .may_go = false},
        {"done", 11, .right = true, .may_go = true},
        {"pending", 11, .right = true, .may_go = true},
        {"recovered", 11, .right = true, .may_go = true},
        {"fallback", 11, .right = true, .may_go = true},
        {"failed", 11, .right = true, .may_go = false},
        {"refused", 11, .right = true, .may_go = true},
        {"timed-out", 11, .right = true, .may_go = true},
        {"unreachable", 11, .right = true, .may_go = true},
        {"denied", 11, .right = true, .may_go = true},
        {"other", 11, .right = true, .may_go = true},
        {"syn-timeouts", 12, .right = true, .may_go = true},
    };
    static const enum stat_counter counter[] = {
        STAT_CONNECTS, STAT_IMMEDIATE, STAT_IN_PROGRESS, STAT_RECOVERED, STAT_FALLBACK,    STAT_FAILED,
        STAT_REFUSED,  STAT_TIMED_OUT, STAT_UNREACHABLE, STAT_DENIED,    STAT_OTHER_ERROR, STAT_SYN_TIMEOUT,
    };
    struct columns *t = columns_begin(column, sizeof column / sizeof *column, 0, 1);
    char number[GROUPED_TEXT];
    (void)putc('\n', to->out);
    for (unsigned i = 0; i < r->n_rows; i++) {
        label_cells(t, &r->row[i]);
        for (unsigned j = 0; j < sizeof counter / sizeof *counter; j++) {
            uint64_t n = r->row[i].counter[counter[j]];
            columns_cell_in(t, counter[j] == STAT_FAILED && n ? COLOUR_BAD : COLOUR_NONE, grouped(number, n));
        }
    }
    columns_print(t, to);
}

/* Lest a prefix is taken for an address of the pool that is used a lot. */
static void print_prefixes(const struct stat_report *r, const struct screen *to) {
    bool any = false;
    for (unsigned i = 0; i < r->n_rows; i++)
        any |= r->row[i].prefix;
    if (any)
        wrap_printf(to, SCREEN_HANG,
                    "\ncounted by prefix: a source with /LENGTH is all addresses of that prefix, for its pool has more "
                    "than %u",
                    (unsigned)STATS_SOURCES);
}

/* "EADDRINUSE 3", ", bind EADDRNOTAVAIL 1" for each errno that the row has. */
static void errors_text(struct strbuf *s, const struct stat_row *row) {
    for (unsigned j = 0; j < STAT_COUNTERS; j++) {
        bool bind = j == STAT_BIND_IN_USE || j == STAT_BIND_NOT_LOCAL;
        if ((!bind && !stats_errno(j)) || row->counter[j] == 0)
            continue;
        strbuf_text(s, s->at == s->start ? "" : ", ");
        strbuf_text(s, bind ? "bind " : "");
        strbuf_text(s, bind ? (j == STAT_BIND_IN_USE ? "EADDRINUSE" : "EADDRNOTAVAIL")
                            : error_name((unsigned)stats_errno(j)));
        strbuf_text(s, " ");
        strbuf_grouped(s, row->counter[j]);
    }
}

static void print_errors(const struct stat_report *r, const struct screen *to) {
    char errors[ERRORS_TEXT], rule[STAT_RULE_TEXT];
    bool some = false;
    for (unsigned i = 0; i < r->n_rows; i++) {
        const struct stat_row *row = &r->row[i];
        struct strbuf s;
        strbuf_init(&s, errors, sizeof errors);
        errors_text(&s, row);
        (void)strbuf_finish(&s);
        if (!errors[0])
            continue;
        if (!some)
            fputs("\nfailed calls by errno\n", to->out);
        some = true;
        wrap_printf(to, LABELS_WIDTH, "%-8s %-12s %-16s %s", event_name(NAMES_ARM, row->arm),
                    stat_rule_text(rule, row->rule), row->source, errors);
    }
}

static void print_times(struct columns *t, const struct stat_row *row) {
    static const double quantile[] = {0.5, 0.9, 0.99};
    char text[STAT_TIME_TEXT];
    bool some = histogram_count(row->bucket) > 0;
    for (unsigned i = 0; i < sizeof quantile / sizeof *quantile; i++) {
        stat_time_text(text, histogram_quantile_us(row->bucket, quantile[i]));
        columns_cell(t, some ? text : "-");
    }
}

static void print_closes(const struct stat_report *r, const struct screen *to) {
    struct column column[3 + 3 + FATES] = {
        LABELS, {"p50", 9, .right = true}, {"p90", 9, .right = true}, {"p99", 9, .right = true}};
    for (unsigned fate = 0; fate < FATES; fate++)
        column[6 + fate] = (struct column){event_name(NAMES_FATE, fate), 11, .right = true, .may_go = true};
    wrap_print(to, "\ntime inside connect(), and closes by fate", SCREEN_HANG);
    struct columns *t = columns_begin(column, 6 + FATES, 0, 1);
    for (unsigned i = 0; i < r->n_rows; i++) {
        label_cells(t, &r->row[i]);
        print_times(t, &r->row[i]);
        for (unsigned fate = 0; fate < FATES; fate++)
            columns_number(t, r->row[i].counter[STAT_CLOSED + fate]);
    }
    columns_print(t, to);
}

static void print_counters(const struct stat_report *r, const struct screen *to) {
    struct column column[1 + ARMS] = {{"counter", 24, .right = false}};
    for (unsigned arm = 0; arm < ARMS; arm++)
        column[1 + arm] = (struct column){event_name(NAMES_ARM, arm), 11, .right = true, .may_go = true};
    (void)putc('\n', to->out);
    struct columns *t = columns_begin(column, 1 + ARMS, 0, 1);
    for (unsigned i = 0; i < COUNTERS; i++) {
        if (!counter_name(i))
            continue;
        columns_cell(t, counter_name(i));
        for (unsigned arm = 0; arm < ARMS; arm++)
            columns_number(t, r->counter[arm][i]);
    }
    columns_print(t, to);
}

static void print_occupancy(const struct stat_report *r, const struct screen *to) {
    char taken[GROUPED_TEXT], capacity[GROUPED_TEXT], rule[STAT_RULE_TEXT];
    if (r->n_occupancies)
        wrap_print(to, "\noccupancy towards the fullest destination, by all sockets of this network namespace",
                   SCREEN_HANG);
    for (unsigned i = 0; i < r->n_occupancies; i++) {
        const struct stat_occupancy *o = &r->occupancy[i];
        wrap_printf(to, SCREEN_HANG, "%-12s %-16s %s of %s (%.1f %%)", plain(rule, o->rule, sizeof o->rule), o->source,
                    grouped(taken, o->taken), grouped(capacity, o->capacity),
                    100 * (double)o->taken / (double)o->capacity);
    }
}

static void print_down(const struct stat_down *d, bool endpoint, const struct screen *to) {
    char rule[STAT_RULE_TEXT], again[64];
    snprintf(again, sizeof again, d->retry_s ? "in %u s" : "by the next connect", d->retry_s);
    if (endpoint)
        wrap_printf(to, SCREEN_HANG, "%-12s %s: tried again %s", stat_rule_text(rule, d->rule), d->destination, again);
    else
        wrap_printf(to, SCREEN_HANG, "%-12s %-16s to %s: %u connects in a row, tried again %s",
                    stat_rule_text(rule, d->rule), d->source, d->destination, d->unanswered, again);
}

/* Those of one kind, under their title. */
static void print_downs_of(const struct stat_report *r, bool endpoints, const char *title, const struct screen *to) {
    bool any = false;
    for (unsigned i = 0; i < r->n_downs && i < STAT_DOWNS; i++) {
        if ((strcmp(r->down[i].source, STAT_ENDPOINT) == 0) != endpoints)
            continue;
        if (!any)
            wrap_print(to, title, SCREEN_HANG);
        any = true;
        print_down(&r->down[i], endpoints, to);
    }
}

static void print_downs(const struct stat_report *r, const struct screen *to) {
    print_downs_of(r, false,
                   "\nmarked down: not answered by a destination that answers other sources (try: connspread check, "
                   "tcpdump)",
                   to);
    print_downs_of(r, true, "\nleft out: other endpoints (also-to) that did not answer (try: is the server up?)", to);
    if (r->n_downs > STAT_DOWNS)
        fprintf(to->out, "and %u more\n", r->n_downs - STAT_DOWNS);
}

void stat_print_text(const struct stat_report *r) {
    const struct screen to = screen_stdout();
    print_head(r, &to);
    print_connects(r, &to);
    print_prefixes(r, &to);
    print_errors(r, &to);
    print_closes(r, &to);
    print_counters(r, &to);
    print_occupancy(r, &to);
    print_downs(r, &to);
}
