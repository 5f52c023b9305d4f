/* host.h - what this host, in this network namespace, offers: its ephemeral ports and its addresses. */
#ifndef CONNSPREAD_TOOL_HOST_HOST_H
#define CONNSPREAD_TOOL_HOST_HOST_H

#include <net/if.h>
#include <stdbool.h>

#include "tool/host/capacity.h"

enum { HOST_ADDRESSES = 1024 };

struct host {
    struct host_ports ports;
    struct addr address[HOST_ADDRESSES]; /* of its interfaces, each once */
    unsigned n_addresses;
};

/* False: *what (static storage) could not be read, errno says why; *out then holds the kernel's defaults for that. */
bool host_look(struct host *out, const char **what);

/* The ports alone, likewise. */
bool host_look_at_ports(struct host_ports *out, const char **what);

/* Do answers to this address come here: is it on an interface, or has a local route (AnyIP)? */
bool host_has(const struct host *h, const struct addr *a);

/* The interface that the address lives on, and the one by which a connection from it to the destination would leave.
 * False: they are the same, or it lives on one that only keeps addresses (lo, a dummy), or the kernel cannot say. */
bool host_leaves_elsewhere(const struct addr *a, const struct endpoint *destination, char home[IF_NAMESIZE],
                           char way[IF_NAMESIZE]);

/* Would a client's bind() to this address succeed? Asks the kernel with a UDP socket, which sees what no list of
 * interfaces shows: local routes, ip_nonlocal_bind. */
bool host_can_bind(const struct host *h, const struct addr *a, uint32_t interface);

#endif
