/* create.h - Building a state file so that no process ever maps half of one, and no full disk turns into SIGBUS in a
 * client. */
#ifndef CONNSPREAD_STATE_CREATE_H
#define CONNSPREAD_STATE_CREATE_H

#include "state/state.h"

/* Maps path, or creates it (mode 0600; its folder 0700 if that is missing too) with rings of log_size bytes. Built
 * under a temporary name with its space allocated, published by link(2). */
enum state_error state_create(struct state *out, const char *path, const char *instance, uint64_t log_size, int *error);

#endif
