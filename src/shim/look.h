/* look.h - what the kernel says of a socket, in raw system calls. errno untouched, async-signal-safe. */
#ifndef CONNSPREAD_SHIM_LOOK_H
#define CONNSPREAD_SHIM_LOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "net/addr.h"
#include "state/event.h"

/* TCP_INFO's state. 0, or -errno: -ENOTSOCK or another error says that fd is no TCP socket (MPTCP answers with its
 * first subflow). segments_out: sent so far, NULL if not wanted. */
int look_state(int fd, enum tcp_phase *phase, uint32_t *segments_out);

/* Of a socket in CLOSE whose connect went on after the call: what became of that, when its SO_ERROR has been fetched
 * already. ECONNREFUSED: the peer answered, but not with a SYN of its own; ETIMEDOUT: nobody did, for whatever reason;
 * 0: it was connected, or nobody knows. */
int look_connect_error(int fd);

/* One recv(MSG_PEEK) in place of TCP_INFO and SIOCINQ. Only for a plain TCP socket that was established, that this
 * process alone holds, without ULP and without a shutdown of ours: it consumes a pending error. */
void look_peek(int fd, enum tcp_phase *phase, bool *unread);

bool look_unread(int fd);

/* getsockname and getpeername. False: *out untouched. */
bool look_local(int fd, struct endpoint *out);
bool look_peer(int fd, struct endpoint *out);

/* SO_COOKIE, 0 when the kernel will not say. */
uint64_t look_cookie(int fd);

/* SO_DOMAIN and SO_PROTOCOL; true for TCP and MPTCP over IPv4 or IPv6. */
bool look_is_tcp(int fd, int *family, bool *mptcp);

bool look_blocking(int fd);

/* Index of the interface that the socket is bound to, 0: none (SO_BINDTOIFINDEX, Linux 5.0). */
uint32_t look_interface(int fd);

/* Sets an int option. 0 or -errno. */
int set_option(int fd, int level, int option, int value);
int get_option(int fd, int level, int option, int *value);

#endif
