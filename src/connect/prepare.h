/* prepare.h - what is done to the client's socket before a connect, and how it is undone.
 *
 * Only ever on the client's own descriptor, only in ways that can be undone: bind without a port, a per-socket port
 * range. (What cannot: after connect(AF_UNSPEC) the kernel keeps showing an address that was bound once.) Raw system
 * calls, errno untouched, async-signal-safe. All return 0 or -errno. */
#ifndef CONNSPREAD_CONNECT_PREPARE_H
#define CONNSPREAD_CONNECT_PREPARE_H

#include "client/fdtab.h"
#include "net/ports.h"

struct client;

/* IP_BIND_ADDRESS_NO_PORT, so that bind takes an address and leaves the port to connect (Linux 4.2). */
int prepare_no_port(struct client *client, int fd, struct conn *c);

/* bind(source, 0). */
int prepare_bind(int fd, struct conn *c, const struct endpoint *source);

/* IP_LOCAL_PORT_RANGE; 0-0 stands for the whole ephemeral range: 1-65535 is set, which the kernel narrows to the sysctl
 * of the moment and searches without the parity step (Linux 6.8). 0 also where the kernel has no such option. */
int prepare_range(struct client *client, int fd, struct conn *c, struct port_range range);

/* IP_FREEBIND or IPV6_FREEBIND. */
int prepare_freebind(int fd, struct conn *c, bool v6);

/* Back to what the client made of its socket: wildcard address, IPV6_V6ONLY, no range, its own NO_PORT. */
void prepare_undo(int fd, struct conn *c);

/* A client that bound (address, 0), got a late port from us and now wants to know it, gets one. */
void prepare_settle_port(int fd, struct conn *c);

/* A connect that failed after it had got a port has given it back, with us as without; the socket goes on showing it.
 */
bool prepare_lost_port(int fd);

/* Before a call that the kernel answers otherwise once there is a port: a client that bound (address, 0) has got one
 * then, unless a connect has lost it. errno is left alone. */
void prepare_settle_bound(int fd, struct conn *c);

/* Another process, which knows nothing of ours, may have the descriptor from now on: what an earlier connect left of
 * ours is undone, and where the client bound an address, it gets its port. */
void prepare_hand_over(int fd, struct conn *c);
void prepare_hand_over_to_exec(void);

/* connect(AF_UNSPEC) has ended the connection: c is idle again, and what we prepared is undone. */
void prepare_disconnected(int fd, struct conn *c);

#endif
