#include "tool/stat/json.h"

#include <stdio.h>

#include "tool/common/override.h"
#include "tool/events/names.h"
#include "tool/common/strbuf.h"
#include "tool/stat/model.h"
#include "tool/stat/take.h"
#include "tool/stat/names.h"
#include "tool/stat/compare.h"
#include "state/stats.h"

static void print_string(const char *key, const char *text, size_t max) {
    char out[6 * STATE_PATH + 3];
    struct strbuf s;
    strbuf_init(&s, out, sizeof out);
    strbuf_json(&s, text, max);
    (void)strbuf_finish(&s);
    printf("%s%s", key, out);
}

static void print_number(const char *name, uint64_t n) {
    printf(",\"%s\":%llu", name, (unsigned long long)n);
}

static void print_head(const struct stat_report *r) {
    char created[32];
    struct strbuf s;
    strbuf_init(&s, created, sizeof created);
    strbuf_time(&s, r->created_us);
    (void)strbuf_finish(&s);
    print_string("{\"instance\":", r->instance, sizeof r->instance);
    print_string(",\"state_file\":", r->path, sizeof r->path);
    printf(",\"uid\":%u,\"created\":\"%s\"", r->uid, created);
    if (r->users_known)
        print_number("processes", r->users);
    if (r->stale[0])
        print_string(",\"stale\":", r->stale, sizeof r->stale);
    printf(",\"override\":{\"mode\":%s%s%s,\"canary\":", r->control.has_mode ? "\"" : "",
           r->control.has_mode ? override_mode_name(r->control.mode) : "null", r->control.has_mode ? "\"" : "");
    printf(r->control.has_canary ? "%u}" : "null}", r->control.canary);
    printf(",\"mode\":\"%s\",\"canary\":%u", override_mode_name(stat_mode(r)), stat_canary(r));
    if (r->recorded)
        printf(",\"recorder\":{\"pending\":%llu,\"lost\":%llu,\"behind_s\":%.3f}",
               (unsigned long long)r->progress.pending, (unsigned long long)r->progress.lost, stat_behind_s(r));
    if (r->has_policy)
        printf(",\"config_mode\":\"%s\",\"config_canary\":%u", override_mode_name(r->settings.mode),
               r->settings.canary);
}

static void print_errors(const struct stat_row *row) {
    const char *comma = "";
    printf(",\"errors\":{");
    for (unsigned i = 0; i < STAT_COUNTERS; i++) {
        if (!stats_errno(i) || row->counter[i] == 0)
            continue;
        printf("%s\"%s\":%llu", comma, error_name((unsigned)stats_errno(i)), (unsigned long long)row->counter[i]);
        comma = ",";
    }
    putchar('}');
}

static void print_row(const struct stat_row *row) {
    static const struct {
        const char *name;
        double p;
    } quantile[] = {{"p50_us", 0.5}, {"p90_us", 0.9}, {"p99_us", 0.99}};
    printf("{\"arm\":\"%s\"", event_name(NAMES_ARM, row->arm));
    print_string(",\"rule\":", row->rule, sizeof row->rule);
    print_string(",\"source\":", row->source, sizeof row->source);
    for (unsigned i = 0; i < STAT_COUNTERS; i++)
        if (stat_counter_name(i))
            print_number(stat_counter_name(i), row->counter[i]);
    print_number("connects_unsuccessful", stat_failed(row->counter));
    print_errors(row);
    printf(",\"connect_seconds\":%.6f", row->connect_seconds);
    for (unsigned i = 0; i < sizeof quantile / sizeof *quantile; i++)
        printf(",\"%s\":%.1f", quantile[i].name, histogram_quantile_us(row->bucket, quantile[i].p));
    printf(",\"buckets\":[");
    for (unsigned i = 0; i < STAT_BUCKETS; i++)
        printf("%s%llu", i ? "," : "", (unsigned long long)row->bucket[i]);
    printf("]}");
}

static void print_counters(const struct stat_report *r) {
    printf(",\"counters\":{");
    for (unsigned arm = 0; arm < ARMS; arm++) {
        const char *comma = "";
        printf("%s\"%s\":{", arm ? "," : "", event_name(NAMES_ARM, arm));
        for (unsigned i = 0; i < COUNTERS; i++) {
            if (!counter_name(i))
                continue;
            printf("%s\"%s\":%llu", comma, counter_name(i), (unsigned long long)r->counter[arm][i]);
            comma = ",";
        }
        putchar('}');
    }
    putchar('}');
}

static void print_downs(const struct stat_report *r) {
    printf("],\"down\":[");
    for (unsigned i = 0; i < r->n_downs && i < STAT_DOWNS; i++) {
        const struct stat_down *d = &r->down[i];
        print_string(i ? ",{\"rule\":" : "{\"rule\":", d->rule, sizeof d->rule);
        print_string(",\"source\":", d->source, sizeof d->source);
        print_string(",\"destination\":", d->destination, sizeof d->destination);
        print_number("unanswered", d->unanswered);
        print_number("retry_s", d->retry_s);
        putchar('}');
    }
}

void stat_print_json(const struct stat_report *r) {
    print_head(r);
    printf(",\"stats\":[");
    for (unsigned i = 0; i < r->n_rows; i++) {
        if (i)
            putchar(',');
        print_row(&r->row[i]);
    }
    putchar(']');
    print_counters(r);
    printf(",\"occupancy\":[");
    for (unsigned i = 0; i < r->n_occupancies; i++) {
        const struct stat_occupancy *o = &r->occupancy[i];
        print_string(i ? ",{\"rule\":" : "{\"rule\":", o->rule, sizeof o->rule);
        print_string(",\"source\":", o->source, sizeof o->source);
        print_number("taken", o->taken);
        print_number("capacity", o->capacity);
        putchar('}');
    }
    print_downs(r);
    printf("]}\n");
}
