#include "net/tally.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include "state/sys.h"

/* States as the kernel numbers them (include/net/tcp_states.h). */
enum {
    STATE_ESTABLISHED = 1,
    STATE_FIN_WAIT1 = 4,
    STATE_FIN_WAIT2 = 5,
    STATE_TIME_WAIT = 6,
    STATE_LISTEN = 10,
    STATE_BOUND_INACTIVE = 13,
    CONNECTED_STATES = 0xfff & ~(1 << STATE_LISTEN),
    RECEIVES_MAX = 1024
};

/* A request with room for the longest program below. */
struct request {
    struct nlmsghdr header;
    struct inet_diag_req diag;
    struct rtattr attribute;
    unsigned char code[32];
};
_Static_assert(sizeof(struct request) == 16 + 60 + 4 + 32, "as netlink lays it out");

struct dump {
    void (*each)(struct dump *d, const struct inet_diag_msg *m);
    struct tally *tally;
    unsigned n;
    uint32_t count;
};

/* A condition: if it holds go on behind it, else behind the program's end, which refuses the socket. */
static void put_op(unsigned char *at, unsigned code, size_t yes, size_t left) {
    struct inet_diag_bc_op op = {.code = (unsigned char)code, .yes = (unsigned char)yes, .no = (uint16_t)(left + 4)};
    memcpy(at, &op, sizeof op);
}

static size_t put_peer(unsigned char *code, const struct endpoint *e) {
    bool v4 = addr_is_v4(&e->addr);
    unsigned bytes = v4 ? 4 : 16;
    struct inet_diag_hostcond c = {
        .family = v4 ? AF_INET : AF_INET6, .prefix_len = (uint8_t)(bytes * 8), .port = e->port};
    size_t length = sizeof(struct inet_diag_bc_op) + sizeof c + bytes;
    put_op(code, INET_DIAG_BC_D_COND, length, length);
    memcpy(code + sizeof(struct inet_diag_bc_op), &c, sizeof c);
    memcpy(code + sizeof(struct inet_diag_bc_op) + sizeof c, e->addr.b + 16 - bytes, bytes);
    return length;
}

/* The value of a port comparison stands in the "no" of a second op. */
static size_t put_port(unsigned char *code, unsigned comparison, uint16_t port, size_t left) {
    struct inet_diag_bc_op value = {.no = port};
    put_op(code, comparison, 2 * sizeof value, left);
    memcpy(code + sizeof value, &value, sizeof value);
    return 2 * sizeof value;
}

/* The messages of one receive. 1: there are more; 0: that was the last; -1: the kernel refused. */
static int take(struct dump *d, const char *buffer, size_t length) {
    struct nlmsghdr h;
    struct inet_diag_msg m;
    for (size_t at = 0; at + sizeof h <= length; at += NLMSG_ALIGN(h.nlmsg_len)) {
        memcpy(&h, buffer + at, sizeof h);
        if (h.nlmsg_len < sizeof h || h.nlmsg_len > length - at)
            return -1;
        if (h.nlmsg_type == NLMSG_DONE)
            return 0;
        if (h.nlmsg_type == NLMSG_ERROR)
            return -1;
        if (h.nlmsg_len < NLMSG_HDRLEN + sizeof m)
            continue;
        memcpy(&m, buffer + at + NLMSG_HDRLEN, sizeof m);
        d->each(d, &m);
    }
    return 1;
}

/* A dump is made while it is received: the answer to a receive is there at once, and what nobody fetches is not made.
 */
static enum counted run(struct dump *d, struct request *q, size_t code, char *buffer, size_t size, uint64_t cpu_ns) {
    size_t length = offsetof(struct request, code) + code;
    int more = 1;
    uint64_t began = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    q->header = (struct nlmsghdr){
        .nlmsg_len = (uint32_t)length, .nlmsg_type = TCPDIAG_GETSOCK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP};
    q->attribute =
        (struct rtattr){.rta_len = (uint16_t)(sizeof q->attribute + code), .rta_type = INET_DIAG_REQ_BYTECODE};
    int fd = (int)sys_call3(SYS_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (fd < 0)
        return COUNTED_NO;
    if (sys_call6(SYS_sendto, fd, q, length, MSG_NOSIGNAL, 0, 0) < 0)
        more = -1;
    for (unsigned i = 0; more > 0 && i < RECEIVES_MAX; i++) {
        if (clock_ns(CLOCK_THREAD_CPUTIME_ID) - began > cpu_ns)
            break;
        long n = sys_call6(SYS_recvfrom, fd, buffer, size, MSG_DONTWAIT, 0, 0);
        more = n <= 0 ? -1 : take(d, buffer, (size_t)n);
    }
    (void)sys_call1(SYS_close, fd);
    return more < 0 ? COUNTED_NO : more > 0 ? COUNTED_AT_LEAST : COUNTED_ALL;
}

static struct addr local_of(const struct inet_diag_msg *m) {
    struct addr a = {.b = {[10] = 0xff, [11] = 0xff}};
    if (m->idiag_family == AF_INET)
        memcpy(a.b + 12, m->id.idiag_src, 4);
    else
        memcpy(a.b, m->id.idiag_src, 16);
    return a;
}

enum kernel_group tally_group(unsigned state) {
    switch (state) {
    case STATE_ESTABLISHED:
        return KERNEL_ESTABLISHED;
    case STATE_TIME_WAIT:
        return KERNEL_TIME_WAIT;
    case STATE_FIN_WAIT1:
    case STATE_FIN_WAIT2:
        return KERNEL_FIN_WAIT;
    default:
        return KERNEL_OTHER;
    }
}

static void count_source(struct dump *d, const struct inet_diag_msg *m) {
    struct addr local = local_of(m);
    for (unsigned i = 0; i < d->n; i++)
        if (memcmp(&d->tally[i].source, &local, sizeof local) == 0)
            d->tally[i].count[tally_group(m->idiag_state)]++;
}

static void count_one(struct dump *d, const struct inet_diag_msg *m) {
    (void)m;
    d->count++;
}

enum counted tally_destination(const struct endpoint *destination, struct tally *t, unsigned n, void *buffer,
                               size_t size, uint64_t cpu_ns) {
    struct dump d = {.each = count_source, .tally = t, .n = n};
    struct request q = {.diag = {.id.idiag_dport = htons(destination->port), .idiag_states = CONNECTED_STATES}};
    size_t code = put_peer(q.code, destination);
    return run(&d, &q, code, buffer, size, cpu_ns);
}

enum counted tally_bound(uint16_t low, uint16_t high, uint32_t *count, void *buffer, size_t size, uint64_t cpu_ns) {
    struct dump d = {.each = count_one};
    struct request q = {.diag.idiag_states = 1 << STATE_LISTEN | 1 << STATE_BOUND_INACTIVE};
    size_t code = put_port(q.code, INET_DIAG_BC_S_GE, low, 16);
    code += put_port(q.code + code, INET_DIAG_BC_S_LE, high, 8);
    enum counted r = run(&d, &q, code, buffer, size, cpu_ns);
    *count = d.count;
    return r;
}
