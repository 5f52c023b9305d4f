/* preview.h - for commands that only read: what the reaper would write now. */
#ifndef CONNSPREAD_TOOL_REAPER_PREVIEW_H
#define CONNSPREAD_TOOL_REAPER_PREVIEW_H

#include "state/state.h"
#include "tool/reaper/reaper_state.h"

/* s: a copy (copy.h) of a file of this user's, and copied anew, so that what is read of it from now on has no event
 * that is found here as well. Nothing is found in a file of another boot, host, network or pid namespace. */
void preview_find(struct preview *out, const struct state *s);
void preview_free(struct preview *u);

#endif
