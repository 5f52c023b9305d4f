#include "tool/doctor/preloads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool/common/text_file.h"
#include "tool/host/shim.h"

static const char file_of_host[] = "/etc/ld.so.preload";

static void add(char *out, size_t size, const char *entry, size_t length, const char *suffix) {
    size_t at = strlen(out);
    (void)snprintf(out + at, size - at, "%s%.*s%s", at ? ", " : "", (int)length, entry, suffix);
}

static bool is_shim(const char *entry, size_t length) {
    static const char file[] = "/" SHIM_NAME;
    size_t n = sizeof file - 1;
    return length >= n && memcmp(entry + length - n, file, n) == 0;
}

static void note(struct host_facts *f, const char *text, const char *separators, const char *suffix) {
    char path[PRELOADABLE_PATH];
    while (*text) {
        size_t length = strcspn(text, separators);
        if (*text == '#' && suffix[0]) {
            length = strcspn(text, "\n");
        } else if (length > 0) {
            add(f->preloads, sizeof f->preloads, text, length, suffix);
            f->n_preloads += !is_shim(text, length);
            (void)snprintf(path, sizeof path, "%.*s", (int)length, text);
            /* Without '/' it is searched for; with '$' the loader puts something in its place. */
            if (strchr(path, '/') && !strchr(path, '$') && access(path, R_OK) != 0)
                add(f->missing_preloads, sizeof f->missing_preloads, text, length, suffix);
        }
        text += length + (text[length] != 0);
    }
}

void doctor_note_preloads(struct host_facts *f, const char *environment, const char *file) {
    note(f, environment ? environment : "", ": ", "");
    note(f, file ? file : "", ": \t\n", " (/etc/ld.so.preload)");
}

void doctor_read_preloads(struct host_facts *f) {
    char *file = text_file(file_of_host);
    doctor_note_preloads(f, getenv("LD_PRELOAD"), file);
    free(file);
}

static void judge_wrapper(const struct host_facts *h, struct findings *out) {
    if (!h->has_program || !h->overwrites)
        return;
    const char *slash = strrchr(h->program, '/');
    struct finding *f = findings_add(out, SEVERITY_ERROR, "program-wrapper");
    finding_reason(f,
                   "%.400s puts a library of its own in the place of LD_PRELOAD: programs that it starts are not under "
                   "connspread.",
                   h->program);
    finding_remedy(f,
                   "The other way round: %.100s ... connspread run -- PROGRAM; run keeps what it finds in LD_PRELOAD.",
                   slash ? slash + 1 : h->program);
}

void doctor_judge_preloads(const struct host_facts *h, struct findings *out) {
    judge_wrapper(h, out);
    if (h->missing_preloads[0]) {
        struct finding *f = findings_add(out, SEVERITY_WARNING, "preloads-missing");
        finding_reason(f,
                       "Named for preloading, but cannot be read: %.600s; the loader says so for every program, and "
                       "goes on without.",
                       h->missing_preloads);
        finding_remedy(f, "Install it, or take it out of LD_PRELOAD or /etc/ld.so.preload.");
    }
    struct finding *f = findings_add(out, SEVERITY_OK, "preloads");
    if (h->n_preloads == 0)
        finding_reason(f, "No other library is preloaded, by LD_PRELOAD of this environment or by /etc/ld.so.preload.");
    else
        finding_reason(f,
                       "Preloaded into what starts from here, in this order, each before the next: %.500s; connspread "
                       "run comes first, behind runtimes of sanitizers only.",
                       h->preloads);
}
