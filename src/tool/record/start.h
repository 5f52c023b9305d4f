/* start.h - The recorder that `run` starts must outlive it and must not be seen by the client: not as a child, not
 * through a descriptor. */
#ifndef CONNSPREAD_TOOL_RECORD_START_H
#define CONNSPREAD_TOOL_RECORD_START_H

#include <stdbool.h>

/* For `run`: starts a recorder of this instance, detached from the caller in every way, unless one runs. False: it
 * could not be started, or log_file cannot be written; a message was printed. */
bool record_start(const char *state_file, const char *instance, const char *config, const char *log_file);

#endif
