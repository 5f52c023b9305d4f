#include "tool/host/dump.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/attribute.h"

enum { BUFFER = 128 << 10 };

struct dump {
    dump_each *each;
    void *context;
    const struct dump_filter *filter; /* NULL: all */
    bool any;                         /* each has been called */
};

static struct addr address(const __be32 from[4], int family) {
    struct addr a = {{0}};
    if (family == AF_INET) {
        a.b[10] = a.b[11] = 0xff;
        memcpy(a.b + 12, from, 4);
    } else {
        memcpy(a.b, from, 16);
    }
    return a;
}

/* IPV6_V6ONLY, which the kernel adds for listeners. */
static bool is_v6_only(const char *attributes, size_t n) {
    const char *found = attribute_find(attributes, n, INET_DIAG_SKV6ONLY, 1);
    return found && *found;
}

bool dump_read(struct dump_socket *out, const struct nlmsghdr *message) {
    struct inet_diag_msg m;
    const char *payload = (const char *)message + NLMSG_HDRLEN;
    size_t n = message->nlmsg_len - NLMSG_HDRLEN;
    if (message->nlmsg_len < NLMSG_HDRLEN + sizeof m) /* cut short: none */
        return false;
    memcpy(&m, payload, sizeof m);
    *out = (struct dump_socket){
        .local = address(m.id.idiag_src, m.idiag_family),
        .peer = address(m.id.idiag_dst, m.idiag_family),
        .local_port = ntohs(m.id.idiag_sport),
        .peer_port = ntohs(m.id.idiag_dport),
        .state = m.idiag_state,
        .timer = m.idiag_timer,
        .expires_ms = m.idiag_expires,
        .inode = m.idiag_inode,
        .uid = m.idiag_uid,
        .interface = m.id.idiag_if,
        .cookie = (uint64_t)m.id.idiag_cookie[1] << 32 | m.id.idiag_cookie[0],
    };
    if (m.idiag_state == TCP_LISTEN)
        out->v6_only = is_v6_only(payload + NLMSG_ALIGN(sizeof m), n - sizeof m);
    return true;
}

static void take_socket(const struct nlmsghdr *message, struct dump *d) {
    struct dump_socket s;
    if (!dump_read(&s, message))
        return;
    d->any = true;
    d->each(&s, d->context);
}

/* NLMSG_DONE and NLMSG_ERROR begin with an error: a dump that the kernel gave up ends with one as well. */
static int error_of(const char *payload, size_t n) {
    int error = 0;
    if (n >= sizeof error)
        memcpy(&error, payload, sizeof error);
    return error > 0 ? -EPROTO : error;
}

static int take_all(const char *bytes, size_t n, struct dump *d) {
    struct nlmsghdr header;
    for (size_t at = 0; at < n; at += NLMSG_ALIGN(header.nlmsg_len)) {
        if (n - at < sizeof header)
            return -EPROTO;
        memcpy(&header, bytes + at, sizeof header);
        if (header.nlmsg_len < NLMSG_HDRLEN || header.nlmsg_len > n - at)
            return -EPROTO;
        const char *payload = bytes + at + NLMSG_HDRLEN;
        size_t length = header.nlmsg_len - NLMSG_HDRLEN;
        if (header.nlmsg_flags & NLM_F_DUMP_INTR)
            return -EINTR;
        if (header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR)
            return error_of(payload, length);
        if (header.nlmsg_type >= NLMSG_MIN_TYPE)
            take_socket((const struct nlmsghdr *)(const void *)(bytes + at), d);
    }
    return 1;
}

int dump_take(const void *bytes, size_t n, dump_each *each, void *context) {
    return take_all(bytes, n, &(struct dump){.each = each, .context = context});
}

struct request {
    struct nlmsghdr header;
    union {
        struct inet_diag_req both;
        struct inet_diag_req_v2 one;
        char room[NLMSG_ALIGN(sizeof(struct inet_diag_req_v2)) + RTA_LENGTH(0) + sizeof(struct dump_op[DUMP_PROGRAM])];
    };
};

/* Both families in one walk through the kernel's table, by the request of old (TCPDIAG_GETSOCK), which has a filter and
 * all states as well; family AF_UNSPEC. Or one family by the request that replaced it. */
static void fill_request(struct request *r, int family, uint32_t states, const struct dump_filter *filter) {
    struct dump_program program = {.n = 0};
    size_t size = family == AF_UNSPEC ? sizeof r->both : sizeof r->one;
    memset(r, 0, sizeof *r);
    r->header.nlmsg_type = family == AF_UNSPEC ? TCPDIAG_GETSOCK : SOCK_DIAG_BY_FAMILY;
    r->header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    if (family == AF_UNSPEC)
        r->both = (struct inet_diag_req){.idiag_family = AF_INET, /* read by strace alone */
                                         .idiag_states = states};
    else
        r->one = (struct inet_diag_req_v2){
            .sdiag_family = (uint8_t)family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = states};
    if (filter)
        dump_filter_compile(&program, filter);
    if (program.n) {
        struct rtattr a = {.rta_len = (uint16_t)(RTA_LENGTH(0) + program.n * sizeof *program.op),
                           .rta_type = INET_DIAG_REQ_BYTECODE};
        size = NLMSG_ALIGN(size);
        memcpy(r->room + size, &a, sizeof a);
        memcpy(r->room + size + RTA_LENGTH(0), program.op, program.n * sizeof *program.op);
        size += a.rta_len;
    }
    r->header.nlmsg_len = (uint32_t)(NLMSG_HDRLEN + size);
}

static int ask(int netlink, char *buffer, int family, uint32_t states, struct dump *d) {
    struct request r;
    fill_request(&r, family, states, d->filter);
    if (send(netlink, &r, r.header.nlmsg_len, MSG_NOSIGNAL) < 0)
        return -errno;
    int more = 1;
    while (more > 0) {
        ssize_t n = recv(netlink, buffer, BUFFER, MSG_TRUNC);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        more = n > BUFFER ? -ENOSPC : take_all(buffer, (size_t)n, d);
    }
    return more;
}

static int dump(uint32_t states, struct dump *d) {
    int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (netlink < 0)
        return -errno;
    char *buffer = malloc(BUFFER);
    int error = buffer ? ask(netlink, buffer, AF_UNSPEC, states, d) : -ENOMEM;
    if (buffer && error && !d->any) {
        error = ask(netlink, buffer, AF_INET, states, d);
        int error6 = error == 0 ? ask(netlink, buffer, AF_INET6, states, d) : 0;
        if (error6 != -ENOENT) /* a kernel without IPv6 */
            error = error ? error : error6;
    }
    free(buffer);
    (void)close(netlink);
    return error;
}

int dump_sockets(uint32_t states, dump_each *each, void *context) {
    return dump(states, &(struct dump){.each = each, .context = context});
}

int dump_sockets_where(uint32_t states, const struct dump_filter *filter, dump_each *each, void *context) {
    return dump(states, &(struct dump){.each = each, .context = context, .filter = filter});
}
