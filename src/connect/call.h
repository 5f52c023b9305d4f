/* call.h - the client's own call, whichever it was, ready to be made any number of times.
 *
 * connect, or a send with MSG_FASTOPEN that connects on the way. attempt_run makes it through the next definition in
 * the search order, with the client's very arguments: cancellation point, result and errno are libc's. */
#ifndef CONNSPREAD_CONNECT_CALL_H
#define CONNSPREAD_CONNECT_CALL_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

struct attempt {
    enum { ATTEMPT_CONNECT, ATTEMPT_SENDTO, ATTEMPT_SENDMSG, ATTEMPT_SENDMMSG } call;
    int fd, flags;
    const struct sockaddr *address;
    socklen_t length;
    const void *data; /* or struct msghdr, struct mmsghdr */
    size_t size;      /* or number of messages */
};

ssize_t attempt_run(const struct attempt *a);

#endif
