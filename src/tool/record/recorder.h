/* recorder.h - the recorder: the one process of an instance that writes its events to log.file. */
#ifndef CONNSPREAD_TOOL_RECORD_RECORDER_H
#define CONNSPREAD_TOOL_RECORD_RECORDER_H

#include "tool/reader/source.h"

/* Writes until the last client has gone and all is written (keep: until a signal), following the state file through its
 * replacement. Takes s over. named: the file, whatever the policy says; NULL: what the policy says. When there is a
 * recorder already it says so and that is all. Returns the exit status. */
int record_to_file(struct source *s, const char *state_file, const char *named, bool keep);

#endif
