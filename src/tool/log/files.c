#include "tool/log/files.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tool/common/message.h"
#include "tool/reader/damage.h"
#include "tool/events/jsonl.h"
#include "tool/log/model.h"
#include "tool/common/progress.h"
#include "tool/common/stop.h"
#include "tool/log/print.h"

enum { LINES_PER_LOOK = 1024 };

static void print_line(const struct log_request *request, struct damage *d, const struct jsonl *j) {
    struct event_record r;
    struct event_context context;
    const char *wrong = jsonl_parse(j->line, j->length, &r, &context);
    if (wrong)
        damage_note(d, j->number, wrong);
    else if (log_wants(request, &r))
        log_print(request, &(struct log_line){
                               .record = &r, .context = &context, .original = j->line, .original_length = j->length});
}

static int read_file(const struct log_request *request, const char *file) {
    struct damage damage = {0};
    struct progress progress;
    struct jsonl j;
    enum jsonl_result result = JSONL_END;
    if (!jsonl_open(&j, file)) {
        warn("%s: %s", file, strerror(errno));
        return EXIT_FOUND;
    }
    progress_begin(&progress);
    /* Events that go to the terminal are progress enough. */
    progress.wanted = progress.wanted && !isatty(STDOUT_FILENO);
    while (!stop_signal && (result = jsonl_next(&j)) != JSONL_END && result != JSONL_ERROR) {
        if (result == JSONL_TOO_LONG)
            damage_note(&damage, j.number, "longer than any event");
        else
            print_line(request, &damage, &j);
        if (j.number % LINES_PER_LOOK == 0 && progress_due(&progress))
            progress_say(&progress, "log: %s, %llu lines", file, (unsigned long long)j.number);
    }
    progress_end(&progress);
    if (result == JSONL_ERROR)
        warn("%s: %s", file, strerror(errno));
    damage_warn(&damage, file);
    jsonl_close(&j);
    return result == JSONL_ERROR || damage.count ? EXIT_FOUND : EXIT_DONE;
}

int log_from_files(struct log_request *request, char *const *files, int n_files) {
    int status = EXIT_DONE;
    for (int i = 0; i < n_files && !stop_signal; i++)
        if (read_file(request, files[i]) != EXIT_DONE)
            status = EXIT_FOUND;
    log_flush(request);
    return status;
}
