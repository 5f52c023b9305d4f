#include "tool/record/recorder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool/common/message.h"
#include "tool/common/time_text.h"
#include "tool/host/clients.h"
#include "tool/record/batch.h"
#include "tool/record/follow.h"
#include "tool/record/journal_path.h"
#include "tool/record/wanted.h"
#include "tool/reaper/reaper.h"
#include "tool/reaper/aftermath.h"
#include "tool/common/locate.h"
#include "tool/record/logfile.h"
#include "tool/reader/tail.h"
#include "base/sys.h"
#include "tool/events/json.h"
#include "tool/record/logfile_resume.h"
#include "tool/record/snapshot.h"
#include "tool/common/stop.h"
#include "state/control.h"

enum { BUSY_US = 1000, IDLE_US = 50000, FINAL_PATIENCE_MS = 2000 };

#define MS ((uint64_t)1000000)
static const uint64_t reap_every = 200 * MS, follow_every = 50 * MS, settle_every = 1000 * MS, look_every = 1000 * MS;

/* Without a client for so long, and seen twice to be so: the next one may be about to start. */
static const uint64_t quiet_before_end = 2000 * MS, grace = 5000 * MS;
static const uint64_t unwritten_patience = 10000 * MS;

/* A service manager that ends everything at once shall not cut off what its clients still have to say. */
static const uint64_t wait_for_clients = 5000 * MS;

struct recorder {
    struct source *source;
    const char *state_file;
    bool keep, named;    /* named: log.file is the caller's own choice, and stays */
    uint64_t generation; /* of the policy that log.file was read from */
    uint64_t now;        /* CLOCK_MONOTONIC */
    uint64_t reaped, followed, settled, looked, busy, began, deadline;
    uint64_t wanted;
    uint32_t client;
    unsigned without_clients;
    uint64_t unwritten_since; /* the last client has gone, and the file does not take what is left; 0: it does */
    bool marked;
    struct tail_mark mark;
    uint64_t settle_to;   /* a line that says what was lost up to there is on its way; 0: none */
    uint64_t losing;      /* how many it says */
    uint64_t overwritten; /* reader.lost when that was last said */
    struct batch batch;
    struct journal journal;
    struct reaper reaper;
    struct aftermath *aftermath; /* NULL: no memory */
    struct snapshot snapshot;
    struct tail tail;
    struct logfile out;
    struct follow follow;
};

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

/* Everything below limit that is not in the file by now never will be: an override event says so, under the first of
 * the numbers that are missing. So every number of the file is still unique, and its gaps are explained. */
static bool say_lost(struct recorder *f, uint64_t limit) {
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

/* Once a second, without a stop: a mark is set, and when all before it has been read, what lies before it
 * and was not seen is lost. */
static void settle(struct recorder *f) {
    journal_advance(&f->journal);
    if (!f->marked && f->now - f->settled >= settle_every) {
        tail_mark(&f->tail, &f->mark);
        f->marked = true;
        f->settled = f->now;
    }
    if (f->marked && tail_passed(&f->tail, &f->mark)) {
        f->marked = false;
        (void)say_lost(f, f->mark.seq);
    }
}

/* --- from the rings to the file --- */

static void tell_gone(struct event_record *gone, void *context) {
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
        if (!journal_in_window(&f->journal, r->e.seq) && !say_lost(f, r->e.seq - JOURNAL_WINDOW / 2))
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

/* Returns the number of events, 0 as well when the file takes none, or they are not ripe. last: all of them are. */
static unsigned round_of(struct recorder *f, bool give_up, bool last) {
    if (!write_batch(f, last))
        return 0;
    batch_read(&f->batch, &f->tail, give_up);
    const char *slash = strrchr(f->state_file, '/');
    for (unsigned i = 0; i < f->batch.n; i++)
        snapshot_look(&f->snapshot, &f->source->state, slash ? slash + 1 : f->state_file, &f->batch.record[i]);
    unsigned n = f->batch.n;
    return write_batch(f, last) ? n : 0;
}

/* Until nothing comes any more, for 10 s at most. False: the file does not take it. */
static bool drain(struct recorder *f, bool give_up) {
    uint64_t end = clock_ns(CLOCK_MONOTONIC) + 10000 * MS;
    while (round_of(f, give_up, true) > 0 && clock_ns(CLOCK_MONOTONIC) < end)
        ;
    if (f->batch.next < f->batch.n || !flush(f))
        return false;
    journal_advance(&f->journal);
    return true;
}

/* --- beginning and end --- */

static void begin_epoch(struct recorder *f) {
    tail_init(&f->tail, &f->source->state);
    f->marked = false;
    f->overwritten = 0;
    f->generation = 0;
    journal_begin(&f->journal, f->source->state.epoch);
    reaper_init(&f->reaper, f->state_file);
    reaper_take_over(&f->reaper, &f->source->state, f->state_file);
    logfile_resume(&f->out, f->source->state.epoch);
}

/* False: the live policy wants no file any more. */
static bool take_policy(struct recorder *f) {
    char path[RECORD_PATH];
    if (f->named)
        return true;
    uint64_t generation = __atomic_load_n(&f->source->state.header->generation, __ATOMIC_ACQUIRE);
    if (generation == f->generation)
        return true;
    f->generation = generation;
    if (!record_wanted(&f->source->state, path)) {
        warn("log.file is empty by now: nothing more is written to %s", f->out.path);
        return false;
    }
    if (strcmp(path, f->out.path) != 0) {
        logfile_end(&f->out);
        logfile_init(&f->out, path, &f->journal);
    }
    return true;
}

/* No process writes there any more: what is half written stays so. False: the file does not take it now. */
static bool finish(struct recorder *f) {
    (void)reaper_round(&f->reaper, &f->source->state, FINAL_PATIENCE_MS);
    return drain(f, true) && say_lost(f, __atomic_load_n(&f->source->state.header->next_seq, __ATOMIC_ACQUIRE));
}

/* Another file has the state file's name, so no client comes to this one any more: first all of it is written. False:
 * the other cannot be used. */
static bool record_replacement(struct recorder *f) {
    struct source fresh;
    int error = 0;
    if (!source_was_replaced(f->source, f->state_file))
        return true;
    if (!finish(f))
        return true; /* later: a line of this epoch must not be noted under another */
    enum state_error result = source_write(&fresh, f->state_file, &error);
    if (result == STATE_ABSENT)
        return true;
    if (result != STATE_OK) {
        warn("%s: %s", f->state_file, state_error_text(result, error));
        return false;
    }
    reaper_end(&f->reaper);
    source_close(f->source);
    *f->source = fresh;
    f->client = 0;
    begin_epoch(f);
    return true;
}

static bool client_left(struct recorder *f) {
    return reaper_sees_life(&f->reaper) || clients_exist(f->source->state.header, &f->client);
}

static bool nobody_left(struct recorder *f) {
    bool quiet = f->now - f->busy >= quiet_before_end && f->now - f->began >= grace;
    if (!quiet && f->deadline == 0)
        return false;
    bool client = client_left(f);
    f->without_clients = client ? 0 : f->without_clients + 1;
    return f->without_clients >= 2;
}

/* The last client has gone. What the file does not take for so long stays in the state file: a recorder that waited for
 * ever would keep it in use. */
static bool may_leave(struct recorder *f) {
    if (finish(f)) {
        f->unwritten_since = 0;
        return journal_may_end(&f->journal, &f->wanted);
    }
    f->unwritten_since = f->unwritten_since ? f->unwritten_since : f->now;
    return f->now - f->unwritten_since >= unwritten_patience;
}

/* Once a second. True: it is over. */
static bool look_around(struct recorder *f) {
    if (f->deadline && f->now >= f->deadline)
        return true;
    if (f->now - f->looked < look_every)
        return false;
    f->looked = f->now;
    if (!record_replacement(f) || !take_policy(f))
        return true;
    if (f->keep)
        return false;
    if (f->unwritten_since == 0 && !nobody_left(f))
        return false;
    if (f->unwritten_since && client_left(f)) {
        f->unwritten_since = 0;
        return false;
    }
    if (may_leave(f))
        return true;
    if (f->unwritten_since)
        return false;
    f->began = f->now; /* a client is about to start */
    f->without_clients = 0;
    return false;
}

/* True: end now. The first SIGTERM only asks. */
static bool stopped(struct recorder *f) {
    if (!stop_signal)
        return false;
    if (stop_signal != SIGTERM || f->keep || f->deadline)
        return true;
    stop_signal = 0;
    f->deadline = f->now + wait_for_clients;
    return false;
}

/* All that was read is in the file, n events in the last round, which began at before_us: less than a batch is all that
 * there was. */
static void note_written(struct recorder *f, unsigned n, uint64_t before_us) {
    uint64_t until = before_us;
    if (n == BATCH)
        until = f->batch.record[f->batch.order[BATCH - 1]].e.time_us;
    journal_written(&f->journal, until < before_us ? until : before_us);
}

static void record(struct recorder *f) {
    useconds_t pause = BUSY_US;
    f->began = f->busy = f->settled = f->looked = clock_ns(CLOCK_MONOTONIC);
    f->wanted = __atomic_load_n(&f->journal.file->wanted, __ATOMIC_SEQ_CST);
    for (;;) {
        f->now = clock_ns(CLOCK_MONOTONIC);
        if (stopped(f) || look_around(f))
            break;
        if (f->now - f->reaped >= reap_every) {
            (void)reaper_round(&f->reaper, &f->source->state, 0);
            follow_round(&f->follow, &f->source->state, f->state_file, f->reaper.netns);
            f->reaped = f->now;
        }
        if (f->aftermath && f->now - f->followed >= follow_every) {
            aftermath_round(f->aftermath, tell_gone, f);
            f->followed = f->now;
        }
        uint64_t before_us = time_now_us();
        unsigned n = round_of(f, false, false);
        bool written = f->batch.next == f->batch.n && f->out.used == 0;
        if (n > 0)
            f->busy = f->now;
        if (written) {
            note_written(f, n, before_us);
            settle(f);
        }
        pause = n > 0 ? BUSY_US : pause * 2 < IDLE_US ? pause * 2 : IDLE_US;
        if (n < BATCH / 2)
            usleep(pause);
    }
    (void)drain(f, false);
}

static int record_as(struct recorder *f, const char *log_file) {
    char path[STATE_PATH + 16];
    journal_path(path, sizeof path, f->state_file);
    switch (journal_open(&f->journal, path)) {
    case JOURNAL_TAKEN:
        warn("a recorder writes %s already", log_file);
        return EXIT_DONE;
    case JOURNAL_FAILED:
        warn("%s: %s: without it nothing is written to %s; try: a folder of your own, with room (CONNSPREAD_DIR)", path,
             strerror(errno), log_file);
        return EXIT_FOUND;
    default:
        break;
    }
    logfile_init(&f->out, log_file, &f->journal);
    f->aftermath = calloc(1, sizeof *f->aftermath);
    if (f->aftermath)
        aftermath_begin(f->aftermath, AFTERMATH_RECORDING);
    begin_epoch(f);
    follow_begin(&f->follow);
    record(f);
    follow_end(&f->follow);
    bool written = f->out.used == 0 && f->batch.next == f->batch.n;
    if (!written)
        warn("%s: %s; the events that are not in it stay in the state file", f->out.path,
             logfile_error_text(f->out.error));
    logfile_end(&f->out);
    reaper_end(&f->reaper);
    if (f->aftermath)
        aftermath_end(f->aftermath);
    free(f->aftermath);
    journal_close(&f->journal);
    return written ? EXIT_DONE : EXIT_FOUND;
}

int record_to_file(struct source *s, const char *state_file, const char *named, bool keep) {
    struct recorder *f = calloc(1, sizeof *f);
    char log_file[RECORD_PATH] = "";
    int status = EXIT_FOUND;
    if (!f)
        warn("no memory: %zu bytes are needed", sizeof *f);
    else if (named || record_wanted(&s->state, log_file)) {
        f->source = s;
        f->named = named != NULL;
        f->state_file = state_file;
        f->keep = keep;
        status = record_as(f, named ? named : log_file);
    }
    free(f);
    source_close(s);
    return status;
}
