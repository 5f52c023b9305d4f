/* tuple.h - both endpoints of a connection together: the quadruplet of local and peer address and port. */
#ifndef CONNSPREAD_NET_TUPLE_H
#define CONNSPREAD_NET_TUPLE_H

#include "net/addr.h"

/* interface: what the socket is bound to (SO_BINDTODEVICE, a VRF, a link-local peer), 0 for nothing: the kernel
 * compares it. Ports in host byte order. */
struct tuple {
    struct endpoint local, peer;
    uint32_t interface;
};

/* Bound to no interface. Pure, async-signal-safe. */
static inline struct tuple tuple_of(const struct addr *local, uint16_t local_port, const struct addr *peer,
                                    uint16_t peer_port) {
    return (struct tuple){.local = {.addr = *local, .port = local_port}, .peer = {.addr = *peer, .port = peer_port}};
}

#endif
