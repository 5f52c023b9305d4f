/* dump.h - every TCP socket of this network namespace that is in one of some states, by a sock_diag dump.
 *
 * sock_diag(7), unprivileged, TIME-WAIT sockets included. Sockets that come and go while the kernel walks its table may
 * be missed. Allocates; for the tool only. */
#ifndef CONNSPREAD_NET_DUMP_H
#define CONNSPREAD_NET_DUMP_H

#include "net/addr.h"

struct dump_socket {
    struct addr local, peer;
    uint16_t local_port, peer_port; /* host byte order */
    uint8_t state;                  /* TCP_ESTABLISHED..., netinet/tcp.h */
    uint8_t timer;                  /* 3: TIME-WAIT */
    uint32_t expires_ms;            /* of that timer */
    uint32_t inode;                 /* 0: no process has it open */
};

typedef void dump_each(const struct dump_socket *s, void *context);

/* Calls each for the sockets of both families. states: bit 1 << TCP_... for each state wanted. 0, or -errno; what came
 * before an error has been given to each. */
int dump_sockets(uint32_t states, dump_each *each, void *context);

#endif
