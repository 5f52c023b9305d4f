/* reaped.h - a connection that its process could not see closed (killed, gone by exec, or left for the kernel to
 * close at its exit), and what became of it. */
#ifndef CONNSPREAD_TOOL_REAPER_REAPED_H
#define CONNSPREAD_TOOL_REAPER_REAPED_H

#include "net/addr.h"
#include "state/layout.h"
#include "state/state.h"

struct state;

/* Small: there may be a million. */
struct reaped {
    struct open_entry entry; /* a copy */
    uint64_t alive_us;       /* the process's last sign of life */
    uint32_t pid;
    uint32_t chunk;
    uint8_t slot;
    bool alive : 1;             /* its process lives: gone by exec, if at all */
    bool ask : 1;               /* false: its namespace is not ours, the kernel cannot be asked */
    bool perhaps_elsewhere : 1; /* its namespace is not known: only a socket that is found says something */
    bool second_hand : 1; /* another tool reaps it at this moment, or died over it, and may have written its event */
    /* What came of it: */
    bool stays : 1;    /* nothing is known yet: leave the entry where it is */
    bool recorded : 1; /* its event is there already */
    uint8_t via, fate, verified;
    uint16_t local_port;
    struct addr local;
    uint64_t time_us;
};

/* Asks the kernel about each of them and fills in what came of it. */
void reaped_judge(struct reaped *l, unsigned n, const struct state *s);

#endif
