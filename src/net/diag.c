#include "net/diag.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <string.h>

#include "net/options.h"
#include "state/sys.h"

enum { TRIES = 4 };
enum { REQ_PROTOCOL = 3 }; /* INET_DIAG_REQ_PROTOCOL of linux/inet_diag.h since 5.9 */

struct request {
    struct nlmsghdr header;
    struct inet_diag_req_v2 diag;
};

union reply {
    struct nlmsghdr header;
    char bytes[512]; /* message, inet_diag_msg and a few attributes */
};

static void put_address(uint32_t out[4], const struct addr *a, bool v4) {
    if (v4)
        memcpy(out, a->b + 12, 4);
    else
        memcpy(out, a->b, 16);
}

static int read_reply(const union reply *reply, long length, struct inet_diag_msg *m) {
    int error;
    if (length < 0)
        return (int)length;
    if (length < (long)sizeof reply->header)
        return -EPROTO;
    if (reply->header.nlmsg_type == NLMSG_ERROR && length >= (long)(NLMSG_HDRLEN + sizeof error)) {
        memcpy(&error, reply->bytes + NLMSG_HDRLEN, sizeof error);
        return error ? error : -EPROTO;
    }
    if (reply->header.nlmsg_type != SOCK_DIAG_BY_FAMILY || length < (long)(NLMSG_HDRLEN + sizeof *m))
        return -EPROTO;
    memcpy(m, reply->bytes + NLMSG_HDRLEN, sizeof *m);
    return 0;
}

static struct diag_answer answer_of(const struct inet_diag_msg *m) {
    return (struct diag_answer){
        .state = m->idiag_state,
        .timer = m->idiag_timer,
        .expires_ms = m->idiag_expires,
        .inode = m->idiag_inode,
        .cookie = (uint64_t)m->id.idiag_cookie[1] << 32 | m->id.idiag_cookie[0],
    };
}

int diag_open(void) {
    return (int)sys_call3(SYS_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
}

/* The answer to a question, or the first of a dump's, is there when sendto returns. */
static long exchange(int netlink, const void *question, size_t length, union reply *reply) {
    long n = sys_call6(SYS_sendto, netlink, question, length, MSG_NOSIGNAL, 0, 0);
    return n < 0 ? n : sys_call6(SYS_recvfrom, netlink, reply, sizeof *reply, MSG_DONTWAIT, 0, 0);
}

int diag_ask(int netlink, uint32_t interface, const struct addr *local, uint16_t local_port, const struct addr *peer,
             uint16_t peer_port, struct diag_answer *out) {
    bool v4 = addr_is_v4(local) && addr_is_v4(peer);
    struct request q = {
        .header = {.nlmsg_len = sizeof q, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST},
        .diag = {.sdiag_family = v4 ? AF_INET : AF_INET6,
                 .sdiag_protocol = IPPROTO_TCP,
                 .idiag_states = ~0u,
                 .id = {.idiag_sport = htons(local_port),
                        .idiag_dport = htons(peer_port),
                        .idiag_if = interface,
                        .idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}}},
    };
    union reply reply;
    struct inet_diag_msg m;
    put_address(q.diag.id.idiag_src, local, v4);
    put_address(q.diag.id.idiag_dst, peer, v4);
    int r = read_reply(&reply, exchange(netlink, &q, sizeof q, &reply), &m);
    if (r != 0)
        return r;
    /* When the quadruplet is gone, the kernel's lookup goes on to a listener on the local port. */
    if (m.idiag_state == 10 /* TCP_LISTEN */ || ntohs(m.id.idiag_sport) != local_port ||
        ntohs(m.id.idiag_dport) != peer_port)
        return -ENOENT;
    *out = answer_of(&m);
    return 0;
}

static int ask_mptcp(int netlink, uint32_t token, struct diag_answer *out) {
    struct {
        struct request request;
        struct nlattr attribute;
        uint32_t protocol; /* does not fit sdiag_protocol's one byte */
    } q = {
        .request = {.header = {.nlmsg_len = sizeof q, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST},
                    .diag = {.sdiag_family = AF_INET, /* any: the token says it all (mptcp_diag_dump_one) */
                             .sdiag_protocol = IPPROTO_RAW,
                             .idiag_states = ~0u,
                             .id = {.idiag_cookie = {token, INET_DIAG_NOCOOKIE}}}},
        .attribute = {.nla_len = sizeof q.attribute + sizeof q.protocol, .nla_type = REQ_PROTOCOL},
        .protocol = IPPROTO_MPTCP,
    };
    union reply reply;
    struct inet_diag_msg m;
    int r = read_reply(&reply, exchange(netlink, &q, sizeof q, &reply), &m);
    if (r == 0)
        *out = answer_of(&m);
    return r;
}

bool diag_answers(int netlink) {
    struct request q = {
        .header = {.nlmsg_len = sizeof q, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .diag = {.sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP, .idiag_states = 0},
    };
    union reply reply;
    int error = 0;
    long n = exchange(netlink, &q, sizeof q, &reply);
    if (n < (long)sizeof reply.header || reply.header.nlmsg_type != NLMSG_DONE)
        return false;
    if (n >= (long)(NLMSG_HDRLEN + sizeof error))
        memcpy(&error, reply.bytes + NLMSG_HDRLEN, sizeof error);
    return error == 0;
}

/* A client whose threads close a number twice may have closed ours: then it is not ours to close. */
static int finish(int netlink, int found) {
    if (found != -EBADF)
        (void)sys_call1(SYS_close, netlink);
    return found;
}

/* EAGAIN: the number is another thread's netlink socket by now. */
static bool is_lost(int found) {
    return found == -EBADF || found == -EAGAIN;
}

int diag_lookup_on(uint32_t interface, const struct addr *local, uint16_t local_port, const struct addr *peer,
                   uint16_t peer_port, struct diag_answer *out) {
    int found = -EBADF;
    for (int tries = 0; tries < TRIES && is_lost(found); tries++) {
        int fd = diag_open();
        if (fd < 0)
            return fd;
        found = finish(fd, diag_ask(fd, interface, local, local_port, peer, peer_port, out));
    }
    return found;
}

int diag_lookup_mptcp(uint32_t token, struct diag_answer *out) {
    int found = -EBADF;
    for (int tries = 0; tries < TRIES && is_lost(found); tries++) {
        int fd = diag_open();
        if (fd < 0)
            return fd;
        found = finish(fd, ask_mptcp(fd, token, out));
    }
    return found;
}

int diag_lookup(const struct addr *local, uint16_t local_port, const struct addr *peer, uint16_t peer_port,
                struct diag_answer *out) {
    return diag_lookup_on(0, local, local_port, peer, peer_port, out);
}
