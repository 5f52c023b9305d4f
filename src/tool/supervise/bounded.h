/* bounded.h - a connect on a blocking socket that does not block for long.
 *
 * A signal ends the wait for the peer's answer. The SYN has been sent by then; the client's own call, continued in the
 * kernel, goes on waiting, with the client's signals and its SO_SNDTIMEO, as if it had sent that SYN itself.
 *
 * The timer goes on from one connect to the next: to set it costs 2 us where the kernel is a guest, which is as much as
 * half a connect. It is stopped when it finds the thread waiting for something else. */
#ifndef CONNSPREAD_TOOL_SUPERVISE_BOUNDED_H
#define CONNSPREAD_TOOL_SUPERVISE_BOUNDED_H

#include <signal.h>
#include <stdbool.h>
#include <sys/socket.h>

/* A thread's own. */
struct bounded {
    int timer; /* the kernel's number */
    bool usable, runs;
};

/* Once a process: what the signal does (nothing). It stays blocked but in threads that call bounded_begin. */
void bounded_signal(void);

void bounded_begin(struct bounded *b);

/* As connect on a blocking socket, but -1 with EINTR after two milliseconds at most. */
int bounded_connect(struct bounded *b, int fd, const struct sockaddr *address, socklen_t length);

/* Another wait was interrupted: perhaps by the timer, which has nothing to do now. */
void bounded_rest(struct bounded *b);

#endif
