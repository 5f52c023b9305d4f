/* closing.h - around a real close: what is looked at before it, what is written after it.
 *
 *     struct closing c;
 *     closing_begin(&c, client, fd, VIA_CLOSE, true);
 *     int r = real_close(fd);
 *     closing_end(&c, r == 0 || errno != EBADF);
 *
 * All of it is before or after the client's own call, never in its place: once fd is closed, another thread may own the
 * number. Between begin and end the connection belongs to this struct alone, so two threads that close one descriptor
 * write one event. Nothing is held across the real call but memory of the shim's own. close() keeps cancellations
 * off meanwhile (shim/cancel.h); a thread that is cancelled while it lingers there loses one record. Async-signal-safe;
 * errno is the real call's. */
#ifndef CONNSPREAD_CLOSE_CLOSING_H
#define CONNSPREAD_CLOSE_CLOSING_H

#include "close/closing_state.h"

struct client;

/* sure false: the close may fail and leave fd as it is (dup2), or is not made at all (exit). */
void closing_begin(struct closing *c, struct client *client, int fd, enum via via, bool sure);

/* closed: the descriptor is gone (any result of close but EBADF: Linux frees the number on EINTR too). */
void closing_end(struct closing *c, bool closed);

/* dup2 and dup3 failed: fd is still what it was, unless another thread has closed it meanwhile. */
void closing_abort(struct closing *c);

/* Before connect(AF_UNSPEC), which resets what is open: but a TIME-WAIT that our shutdown and the peer's FIN have
 * already made stays, and is logged here. */
void closing_disconnect(struct client *client, int fd, struct conn *conn);

/* Where exactly c is, if it was not asked so far: the kernel chose its port. */
void closing_complete(struct conn *c, int fd);

/* c's MPTCP token, asked once it is needed; 0: plain TCP, MPTCP_UNKNOWN: perhaps. */
uint32_t closing_token(struct client *client, struct conn *c, int fd);

/* Around exec: connections that it will close, also those that were never named in a call, are marked as such in the
 * state file, where the next image of this pid or the tool finds them; pending false takes the marks back after an exec
 * that failed. */
void closing_exec(struct client *client, bool pending);

#endif
