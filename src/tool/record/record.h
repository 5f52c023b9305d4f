/* record.h - the follower: the one process of an instance that writes its events to log.file. */
#ifndef CONNSPREAD_TOOL_RECORD_RECORD_H
#define CONNSPREAD_TOOL_RECORD_RECORD_H

#include "tool/reader/source.h"

enum { FOLLOW_PATH = 256 };

/* Where the live policy wants the events: false for nowhere. */
bool follow_wanted(const struct state *s, char log_file[FOLLOW_PATH]);

/* Writes until the last client has gone and all is written (keep: until a signal), following the state file through its
 * replacement. Takes s over. When there is a follower already it says so and that is all. Returns the exit status. */
int follow_to_file(struct source *s, const char *state_file, bool keep);

#endif
