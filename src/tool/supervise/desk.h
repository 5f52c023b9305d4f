/* desk.h - the calls that are being served at this moment, where both the supervisor and its stand-in see them.
 *
 * The kernel itself writes the notification here, in the system call that takes it from the listener: there is no
 * moment in which a call is taken and no other process could know of it. When the supervisor dies, its stand-in answers
 * what lies here. One writer a place; the stand-in reads only what a dead process has left. */
#ifndef CONNSPREAD_TOOL_SUPERVISE_DESK_H
#define CONNSPREAD_TOOL_SUPERVISE_DESK_H

#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>

enum { DESK_PLACES = 40 };

/* Of fixed size: a later kernel's notification may be longer than that of the headers. */
union desk_place {
    struct seccomp_notif call; /* id 0: none */
    unsigned char room[256];
};

struct desk {
    union desk_place place[DESK_PLACES];
};

/* Shared with children. NULL: no memory, or this kernel's notifications do not fit. */
struct desk *desk_new(void);

/* Waits for the next call. False: none came (a signal; or it was taken back), or none ever will (see desk_is_over). */
bool desk_take(int listener, union desk_place *place);

/* No process has the filter any more. wait_ms: to wait for that. */
bool desk_is_over(int listener, int wait_ms);

/* Is the call still waiting for its answer? */
bool desk_is_valid(int listener, uint64_t id);

/* The answers. Each empties the place. value: what the call returns; or error, an errno, if not 0. */
void desk_continue(int listener, union desk_place *place);
void desk_answer(int listener, union desk_place *place, int64_t value, int error);

/* The client's thread runs on this processor as soon as it is answered (Linux 6.6). */
void desk_wake_at_once(int listener);

#endif
