/* The calls that make a connection: connect, and a send with MSG_FASTOPEN. */
#include <errno.h>
#include <time.h>

#include "shim/cancel.h"
#include "shim/self.h"
#include "connect/connect.h"
#include "client/track.h"
#include "connect/prepare.h"
#include "shim/readable.h"
#include "shim/real.h"
#include "base/sys.h"
#include "shim/disconnect.h"

enum { MESSAGES_MAX = 1024 }; /* UIO_MAXIOV: sendmmsg looks at no more */

static ssize_t make_connect(const struct call *c) {
    struct cancel_guard guard;
    if (!c->unwound)
        return real_connect(c->fd, c->address, c->length);
    cancel_push(&guard, c->unwound, c->context);
    ssize_t r = real_connect(c->fd, c->address, c->length);
    cancel_pop(&guard);
    return r;
}

static ssize_t make_sendto(const struct call *c) {
    return real_sendto(c->fd, c->data, c->size, c->flags, c->address, c->length);
}

static ssize_t make_sendmsg(const struct call *c) {
    return real_sendmsg(c->fd, c->data, c->flags);
}

/* The kernel writes msg_len of messages that it sent; none is written when the first one fails. */
static ssize_t make_sendmmsg(const struct call *c) {
    return real_sendmmsg(c->fd, (struct mmsghdr *)(unsigned long)c->data, (unsigned)c->size, (sendmmsg_flags)c->flags);
}

static ssize_t connect_now(struct call *call, const struct sockaddr *address, const struct endpoint *destination) {
    struct settings now = client_settings(&client);
    call->family = address->sa_family;
    return connect_spread(&client, &now, call, destination);
}

/* A send worth a look: an IPv4 or IPv6 destination of full length. Whether fd is TCP is asked later. */
static bool has_destination(const void *address, socklen_t length, struct endpoint *out) {
    return client_asks(&client) && length <= sizeof(struct sockaddr_storage) && readable(address, length) &&
           endpoint_from_sockaddr(out, address, length);
}

/* The call went to the kernel as it came: it is not known whether the address can be read, or nothing may be asked.
 * What the kernel has read can be read, so the next call with that memory is looked at; this connection is known to its
 * close. */
static void connected(int fd, struct conn *c, const struct sockaddr *address, socklen_t length, bool at_once) {
    struct endpoint destination;
    if (length >= sizeof address->sa_family && address->sa_family == AF_UNSPEC) {
        prepare_disconnected(fd, c);
    } else if (c->phase == CONN_IDLE && endpoint_from_sockaddr(&destination, address, length)) {
        c->peer = destination;
        c->connected_ns = clock_ns(CLOCK_MONOTONIC);
        c->so_error = 0;
        c->phase = at_once ? CONN_CONNECTED : CONN_CONNECTING;
        conn_set_flags(c, client_asks(&client) || sys_sealed() ? 0 : CONN_QUIET);
    }
}

__attribute__((noinline)) static int connect_as_it_came(int fd, const struct sockaddr *address, socklen_t length) {
    struct conn *c = NULL;
    bool known = fd_look(fd, &c) == FD_TCP;
    uint32_t serial = known ? conn_serial(c) : 0;
    int saved = errno;
    if (known && c->phase == CONN_IDLE)
        prepare_undo(fd, c); /* what an earlier call left of ours */
    errno = saved;
    int r = real_connect(fd, address, length);
    saved = errno;
    bool began = r == 0 || saved == EINPROGRESS;
    if (began)
        readable_shown(address, length);
    if (known && conn_take(c, serial)) {
        if (began)
            connected(fd, c, address, length, r == 0);
        else if (c->phase == CONN_IDLE)
            conn_set_flags(c, CONN_TRIED);
        conn_release(&client, c);
    }
    errno = saved;
    return r;
}

EXPORT int connect(int fd, const struct sockaddr *address, socklen_t length) {
    struct endpoint destination;
    struct call call = {.make = make_connect, .fd = fd, .address = address, .length = length};
    if (!client_active(&client) || length > sizeof(struct sockaddr_storage))
        return real_connect(fd, address, length);
    struct settings now = client_settings(&client);
    if (!settings_ask(now) || !readable(address, length))
        return connect_as_it_came(fd, address, length);
    if (endpoint_from_sockaddr(&destination, address, length)) {
        call.family = address->sa_family;
        return (int)connect_spread(&client, &now, &call, &destination);
    }
    if (length >= sizeof address->sa_family && address->sa_family == AF_UNSPEC)
        return (int)disconnect(&call);
    return real_connect(fd, address, length);
}

EXPORT ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *address,
                      socklen_t length) {
    struct endpoint destination;
    struct call call = {.make = make_sendto,
                        .sends = true,
                        .fd = fd,
                        .flags = flags,
                        .address = address,
                        .length = length,
                        .data = data,
                        .size = size};
    if (flags & MSG_FASTOPEN && has_destination(address, length, &destination))
        return connect_now(&call, address, &destination);
    return real_sendto(fd, data, size, flags, address, length);
}

/* Descriptors that leave for another process: which process closes them last is not ours to know any more. */
static void note_passed(const struct msghdr *message) {
    struct msghdr m = *message;
    if (m.msg_controllen < sizeof(struct cmsghdr) || !readable(m.msg_control, m.msg_controllen))
        return;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len < CMSG_LEN(0))
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            struct conn *conn;
            int fd;
            __builtin_memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (fd_look(fd, &conn) == FD_TCP) {
                prepare_hand_over(fd, conn);
                conn_set_flags(conn, CONN_PASSED);
            }
        }
    }
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    struct endpoint destination;
    if (!client_asks(&client) || !readable(message, sizeof *message))
        return real_sendmsg(fd, message, flags);
    if (flags & MSG_FASTOPEN && has_destination(message->msg_name, message->msg_namelen, &destination)) {
        struct call call = {.make = make_sendmsg, .sends = true, .fd = fd, .flags = flags, .data = message};
        return connect_now(&call, message->msg_name, &destination);
    }
    if (message->msg_controllen != 0)
        note_passed(message);
    return real_sendmsg(fd, message, flags);
}

EXPORT int sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, sendmmsg_flags flags) {
    struct endpoint destination;
    /* The kernel sends the ones before the first that it cannot read. */
    if (!client_asks(&client) || count == 0 || count > MESSAGES_MAX || !readable(messages, count * sizeof *messages))
        return real_sendmmsg(fd, messages, count, flags);
    const struct msghdr *first = &messages[0].msg_hdr;
    if (flags & MSG_FASTOPEN && has_destination(first->msg_name, first->msg_namelen, &destination)) {
        struct call call = {
            .make = make_sendmmsg, .sends = true, .fd = fd, .flags = (int)flags, .data = messages, .size = count};
        return (int)connect_now(&call, first->msg_name, &destination);
    }
    for (unsigned i = 0; i < count; i++)
        if (messages[i].msg_hdr.msg_controllen != 0)
            note_passed(&messages[i].msg_hdr);
    return real_sendmmsg(fd, messages, count, flags);
}

EXPORT_TWIN(__sendmsg64, sendmsg)
EXPORT_TWIN(__sendmmsg64, sendmmsg)
