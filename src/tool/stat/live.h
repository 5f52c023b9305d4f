/* live.h - `stat -w`: a live view of instances, their rules and sources, and of the last incidents. */
#ifndef CONNSPREAD_TOOL_STAT_LIVE_H
#define CONNSPREAD_TOOL_STAT_LIVE_H

#include <stdbool.h>

#include "tool/common/locate.h"

/* one: only the instance of where, else every one that can be seen. Returns the exit status. */
int stat_live(const struct location *where, bool one, unsigned every_ms);

#endif
