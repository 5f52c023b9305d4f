/* tw_reuse.h - net.ipv4.tcp_tw_reuse: when a connect() of this host may take a quadruplet over from its TIME-WAIT, and
 * what that makes of a capacity. All but the look is pure. */
#ifndef CONNSPREAD_TOOL_HOST_TW_REUSE_H
#define CONNSPREAD_TOOL_HOST_TW_REUSE_H

#include <stdbool.h>
#include <stdint.h>

#include "net/addr.h"

enum { TW_REUSE_TEXT = 256 };

/* -1: this kernel does not have it, or it cannot be read. */
struct tw_reuse {
    int64_t mode;       /* 0 never, 1 everywhere, 2 (the default) on loopback only */
    int64_t delay_ms;   /* tcp_tw_reuse_delay, 6.14; before it, 1000 */
    int64_t timestamps; /* tcp_timestamps: without them, none */
    int64_t step_width; /* ip_local_port_step_width, 7.1 */
};
void tw_reuse_look(struct tw_reuse *out);

/* Is a connection between these two one of loopback, as tcp_tw_reuse = 2 means it (tcp_twsk_unique)? */
bool tw_reuse_is_loopback(const struct addr *source, const struct addr *destination);

/* Is it on for such connections? The other end must use timestamps too, which cannot be known from here. */
bool tw_reuse_is_on(const struct tw_reuse *r, bool loopback);

/* How long a TIME-WAIT keeps its quadruplet from a connect: 60 s, or the delay. */
double tw_reuse_seconds(const struct tw_reuse *r, bool loopback);

/* May a TIME-WAIT of which this much of the 60 s is left be taken over now? */
bool tw_reuse_may_take(const struct tw_reuse *r, bool loopback, uint32_t left_ms);

/* New connections a second that so many quadruplets sustain. */
double tw_reuse_per_second(const struct tw_reuse *r, bool loopback, uint64_t quadruplets);

/* "after 1000 ms connect() takes a TIME-WAIT over, where both ends use TCP timestamps (net.ipv4.tcp_tw_reuse = 1)";
 * false: it is not on, and out is empty. */
bool tw_reuse_text(const struct tw_reuse *r, bool loopback, char out[TW_REUSE_TEXT]);

#endif
