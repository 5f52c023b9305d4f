/* reaper.h - events of connections that no process is left to record: killed (via killed), gone by the exec of a
 * program that is not preloaded (via exec), or left open by an exit that could not know which other processes hold them
 * (via exit).
 *
 * A process's open connections lie in the open table of the state file. One tool at a time reaps (flock on the state
 * file, which clients never lock). It takes a chunk of a dead process by putting its own pid beside the owner's (owner
 * word: reaper << 32 | owner), so that no client takes it; an event is written before its entry is freed, and
 * the one that takes over from a reaper that died looks the event up in the ring first. */
#ifndef CONNSPREAD_TOOL_REAPER_REAPER_H
#define CONNSPREAD_TOOL_REAPER_REAPER_H

#include "state/state.h"
#include "tool/reaper/reaper_state.h"

/* path: of the state file. */
void reaper_init(struct reaper *h, const char *path);
void reaper_end(struct reaper *h);

/* One round. patience_ms: how long to wait while another tool reaps. Returns the number of entries that were looked
 * at; s must be writable, else nothing is done. */
unsigned reaper_round(struct reaper *h, const struct state *s, unsigned patience_ms);

/* Of a file of another boot or another host (boot.h), where a round does nothing: what was open then cannot be known
 * any more. Frees the entries, says how many there were, and the file is this boot's from then on. */
void reaper_take_over(struct reaper *h, const struct state *s, const char *path);

/* Did a round of the last second meet a process that lives? */
bool reaper_sees_life(const struct reaper *h);

#endif
