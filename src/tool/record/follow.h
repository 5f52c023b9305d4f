/* follow.h - pools that name an interface, while its addresses change (DHCP, keepalived, a VPN).
 *
 * The recorder listens to rtnetlink. When it starts, and when addresses have come or gone, it compiles the live
 * policy's config again, and publishes what differs; and an address that has come back is quarantined no longer.
 * Clients ask nothing and poll nothing. A config that was edited since is left to `reload`; one that cannot be compiled
 * now (the interface has no address) changes nothing: clients pass over such sources. */
#ifndef CONNSPREAD_TOOL_RECORD_FOLLOW_H
#define CONNSPREAD_TOOL_RECORD_FOLLOW_H

#include <stdint.h>

#include "state/state.h"

struct follow {
    int netlink;  /* -1: the kernel gives none, and nothing is followed */
    uint64_t due; /* CLOCK_MONOTONIC, ns: addresses have changed, and may do so again until then; 0: they have not */
};

void follow_begin(struct follow *f);
/* netns: cookie of the namespace that we are in. */
void follow_round(struct follow *f, struct state *s, const char *state_file, uint64_t netns);
void follow_end(struct follow *f);

#endif
