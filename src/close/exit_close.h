/* exit_close.h - Many closes at once: ranges of descriptors, and all that are left when the process ends. */
#ifndef CONNSPREAD_CLOSE_EXIT_CLOSE_H
#define CONNSPREAD_CLOSE_EXIT_CLOSE_H

#include "state/event.h"

struct client;

/* Every TCP descriptor still open, when the process ends: an event each, then `detach`. last: no code of the client
 * runs any more, but for other threads. If there are none, what can be is closed here, so that nothing happens between
 * look and close, and the kernel can be asked what became of it. */
void exit_close_all(struct client *client, enum via via, bool last);

/* Closes the tracked descriptors in [first, last] one by one, each with its event. */
void exit_close_range(struct client *client, unsigned first, unsigned last, enum via via);

#endif
