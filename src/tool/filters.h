/* filters.h - the seccomp filters that this process, and so the command, lives behind.
 *
 * A filter that kills is found out by being killed: the tool has a child for that, a client has not. So a client that
 * inherited filters does nothing (shim/seal.h) unless `run` has tried them and says so in CONNSPREAD_SECCOMP. */
#ifndef CONNSPREAD_TOOL_FILTERS_H
#define CONNSPREAD_TOOL_FILTERS_H

#include <stdbool.h>

enum { FILTERS_CALL = 32 };

/* Seccomp_filters of /proc/self/status; 0 when there is none or it cannot be known. */
unsigned filters_inherited(void);

/* Makes each system call that the shim may make, in a child, with arguments that change nothing. False: call names the
 * one that the child did not survive, or did not come back from within seconds. An error is as good as an answer: the
 * shim goes on without what it is denied. */
bool filters_spare(char call[FILTERS_CALL]);

#endif
