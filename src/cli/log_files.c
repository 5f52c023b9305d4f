/* Events from JSON Lines: one damaged line costs one event, never the file. */
#include <errno.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/jsonl.h"
#include "cli/log.h"
#include "cli/sink.h"

enum { NAMED_LINES = 10 };

struct damage {
    uint64_t count;
    uint64_t line[NAMED_LINES];
    const char *first_reason;
};

static void note_damage(struct damage *d, uint64_t line, const char *reason) {
    if (d->count < NAMED_LINES)
        d->line[d->count] = line;
    if (d->count++ == 0)
        d->first_reason = reason;
}

/* "FILE: 3 damaged lines passed over: 5 (not a JSON object), 9, 120" */
static void report_damage(const struct damage *d, const char *file) {
    char text[512];
    struct sink s;
    if (d->count == 0)
        return;
    sink_init(&s, text, sizeof text);
    for (unsigned i = 0; i < NAMED_LINES && i < d->count; i++) {
        sink_text(&s, i ? ", " : "");
        sink_number(&s, d->line[i]);
        if (i == 0) {
            sink_text(&s, " (");
            sink_text(&s, d->first_reason);
            sink_text(&s, ")");
        }
    }
    if (d->count > NAMED_LINES)
        sink_text(&s, ", ...");
    (void)sink_finish(&s);
    complain("%s: %llu damaged line%s passed over: %s", file, (unsigned long long)d->count, d->count == 1 ? "" : "s",
             text);
}

static void print_line(const struct log_request *request, struct damage *d, const struct jsonl *j) {
    struct event_record r;
    struct event_context context;
    const char *wrong = jsonl_parse(j->line, j->length, &r, &context);
    if (wrong)
        note_damage(d, j->number, wrong);
    else if (log_wants(request, &r.e))
        log_print(request, &r, &context, j->line, j->length);
}

static int read_file(const struct log_request *request, const char *file) {
    struct damage damage = {0};
    struct jsonl j = {.file = strcmp(file, "-") == 0 ? stdin : fopen(file, "re")};
    enum jsonl_result result = JSONL_END;
    if (!j.file) {
        complain("%s: %s", file, strerror(errno));
        return EXIT_FOUND;
    }
    while (!log_stop && (result = jsonl_next(&j)) != JSONL_END && result != JSONL_ERROR) {
        if (result == JSONL_TOO_LONG)
            note_damage(&damage, j.number, "longer than any event");
        else
            print_line(request, &damage, &j);
    }
    if (result == JSONL_ERROR)
        complain("%s: %s", file, strerror(errno));
    report_damage(&damage, file);
    jsonl_close(&j);
    return result == JSONL_ERROR || damage.count ? EXIT_FOUND : EXIT_DONE;
}

int log_from_files(const struct log_request *request, char *const *files, int n_files) {
    int status = EXIT_DONE;
    for (int i = 0; i < n_files && !log_stop; i++)
        if (read_file(request, files[i]) != EXIT_DONE)
            status = EXIT_FOUND;
    log_flush();
    return status;
}
