/* supervision.h - what is to be run, and how. */
#ifndef CONNSPREAD_TOOL_SUPERVISE_SUPERVISION_H
#define CONNSPREAD_TOOL_SUPERVISE_SUPERVISION_H

#include <stdbool.h>

#include "client/client.h"

struct supervision {
    struct client client; /* with its state file mapped */
    bool keep_io_uring;
    int (*execute)(char **command); /* in the program's process: returns an exit status if it fails */
    char **command;
};

#endif
