/* down.h - which sources are marked down, as the pair table of the state file says. Any process of its owner may have
 * scribbled over that: what is copied is a number or an address, whatever it is. */
#ifndef CONNSPREAD_TOOL_STAT_DOWN_H
#define CONNSPREAD_TOOL_STAT_DOWN_H

#include "tool/stat/model.h"

/* Adds the sources that are marked down now. Called by stat_take. */
void stat_take_downs(struct stat_report *out, const struct state *s);

#endif
