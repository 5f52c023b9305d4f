/* preload.h - where the shim is, and what LD_PRELOAD must be for it. */
#ifndef CONNSPREAD_TOOL_PRELOAD_H
#define CONNSPREAD_TOOL_PRELOAD_H

#include <stdbool.h>
#include <stddef.h>

#include "tool/common/locate.h"

/* The shim's absolute path: beside this program (in the build folder), else in SHIM_DIR. False: error says where it
 * would have to be. */
bool shim_path(char out[LOCATE_PATH], char error[LOCATE_ERROR]);

/* Is there also one for programs of the other word size, to which the $LIB of an installed shim's LD_PRELOAD leads
 * (Debian's multiarch folders)? */
bool shim_for_other_class(void);

/* A new LD_PRELOAD: shim, then what current (may be NULL) names, less any libconnspread.so: one copy in a process is
 * enough, and two would each wrap the other. Runtimes of sanitizers go first, those in current or else the one that the
 * program needs ("": none). NULL: no memory. The caller frees it. */
char *preload_compose(const char *shim, const char *current, const char *sanitizer);

/* The same for this shim. NULL: error says why. The caller frees it. */
char *preload_value(const char *current, const char *sanitizer, char error[LOCATE_ERROR]);

#endif
