#include "tool/host/netns.h"
#include "base/kernel_constants.h"

#include <sys/socket.h>
#include <unistd.h>

uint64_t netns_cookie(void) {
    uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) != 0)
        cookie = 0;
    (void)close(fd);
    return cookie;
}
