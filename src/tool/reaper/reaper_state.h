/* reaper_state.h - what a reaper keeps from one round to the next, and what a preview of one is. */
#ifndef CONNSPREAD_TOOL_REAPER_REAPER_STATE_H
#define CONNSPREAD_TOOL_REAPER_REAPER_STATE_H

#include "state/event.h"

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

/* The events that a round would write now, by time. Each bears a number from PREVIEW_SEQ on, the same whenever it is
 * computed. */
#define PREVIEW_SEQ ((uint64_t)1 << 52)
struct preview {
    struct event *event; /* no more than that: there may be a million */
    unsigned n;
};

#endif
