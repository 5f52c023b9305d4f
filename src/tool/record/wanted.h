/* wanted.h - which file the events of an instance belong in. */
#ifndef CONNSPREAD_TOOL_RECORD_WANTED_H
#define CONNSPREAD_TOOL_RECORD_WANTED_H

#include "state/state.h"
#include "tool/common/locate.h"

enum { RECORD_PATH = 256 };

/* Where the live policy wants the events: false for nowhere. Only to be believed of a state file of our own uid. */
bool record_wanted(const struct state *s, char log_file[RECORD_PATH]);

/* Where the config that the caller named wants them, compiled now: for a state file of another uid, whose owner could
 * name any file of ours. False: nowhere, or the config is refused; a message was printed. */
bool record_named(const struct location *where, char log_file[RECORD_PATH]);

#endif
