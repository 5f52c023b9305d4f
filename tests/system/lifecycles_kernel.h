/* lifecycles_kernel.h - what the kernel says of a quadruplet: one exact sock_diag question, written independently of
 * src/net. Part of lifecycles.c. */
#ifndef LIFECYCLES_KERNEL_H
#define LIFECYCLES_KERNEL_H

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

/* The kernel's numbers; GONE is ours. */
enum kernel_state {
    GONE = 0,
    ESTABLISHED = 1,
    FIN_WAIT1 = 4,
    FIN_WAIT2 = 5,
    TIME_WAIT = 6,
    CLOSED = 7,
    CLOSE_WAIT = 8,
    LAST_ACK = 9,
    LISTENING = 10,
    CLOSING = 11
};

static const char *const state_name[13] = {"gone",      "ESTABLISHED", "SYN_SENT", "SYN_RECV",   "FIN_WAIT1",
                                           "FIN_WAIT2", "TIME_WAIT",   "CLOSE",    "CLOSE_WAIT", "LAST_ACK",
                                           "LISTEN",    "CLOSING",     "SYN_RECV"};

struct name { /* one end's address */
    bool v4;
    uint8_t address[16];
    uint16_t port;
};

struct seen {
    unsigned state, unread;
};

static struct name name_of(const struct sockaddr_in6 *from) {
    struct name n = {.port = ntohs(from->sin6_port), .v4 = from->sin6_family == AF_INET};
    if (n.v4) {
        memcpy(n.address, &((const struct sockaddr_in *)(const void *)from)->sin_addr, 4);
    } else if (IN6_IS_ADDR_V4MAPPED(&from->sin6_addr)) {
        n.v4 = true;
        memcpy(n.address, from->sin6_addr.s6_addr + 12, 4);
    } else {
        memcpy(n.address, &from->sin6_addr, 16);
    }
    return n;
}

/* Sends a question, and returns the state in the answer. */
static struct seen ask_kernel(int netlink, const void *question, size_t length, uint16_t peer_port) {
    union {
        struct nlmsghdr header;
        char bytes[1024];
    } r;
    const struct inet_diag_msg *m = (const void *)(r.bytes + NLMSG_HDRLEN);
    if (send(netlink, question, length, 0) < 0 || recv(netlink, &r, sizeof r, 0) < 0 ||
        r.header.nlmsg_type != SOCK_DIAG_BY_FAMILY || m->idiag_state == LISTENING || m->id.idiag_dport != peer_port)
        return (struct seen){0};
    return (struct seen){.state = m->idiag_state < 13 ? m->idiag_state : 0, .unread = m->idiag_rqueue};
}

/* An MPTCP connection, by its token: its subflow stays ESTABLISHED until both ends have closed. */
static struct seen ask_mptcp(int netlink, uint32_t token, const struct name *peer) {
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 diag;
        struct nlattr attribute;
        uint32_t protocol;
    } q = {.header = {.nlmsg_len = sizeof q, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST},
           .diag = {.sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_RAW, .idiag_states = ~0u},
           .attribute = {.nla_len = 8, .nla_type = 3 /* INET_DIAG_REQ_PROTOCOL */},
           .protocol = 262};
    q.diag.id.idiag_cookie[0] = token;
    struct seen s = ask_kernel(netlink, &q, sizeof q, htons(peer->port));
    return s.state == CLOSED ? (struct seen){0} : s;
}

static struct seen ask(int netlink, const struct name *local, const struct name *peer) {
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 diag;
    } q = {
        .header = {.nlmsg_len = sizeof q, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST},
        .diag = {.sdiag_family = local->v4 ? AF_INET : AF_INET6, .sdiag_protocol = IPPROTO_TCP, .idiag_states = ~0u}};
    memset(q.diag.id.idiag_cookie, 0xff, sizeof q.diag.id.idiag_cookie);
    memcpy(q.diag.id.idiag_src, local->address, 16);
    memcpy(q.diag.id.idiag_dst, peer->address, 16);
    q.diag.id.idiag_sport = htons(local->port);
    q.diag.id.idiag_dport = htons(peer->port);
    return ask_kernel(netlink, &q, sizeof q, q.diag.id.idiag_dport);
}

#endif
