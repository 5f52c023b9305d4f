/* dump.h - every TCP socket of this network namespace that is in one of some states, by a sock_diag dump.
 *
 * sock_diag(7), unprivileged, TIME-WAIT sockets included. Sockets that come and go while the kernel walks its table may
 * be missed. Allocates; for the tool only. */
#ifndef CONNSPREAD_TOOL_HOST_DUMP_H
#define CONNSPREAD_TOOL_HOST_DUMP_H

#include <stddef.h>

#include "tool/host/dump_filter.h"

struct dump_socket {
    struct addr local, peer;
    uint16_t local_port, peer_port; /* host byte order */
    uint8_t state;                  /* TCP_ESTABLISHED..., netinet/tcp.h */
    uint8_t timer;                  /* 3: TIME-WAIT */
    bool v6_only;                   /* a listener that takes no IPv4 (IPV6_V6ONLY); false for what is no listener */
    uint32_t expires_ms;            /* of that timer */
    uint32_t inode;                 /* 0: no process has it open */
    uint32_t interface;             /* that it is bound to; 0: none */
    uint64_t cookie;                /* SO_COOKIE, which its TIME-WAIT keeps */
    uint32_t uid;                   /* whose socket; TIME-WAITs belong to root */
};

/* linux/net/tcp_states.h, 6.8: bound to a port, neither connected nor listening. Earlier kernels show no such socket.
 */
enum { DUMP_BOUND_INACTIVE = 13 };

/* One of the kernel's messages. False: too short to be one. */
struct nlmsghdr;
bool dump_read(struct dump_socket *out, const struct nlmsghdr *message);

typedef void dump_each(const struct dump_socket *s, void *context);

/* Calls each for the sockets of both families. states: bit 1 << TCP_... for each state wanted. 0, or -errno; what came
 * before an error has been given to each. */
int dump_sockets(uint32_t states, dump_each *each, void *context);

/* Only those that the filter lets through. */
int dump_sockets_where(uint32_t states, const struct dump_filter *filter, dump_each *each, void *context);

/* One reply of the kernel's: 1 more will come, 0 that was the end, -errno: the kernel gave up, or it is no reply. */
int dump_take(const void *bytes, size_t n, dump_each *each, void *context);

#endif
