/* reaper.h - events of connections that no process is left to tell of: killed (via killed), gone by the exec of a
 * program that is not preloaded (via exec), or left open by an exit that could not know who else holds them (via exit).
 *
 * A process's open connections lie in the open table of the state file. One tool at a time harvests (flock on the state
 * file, which clients never lock). It takes a chunk of a dead process by putting its own pid beside the owner's (owner
 * word: harvester << 32 | owner), so that no client takes it; an event is written before its entry is freed, and
 * whoever takes over from a harvester that died looks the event up in the ring first. */
#ifndef CONNSPREAD_TOOL_REAPER_REAPER_H
#define CONNSPREAD_TOOL_REAPER_REAPER_H

#include "state/state.h"

struct harvest {
    int lock;
    uint64_t netns, pid_namespace;
    uint64_t rest_until_ns; /* CLOCK_REALTIME */
    /* When we last saw the owner of a chunk alive (CLOCK_REALTIME, ns), and who that was. */
    uint64_t alive_ns[OPEN_CHUNKS], owner[OPEN_CHUNKS];
};

/* path: of the state file. */
void harvest_init(struct harvest *h, const char *path);
void harvest_end(struct harvest *h);

/* One round. patience_ms: how long to wait while another tool harvests. Returns the number of entries that were looked
 * at; s must be writable, else nothing is done. */
unsigned harvest(struct harvest *h, const struct state *s, unsigned patience_ms);

/* One round over a file that is about to be read, if it is ours. */
void harvest_once(const char *path, unsigned patience_ms);

/* Did a round of the last second meet a process that lives? */
bool harvest_sees_life(const struct harvest *h);

#endif
