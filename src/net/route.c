#include "net/route.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/sys.h"
#include "net/attribute.h"

#ifndef RTM_F_FIB_MATCH
#define RTM_F_FIB_MATCH 0x2000 /* linux/rtnetlink.h since 4.13 */
#endif

enum { TRIES = 4, LOOPBACK = 1 /* net/core/net_namespace.c: lo is the first of every namespace */ };
enum { WITH_PROTOCOL = 27, WITH_DESTINATION_PORT = 29 }; /* RTA_IP_PROTO, RTA_DPORT since 4.19 */

struct question {
    struct nlmsghdr header;
    struct rtmsg route;
    char attributes[128]; /* at most two addresses and four numbers */
};

union reply {
    struct nlmsghdr header;
    char bytes[512]; /* of more, the rest is cut off */
};

static void add(struct question *q, unsigned short type, const void *value, size_t size) {
    struct rtattr attribute = {.rta_len = (unsigned short)RTA_LENGTH(size), .rta_type = type};
    char *at = (char *)q + NLMSG_ALIGN(q->header.nlmsg_len);
    memcpy(at, &attribute, sizeof attribute);
    memcpy(at + RTA_LENGTH(0), value, size);
    q->header.nlmsg_len = NLMSG_ALIGN(q->header.nlmsg_len) + (uint32_t)RTA_ALIGN(RTA_LENGTH(size));
}

static void add_address(struct question *q, unsigned short type, const struct addr *a, unsigned char *bits) {
    bool v4 = q->route.rtm_family == AF_INET;
    *bits = v4 ? 32 : 128;
    add(q, type, v4 ? a->b + 12 : a->b, v4 ? 4 : 16);
}

static void begin(struct question *q, const struct addr *destination, unsigned flags) {
    memset(q, 0, sizeof *q);
    q->header.nlmsg_len = NLMSG_LENGTH(sizeof q->route);
    q->header.nlmsg_type = RTM_GETROUTE;
    q->header.nlmsg_flags = NLM_F_REQUEST;
    q->route.rtm_family = addr_is_v4(destination) ? AF_INET : AF_INET6;
    q->route.rtm_flags = flags;
    add_address(q, RTA_DST, destination, &q->route.rtm_dst_len);
}

/* A client whose threads close a number twice may have closed ours: see diag.c. */
static bool is_lost(long length) {
    return length == -EBADF || length == -ENOTSOCK || length == -EAGAIN;
}

/* The answer is there when sendto returns. Its length, at least that of a header and body bytes; or -errno. */
static long ask(const void *question, size_t length, unsigned short type, size_t body, union reply *reply) {
    long n = -EBADF;
    for (int tries = 0; tries < TRIES && is_lost(n); tries++) {
        int fd = (int)sys_call3(SYS_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
        if (fd < 0)
            return fd;
        n = sys_call6(SYS_sendto, fd, question, length, MSG_NOSIGNAL, 0, 0);
        if (n >= 0)
            n = sys_call6(SYS_recvfrom, fd, reply, sizeof *reply, MSG_DONTWAIT, 0, 0);
        if (n != -EBADF && n != -ENOTSOCK)
            (void)sys_call1(SYS_close, fd);
    }
    int error = -EPROTO;
    if (n < 0)
        return n;
    if (n >= (long)(NLMSG_HDRLEN + sizeof error) && reply->header.nlmsg_type == NLMSG_ERROR)
        memcpy(&error, reply->bytes + NLMSG_HDRLEN, sizeof error);
    return n >= (long)(NLMSG_HDRLEN + body) && reply->header.nlmsg_type == type ? n : error ? error : -EPROTO;
}

/* The kernel's answer to q: its route's type, and the interface that it leaves by, 0 for none. */
static int ask_route(const struct question *q, unsigned char *type) {
    union reply reply = {0};
    struct rtmsg route;
    int interface = 0;
    long n = ask(q, q->header.nlmsg_len, RTM_NEWROUTE, sizeof route, &reply);
    if (n < 0)
        return (int)n;
    memcpy(&route, reply.bytes + NLMSG_HDRLEN, sizeof route);
    *type = route.rtm_type;
    size_t at = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof route);
    const void *found = attribute_find(reply.bytes + at, (size_t)n - at, RTA_OIF, sizeof interface);
    if (found)
        memcpy(&interface, found, sizeof interface);
    return interface;
}

int route_home(const struct addr *address) {
    struct question q;
    unsigned char type = RTN_UNSPEC;
    begin(&q, address, RTM_F_FIB_MATCH); /* the entry itself: the way to a local address is always lo */
    int interface = ask_route(&q, &type);
    if (interface == -ENETUNREACH || interface == -EHOSTUNREACH)
        return 0;
    return interface < 0 || type == RTN_LOCAL ? interface : 0;
}

int route_way(const struct addr *source, const struct endpoint *destination, uint32_t mark) {
    struct question q;
    unsigned char type = RTN_UNSPEC, protocol = IPPROTO_TCP;
    uint16_t port = htons(destination->port);
    begin(&q, &destination->addr, 0);
    add_address(&q, RTA_SRC, source, &q.route.rtm_src_len);
    if (destination->scope)
        add(&q, RTA_OIF, &destination->scope, sizeof destination->scope);
    if (mark)
        add(&q, RTA_MARK, &mark, sizeof mark);
    add(&q, WITH_PROTOCOL, &protocol, sizeof protocol);
    add(&q, WITH_DESTINATION_PORT, &port, sizeof port);
    int interface = ask_route(&q, &type);
    if (interface >= 0 && type != RTN_UNICAST && type != RTN_LOCAL)
        return -ENETUNREACH; /* IPv6 says blackhole and the like in the answer */
    return interface;
}

bool route_shelters(int interface) {
    struct {
        struct nlmsghdr header;
        struct ifinfomsg link;
    } q = {
        .header = {.nlmsg_len = sizeof q, .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST},
        .link = {.ifi_index = interface},
    };
    union reply reply;
    struct ifinfomsg link;
    if (interface == LOOPBACK)
        return true;
    if (ask(&q, sizeof q, RTM_NEWLINK, sizeof link, &reply) < 0)
        return false;
    memcpy(&link, reply.bytes + NLMSG_HDRLEN, sizeof link);
    return link.ifi_flags & IFF_NOARP && !(link.ifi_flags & IFF_POINTOPOINT);
}
