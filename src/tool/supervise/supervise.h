/* supervise.h - running a program that no library can be preloaded into, with its connects made for it.
 *
 *   connspread run --supervise        the process that was started, and is signalled: forwards, waits, stands in
 *    └── supervisor (supervisor.c)    serves the calls, hears of the closes
 *         └── the program (child.c)   with the filter, before it executes the command
 *
 * The supervisor is the program's ancestor, for Yama's sake, and adopts what the program leaves behind. When it dies,
 * the process that was started answers in its stead: every call is then made in the kernel, as if we were not there. */
#ifndef CONNSPREAD_TOOL_SUPERVISE_SUPERVISE_H
#define CONNSPREAD_TOOL_SUPERVISE_SUPERVISE_H

#include "tool/supervise/supervision.h"

/* Runs the command to its end and returns its exit status, or ends as the command was ended, by a signal. -1: no
 * process could be made, and nothing has been run. */
int supervise(const struct supervision *s);

#endif
