/* glob.h - names with wildcards. */
#ifndef CONNSPREAD_POLICY_GLOB_H
#define CONNSPREAD_POLICY_GLOB_H

#include <stdbool.h>

/* Does text match the glob (`*`, `?`, `[a-z]`, `[!x]`, backslash quotes)? Bounded: linear in pattern times text.
 * Async-signal-safe. */
bool policy_glob(const char *pattern, const char *text);

#endif
