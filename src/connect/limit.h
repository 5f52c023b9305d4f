/* limit.h - how long a blocking connect may take: the client's SO_SNDTIMEO, which is shortened while we wait for
 * something that the client did not ask for, so that the whole takes no longer than the client allows.
 * Async-signal-safe. */
#ifndef CONNSPREAD_CONNECT_LIMIT_H
#define CONNSPREAD_CONNECT_LIMIT_H

#include "connect/connecting.h"

/* What the client says, asked once for each connect. False: its connect does not block, or the kernel does not say. */
bool limit_look(struct connecting *k);

/* Is the number surely still the socket that limit_look asked? The thread may have slept since, and only that one is
 * written to. */
bool limit_is_same(const struct connecting *k);

/* What is left of it, ns; 0: there is no limit. */
uint64_t limit_left(const struct connecting *k);

/* The kernel's waits end after ns from now on; or after what is left. */
void limit_set(struct connecting *k, uint64_t ns);
void limit_set_left(struct connecting *k);

/* As the client made it; so it is made, too, if the thread leaves the connect otherwise than by its return (call.h). */
void limit_over(struct connecting *k);

/* EINTR came, while a limit was set. Would the client's own call have been restarted? The kernel does so only without
 * SO_SNDTIMEO (inet_wait_for_connect, sock_intr_errno): behind handlers with SA_RESTART, and where there was none, as
 * after SIGCONT. Which handler it was is not told: one without SA_RESTART is taken to be it. */
bool limit_restarts(const struct connecting *k);

#endif
