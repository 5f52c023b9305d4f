#include "net/diag.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <string.h>

#include "base/kernel_constants.h"
#include "base/sys.h"

enum { TRIES = 4, LISTEN = 10 /* TCP_LISTEN */ };
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

/* The kernel's own answer: when a quadruplet is gone, its lookup goes on to a listener on the local port. */
static int ask_kernel(int netlink, const struct tuple *tuple, struct inet_diag_msg *out) {
    const struct endpoint *local = &tuple->local, *peer = &tuple->peer;
    bool v4 = addr_is_v4(&local->addr) && addr_is_v4(&peer->addr);
    struct request q = {
        .header = {.nlmsg_len = sizeof q, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST},
        .diag = {.sdiag_family = v4 ? AF_INET : AF_INET6,
                 .sdiag_protocol = IPPROTO_TCP,
                 .idiag_states = ~0u,
                 .id = {.idiag_sport = htons(local->port),
                        .idiag_dport = htons(peer->port),
                        .idiag_if = tuple->interface,
                        .idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}}},
    };
    union reply reply;
    put_address(q.diag.id.idiag_src, &local->addr, v4);
    put_address(q.diag.id.idiag_dst, &peer->addr, v4);
    return read_reply(&reply, exchange(netlink, &q, sizeof q, &reply), out);
}

int diag_ask(int netlink, const struct tuple *tuple, struct diag_answer *out) {
    struct inet_diag_msg m;
    int r = ask_kernel(netlink, tuple, &m);
    if (r != 0)
        return r;
    if (m.idiag_state == LISTEN || ntohs(m.id.idiag_sport) != tuple->local.port ||
        ntohs(m.id.idiag_dport) != tuple->peer.port)
        return -ENOENT;
    *out = answer_of(&m);
    return 0;
}

struct question {
    int (*ask)(int netlink, const struct question *q, struct diag_answer *out);
    const struct tuple *tuple;
    uint32_t token;
};

static int ask_mptcp(int netlink, const struct question *asked, struct diag_answer *out) {
    struct {
        struct request request;
        struct nlattr attribute;
        uint32_t protocol; /* does not fit sdiag_protocol's one byte */
    } q = {
        .request = {.header = {.nlmsg_len = sizeof q, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST},
                    .diag = {.sdiag_family = AF_INET, /* any: the token says it all (mptcp_diag_dump_one) */
                             .sdiag_protocol = IPPROTO_RAW,
                             .idiag_states = ~0u,
                             .id = {.idiag_cookie = {asked->token, INET_DIAG_NOCOOKIE}}}},
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

int diag_answers(int netlink) {
    struct request q = {
        .header = {.nlmsg_len = sizeof q, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .diag = {.sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP, .idiag_states = 0},
    };
    union reply reply;
    int error = 0;
    long n = exchange(netlink, &q, sizeof q, &reply);
    if (n < 0)
        return (int)n;
    if (n < (long)sizeof reply.header || reply.header.nlmsg_type != NLMSG_DONE)
        return 0;
    if (n >= (long)(NLMSG_HDRLEN + sizeof error))
        memcpy(&error, reply.bytes + NLMSG_HDRLEN, sizeof error);
    return error == 0;
}

/* A client whose threads close a number twice may have closed ours: then it is another file's by now, or free. EAGAIN:
 * another thread's netlink socket, and it will notice. */
static bool is_lost(int found) {
    return found == -EBADF || found == -ENOTSOCK || found == -EAGAIN;
}

static int ask_anew(const struct question *q, struct diag_answer *out) {
    int found = -EBADF;
    for (int tries = 0; tries < TRIES && is_lost(found); tries++) {
        int fd = diag_open();
        if (fd < 0)
            return fd;
        found = q->ask(fd, q, out);
        if (found != -EBADF && found != -ENOTSOCK)
            (void)sys_call1(SYS_close, fd);
    }
    return found;
}

static int ask_quadruplet(int netlink, const struct question *q, struct diag_answer *out) {
    return diag_ask(netlink, q->tuple, out);
}

static int ask_listener(int netlink, const struct question *q, struct diag_answer *out) {
    struct inet_diag_msg m;
    int r = ask_kernel(netlink, q->tuple, &m);
    if (r != 0)
        return r;
    if (m.idiag_state != LISTEN || ntohs(m.id.idiag_sport) != q->tuple->local.port)
        return -ENOENT;
    *out = answer_of(&m);
    return 0;
}

static int ask_nothing(int netlink, const struct question *q, struct diag_answer *out) {
    (void)q;
    (void)out;
    return diag_answers(netlink);
}

int diag_lookup(const struct tuple *tuple, struct diag_answer *out) {
    struct question q = {.ask = ask_quadruplet, .tuple = tuple};
    return ask_anew(&q, out);
}

/* The peer is of local's family: the kernel looks among the listeners of that one. */
static int look_for_listener(const struct endpoint *local, struct diag_answer *out) {
    const struct addr any = addr_is_v4(&local->addr) ? addr_from_v4(0) : (struct addr){{0}};
    struct tuple tuple = tuple_of(&local->addr, local->port, &any, 0);
    tuple.interface = local->scope;
    struct question q = {.ask = ask_listener, .tuple = &tuple};
    return ask_anew(&q, out);
}

int diag_lookup_listener(const struct endpoint *local, struct diag_answer *out) {
    int found = look_for_listener(local, out);
    if (found != -ENOENT || addr_is_v4(&local->addr) || !addr_is_any(&local->addr))
        return found;
    const struct endpoint v4 = {.addr = addr_from_v4(0), .port = local->port};
    return look_for_listener(&v4, out);
}

int diag_lookup_ending(int netlink, const struct tuple *tuple, bool expected, struct diag_answer *out) {
    enum { CLOSED = 7, AT_ONCE = 2, YIELDING = 5, PATIENT = 8 };
    int found = -ENOENT;
    for (int i = 0; i < (expected ? PATIENT : AT_ONCE); i++) {
        if (i >= YIELDING)
            sys_sleep_us(50);
        else if (i >= AT_ONCE)
            (void)sys_call0(SYS_sched_yield);
        found = netlink < 0 ? -EBADF : diag_ask(netlink, tuple, out);
        if (is_lost(found))
            found = diag_lookup(tuple, out);
        if (found != -ENOENT && !(found == 0 && out->state == CLOSED))
            break;
    }
    return found;
}

int diag_lookup_mptcp(uint32_t token, struct diag_answer *out) {
    struct question q = {.ask = ask_mptcp, .token = token};
    return ask_anew(&q, out);
}

int diag_works(void) {
    struct question q = {.ask = ask_nothing};
    return ask_anew(&q, NULL);
}
