/* harvest.h - events of connections that no process is left to tell of: killed (via killed), or gone by the exec of a program
 * that is not preloaded (via exec).
 *
 * A process's open connections lie in the held table of the state file. Any tool that can write there may harvest at any
 * time: a chunk of a dead process is first taken by putting the harvester's own pid beside the owner's (owner word:
 * harvester << 32 | owner), so that neither another tool nor a client takes it; an event is written before its entry is
 * freed, and whoever takes over from a harvester that died looks the event up in the ring first. */
#ifndef CONNSPREAD_CLI_HARVEST_H
#define CONNSPREAD_CLI_HARVEST_H

#include "state/state.h"

struct harvest {
    uint64_t netns, pid_namespace;
    /* When we last saw the owner of a chunk alive (CLOCK_REALTIME, ns), and who that was. */
    uint64_t alive_ns[HELD_CHUNKS], owner[HELD_CHUNKS];
};

void harvest_init(struct harvest *h);

/* One round. Returns the number of entries that were settled. s must be writable, else nothing is done. */
unsigned harvest(struct harvest *h, const struct state *s);

#endif
