/* live.h - a view that is looked at and drawn every so often: on a terminal the whole of it (full.h), elsewhere one
 * text after the other.
 *
 * A look at a busy host costs time: the next one waits so long that all of them take less than 1 % of a processor. */
#ifndef CONNSPREAD_TOOL_SCREEN_LIVE_H
#define CONNSPREAD_TOOL_SCREEN_LIVE_H

#include "tool/screen/screen.h"

enum { LIVE_EVERY_MS = 2000, LIVE_LEAST_MS = 100, LIVE_MOST_MS = 86400000 };

struct live {
    const char *title;
    unsigned every_ms;
    void *context;
    /* Finds out how things are now. NULL, or why that cannot be, which ends the view. It writes nothing. */
    const char *(*look)(void *context);
    /* Prints it, for lines lines of screen. */
    void (*draw)(void *context, const struct screen *to, unsigned lines);
};

/* Until the user ends it: NULL, or what the look said that failed. */
const char *live_run(const struct live *l);

#endif
