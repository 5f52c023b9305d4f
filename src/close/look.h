/* look.h - what the kernel says of a socket that is about to be closed. Async-signal-safe. */
#ifndef CONNSPREAD_CLOSE_LOOK_H
#define CONNSPREAD_CLOSE_LOOK_H

#include "client/fdtab.h"
#include "close/fate.h"

/* State and receive queue into f->phase and f->unread, with as few system calls as the case allows; f's others, mptcp
 * and fallback are known. identified: the socket's cookie was drawn. If its TIME-WAIT was being made just then, it has
 * another. sure: a peek may take a pending error from the socket. */
void look_at(const struct conn *c, int fd, struct fate_facts *f, bool identified, bool sure);

#endif
