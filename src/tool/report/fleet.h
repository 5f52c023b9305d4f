/* fleet.h - the same over many hosts: what they have in common, which differ, and clocks that are off. Pure. */
#ifndef CONNSPREAD_TOOL_REPORT_FLEET_H
#define CONNSPREAD_TOOL_REPORT_FLEET_H

#include "tool/report/facts.h"

enum { FLEET_TROUBLES = 16, FLEET_APART_S = 120, FLEET_AHEAD_S = 5 };

/* One cause towards one destination, or with one local address, on some of the hosts. Index: facts.host. */
struct fleet_trouble {
    uint32_t kind, cause; /* enum event_kind, enum cause */
    struct addr peer, local;
    uint16_t port;
    uint64_t failed;              /* all hosts */
    bool on[REPORT_HOSTS];        /* these have it */
    bool reach[REPORT_HOSTS];     /* these have connections to that destination; all, where the cause is local */
    uint64_t by[REPORT_HOSTS];    /* failures */
    uint64_t first[REPORT_HOSTS]; /* us */
    uint64_t median_us;           /* of first */
    unsigned n_on, n_reach;
};

struct fleet {
    struct fleet_trouble trouble[FLEET_TROUBLES]; /* the worst first */
    unsigned n, omitted;
    uint64_t last_us[REPORT_HOSTS];       /* of each host's events */
    unsigned host[REPORT_HOSTS], n_hosts; /* by name */
};

/* out may be anything. */
void fleet_find(const struct facts *f, struct fleet *out);

/* By how many seconds this host's trouble began after (before: negative) that of most; 0: with them, or nothing to
 * compare with. */
int64_t fleet_apart_s(const struct fleet_trouble *t, unsigned host);

/* By how many seconds at least this host's clock is ahead; 0: it need not be. */
uint64_t fleet_ahead_s(const struct fleet *fleet, unsigned host, uint64_t now_us);

#endif
