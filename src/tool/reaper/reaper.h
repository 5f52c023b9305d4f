/* reaper.h - events of connections that no process is left to tell of: killed (via killed), gone by the exec of a
 * program that is not preloaded (via exec), or left open by an exit that could not know who else holds them (via exit).
 *
 * A process's open connections lie in the open table of the state file. One tool at a time harvests (flock on the state
 * file, which clients never lock). It takes a chunk of a dead process by putting its own pid beside the owner's (owner
 * word: harvester << 32 | owner), so that no client takes it; an event is written before its entry is freed, and
 * whoever takes over from a harvester that died looks the event up in the ring first. */
#ifndef CONNSPREAD_TOOL_REAPER_REAPER_H
#define CONNSPREAD_TOOL_REAPER_REAPER_H

#include "state/event.h"
#include "state/state.h"

struct harvest {
    int lock;
    uint64_t netns, pid_namespace, boot;
    uint64_t told;          /* events written */
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

/* Of a file of another boot or another host (boot.h), where harvest does nothing: what was open then cannot be told any
 * more. Frees the entries, says how many there were, and the file is this boot's from then on. */
void harvest_take_over(struct harvest *h, const struct state *s, const char *path);

/* For who only reads: the events that a round would write now, by time. Each bears a number from UNTOLD_SEQ on, the
 * same whenever it is computed. */
#define UNTOLD_SEQ ((uint64_t)1 << 52)
struct untold {
    struct event_record *event;
    unsigned n;
};

/* s: a copy (copy.h) of a file of this user's, and copied anew, so that what is read of it from now on has no event
 * that is found here as well. Nothing is found in a file of another boot, host, network or pid namespace. */
void untold_find(struct untold *out, const struct state *s);
void untold_free(struct untold *u);

/* Did a round of the last second meet a process that lives? */
bool harvest_sees_life(const struct harvest *h);

#endif
