#include "tool/record/recorder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool/common/message.h"
#include "tool/common/time_text.h"
#include "tool/host/clients.h"
#include "tool/record/follow.h"
#include "tool/record/journal_path.h"
#include "tool/record/wanted.h"
#include "tool/record/writing.h"
#include "tool/reaper/reaper.h"
#include "tool/reaper/aftermath.h"
#include "tool/common/locate.h"
#include "tool/record/logfile.h"
#include "tool/reader/tail.h"
#include "base/sys.h"
#include "tool/record/logfile_resume.h"
#include "tool/common/stop.h"

enum { BUSY_US = 1000, IDLE_US = 50000, FINAL_PATIENCE_MS = 2000 };

#define MS ((uint64_t)1000000)
static const uint64_t reap_every = 200 * MS, follow_every = 50 * MS, look_every = 1000 * MS;

/* Without a client for so long, and seen twice to be so: the next one may be about to start. */
static const uint64_t quiet_before_end = 2000 * MS, grace = 5000 * MS;
static const uint64_t unwritten_patience = 10000 * MS;

/* A service manager that ends everything at once shall not cut off what its clients still have to say. */
static const uint64_t wait_for_clients = 5000 * MS;

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
    return writing_drain(f, true) &&
           writing_lost(f, __atomic_load_n(&f->source->state.header->next_seq, __ATOMIC_ACQUIRE));
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

static bool clients_are_gone(struct recorder *f) {
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
    if (f->unwritten_since == 0 && !clients_are_gone(f))
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
            aftermath_round(f->aftermath, writing_gone, f);
            f->followed = f->now;
        }
        uint64_t before_us = time_now_us();
        unsigned n = writing_round(f, false, false);
        bool written = f->batch.next == f->batch.n && f->out.used == 0;
        if (n > 0)
            f->busy = f->now;
        if (written) {
            writing_note(f, n, before_us);
            writing_settle(f);
        }
        pause = n > 0 ? BUSY_US : pause * 2 < IDLE_US ? pause * 2 : IDLE_US;
        if (n < BATCH / 2)
            usleep(pause);
    }
    (void)writing_drain(f, false);
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
    logfile_try(&f->out);
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
