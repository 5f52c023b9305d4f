#include "tool/log/print.h"

#include <errno.h>
#include <stdio.h>

#include "tool/common/foreign_text.h"
#include "tool/common/stop.h"
#include "tool/events/json.h"
#include "tool/events/text.h"

static int write_error;

bool log_wants(const struct log_request *request, const struct event *e) {
    return e->time_us >= request->since_us && e->time_us <= request->until_us &&
           (e->kind < 32 && request->kinds >> e->kind & 1) && (!request->has_pid || e->pid == request->pid);
}

static void output_failed(void) {
    if (!write_error)
        write_error = errno;
    stop_signal = 1;
}

void log_print(const struct log_request *request, const struct event_record *r, const struct event_context *context,
               const char *original, size_t original_length) {
    char line[EVENT_LINE_MAX];
    int length;
    if (request->json && original) {
        foreign_print_json(stdout, original, original_length);
    } else {
        length = request->json ? event_json(r, context, line, sizeof line) : event_text(r, context, line, sizeof line);
        if (length > 0)
            (void)fwrite_unlocked(line, 1, (size_t)length, stdout);
    }
    (void)putc_unlocked('\n', stdout);
    if (ferror_unlocked(stdout))
        output_failed();
}

void log_flush(void) {
    if (fflush(stdout) != 0)
        output_failed();
}

int log_write_error(void) {
    return write_error;
}
