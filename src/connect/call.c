#include "connect/call.h"

#include "shim/real.h"

ssize_t attempt_run(const struct attempt *a) {
    switch (a->call) {
    case ATTEMPT_SENDTO:
        return real_sendto(a->fd, a->data, a->size, a->flags, a->address, a->length);
    case ATTEMPT_SENDMSG:
        return real_sendmsg(a->fd, a->data, a->flags);
    case ATTEMPT_SENDMMSG:
        /* The kernel writes msg_len of messages that it sent; none is written when the first one fails. */
        return real_sendmmsg(a->fd, (struct mmsghdr *)(unsigned long)a->data, (unsigned)a->size,
                             (sendmmsg_flags)a->flags);
    default:
        return real_connect(a->fd, a->address, a->length);
    }
}
