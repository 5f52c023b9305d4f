/* here.h - what this host says at the moment of reading: proof for incidents of this very host and network namespace.
 */
#ifndef CONNSPREAD_TOOL_REPORT_HERE_H
#define CONNSPREAD_TOOL_REPORT_HERE_H

#include "tool/host/host.h"

struct here {
    bool known; /* else nothing below is */
    char name[64];
    uint64_t netns;             /* cookie */
    struct host host;           /* its ports and addresses */
    uint32_t ports;             /* ephemeral, not reserved */
    int64_t time_wait_overflow; /* TCPTimeWaitOverflow since the namespace began; COUNTER_UNKNOWN */
    int64_t max_tw_buckets, step_width;
};

void here_look(struct here *h);

/* Is it this host, and this namespace? */
bool here_is(const struct here *h, const char *host, uint64_t netns);

/* Connections to this destination that wait for its close at this moment: FIN-WAIT, of any process. */
uint64_t here_waiting_for_close(const struct addr *peer, uint16_t port);

#endif
