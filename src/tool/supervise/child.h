/* child.h - the program's process, until it executes the command. */
#ifndef CONNSPREAD_TOOL_SUPERVISE_CHILD_H
#define CONNSPREAD_TOOL_SUPERVISE_CHILD_H

#include "tool/supervise/supervision.h"

/* Does what the supervisor at the other end says, then executes. Returns the exit status if that fails. */
int child_run(const struct supervision *s, int end);

/* The supervisor's part: pid's filter is installed. The listener, or -1: it runs bare, and why was said. */
int child_prepare(int pid, int end, int childs_end);

#endif
