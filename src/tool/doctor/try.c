#include "tool/doctor/try.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tool/host/netns.h"
#include "tool/host/dump.h"
#include "base/kernel_constants.h"
#include "tool/doctor/facts.h"

static bool option_works(int option, uint32_t value) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    /* gVisor accepts IP_BIND_ADDRESS_NO_PORT and does nothing. */
    uint32_t after = 0;
    socklen_t length = sizeof after;
    bool works = setsockopt(fd, IPPROTO_IP, option, &value, sizeof value) == 0 &&
                 getsockopt(fd, IPPROTO_IP, option, &after, &length) == 0 && length == sizeof after && after == value;
    (void)close(fd);
    return works;
}

static bool wipe_works(void) {
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return false;
    bool works = madvise(page, size, MADV_WIPEONFORK) == 0;
    (void)munmap(page, size);
    return works;
}

static void ignore(const struct dump_socket *s, void *context) {
    (void)s;
    (void)context;
}

/* UDP, since it is about the address: nothing of TCP is bound for a moment. */
static enum ipv6 try_ipv6(void) {
    const struct sockaddr_in6 loopback = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno == EAFNOSUPPORT ? IPV6_ABSENT : IPV6_UNKNOWN;
    enum ipv6 result = bind(fd, (const struct sockaddr *)&loopback, sizeof loopback) == 0 ? IPV6_WORKS
                       : errno == EADDRNOTAVAIL                                           ? IPV6_DISABLED
                                                                                          : IPV6_UNKNOWN;
    (void)close(fd);
    return result;
}

void doctor_try_features(struct host_facts *f) {
    f->feature[FEATURE_NO_PORT] = option_works(IP_BIND_ADDRESS_NO_PORT, 1);
    f->feature[FEATURE_PORT_RANGE] = option_works(IP_LOCAL_PORT_RANGE, 65535u << 16 | 1);
    f->feature[FEATURE_NETNS] = netns_cookie() != 0;
    f->feature[FEATURE_WIPE] = wipe_works();
    f->feature[FEATURE_SOCK_DIAG] = dump_sockets(1u << TCP_LISTEN, ignore, NULL) == 0;
    f->ipv6 = try_ipv6();
}
