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

/* To be read as it is now: a copy (copy.h), for root a file of any user. error: as state_map. */
enum state_error source_open(struct source *s, const char *path, int *error);

/* To be written to, if it is ours: mapped (state_write.h). */
enum state_error source_write(struct source *s, const char *path, int *error);

/* To be read as it grows: mapped, and written to by the command that records what the dead left, if it is ours; else as
 * source_open. */
enum state_error source_follow(struct source *s, const char *path, int *error);

/* Of a copy: as it is by now. False: the file was cut. */
bool source_refresh(struct source *s);

/* Does the file belong to our effective uid? */
bool source_is_ours(const struct source *s);

void source_close(struct source *s);

/* The names that an event has by number. */
void source_name(struct source *s, const struct event *e);

/* Does another file have this name by now? */
bool source_was_replaced(const struct source *s, const char *path);

#endif
