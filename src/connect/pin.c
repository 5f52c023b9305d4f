#include "connect/pin.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/kernel_constants.h"
#include "net/route.h"
#include "client/sockinfo.h"

__attribute__((noinline)) bool pin_look(int fd, int family, struct pin *out) {
    int wish = 0, mark = 0;
    out->device = sockinfo_interface(fd);
    (void)get_option(fd, SOL_SOCKET, SO_MARK, &mark);
    (void)get_option(fd, IPPROTO_IP, IP_UNICAST_IF, &wish);
    if (wish == 0 && family == AF_INET6)
        (void)get_option(fd, IPPROTO_IPV6, IPV6_UNICAST_IF, &wish);
    out->mark = (uint32_t)mark;
    out->wish = ntohl((uint32_t)wish);
    return out->device || out->wish || out->mark;
}

__attribute__((noinline)) bool pin_allows(const struct pin *pin, const struct endpoint *source,
                                          const struct endpoint *destination) {
    int way = pin->device ? (int)pin->device : route_way(&source->addr, destination, pin->mark);
    if (way <= 0 || (pin->wish && (uint32_t)way != pin->wish))
        return false;
    int home = route_home(&source->addr);
    if (home <= 0 || home == way)
        return home > 0;
    return route_shelters(home) && route_way(&source->addr, destination, 0) == way;
}
