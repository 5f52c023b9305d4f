/* exec_close.h - the closes that an exec makes. */
#ifndef CONNSPREAD_CLOSE_EXEC_CLOSE_H
#define CONNSPREAD_CLOSE_EXEC_CLOSE_H

#include <stdbool.h>

struct client;

/* Around exec: connections that it will close, also those that were never named in a call, are marked as such in the
 * state file, where the next image of this pid or the tool finds them; pending false takes the marks back after an exec
 * that failed. */
void exec_close_all(struct client *client, bool pending);

#endif
