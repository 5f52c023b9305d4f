/* pin.h - sockets that the client has pinned to a device, an interface or a mark: which sources may they use?
 *
 * Asked only of a socket with CONN_PINNED, at its connect: three or four getsockopts, and up to three questions to
 * rtnetlink for each source (net/route.h), which open a netlink descriptor for their moment. Raw system calls, errno
 * untouched, async-signal-safe, nothing kept. Where the kernel does not answer (a filter, no netlink) no source
 * fits, and the client's connect goes out as it was made. */
#ifndef CONNSPREAD_CONNECT_PIN_H
#define CONNSPREAD_CONNECT_PIN_H

#include <stdint.h>
#include <stdbool.h>

#include "net/addr.h"

struct endpoint;

struct pin {
    uint32_t device; /* SO_BINDTODEVICE, SO_BINDTOIFINDEX: nothing else carries its packets */
    uint32_t wish;   /* IP_UNICAST_IF, IPV6_UNICAST_IF: TCP does not follow it (6.18), but the client means it */
    uint32_t mark;   /* SO_MARK */
};

/* What fd is pinned to. False: to nothing (any more). */
bool pin_look(int fd, int family, struct pin *out);

/* May a connection of that socket to destination come from source? Only if its packets leave by the interface whose
 * address the source is; one that lives on lo or a dummy must go the way that it would go from an unpinned socket. */
bool pin_allows(const struct pin *pin, const struct endpoint *source, const struct endpoint *destination);

#endif
