#include "tool/record/writing.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "state/control.h"
#include "state/ring.h"
#include "tool/common/time_text.h"
#include "tool/events/json.h"

#define MS ((uint64_t)1000000)
static const uint64_t settle_every = 1000 * MS;

/* --- what was lost --- */

/* What was written is written, and what a line has said to be lost is settled. */
static bool flush(struct recorder *f) {
    if (!logfile_flush(&f->out))
        return false;
    if (f->settle_to) {
        journal_lose(&f->journal, f->losing);
        journal_settle(&f->journal, f->settle_to);
    }
    f->settle_to = 0;
    return true;
}

bool writing_lost(struct recorder *f, uint64_t limit) {
    struct event_record r = {.e = {.kind = EVENT_OVERRIDE, .program = "connspread"}};
    char line[EVENT_LINE_MAX];
    uint64_t first, last;
    uint64_t missing = journal_missing(&f->journal, limit, &first, &last);
    if (missing > 0) {
        uint64_t over = f->tail.reader.lost - f->overwritten;
        over = over < missing ? over : missing;
        f->overwritten = f->tail.reader.lost;
        r.e.time_us = time_now_us();
        r.e.seq = first;
        r.e.pid = r.e.tid = (uint32_t)getpid();
        r.e.netns = f->reaper.netns;
        snprintf(
            r.u.text, sizeof r.u.text,
            "%llu events lost, numbers %llu to %llu: %llu overwritten before they were read (a larger log.size keeps "
            "more), %llu never finished by their writers",
            (unsigned long long)missing, (unsigned long long)first, (unsigned long long)last, (unsigned long long)over,
            (unsigned long long)(missing - over));
        int length = event_json(&r, &f->source->context, line, sizeof line);
        if (length > 0)
            logfile_add(&f->out, first, line, (size_t)length);
    }
    f->settle_to = limit;
    f->losing = missing;
    return flush(f);
}

void writing_settle(struct recorder *f) {
    journal_advance(&f->journal);
    if (!f->marked && f->now - f->settled >= settle_every) {
        tail_mark(&f->tail, &f->mark);
        f->marked = true;
        f->settled = f->now;
    }
    if (f->marked && tail_passed(&f->tail, &f->mark)) {
        f->marked = false;
        (void)writing_lost(f, f->mark.seq);
    }
}

/* --- from the rings to the file --- */

void writing_gone(struct event_record *gone, void *context) {
    struct recorder *f = context;
    enum arm arm = gone->e.arm < ARMS ? (enum arm)gone->e.arm : ARM_ENFORCE;
    if (ring_write(&f->source->state, gone))
        state_count(&f->source->state, arm, COUNT_TIME_WAIT_GONE);
}

/* False: the file does not take it now. */
static bool write_one(struct recorder *f, const struct event_record *r) {
    char line[EVENT_LINE_MAX];
    if (journal_has(&f->journal, r->e.seq))
        return true;
    if (!journal_in_window(&f->journal, r->e.seq)) {
        if (!flush(f))
            return false;
        journal_advance(&f->journal);
        if (!journal_in_window(&f->journal, r->e.seq) && !writing_lost(f, r->e.seq - JOURNAL_WINDOW / 2))
            return false;
    }
    source_name(f->source, &r->e);
    int length = event_json(r, &f->source->context, line, sizeof line);
    if (length <= 0)
        return true;
    if (!logfile_room(&f->out, (size_t)length + EVENT_LINE_MAX) && !flush(f))
        return false;
    logfile_add(&f->out, r->e.seq, line, (size_t)length);
    return true;
}

/* Writes out what has been read, and only then reads on. True: all of it is in the file. */
static bool write_batch(struct recorder *f, bool last) {
    struct batch *b = &f->batch;
    if (!batch_ripe(b, f->aftermath, &f->journal, last))
        return false;
    for (; b->next < b->n; b->next++)
        if (!write_one(f, &b->record[b->order[b->next]]))
            return false;
    return flush(f);
}

unsigned writing_round(struct recorder *f, bool give_up, bool last) {
    if (!write_batch(f, last))
        return 0;
    batch_read(&f->batch, &f->tail, give_up);
    const char *slash = strrchr(f->state_file, '/');
    for (unsigned i = 0; i < f->batch.n; i++)
        snapshot_look(&f->snapshot, &f->source->state, slash ? slash + 1 : f->state_file, &f->batch.record[i]);
    unsigned n = f->batch.n;
    return write_batch(f, last) ? n : 0;
}

bool writing_drain(struct recorder *f, bool give_up) {
    uint64_t end = clock_ns(CLOCK_MONOTONIC) + 10000 * MS;
    while (writing_round(f, give_up, true) > 0 && clock_ns(CLOCK_MONOTONIC) < end)
        ;
    if (f->batch.next < f->batch.n || !flush(f))
        return false;
    journal_advance(&f->journal);
    return true;
}

void writing_note(struct recorder *f, unsigned n, uint64_t before_us) {
    uint64_t until = before_us;
    if (n == BATCH)
        until = f->batch.record[f->batch.order[BATCH - 1]].e.time_us;
    journal_written(&f->journal, until < before_us ? until : before_us);
}
