#include "tool/stat/prometheus.h"

#include <stdio.h>
#include <string.h>

#include "tool/events/names.h"
#include "tool/common/strbuf.h"
#include "tool/stat/model.h"
#include "tool/stat/take.h"
#include "tool/stat/names.h"
#include "tool/stat/compare.h"
#include "state/stats.h"

struct reports {
    const struct stat_report *const *report;
    size_t n;
};

/* name="value": valid UTF-8, with backslash, quote and line feed escaped (control characters are '?' by now). */
static void print_label(const char *before, const char *name, const char *value, size_t max) {
    char clean[STATE_PATH + 1];
    struct strbuf s;
    strbuf_init(&s, clean, sizeof clean);
    strbuf_plain(&s, value, max);
    (void)strbuf_finish(&s);
    printf("%s%s=\"", before, name);
    for (const char *p = clean; *p; p++) {
        if (*p == '\\' || *p == '"')
            putchar('\\');
        putchar(*p);
    }
    putchar('"');
}

static void print_instance(const char *metric, const char *suffix, const struct stat_report *r) {
    printf("connspread_%s%s{", metric, suffix);
    print_label("", "connspread_instance", r->label, sizeof r->label);
    printf(",version=\"" VERSION "\"");
}

static void print_row_labels(const char *metric, const char *suffix, const struct stat_report *r,
                             const struct stat_row *row) {
    print_instance(metric, suffix, r);
    printf(",arm=\"%s\"", event_name(NAMES_ARM, row->arm));
    print_label(",", "rule", row->rule, sizeof row->rule);
    print_label(",", "source", row->source, sizeof row->source);
}

static void print_family(const char *metric, const char *suffix, const char *type, const char *help) {
    printf("# HELP connspread_%s%s %s\n# TYPE connspread_%s%s %s\n", metric, suffix, help, metric, suffix, type);
}

static uint64_t failed_value(const struct stat_row *row, unsigned counter) {
    (void)counter;
    return stat_failed(row->counter);
}

static uint64_t counter_value(const struct stat_row *row, unsigned counter) {
    return row->counter[counter];
}

static void print_rows(const struct reports *all, const char *name, const char *help,
                       uint64_t (*value)(const struct stat_row *row, unsigned counter), unsigned counter) {
    print_family(name, "_total", "counter", help);
    for (size_t i = 0; i < all->n; i++) {
        const struct stat_report *r = all->report[i];
        for (unsigned j = 0; j < r->n_rows; j++) {
            print_row_labels(name, "_total", r, &r->row[j]);
            printf("} %llu\n", (unsigned long long)value(&r->row[j], counter));
        }
    }
}

/* Those that there were: a series for each errno would be a dozen for each source. */
static void print_errors(const struct reports *all) {
    static const char metric[] = "connect_errors";
    print_family(metric, "_total", "counter", "Connects that failed, by errno, where it is known. Absent: none.");
    for (size_t i = 0; i < all->n; i++) {
        const struct stat_report *r = all->report[i];
        for (unsigned j = 0; j < r->n_rows * STAT_COUNTERS; j++) {
            const struct stat_row *row = &r->row[j / STAT_COUNTERS];
            unsigned counter = j % STAT_COUNTERS;
            if (!stats_errno(counter) || row->counter[counter] == 0)
                continue;
            print_row_labels(metric, "_total", r, row);
            printf(",errno=\"%s\"} %llu\n", error_name((unsigned)stats_errno(counter)),
                   (unsigned long long)row->counter[counter]);
        }
    }
}

static void print_counter(const struct reports *all, enum counter counter) {
    const char *name = counter_name(counter);
    print_family(name, "_total", "counter", counter_help(counter));
    for (size_t i = 0; i < all->n; i++) {
        const struct stat_report *r = all->report[i];
        for (unsigned arm = 0; arm < ARMS; arm++) {
            print_instance(name, "_total", r);
            printf(",arm=\"%s\"} %llu\n", event_name(NAMES_ARM, arm), (unsigned long long)r->counter[arm][counter]);
        }
    }
}

/* A scribbled file's buckets are no reason for a series that falls. */
static uint64_t add(uint64_t a, uint64_t b) {
    return b > UINT64_MAX - a ? UINT64_MAX : a + b;
}

/* Every second bucket of the state file's: 1 us, 4 us, ... 4.194304 s. */
static void print_histogram(const struct stat_report *r, const struct stat_row *row) {
    static const char metric[] = "connect_seconds";
    uint64_t sum = 0;
    for (unsigned i = 0; i < STAT_BUCKETS - 1; i++) {
        sum = add(sum, row->bucket[i]);
        if (i % 2)
            continue;
        print_row_labels(metric, "_bucket", r, row);
        printf(",le=\"%.6f\"} %llu\n", (double)(1u << i) / 1e6, (unsigned long long)sum);
    }
    sum = add(sum, row->bucket[STAT_BUCKETS - 1]);
    print_row_labels(metric, "_bucket", r, row);
    printf(",le=\"+Inf\"} %llu\n", (unsigned long long)sum);
    print_row_labels(metric, "_sum", r, row);
    printf("} %.9f\n", row->connect_seconds);
    print_row_labels(metric, "_count", r, row);
    printf("} %llu\n", (unsigned long long)sum);
}

static void print_histograms(const struct reports *all) {
    print_family("connect_seconds", "", "histogram", "Time inside connect().");
    for (size_t i = 0; i < all->n; i++)
        for (unsigned j = 0; j < all->report[i]->n_rows; j++)
            print_histogram(all->report[i], &all->report[i]->row[j]);
}

static void print_build_info(void) {
    print_family("build_info", "", "gauge", "1, with the version of the connspread that wrote this.");
    puts("connspread_build_info{version=\"" VERSION "\"} 1");
}

static double mode_value(const struct stat_report *r) {
    static const double value[MODE_COUNT] = {[MODE_OFF] = 0, [MODE_OBSERVE] = 1, [MODE_ENFORCE] = 2};
    return stat_mode(r) < MODE_COUNT ? value[stat_mode(r)] : 0;
}

static double canary_value(const struct stat_report *r) {
    return stat_canary(r) / 100.0;
}

static double override_value(const struct stat_report *r) {
    return r->control.has_mode || r->control.has_canary;
}

static double created_value(const struct stat_report *r) {
    return (double)r->created_us / 1e6;
}

static void print_gauge(const struct reports *all, const char *name, const char *help,
                        double (*value)(const struct stat_report *r)) {
    print_family(name, "", "gauge", help);
    for (size_t i = 0; i < all->n; i++) {
        print_instance(name, "", all->report[i]);
        printf("} %.17g\n", value(all->report[i]));
    }
}

static double pending_value(const struct stat_report *r) {
    return (double)r->progress.pending;
}

static double lost_value(const struct stat_report *r) {
    return (double)r->progress.lost;
}

static double written_value(const struct stat_report *r) {
    return (double)r->progress.written_us / 1e6;
}

static double behind_value(const struct stat_report *r) {
    return stat_behind_s(r);
}

/* Of the instances whose events belong in a file. */
static void print_recorders(const struct reports *all) {
    static const struct {
        const char *name, *type, *help;
        double (*value)(const struct stat_report *r);
    } metric[] = {
        {"recorder_pending_events", "gauge", "Events that are not in log.file yet.", pending_value},
        {"recorder_lost_events_total", "counter",
         "Events that log.file says were lost: overwritten before they were read, or never finished.", lost_value},
        {"recorder_written_timestamp_seconds", "gauge", "What had happened by then is in log.file.", written_value},
        {"recorder_behind_seconds", "gauge",
         "How old the events may be that are not in log.file yet; 0: there are none.", behind_value},
    };
    for (unsigned i = 0; i < sizeof metric / sizeof *metric; i++) {
        print_family(metric[i].name, "", metric[i].type, metric[i].help);
        for (size_t j = 0; j < all->n; j++) {
            if (!all->report[j]->recorded)
                continue;
            print_instance(metric[i].name, "", all->report[j]);
            printf("} %.17g\n", metric[i].value(all->report[j]));
        }
    }
}

static void print_verdicts(const struct reports *all) {
    static const char metric[] = "canary_verdict";
    print_family(metric, "", "gauge",
                 "What stat --compare says of the canary arm: 1 worse, 0 same, -1 better than the control arm. "
                 "Absent: not enough data.");
    for (size_t i = 0; i < all->n; i++) {
        struct comparison c;
        stat_compare(all->report[i], &c);
        if (c.verdict == COMPARE_TOO_FEW)
            continue;
        print_instance(metric, "", all->report[i]);
        printf("} %d\n", c.verdict == COMPARE_WORSE ? 1 : c.verdict == COMPARE_BETTER ? -1 : 0);
    }
}

static void print_occupancies(const struct reports *all) {
    static const char metric[] = "occupancy_ratio";
    print_family(
        metric, "", "gauge",
        "Share of a source's quadruplets that are taken towards its fullest destination, by all sockets of the "
        "network namespace in which connspread stat ran.");
    for (size_t i = 0; i < all->n; i++) {
        const struct stat_report *r = all->report[i];
        for (unsigned j = 0; j < r->n_occupancies; j++) {
            const struct stat_occupancy *o = &r->occupancy[j];
            print_instance(metric, "", r);
            print_label(",", "rule", o->rule, sizeof o->rule);
            print_label(",", "source", o->source, sizeof o->source);
            printf("} %.6f\n", (double)o->taken / (double)o->capacity);
        }
    }
}

static bool same_series(const struct stat_down *a, const struct stat_down *b) {
    return strcmp(a->rule, b->rule) == 0 && strcmp(a->source, b->source) == 0;
}

/* For how many destinations each source is down: a label for the destination would have no bound. */
static void print_downs(const struct reports *all) {
    static const char metric[] = "source_down_destinations";
    print_family(metric, "", "gauge",
                 "Destinations for which this source is marked down, because they do not answer it while they answer "
                 "others. Absent: none.");
    for (size_t i = 0; i < all->n; i++) {
        const struct stat_report *r = all->report[i];
        unsigned n = r->n_downs < STAT_DOWNS ? r->n_downs : (unsigned)STAT_DOWNS;
        for (unsigned j = 0; j < n; j++) {
            unsigned count = 0, before = 0;
            for (unsigned k = 0; k < n; k++) {
                count += same_series(&r->down[j], &r->down[k]);
                before += k < j && same_series(&r->down[j], &r->down[k]);
            }
            if (before)
                continue;
            print_instance(metric, "", r);
            print_label(",", "rule", r->down[j].rule, sizeof r->down[j].rule);
            print_label(",", "source", r->down[j].source, sizeof r->down[j].source);
            printf("} %u\n", count);
        }
    }
}

void stat_print_prometheus(const struct stat_report *const *reports, size_t n) {
    const struct reports all = {reports, n};
    for (unsigned i = 0; i < STAT_COUNTERS; i++)
        if (stat_counter_name(i))
            print_rows(&all, stat_counter_name(i), stat_counter_help(i), counter_value, i);
    print_rows(&all, "connects_unsuccessful",
               "Connects that failed: with an error, or given up before the handshake was done.", failed_value, 0);
    print_errors(&all);
    print_histograms(&all);
    for (unsigned i = 0; i < COUNTERS; i++)
        if (counter_name(i))
            print_counter(&all, (enum counter)i);
    print_build_info();
    print_gauge(&all, "mode", "What is in force: 0 off, 1 observe, 2 enforce.", mode_value);
    print_gauge(&all, "canary_ratio", "Share that spreads.", canary_value);
    print_gauge(&all, "override", "1 while connspread set overrides the config.", override_value);
    print_gauge(&all, "created_timestamp_seconds", "When the state file was made, from which all counts begin.",
                created_value);
    print_recorders(&all);
    print_verdicts(&all);
    print_occupancies(&all);
    print_downs(&all);
}
