#include "tool/supervise/fastopen.h"

#include <sys/syscall.h>
#include <sys/uio.h>

#include "tool/supervise/filter.h"
#include "tool/supervise/peer.h"

enum { PARTS = 16, PLAIN = MSG_FASTOPEN | MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE };

static bool read_parts(uint32_t tid, const struct msghdr *m, struct fastopen *out) {
    struct iovec part[PARTS];
    size_t n = m->msg_iovlen;
    if (n > PARTS || m->msg_controllen != 0 ||
        !peer_read(tid, (uint64_t)(uintptr_t)m->msg_iov, part, n * sizeof part[0]))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (part[i].iov_len > sizeof out->data - out->size ||
            !peer_read(tid, (uint64_t)(uintptr_t)part[i].iov_base, out->data + out->size, part[i].iov_len))
            return false;
        out->size += part[i].iov_len;
    }
    return true;
}

/* One message, or the first of several. */
static bool read_message(const struct seccomp_notif *call, struct fastopen *out) {
    struct mmsghdr m;
    bool many = call->data.nr == SYS_sendmmsg;
    out->count = many ? (uint32_t)call->data.args[2] : 1;
    if (out->count == 0 || !peer_read(call->pid, call->data.args[1], &m, many ? sizeof m : sizeof m.msg_hdr))
        return false;
    out->flags = (int)call->data.args[many ? 3 : 2];
    out->name = (uint64_t)(uintptr_t)m.msg_hdr.msg_name;
    out->name_length = m.msg_hdr.msg_namelen;
    out->messages = many ? call->data.args[1] : 0;
    return read_parts(call->pid, &m.msg_hdr, out);
}

bool fastopen_read(const struct seccomp_notif *call, struct fastopen *out) {
    const uint64_t *args = (const uint64_t *)call->data.args;
    if (filter_is_compat(call->data.arch))
        return false;
    out->fd = (int)args[0];
    out->messages = 0;
    out->size = 0;
    if (call->data.nr == SYS_sendto) {
        out->flags = (int)args[3];
        out->name = args[4];
        out->name_length = (uint32_t)args[5];
        if (args[2] > sizeof out->data || !peer_read(call->pid, args[1], out->data, args[2]))
            return false;
        out->size = args[2];
    } else if ((call->data.nr != SYS_sendmsg && call->data.nr != SYS_sendmmsg) || !read_message(call, out)) {
        return false;
    }
    return !(out->flags & ~PLAIN);
}

ssize_t fastopen_send(const struct fastopen *f, int fd, const struct sockaddr *address, socklen_t length, size_t sent) {
    int flags = (f->flags & (address ? ~0 : ~MSG_FASTOPEN)) | MSG_DONTWAIT | MSG_NOSIGNAL;
    return sendto(fd, f->data + sent, f->size - sent, flags, address, length);
}

/* sendmmsg's n-th message, in the client's memory. */
static uint64_t message_at(const struct fastopen *f, unsigned n) {
    return f->messages + n * sizeof(struct mmsghdr);
}

static void tell_length(const struct fastopen *f, uint32_t tid, unsigned n, ssize_t sent) {
    uint32_t length = (uint32_t)sent;
    (void)peer_write(tid, message_at(f, n) + offsetof(struct mmsghdr, msg_len), &length, sizeof length);
}

ssize_t fastopen_result(const struct fastopen *f, uint32_t tid, ssize_t sent) {
    if (sent < 0 || !f->messages)
        return sent;
    tell_length(f, tid, 0, sent);
    return 1;
}

/* As send with MSG_DONTWAIT; -1 as well where the message cannot be read or does not fit. */
static ssize_t send_further(struct fastopen *f, uint32_t tid, int fd, unsigned n) {
    struct mmsghdr m;
    struct sockaddr_storage name;
    f->size = 0;
    if (!peer_read(tid, message_at(f, n), &m, sizeof m) || !read_parts(tid, &m.msg_hdr, f))
        return -1;
    socklen_t length = m.msg_hdr.msg_name ? m.msg_hdr.msg_namelen : 0;
    if (length > sizeof name || !peer_read(tid, (uint64_t)(uintptr_t)m.msg_hdr.msg_name, &name, length))
        return -1;
    return fastopen_send(f, fd, length ? (const struct sockaddr *)&name : NULL, length, 0);
}

/* The loop of the kernel's __sys_sendmmsg: it ends at an error, and after a message that went in part. */
ssize_t fastopen_result_of_all(struct fastopen *f, uint32_t tid, int fd, ssize_t sent) {
    ssize_t result = fastopen_result(f, tid, sent);
    for (unsigned n = 1; f->messages && n < f->count && n < UIO_MAXIOV && (size_t)sent == f->size; n++) {
        sent = send_further(f, tid, fd, n);
        if (sent < 0)
            break;
        tell_length(f, tid, n, sent);
        result++;
    }
    return result;
}
