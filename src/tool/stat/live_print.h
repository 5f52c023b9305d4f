/* live_print.h - What `stat -w` shows. */
#ifndef CONNSPREAD_TOOL_STAT_LIVE_PRINT_H
#define CONNSPREAD_TOOL_STAT_LIVE_PRINT_H

#include "tool/screen/screen.h"
#include "tool/stat/watched.h"

/* The instances, each with its sources, fullest first; below them the last incidents. lines: of the screen; 0: any.
 * more: instances that are not among these n. */
void stat_live_print(struct watched *const *watched, unsigned n, unsigned more, const struct screen *to,
                     unsigned lines);

#endif
