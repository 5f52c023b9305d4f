/* Events from a state file, once or followed. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/cli_time.h"
#include "cli/event_merge.h"
#include "cli/locate.h"
#include "cli/log.h"

enum { POLL_MS = 50, POLLS_PER_LOOK = 20 };

/* A state file that is being read. identity: of the file behind the mapping, so that its replacement is noticed. */
struct source {
    struct state state;
    struct event_merge merge;
    struct stat identity;
    struct event_context context;
};

/* State files are untrusted: its strings need not end. */
static void take_string(char *out, size_t size, const char *from, size_t from_size) {
    size_t n = strnlen(from, from_size < size - 1 ? from_size : size - 1);
    memcpy(out, from, n);
    out[n] = 0;
}

static enum state_error open_source(struct source *s, const char *path, bool follow, int *error) {
    struct stat before = {0};
    (void)stat(path, &before);
    enum state_error result = state_map(&s->state, path, false, true, error);
    if (result != STATE_OK)
        return result;
    const struct state_header *header = s->state.header;
    s->identity = before;
    s->context = (struct event_context){.epoch = s->state.epoch};
    take_string(s->context.host, sizeof s->context.host, header->host, sizeof header->host);
    take_string(s->context.instance, sizeof s->context.instance, header->instance, sizeof header->instance);
    merge_init(&s->merge, &s->state, follow);
    return STATE_OK;
}

static void print_batch(const struct log_request *request, struct source *s) {
    struct event_record r;
    while (!log_stop && merge_next(&s->merge, &r)) {
        if (!log_wants(request, &r.e))
            continue;
        state_title(&s->state, r.e.rule_id, s->context.rule);
        state_title(&s->state, r.e.pool_id, s->context.pool);
        log_print(request, &r, &s->context, NULL, 0);
    }
    log_flush();
}

/* What is missing from the stream is said, never left to be guessed. */
static void close_source(struct source *s) {
    const struct ring_reader *reader = &s->merge.reader;
    uint64_t dropped = state_counter(&s->state, COUNT_EVENTS_DROPPED);
    if (reader->lost)
        complain("%llu events lost: overwritten before they could be read; a larger log.size keeps more",
                 (unsigned long long)reader->lost);
    if (reader->torn)
        complain("%llu events lost: half written, their writer was killed or is still at it",
                 (unsigned long long)reader->torn);
    if (dropped)
        complain("%llu events lost since this state file was made: dropped by their writers, which were stopped for "
                 "longer than the ring lasts or had no ring",
                 (unsigned long long)dropped);
    state_unmap(&s->state);
}

/* Between two looks. A reader that went away is noticed even when there is nothing to write to it. */
static void sleep_one_poll(void) {
    struct pollfd output = {.fd = STDOUT_FILENO};
    if (poll(&output, 1, POLL_MS) > 0)
        log_stop = 1;
}

static bool was_replaced(const struct source *s, const char *path) {
    struct stat now;
    return stat(path, &now) == 0 && (now.st_ino != s->identity.st_ino || now.st_dev != s->identity.st_dev);
}

/* Waits for the file. False: the user ended it, or the file is there and cannot be used. */
static bool wait_for_source(struct source *s, const char *path, int *status) {
    bool said = false;
    while (!log_stop) {
        int error = 0;
        enum state_error result = open_source(s, path, true, &error);
        if (result == STATE_OK)
            return true;
        if (result != STATE_ABSENT) {
            complain("%s: %s", path, state_error_text(result, error));
            *status = EXIT_FOUND;
            return false;
        }
        if (!said)
            complain("%s: waiting for it: nothing has run under this instance yet", path);
        said = true;
        sleep_one_poll();
    }
    return false;
}

static void follow_one(const struct log_request *request, struct source *s, const char *path) {
    for (unsigned polls = 1; !log_stop; polls++) {
        bool over = time_now_us() > request->until_us;
        bool last = over || (polls % POLLS_PER_LOOK == 0 && was_replaced(s, path));
        print_batch(request, s);
        if (over)
            log_stop = 1;
        if (last)
            return;
        sleep_one_poll();
    }
    print_batch(request, s);
}

static int follow(const struct log_request *request, struct source *s, const char *path) {
    int status = EXIT_DONE;
    while (wait_for_source(s, path, &status)) {
        follow_one(request, s, path);
        close_source(s);
    }
    return status;
}

static int read_once(const struct log_request *request, struct source *s, const char *path) {
    int error = 0;
    enum state_error result = open_source(s, path, false, &error);
    if (result != STATE_OK) {
        complain("%s: %s", path, state_error_text(result, error));
        return EXIT_FOUND;
    }
    print_batch(request, s);
    close_source(s);
    return EXIT_DONE;
}

int log_from_state(const struct log_request *request, const char *state_file) {
    struct source *s = calloc(1, sizeof *s);
    if (!s) {
        complain("no memory: %zu bytes are needed", sizeof *s);
        return EXIT_FOUND;
    }
    int status = request->follow ? follow(request, s, state_file) : read_once(request, s, state_file);
    free(s);
    return status;
}
