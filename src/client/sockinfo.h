/* sockinfo.h - what the kernel says of a socket, in raw system calls. errno untouched, async-signal-safe. */
#ifndef CONNSPREAD_CLIENT_SOCKINFO_H
#define CONNSPREAD_CLIENT_SOCKINFO_H

#include <stdbool.h>
#include <stdint.h>

#include "net/addr.h"
#include "state/event.h"

/* TCP_INFO's state. 0, or -errno: -ENOTSOCK or another error says that fd is no TCP socket (MPTCP answers with its
 * first subflow). segments_out: sent so far, NULL if not wanted. */
int sockinfo_state(int fd, enum tcp_state *phase, uint32_t *segments_out);

/* Did no connect of this socket ever come to making a SYN, whatever it failed with? tcp_connect_init sets tcpi_advmss
 * just before, and tcp_disconnect leaves it. False where the kernel says neither (gVisor leaves tcpi_snd_mss at 0). */
bool sockinfo_made_no_syn(int fd);

/* The socket's SO_ERROR: the one that the client has fetched, or with may_fetch the one that is still there, which
 * is gone then. False: there is none. */
bool sockinfo_pending_error(int fd, uint16_t fetched, bool may_fetch, int *error);

/* What became of a connect that went on after the call, of a socket in CLOSE. True: *error is its SO_ERROR, as above.
 * False, when that was fetched behind our back: ECONNREFUSED: the peer answered, but not with a SYN of its own;
 * ETIMEDOUT: no answer came, for whatever reason; 0: it was connected, or that is not known. */
bool sockinfo_connect_error(int fd, uint16_t fetched, bool may_fetch, int *error);

/* One recv(MSG_PEEK) in place of TCP_INFO and SIOCINQ. Only for a plain TCP socket that was established, that this
 * process alone holds, without ULP and without a shutdown of ours: it consumes a pending error. */
void sockinfo_peek(int fd, enum tcp_state *phase, bool *unread);

bool sockinfo_unread(int fd);

/* getsockname and getpeername. False: *out untouched. */
bool sockinfo_local(int fd, struct endpoint *out);
bool sockinfo_peer(int fd, struct endpoint *out);

/* The peer of a TCP_CLOSE socket, which getpeername no longer names: SO_PEERNAME does (net/core/sock.c asks the family
 * with peer == 2, which inet_getname answers in any state). family: of the socket. */
bool sockinfo_late_peer(int fd, int family, struct endpoint *out);

/* An MPTCP connection's token, by which diag_lookup_mptcp finds it (MPTCP_INFO, Linux 5.16). *token is 0 when it fell
 * back to plain TCP, or the kernel is older. False: no answer, *token untouched. */
bool sockinfo_mptcp_token(int fd, uint32_t *token);

/* The state of an MPTCP connection itself: TCP_INFO's is that of a subflow, which stays ESTABLISHED until both ends
 * have closed. False: the kernel does not say. */
bool sockinfo_mptcp_phase(uint32_t token, enum tcp_state *phase);

/* SO_COOKIE, 0 when the kernel will not say. */
uint64_t sockinfo_cookie(int fd);

/* SO_DOMAIN and SO_PROTOCOL; true for TCP and MPTCP over IPv4 or IPv6. */
bool sockinfo_is_tcp(int fd, int *family, bool *mptcp);

bool sockinfo_blocking(int fd);

/* SO_SNDTIMEO, in ns, by which a blocking connect is limited; 0: it is not. False: the kernel does not say. */
bool sockinfo_send_limit(int fd, uint64_t *out);
void sockinfo_set_send_limit(int fd, uint64_t ns);

/* TCP_LINGER2 < 0: no FIN_WAIT2, and so no TIME-WAIT (tcp(7)). */
bool sockinfo_linger2_off(int fd);

/* Index of the interface that the socket is bound to, 0: none (SO_BINDTOIFINDEX, Linux 5.0). */
uint32_t sockinfo_interface(int fd);

/* Sets an int option. 0 or -errno. */
int set_option(int fd, int level, int option, int value);
int get_option(int fd, int level, int option, int *value);

#endif
