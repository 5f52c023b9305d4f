/* verify.h - asking the kernel what became of a closed connection. Async-signal-safe, errno untouched. */
#ifndef CONNSPREAD_CLOSE_VERIFY_H
#define CONNSPREAD_CLOSE_VERIFY_H

#include "close/closing_state.h"

/* Before the state is looked at, when it is already clear that the kernel will be asked: which socket is it? A socket
 * whose cookie was never asked for leaves a TIME-WAIT with another one, so the order matters. */
void verify_identify(struct closing *c);

/* Before the close, with the quadruplet known: where is it? Clears verdict.ask on a kernel that cannot answer (no
 * tcp_diag answers ENOENT to everything). */
void verify_prepare(struct closing *c);

/* After the close. */
enum fate verify_fate(struct closing *c, enum verified *verified);

/* The same for a note (deferred.h): asked once, and none is left again. */
enum fate verify_again(const struct closing *c, enum verified *verified);

#endif
