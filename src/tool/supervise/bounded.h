/* bounded.h - a connect on a blocking socket that does not block for long.
 *
 * A signal ends the wait for the peer's answer. The SYN has been sent by then; the client's own call, continued in the
 * kernel, goes on waiting, with the client's signals and its SO_SNDTIMEO, as if it had sent that SYN itself. */
#ifndef CONNSPREAD_TOOL_SUPERVISE_BOUNDED_H
#define CONNSPREAD_TOOL_SUPERVISE_BOUNDED_H

#include <signal.h>
#include <stdbool.h>
#include <sys/socket.h>

/* A thread's own. */
struct bounded {
    int timer; /* the kernel's number */
    bool usable;
};

/* Once a process: what the signal does (nothing). It stays blocked but in threads that call bounded_begin. */
void bounded_signal(void);

void bounded_begin(struct bounded *b);

/* As connect; on a blocking socket -1 with EINTR after a millisecond. */
int bounded_connect(const struct bounded *b, int fd, const struct sockaddr *address, socklen_t length, bool blocking);

#endif
