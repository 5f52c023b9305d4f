#include "tool/log/state.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool/common/message.h"
#include "tool/common/time_text.h"
#include "tool/reader/merge.h"
#include "tool/reaper/preview.h"
#include "tool/reaper/reaper.h"
#include "tool/reaper/aftermath.h"
#include "tool/record/journal_read.h"
#include "tool/common/locate.h"
#include "tool/log/model.h"
#include "state/boot.h"
#include "state/control.h"
#include "tool/common/stop.h"
#include "tool/log/print.h"
#include "tool/reader/source.h"

enum { POLL_MS = 50, POLLS_PER_LOOK = 20, POLLS_PER_ROUND = 4, REAP_PATIENCE_MS = 2000 };

struct view {
    struct source source;
    struct event_merge merge;
    struct reaper reaper;
    struct preview preview;
    uint64_t boot;               /* this one */
    struct aftermath *aftermath; /* NULL: nothing is asked */
};

static enum state_error follow_view(struct view *v, const char *path, int *error) {
    enum state_error result = source_follow(&v->source, path, error);
    if (result != STATE_OK)
        return result;
    reaper_init(&v->reaper, path);
    (void)reaper_round(&v->reaper, &v->source.state, REAP_PATIENCE_MS); /* does nothing to a copy */
    merge_init(&v->merge, &v->source.state, true);
    return STATE_OK;
}

/* Nothing is written: what the dead left is computed. Not from what another user wrote. */
static enum state_error open_view(struct view *v, const char *path, int *error) {
    enum state_error result = source_open(&v->source, path, error);
    if (result != STATE_OK)
        return result;
    v->reaper.lock = -1;
    if (source_is_ours(&v->source))
        preview_find(&v->preview, &v->source.state);
    merge_init(&v->merge, &v->source.state, false);
    merge_append(&v->merge, v->preview.event, v->preview.n);
    return STATE_OK;
}

static void print_one(struct log_request *request, struct view *v, const struct event_record *r) {
    bool here = boot_made(v->source.state.header, v->boot);
    if (!log_wants(request, r))
        return;
    source_name(&v->source, &r->e);
    log_print(request, &(struct log_line){.record = r, .context = &v->source.context, .of_this_boot = here});
}

static void print_batch(struct log_request *request, struct view *v) {
    struct event_record r;
    while (!stop_signal && merge_next(&v->merge, &r)) {
        if (v->aftermath)
            (void)aftermath_read(v->aftermath, &r.e, true);
        print_one(request, v, &r);
    }
    log_flush(request);
}

struct printing {
    struct log_request *request;
    struct view *view;
};

/* It is in no ring: no event has this number, and it is the same at each look. */
static void print_gone(struct event_record *gone, void *context) {
    const struct printing *p = context;
    gone->e.seq = GONE_SEQ + gone->e.age_us;
    print_one(p->request, p->view, gone);
}

static void print_what_is_gone(struct log_request *request, struct view *v) {
    struct printing p = {request, v};
    if (!v->aftermath || stop_signal)
        return;
    if (request->follow)
        aftermath_round(v->aftermath, print_gone, &p);
    else
        aftermath_conclude(v->aftermath, print_gone, &p);
    log_flush(request);
}

static void stop_asking(struct view *v) {
    if (v->aftermath)
        aftermath_end(v->aftermath);
    free(v->aftermath);
    v->aftermath = NULL;
}

/* Only of this user's file: what another one wrote is not asked about. NULL: no memory, and nothing is. */
static void ask_the_kernel(struct view *v, enum aftermath_reader reader) {
    v->aftermath = source_is_ours(&v->source) ? calloc(1, sizeof *v->aftermath) : NULL;
    if (v->aftermath)
        aftermath_begin(v->aftermath, reader);
}

/* While a recorder is at work it asks, and what it finds out is an event as others are: told twice would be too often.
 */
static void ask_unless_recorded(struct view *v, const char *path) {
    struct journal_progress progress;
    if (journal_progress(&progress, &v->source.state, path) && progress.lively)
        stop_asking(v);
    else if (!v->aftermath)
        ask_the_kernel(v, AFTERMATH_FOLLOWING);
}

/* Only where the config asked for every verdict to be checked, or one was wrong. */
static void report_verified(const struct state *s) {
    struct settings settings = {0};
    uint64_t asked = state_counter(s, COUNT_VERIFIED), wrong = state_counter(s, COUNT_MISMATCH);
    (void)state_settings(s, &settings);
    if (asked && (wrong || settings.log_verify == VERIFY_ALWAYS))
        warn("%llu closes verified, %llu verdicts corrected", (unsigned long long)asked, (unsigned long long)wrong);
}

/* What is missing from the stream is said, never left to be guessed. */
static void close_view(struct view *v) {
    const struct ring_reader *reader = &v->merge.reader;
    uint64_t dropped = state_counter(&v->source.state, COUNT_EVENTS_DROPPED);
    /* Counted in cells; an event takes one to five of them. */
    if (reader->lost)
        warn("up to %llu events lost: overwritten before they could be read; try: a larger log.size",
             (unsigned long long)reader->lost);
    if (reader->torn)
        warn("up to %llu events lost: incomplete, because their writer was killed or is still writing them",
             (unsigned long long)reader->torn);
    if (dropped)
        warn("%llu events lost since this state file was made: dropped by their writers, which were stopped for "
             "longer than the ring lasts or had no ring",
             (unsigned long long)dropped);
    report_verified(&v->source.state);
    reaper_end(&v->reaper);
    preview_free(&v->preview);
    stop_asking(v);
    source_close(&v->source);
}

/* Between two looks. A reader that went away is noticed even when there is nothing to write to it. */
static void sleep_one_poll(void) {
    struct pollfd output = {.fd = STDOUT_FILENO};
    if (poll(&output, 1, POLL_MS) > 0)
        stop_signal = 1;
}

/* Waits for the file. False: the user ended it, or the file is there and cannot be used. */
static bool wait_for_view(struct view *v, const char *path, int *status) {
    bool said = false;
    while (!stop_signal) {
        int error = 0;
        enum state_error result = follow_view(v, path, &error);
        if (result == STATE_OK)
            return true;
        if (result != STATE_ABSENT) {
            warn("%s: %s", path, state_error_text(result, error));
            *status = EXIT_FOUND;
            return false;
        }
        if (!said)
            warn("%s: not there yet: no program has run under this instance; waiting for it", path);
        said = true;
        sleep_one_poll();
    }
    return false;
}

/* Until another file has its name, or the user ends it. */
static void follow_one(struct log_request *request, struct view *v, const char *path) {
    for (unsigned polls = 1; !stop_signal; polls++) {
        bool over = time_now_us() > request->until_us;
        bool last = over || (polls % POLLS_PER_LOOK == 0 && source_was_replaced(&v->source, path));
        if (last || polls % POLLS_PER_ROUND == 0)
            (void)reaper_round(&v->reaper, &v->source.state, 0);
        if (!source_refresh(&v->source)) {
            warn("%s: was cut, or cannot be read any more: %s", path, strerror(errno));
            return;
        }
        if (polls % POLLS_PER_LOOK == 1)
            ask_unless_recorded(v, path);
        print_batch(request, v);
        print_what_is_gone(request, v);
        if (over)
            stop_signal = 1;
        if (last)
            return;
        sleep_one_poll();
    }
    print_batch(request, v);
}

static int follow(struct log_request *request, struct view *v, const char *path) {
    int status = EXIT_DONE;
    while (wait_for_view(v, path, &status)) {
        follow_one(request, v, path);
        close_view(v);
    }
    return status;
}

static int read_once(struct log_request *request, struct view *v, const char *path) {
    int error = 0;
    enum state_error result = open_view(v, path, &error);
    if (result != STATE_OK) {
        warn("%s: %s", path, state_error_text(result, error));
        return EXIT_FOUND;
    }
    ask_the_kernel(v, AFTERMATH_ONCE);
    print_batch(request, v);
    print_what_is_gone(request, v);
    close_view(v);
    return EXIT_DONE;
}

int log_from_state(struct log_request *request, const struct location *where) {
    struct view *v = calloc(1, sizeof *v);
    if (v)
        v->boot = boot_number();
    if (!v) {
        warn("no memory: %zu bytes are needed", sizeof *v);
        return EXIT_FOUND;
    }
    int status = request->follow ? follow(request, v, where->state_file) : read_once(request, v, where->state_file);
    free(v);
    return status;
}
