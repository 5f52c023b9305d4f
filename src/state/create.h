/* create.h - Building a state file so that no process ever maps half of one, and no full disk turns into SIGBUS in a
 * client. */
#ifndef CONNSPREAD_STATE_CREATE_H
#define CONNSPREAD_STATE_CREATE_H

#include "state/state.h"

/* log: bytes of both rings. max: of the whole file, whose first part is as large as the log makes it; 0: what
 * segments there may be, the file system's free space says. */
struct state_sizes {
    uint64_t log, max;
};

/* Maps path, or creates it (mode 0600; its folder 0700 if that is missing too). Built under a temporary name with the
 * space allocated that is always needed, published by link(2). */
enum state_error state_create(struct state *out, const char *path, const char *instance, struct state_sizes sizes,
                              int *error);

#endif
