/* source.h - a state file that events are read from. */
#ifndef CONNSPREAD_TOOL_READER_SOURCE_H
#define CONNSPREAD_TOOL_READER_SOURCE_H

#include <sys/stat.h>

#include "tool/events/format.h"
#include "state/state.h"

/* identity: of the file behind the mapping, so that its replacement is noticed. */
struct source {
    struct state state;
    struct stat identity;
    struct event_context context;
};

/* Maps it writable if that is possible, else for reading; as root whoever owns it. error: as state_map. */
enum state_error source_open(struct source *s, const char *path, int *error);

/* The names that an event has by number. */
void source_name(struct source *s, const struct event *e);

/* Does another file have this name by now? */
bool source_was_replaced(const struct source *s, const char *path);

#endif
