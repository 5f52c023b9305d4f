/* supervisor.h - the process that serves the calls of a supervised program. */
#ifndef CONNSPREAD_TOOL_SUPERVISE_SUPERVISOR_H
#define CONNSPREAD_TOOL_SUPERVISE_SUPERVISOR_H

#include <signal.h>

#include "tool/supervise/desk.h"
#include "tool/supervise/supervision.h"

/* Starts the program and serves it. end: to the process that was started. mask: of signals, for the program. Never
 * returns, in the program's process either. */
_Noreturn void supervisor_run(const struct supervision *s, struct desk *desk, int end, const sigset_t *mask);

#endif
