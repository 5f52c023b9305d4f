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

#include "state/event.h"
#include "state/state.h"

/* When we last saw the owner of a chunk alive (CLOCK_REALTIME, ns), and its pid. */
struct seen {
    uint64_t alive_ns, owner;
};

struct reaper {
    int lock;
    uint64_t netns, pid_namespace, boot;
    uint64_t recorded;      /* events written */
    uint64_t rest_until_ns; /* CLOCK_REALTIME */
    struct seen *seen;      /* [n_seen], by chunk */
    unsigned n_seen;
};

/* path: of the state file. */
void reaper_init(struct reaper *h, const char *path);
void reaper_end(struct reaper *h);

/* One round. patience_ms: how long to wait while another tool reaps. Returns the number of entries that were looked
 * at; s must be writable, else nothing is done. */
unsigned reaper_round(struct reaper *h, const struct state *s, unsigned patience_ms);

/* Of a file of another boot or another host (boot.h), where a round does nothing: what was open then cannot be known
 * any more. Frees the entries, says how many there were, and the file is this boot's from then on. */
void reaper_take_over(struct reaper *h, const struct state *s, const char *path);

/* For commands that only read: the events that a round would write now, by time. Each bears a number from PREVIEW_SEQ
 * on, the same whenever it is computed. */
#define PREVIEW_SEQ ((uint64_t)1 << 52)
struct preview {
    struct event *event; /* no more than that: there may be a million */
    unsigned n;
};

/* s: a copy (copy.h) of a file of this user's, and copied anew, so that what is read of it from now on has no event
 * that is found here as well. Nothing is found in a file of another boot, host, network or pid namespace. */
void preview_find(struct preview *out, const struct state *s);
void preview_free(struct preview *u);

/* Did a round of the last second meet a process that lives? */
bool reaper_sees_life(const struct reaper *h);

#endif
