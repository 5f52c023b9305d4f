/* diag.h - one exact question to sock_diag: what is this quadruplet now?
 *
 * sock_diag(7), SOCK_DIAG_BY_FAMILY without NLM_F_DUMP: about 8 us with opening the socket, unprivileged, finds
 * TIME-WAIT sockets. Opens a netlink descriptor for the moment of the question (close-on-exec); raw system calls, errno
 * untouched, async-signal-safe. */
#ifndef CONNSPREAD_NET_DIAG_H
#define CONNSPREAD_NET_DIAG_H

#include <stdbool.h>
#include <stdint.h>

#include "net/tuple.h"

struct diag_answer {
    uint8_t state; /* TCP_ESTABLISHED..., netinet/tcp.h */
    uint8_t timer; /* 3: TIME-WAIT */
    uint32_t expires_ms;
    uint32_t inode;  /* 0: no process holds it any more */
    uint64_t cookie; /* SO_COOKIE; kept by the TIME-WAIT socket */
};

/* 0 found; -ENOENT no such quadruplet; other -errno: could not ask. Also -ENOENT, for every question, on a kernel
 * without tcp_diag. */
int diag_lookup(const struct tuple *tuple, struct diag_answer *out);

/* Is there a listener that a connection to this address and port would reach? For ::, also one on 0.0.0.0. Results as
 * above. (One on a single address is not found by asking for the wildcard.) */
int diag_lookup_listener(const struct endpoint *local, struct diag_answer *out);

/* The same as diag_lookup for a connection that is just ending: while FIN_WAIT becomes TIME_WAIT there is a moment in
 * which the kernel finds neither (a TIME-WAIT socket is hashed before it can be referenced,
 * inet_twsk_hashdance_schedule), and one in which it finds the old socket, closed (tcp_time_wait). An interrupt may
 * come in it, or the host of a virtual machine. So those answers are asked for again: once, or, where a TIME-WAIT is
 * expected, for up to half a millisecond. netlink: of diag_open, for many questions; -1: one of its own for each. */
int diag_lookup_ending(int netlink, const struct tuple *tuple, bool expected, struct diag_answer *out);

/* An MPTCP connection as such, by its token: its state is not that of its subflows, which stay ESTABLISHED until both
 * ends have closed, nor is its inode. Results as above; -ENOENT also on a kernel without mptcp_diag. */
int diag_lookup_mptcp(uint32_t token, struct diag_answer *out);

/* The same in parts, for many questions: a netlink descriptor (the caller closes it) or -errno; one question on it. */
int diag_open(void);
int diag_ask(int netlink, const struct tuple *tuple, struct diag_answer *out);

/* Does this kernel answer at all? Without tcp_diag every question is -ENOENT. Asks for a dump of no sockets. 1: it
 * does, 0: it does not, -errno: it could not be asked. diag_works opens a descriptor of its own for that. */
int diag_answers(int netlink);
int diag_works(void);

#endif
