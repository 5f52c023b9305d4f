/* call.h - the client's own call, whichever it was, ready to be made any number of times. */
#ifndef CONNSPREAD_CONNECT_CALL_H
#define CONNSPREAD_CONNECT_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

/* connect, or a send with MSG_FASTOPEN that connects on the way. make goes through the next definition in the search
 * order, with the client's very arguments: cancellation point, result and errno are libc's. If it is left otherwise
 * than by its return, unwound (NULL: nothing) is called with context on the way: of the client's connect, by glibc. */
struct call {
    ssize_t (*make)(const struct call *);
    bool sends; /* data too: success says nothing of the peer */
    int family; /* of the address that the client gave; 0: not known */
    int fd, flags;
    const struct sockaddr *address;
    socklen_t length;
    const void *data; /* or struct msghdr, struct mmsghdr */
    size_t size;      /* or number of messages */
    void (*unwound)(void *context);
    void *context;
};

#endif
