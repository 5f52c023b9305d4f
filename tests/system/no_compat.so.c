/* no_compat.so.c - a kernel that no longer knows TCPDIAG_GETSOCK, the first form of a sock_diag request: a preload that
 * answers for it with EINVAL. */
#include <dlfcn.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <sys/socket.h>

ssize_t sendto(int fd, const void *data, size_t n, int flags, const struct sockaddr *to, socklen_t length) {
    const struct nlmsghdr *header = data;
    if (to && to->sa_family == AF_NETLINK && n >= sizeof *header && header->nlmsg_type == TCPDIAG_GETSOCK) {
        errno = EINVAL;
        return -1;
    }
    ssize_t (*next)(int, const void *, size_t, int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "sendto");
    return next(fd, data, n, flags, to, length);
}
