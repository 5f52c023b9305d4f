/* occupied.h - what had the quadruplets when an `exhausted` event with cause range-full was written. */
#ifndef CONNSPREAD_TOOL_EVENTS_OCCUPIED_H
#define CONNSPREAD_TOOL_EVENTS_OCCUPIED_H

#include "state/event.h"

enum occupied {
    OCCUPIED_UNKNOWN,
    OCCUPIED_INSTANCE, /* connections of this instance, open or in TIME-WAIT, have at least half of what is taken */
    OCCUPIED_OTHERS,   /* connections of processes outside the instance have more than half of it */
    OCCUPIED_BOUND,    /* there are far fewer connections than ports: sockets bound to ports keep connects off them */
    OCCUPIED_BYS
};

/* Pure. From the event's numbers, over the sources that were full: the kernel's count where there is one, else only
 * whether this instance's own quadruplets are all there can be. UNKNOWN for every other cause. */
enum occupied occupied_by(const struct event_exhausted *x);

#endif
