#include "tool/stat/take.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool/stat/model.h"
#include "tool/common/time_text.h"
#include "state/stats.h"
#include "state/control.h"
#include "tool/reader/state_files.h"
#include "tool/stat/compare.h"
#include "tool/stat/down.h"
#include "tool/record/journal_read.h"
#include "tool/record/wanted.h"

static uint64_t load(const uint64_t *word) {
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static uint64_t add(uint64_t a, uint64_t b) {
    return b > UINT64_MAX - a ? UINT64_MAX : a + b;
}

/* An entry is whole when its key is that of its labels (stats.c); between the two its maker has just taken it. */
static bool take_row(struct stat_row *row, const struct state *s, const struct stat_entry *from) {
    const struct stat_entry e = *from;
    if (e.key == 0 || e.arm >= ARMS || e.key != stats_key(e.arm, e.rule_id, e.lane, &e.source, e.prefix))
        return false;
    *row = (struct stat_row){.arm = (enum arm)e.arm,
                             .address = e.source,
                             .prefix = e.prefix != 0,
                             .connect_seconds = (double)e.connect_ns / 1e9};
    state_title(s, e.rule_id, row->rule);
    if (addr_is_any(&e.source))
        memcpy(row->source, "any", sizeof "any");
    else
        format_address(row->source, &e.source);
    if (e.prefix) {
        size_t length = strlen(row->source);
        (void)snprintf(row->source + length, sizeof row->source - length, "/%u",
                       addr_is_v4(&e.source) && e.prefix > 96 ? e.prefix - 96u : e.prefix);
    }
    memcpy(row->counter, e.counter, sizeof e.counter);
    memcpy(row->counter + STAT_RARE, e.rare, sizeof e.rare);
    memcpy(row->bucket, e.bucket, sizeof row->bucket);
    for (unsigned i = 0; i < STAT_BUCKETS; i++)
        row->counter[STAT_CONNECTS] = add(row->counter[STAT_CONNECTS], e.bucket[i]);
    return true;
}

static int compare_rows(const void *left, const void *right) {
    const struct stat_row *a = left, *b = right;
    int order = strcmp(a->rule, b->rule);
    if (order == 0)
        order = (int)a->arm - (int)b->arm;
    return order ? order : addr_compare(&a->address, &b->address);
}

static void add_row(struct stat_row *to, const struct stat_row *from) {
    for (unsigned i = 0; i < STAT_COUNTERS; i++)
        to->counter[i] = add(to->counter[i], from->counter[i]);
    for (unsigned i = 0; i < STAT_BUCKETS; i++)
        to->bucket[i] = add(to->bucket[i], from->bucket[i]);
    to->connect_seconds += from->connect_seconds;
}

/* Two titles with one text, or two entries with one key, must not become two series. */
static void sort_rows(struct stat_report *r) {
    unsigned kept = 0;
    qsort(r->row, r->n_rows, sizeof *r->row, compare_rows);
    for (unsigned i = 0; i < r->n_rows; i++) {
        if (kept && strcmp(r->row[kept - 1].source, r->row[i].source) == 0 &&
            strcmp(r->row[kept - 1].rule, r->row[i].rule) == 0 && r->row[kept - 1].arm == r->row[i].arm)
            add_row(&r->row[kept - 1], &r->row[i]);
        else
            r->row[kept++] = r->row[i];
    }
    r->n_rows = kept;
}

/* What has an entry is counted only there. */
static void count_rows(struct stat_report *r) {
    for (unsigned i = 0; i < r->n_rows; i++) {
        const struct stat_row *row = &r->row[i];
        uint64_t *sum = r->counter[row->arm];
        sum[COUNT_CONNECTS] = add(sum[COUNT_CONNECTS], row->counter[STAT_CONNECTS]);
        sum[COUNT_SPREAD] = add(sum[COUNT_SPREAD], row->counter[STAT_SPREAD]);
        for (unsigned fate = 0; fate < FATES; fate++) {
            enum counter c = counter_of_fate((enum fate)fate);
            sum[c] = add(sum[c], row->counter[STAT_CLOSED + fate]);
        }
    }
}

/* In one piece of memory: the report, its rows, its occupancies, its sources that are down. */
static struct stat_report *report_with(unsigned rows, unsigned occupancies, unsigned downs) {
    struct stat_report *r =
        calloc(1, sizeof *r + rows * sizeof *r->row + occupancies * sizeof *r->occupancy + downs * sizeof *r->down);
    if (!r)
        return NULL;
    r->row = (struct stat_row *)(void *)(r + 1);
    r->occupancy = (struct stat_occupancy *)(void *)(r->row + rows);
    r->down = (struct stat_down *)(void *)(r->occupancy + occupancies);
    return r;
}

struct stat_report *stat_report_new(void) {
    return report_with(STATS, STAT_OCCUPANCIES, STAT_DOWNS);
}

struct stat_report *stat_report_keep(const struct stat_report *r) {
    unsigned downs = r->n_downs < STAT_DOWNS ? r->n_downs : (unsigned)STAT_DOWNS;
    struct stat_report *kept = report_with(r->n_rows, r->n_occupancies, downs);
    if (!kept)
        return NULL;
    struct stat_report own = *kept;
    memcpy(own.row, r->row, r->n_rows * sizeof *own.row);
    memcpy(own.occupancy, r->occupancy, r->n_occupancies * sizeof *own.occupancy);
    memcpy(own.down, r->down, downs * sizeof *own.down);
    *kept = *r;
    kept->row = own.row;
    kept->occupancy = own.occupancy;
    kept->down = own.down;
    return kept;
}

void stat_take(struct stat_report *out, const struct state *s, const char *path, const struct state_file *f) {
    char log_file[RECORD_PATH];
    *out = (struct stat_report){.row = out->row, .occupancy = out->occupancy, .down = out->down};
    memcpy(out->path, path, strnlen(path, sizeof out->path - 1));
    memcpy(out->instance, s->header->instance, sizeof out->instance - 1);
    memcpy(out->label, out->instance, sizeof out->instance);
    out->uid = s->header->uid;
    out->created_us = s->header->created_ns / 1000;
    out->users = f ? f->users : 0;
    out->users_known = f && !f->hidden;
    const char *dead = f ? state_file_dead(f, false, out->stale) : NULL;
    if (dead && dead != out->stale)
        memcpy(out->stale, dead, strlen(dead) + 1);
    out->has_policy = state_settings(s, &out->settings);
    out->control = control_unpack(load(&s->header->control));
    for (unsigned arm = 0; arm < ARMS; arm++)
        for (unsigned i = 0; i < COUNTERS; i++)
            out->counter[arm][i] = load(&s->counter[arm][i]);
    for (unsigned i = 0; i < STATS; i++)
        if (take_row(&out->row[out->n_rows], s, &s->stat[i]))
            out->n_rows++;
    count_rows(out);
    sort_rows(out);
    stat_take_downs(out, s);
    out->recorded = record_wanted(s, log_file) && journal_progress(&out->progress, s, path);
}

static uint64_t minus(uint64_t a, uint64_t b) {
    return a > b ? a - b : 0;
}

static void subtract_row(struct stat_row *now, const struct stat_row *before) {
    for (unsigned i = 0; i < STAT_COUNTERS; i++)
        now->counter[i] = minus(now->counter[i], before->counter[i]);
    for (unsigned i = 0; i < STAT_BUCKETS; i++)
        now->bucket[i] = minus(now->bucket[i], before->bucket[i]);
    now->connect_seconds -= before->connect_seconds;
}

void stat_subtract(struct stat_report *now, const struct stat_report *before) {
    for (unsigned arm = 0; arm < ARMS; arm++)
        for (unsigned i = 0; i < COUNTERS; i++)
            now->counter[arm][i] = minus(now->counter[arm][i], before->counter[arm][i]);
    for (unsigned i = 0; i < before->n_rows; i++) {
        struct stat_row *row = bsearch(&before->row[i], now->row, now->n_rows, sizeof *now->row, compare_rows);
        if (row)
            subtract_row(row, &before->row[i]);
    }
}

unsigned stat_mode(const struct stat_report *r) {
    return r->control.has_mode ? r->control.mode : r->has_policy ? r->settings.mode : (unsigned)MODE_OFF;
}

unsigned stat_canary(const struct stat_report *r) {
    unsigned canary = r->control.has_canary ? r->control.canary : r->has_policy ? r->settings.canary : 0;
    return canary < 100 ? canary : 100;
}

double stat_behind_s(const struct stat_report *r) {
    uint64_t now = time_now_us();
    return r->progress.pending && now > r->progress.written_us ? (double)(now - r->progress.written_us) / 1e6 : 0;
}

uint64_t stat_failed(const uint64_t counter[STAT_COUNTERS]) {
    static const enum stat_counter failure[] = {STAT_FAILED,      STAT_REFUSED, STAT_TIMED_OUT,
                                                STAT_UNREACHABLE, STAT_DENIED,  STAT_OTHER_ERROR};
    uint64_t sum = minus(counter[STAT_SYN_TIMEOUT], counter[STAT_TIMED_OUT]);
    for (unsigned i = 0; i < sizeof failure / sizeof *failure; i++)
        sum = add(sum, counter[failure[i]]);
    return sum < counter[STAT_CONNECTS] ? sum : counter[STAT_CONNECTS];
}

/* A client that binds first meets in bind what another one meets in connect, and which of the two it is depends on the
 * arm: the shim puts a bind's port off to connect. Each is one call that failed. */
static uint64_t failed_binds(const struct stat_row *row) {
    uint64_t sum = add(row->counter[STAT_BIND_IN_USE], row->counter[STAT_BIND_NOT_LOCAL]);
    return add(sum, row->counter[STAT_LATE_FAILED]);
}

void stat_arm(const struct stat_report *r, enum arm arm, struct compare_arm *out) {
    *out = (struct compare_arm){0};
    for (unsigned i = 0; i < r->n_rows; i++) {
        const struct stat_row *row = &r->row[i];
        if (row->arm != arm)
            continue;
        out->connects = add(out->connects, failed_binds(row));
        out->failed = add(out->failed, failed_binds(row));
        if (!row->rule[0])
            continue;
        out->connects = add(out->connects, row->counter[STAT_CONNECTS]);
        out->failed = add(out->failed, stat_failed(row->counter));
        for (unsigned j = 0; j < STAT_BUCKETS; j++)
            out->bucket[j] = add(out->bucket[j], row->bucket[j]);
    }
    if (out->failed > out->connects)
        out->failed = out->connects;
}

void stat_compare(const struct stat_report *r, struct comparison *out) {
    struct compare_arm canary, control;
    stat_arm(r, ARM_ENFORCE, &canary);
    stat_arm(r, ARM_CONTROL, &control);
    compare_arms(&canary, &control, out);
}
