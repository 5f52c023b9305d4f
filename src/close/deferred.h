/* deferred.h - ends that no thread could record yet, because another thread was still on its way through a close.
 *
 * The kernel ends a connection with the last reference to its socket, and a thread inside close or one of the shim's
 * own looks has one for as long as that takes, or as it is kept from running. The thread that closed the connection's
 * last descriptor then still finds the socket held. It leaves a note and asks once more. Each thread that was inside a
 * close when the note was left asks on its way out. Either its reference was gone before that second question, or it
 * finds the note: the last thread out sees the end, whichever that is.
 *
 * A few slots in the library's own memory, each taken by compare-and-swap: lock-free, async-signal-safe. Costs a close
 * a load before and a load after it. */
#ifndef CONNSPREAD_CLOSE_DEFERRED_H
#define CONNSPREAD_CLOSE_DEFERRED_H

#include "close/closing_state.h"

/* How many notes there have been: taken before a close looks at its descriptor. */
uint32_t deferred_mark(void);

/* Copies c and its connection. 0: no room, nothing left. */
uint64_t deferred_leave(const struct closing *c);

/* c's end is known after all. False: another thread records it, or has. */
bool deferred_withdraw(uint64_t note);

/* After a close: settle for each note left since mark. It returns whether the end is known; no note is given to two
 * threads at once, and none is kept from a thread that comes while another has it. */
void deferred_settle(uint32_t mark, bool (*settle)(struct closing *));

/* A fork child. */
void deferred_forget(void);

#endif
