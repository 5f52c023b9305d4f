/* match.h - which of the kernel's sockets belonged to which connection of a dead process. Pure.
 *
 * Needed where the client never learned its local port: all connections of one local address to one destination then
 * look alike, and what is left to tell them by is time. */
#ifndef CONNSPREAD_TOOL_REAPER_MATCH_H
#define CONNSPREAD_TOOL_REAPER_MATCH_H

#include "net/addr.h"

enum { NO_CANDIDATE = -1 };

/* What a dead process had open. local :: stands for any. Times: microseconds since 1970. */
struct unmatched {
    struct addr local, peer;
    uint16_t peer_port;
    uint64_t connected_us;
    uint64_t alive_us; /* its owner's last sign of life */
    int candidate;     /* out: index, or NO_CANDIDATE */
};

/* A socket that is in TIME-WAIT or on its way there, that no process holds and no event names. */
struct candidate {
    struct addr local, peer;
    uint16_t local_port, peer_port;
    uint8_t state;
    uint64_t entered_us; /* when it came into TIME-WAIT; on its way: now */
    bool taken;
};

/* Gives each connection at most one, and each candidate to at most one. A connection takes one
 * that began after its owner's last sign of life if there is any, the oldest first; else one that began after it was
 * connected, the youngest first (a shutdown while the owner lived). */
void match_sockets(struct unmatched *unmatched, unsigned n, struct candidate *candidate, unsigned n_candidates);

#endif
