/* route.h - one exact question to rtnetlink: where does an address live, and which way would a packet go?
 *
 * rtnetlink(7), RTM_GETROUTE and RTM_GETLINK without NLM_F_DUMP: unprivileged, sends nothing. Each question opens a
 * netlink descriptor for its moment (close-on-exec); raw system calls, errno untouched, async-signal-safe. */
#ifndef CONNSPREAD_NET_ROUTE_H
#define CONNSPREAD_NET_ROUTE_H

#include <stdbool.h>

#include "net/addr.h"

/* Index of the interface that a local address belongs to; that of lo also for a local route (AnyIP). 0: the host does
 * not have the address; -errno: could not ask. Only addresses of the main namespace tables, not of a VRF's. */
int route_home(const struct addr *address);

/* Index of the interface by which a TCP connection from source to destination would leave, with this mark, if nothing
 * else pins it. -errno: no way, or could not ask. */
int route_way(const struct addr *source, const struct endpoint *destination, uint32_t mark);

/* Is the interface one that addresses are only kept on (lo, a dummy), so that what they send leaves by another? */
bool route_shelters(int interface);

#endif
