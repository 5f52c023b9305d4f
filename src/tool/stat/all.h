/* all.h - `stat --all`: the statistics of every instance of this host, one after the other. */
#ifndef CONNSPREAD_TOOL_STAT_ALL_H
#define CONNSPREAD_TOOL_STAT_ALL_H

#include "tool/stat/model.h"
#include "tool/common/locate.h"

struct location;

/* Of every instance; returns the exit status. */
int stat_all(const struct location *where, enum stat_format format);

#endif
