/* state_write.h - a state file that the tool writes to: set, reload, and what keeps the events of the dead. */
#ifndef CONNSPREAD_TOOL_COMMON_STATE_WRITE_H
#define CONNSPREAD_TOOL_COMMON_STATE_WRITE_H

#include "state/state.h"

/* state_map, once every page can be had that the file says is there: if not, STATE_IO with ENOSPC. A
 * file that is cut later ends the command with a message and EXIT_FOUND, for no command writes to two. */
enum state_error state_write(struct state *out, const char *path, int *error);

/* The same with the rights of the folder's owner (rights.h), which are given back before it returns. */
enum state_error state_write_for_owner(struct state *out, const char *path, int *error);

/* Another file is mapped to be written, too: the message names both. NULL: no more. path must outlive the mapping. */
void mapped_beside(const char *path);

#endif
