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

/* For closes that are not made here (exec): what becomes of c->conn, and may another process have it, too? */
void closing_judge(struct closing *c);
bool closing_others_may_hold(const struct conn *c);

#endif
