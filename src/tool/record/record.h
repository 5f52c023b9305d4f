/* record.h - the follower: the one process of an instance that writes its events to log.file. */
#ifndef CONNSPREAD_TOOL_RECORD_RECORD_H
#define CONNSPREAD_TOOL_RECORD_RECORD_H

#include "tool/reader/source.h"
#include "tool/common/locate.h"

enum { FOLLOW_PATH = 256 };

/* Where the live policy wants the events: false for nowhere. Only to be believed of a state file of our own uid. */
bool follow_wanted(const struct state *s, char log_file[FOLLOW_PATH]);

/* Where the config that the caller named wants them, compiled now: for a state file of another uid, whose owner could
 * name any file of ours. False: nowhere, or the config is refused; a message was printed. */
bool follow_named(const struct location *where, char log_file[FOLLOW_PATH]);

/* Writes until the last client has gone and all is written (keep: until a signal), following the state file through its
 * replacement. Takes s over. named: the file, whatever the policy says; NULL: what the policy says. When there is a
 * follower already it says so and that is all. Returns the exit status. */
int follow_to_file(struct source *s, const char *state_file, const char *named, bool keep);

#endif
