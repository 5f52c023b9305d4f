/* known.h - How full the sources are, as the instance itself counts it: without a question to the kernel, whose answer
 * would list every socket of a busy host. What processes outside of the instance hold is not in it. capacity 0: that
 * of another network namespace, which is not known. */
#ifndef CONNSPREAD_TOOL_STAT_KNOWN_H
#define CONNSPREAD_TOOL_STAT_KNOWN_H

#include "tool/host/capacity.h"
#include "tool/stat/model.h"

/* Adds the occupancy of what connected within the last hour, towards the fullest destination, from a copy
 * that has the history (COPY(SECTION_HISTORY)). */
void stat_take_known(struct stat_report *out, const struct state *s, const struct host_ports *ports);

#endif
