#include "tool/host/host.h"

#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool/common/text_file.h"
#include "net/route.h"

static const char range_path[] = PORTS_SYSCTL;
static const char reserved_path[] = "/proc/sys/net/ipv4/ip_local_reserved_ports";

bool host_look_at_ports(struct host_ports *out, const char **what) {
    char *range = text_file(range_path), *reserved = NULL;
    int error = errno;
    bool good = range != NULL;
    *what = range_path;
    if (good) {
        reserved = text_file(reserved_path);
        error = errno;
        good = reserved != NULL;
        *what = reserved_path;
    }
    if (good && !host_ports_parse(out, range, reserved)) {
        good = false;
        error = EBADMSG;
    }
    if (!good)
        *out = (struct host_ports){.ephemeral = PORTS_DEFAULT};
    free(range);
    free(reserved);
    errno = error;
    return good;
}

static bool known(const struct host *h, const struct addr *a) {
    for (unsigned i = 0; i < h->n_addresses; i++)
        if (addr_compare(&h->address[i], a) == 0)
            return true;
    return false;
}

static void add_address(struct host *h, const struct sockaddr *sockaddr) {
    struct endpoint e;
    if (!sockaddr || h->n_addresses >= HOST_ADDRESSES)
        return;
    size_t length = sockaddr->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (endpoint_from_sockaddr(&e, sockaddr, length) && !known(h, &e.addr))
        h->address[h->n_addresses++] = e.addr;
}

static bool look_at_addresses(struct host *h) {
    struct ifaddrs *all;
    if (getifaddrs(&all) != 0)
        return false;
    for (const struct ifaddrs *i = all; i; i = i->ifa_next)
        add_address(h, i->ifa_addr);
    freeifaddrs(all);
    return true;
}

bool host_look(struct host *out, const char **what) {
    memset(out, 0, sizeof *out);
    if (!host_look_at_ports(&out->ports, what))
        return false;
    *what = "the list of interfaces";
    return look_at_addresses(out);
}

bool host_has(const struct host *h, const struct addr *a) {
    return known(h, a) || route_home(a) > 0;
}

bool host_leaves_elsewhere(const struct addr *a, const struct endpoint *destination, char home[IF_NAMESIZE],
                           char way[IF_NAMESIZE]) {
    int from = route_home(a), to = from > 0 ? route_way(a, destination, 0) : 0;
    return from > 0 && to > 0 && from != to && !route_shelters(from) && !route_shelters(to) &&
           if_indextoname((unsigned)from, home) && if_indextoname((unsigned)to, way);
}

bool host_can_bind(const struct host *h, const struct addr *a, uint32_t interface) {
    struct sockaddr_storage sockaddr;
    const struct endpoint e = {.addr = *a, .scope = interface};
    if (known(h, a))
        return true;
    int family = addr_is_v4(a) ? AF_INET : AF_INET6;
    socklen_t length = endpoint_to_sockaddr(&sockaddr, &e, family);
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool bound = length > 0 && bind(fd, (struct sockaddr *)&sockaddr, length) == 0;
    (void)close(fd);
    return bound;
}
