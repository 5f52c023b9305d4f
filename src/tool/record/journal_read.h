/* journal_read.h - how far the recorder of an instance has come, for a command that only looks. */
#ifndef CONNSPREAD_TOOL_RECORD_JOURNAL_READ_H
#define CONNSPREAD_TOOL_RECORD_JOURNAL_READ_H

#include "state/state.h"

struct journal_progress {
    uint64_t pending;    /* events of the state file that are neither written nor said to be lost */
    uint64_t lost;       /* that were said to be lost */
    uint64_t written_us; /* what had happened by then is written; not before the state file was made */
};

/* s is a copy or a mapping of state_file. Takes no lock (a recorder that starts at this moment must get it), writes
 * nothing. Without a journal nothing has been written. False: no memory. */
bool journal_progress(struct journal_progress *out, const struct state *s, const char *state_file);

#endif
