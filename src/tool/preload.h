/* preload.h - what LD_PRELOAD must be for a program. */
#ifndef CONNSPREAD_TOOL_PRELOAD_H
#define CONNSPREAD_TOOL_PRELOAD_H

#include <stdbool.h>
#include <stddef.h>

#include "tool/common/locate.h"
#include "tool/host/preloadable.h"

/* A new LD_PRELOAD: shim ("": none), then what current (may be NULL) names, less any libconnspread.so: one copy in a
 * process is enough, and two would each wrap the other. Runtimes of sanitizers go first, those in current or else the
 * one that the program needs ("": none). NULL: no memory. The caller frees it. */
char *preload_compose(const char *shim, const char *current, const char *sanitizer);

/* The same for the shim that this program can load; without one for its C library, for none. NULL: error says why. The
 * caller frees it. */
char *preload_value(enum preloadable program, const char *current, const char *sanitizer, char error[LOCATE_ERROR]);

#endif
