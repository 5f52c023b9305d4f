#include "tool/stat/watched.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "state/control.h"
#include "state/copy.h"
#include "state/ring_reader.h"
#include "tool/events/names.h"
#include "tool/events/text.h"
#include "tool/stat/known.h"
#include "tool/stat/take.h"

/* At the first look as many cells are read as hold the incidents that are kept; a part of what does not begin there is
 * passed over. */
enum { FIRST_CELLS = WATCHED_INCIDENTS * 8, SECTIONS_READ = COPY_HISTORY | COPY_STATS, TIME_FROM = 11, TIME_TO = 19 };

struct watched *watched_open(const char *path, const struct state_file *f, enum state_error *result, int *error) {
    struct watched *w = calloc(1, sizeof *w);
    struct stat file;
    *error = 0;
    *result = w ? f ? state_file_copy(f, &w->state, SECTIONS_READ, error)
                    : state_copy(&w->state, AT_FDCWD, path, SECTIONS_READ, error)
                : STATE_IO;
    if (!w || *result != STATE_OK) {
        free(w);
        return NULL;
    }
    w->inode = f ? f->identity.st_ino : stat(path, &file) == 0 ? file.st_ino : 0;
    memcpy(w->path, path, strnlen(path, sizeof w->path - 1));
    reader_init(&w->reader, &w->state);
    uint64_t head = w->state.header->ring[RING_INCIDENTS].head;
    if (head > FIRST_CELLS && w->reader.next[RING_INCIDENTS] < head - FIRST_CELLS)
        w->reader.next[RING_INCIDENTS] = head - FIRST_CELLS;
    return w;
}

/* Its first line, with the time of day alone. */
static void keep(struct watched *w, const struct event_record *r) {
    struct watched_incident *i = &w->incident[w->incidents++ % WATCHED_INCIDENTS];
    struct event_context context = {0};
    char text[EVENT_LINE_MAX];
    state_title(&w->state, r->e.rule_id, context.rule);
    int length = event_text(r, &context, text, sizeof text);
    size_t line = length > TIME_TO ? strcspn(text, "\n") : 0, kind = line ? strcspn(text, " ") : 0;
    *i = (struct watched_incident){.time_us = r->e.time_us, .colour = event_colour(r->e.kind)};
    if (!line)
        return;
    i->from = TIME_TO - TIME_FROM + 1;
    i->length = strlen(event_name(NAMES_KIND, r->e.kind));
    snprintf(i->text, sizeof i->text, "%.*s%.*s", TIME_TO - TIME_FROM, text + TIME_FROM, (int)(line - kind),
             text + kind);
}

static void read_incidents(struct watched *w) {
    struct event_record r;
    while (reader_next(&w->reader, RING_INCIDENTS, 0, &r) == READ_EVENT)
        if (r.e.kind != EVENT_ATTACH && r.e.kind != EVENT_DETACH && r.e.kind != EVENT_HOLDERS)
            keep(w, &r);
}

bool watched_look(struct watched *w, struct stat_report *scratch, const struct host_ports *ports) {
    if (w->before && !state_copy_again(&w->state, 0))
        return false;
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    stat_take(scratch, &w->state, w->path, NULL);
    stat_take_known(scratch, &w->state, ports);
    struct stat_report *before = stat_report_keep(scratch), *since = NULL;
    if (before && w->before) {
        stat_subtract(scratch, w->before);
        since = stat_report_keep(scratch);
    }
    free(w->since);
    free(w->before);
    w->seconds = (double)(now - w->taken_ns) / 1e9;
    w->taken_ns = now;
    w->since = since;
    w->before = before;
    read_incidents(w);
    return before != NULL;
}

void watched_close(struct watched *w) {
    state_release(&w->state);
    free(w->before);
    free(w->since);
    free(w);
}
