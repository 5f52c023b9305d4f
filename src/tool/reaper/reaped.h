/* reaped.h - a connection that its process could not see closed (killed, gone by exec, or left for the kernel to
 * close at its exit), and what became of it. */
#ifndef CONNSPREAD_TOOL_REAPER_REAPED_H
#define CONNSPREAD_TOOL_REAPER_REAPED_H

#include "net/addr.h"
#include "state/layout.h"
#include "state/state.h"

struct state;

struct reaped {
    struct open_entry entry; /* a copy */
    unsigned chunk, slot;
    uint32_t pid;
    bool alive;             /* its process lives: gone by exec, if at all */
    bool ask;               /* false: its namespace is not ours, the kernel cannot be asked */
    bool perhaps_elsewhere; /* its namespace is not known: only a socket that is found says something */
    bool second_hand;       /* another tool reaps it at this moment, or died over it, and may have written its event */
    uint64_t alive_us;      /* the process's last sign of life */
    /* What came of it: */
    bool stays;    /* nothing is known yet: leave the entry where it is */
    bool recorded; /* its event is there already */
    uint8_t via, fate, verified;
    uint64_t time_us;
    struct addr local;
    uint16_t local_port;
};

/* Asks the kernel about each of them and fills in what came of it. */
void reaped_judge(struct reaped *l, unsigned n, const struct state *s);

#endif
