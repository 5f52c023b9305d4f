#include "tool/host/dump.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

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
static int note_v6_only(const struct nlattr *a, void *out) {
    if (mnl_attr_get_type(a) == INET_DIAG_SKV6ONLY && mnl_attr_get_payload_len(a) >= 1)
        *(bool *)out = mnl_attr_get_u8(a);
    return MNL_CB_OK;
}

static int take(const struct nlmsghdr *header, void *data) {
    struct dump *d = data;
    if (mnl_nlmsg_get_payload_len(header) < sizeof(struct inet_diag_msg))
        return MNL_CB_OK;
    const struct inet_diag_msg *m = mnl_nlmsg_get_payload(header);
    struct dump_socket s = {
        .local = address(m->id.idiag_src, m->idiag_family),
        .peer = address(m->id.idiag_dst, m->idiag_family),
        .local_port = ntohs(m->id.idiag_sport),
        .peer_port = ntohs(m->id.idiag_dport),
        .state = m->idiag_state,
        .timer = m->idiag_timer,
        .expires_ms = m->idiag_expires,
        .inode = m->idiag_inode,
        .uid = m->idiag_uid,
    };
    if (m->idiag_state == TCP_LISTEN)
        (void)mnl_attr_parse(header, sizeof *m, note_v6_only, &s.v6_only);
    d->any = true;
    d->each(&s, d->context);
    return MNL_CB_OK;
}

/* Both families in one walk through the kernel's table, by the request of old (TCPDIAG_GETSOCK), which has a filter and
 * all states as well; family AF_UNSPEC. Or one family by the request that replaced it. */
static struct nlmsghdr *request(char *buffer, int family, uint32_t states) {
    struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
    header->nlmsg_type = family == AF_UNSPEC ? TCPDIAG_GETSOCK : SOCK_DIAG_BY_FAMILY;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    if (family == AF_UNSPEC) {
        struct inet_diag_req *q = mnl_nlmsg_put_extra_header(header, sizeof *q);
        q->idiag_family = AF_INET; /* looked at by nobody but strace */
        q->idiag_states = states;
    } else {
        struct inet_diag_req_v2 *q = mnl_nlmsg_put_extra_header(header, sizeof *q);
        q->sdiag_family = (uint8_t)family;
        q->sdiag_protocol = IPPROTO_TCP;
        q->idiag_states = states;
    }
    return header;
}

/* NLMSG_DONE and NLMSG_ERROR begin with an error. libmnl's own callback for NLMSG_DONE looks at the type alone: a dump
 * that the kernel gave up would pass for a whole one. */
static int take_end(const struct nlmsghdr *header, void *data) {
    int error = 0;
    (void)data;
    if (mnl_nlmsg_get_payload_len(header) >= sizeof error)
        memcpy(&error, mnl_nlmsg_get_payload(header), sizeof error);
    if (error >= 0)
        return MNL_CB_STOP;
    errno = -error;
    return MNL_CB_ERROR;
}

static int take_all(const void *bytes, size_t n, struct dump *d) {
    /* Whoever gives libmnl this table stands for every type in it: an empty place ignores the message. */
    mnl_cb_t control[] = {[NLMSG_ERROR] = take_end, [NLMSG_DONE] = take_end};
    int more = mnl_cb_run2(bytes, n, 0, 0, take, d, control, MNL_ARRAY_SIZE(control));
    return more < 0 ? -errno : more > MNL_CB_STOP;
}

int dump_take(const void *bytes, size_t n, dump_each *each, void *context) {
    return take_all(bytes, n, &(struct dump){.each = each, .context = context});
}

static int ask(struct mnl_socket *nl, char *buffer, int family, uint32_t states, struct dump *d) {
    struct nlmsghdr *header = request(buffer, family, states);
    if (d->filter) {
        struct dump_program program;
        dump_filter_compile(&program, d->filter);
        if (program.n)
            mnl_attr_put(header, INET_DIAG_REQ_BYTECODE, program.n * sizeof *program.op, program.op);
    }
    if (mnl_socket_sendto(nl, header, header->nlmsg_len) < 0)
        return -errno;
    int more = 1;
    while (more > 0) {
        ssize_t n = mnl_socket_recvfrom(nl, buffer, BUFFER);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        more = take_all(buffer, (size_t)n, d);
    }
    return more;
}

static int dump(uint32_t states, struct dump *d) {
    struct mnl_socket *nl = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
    if (!nl)
        return -errno;
    char *buffer = malloc(BUFFER);
    int error = buffer ? ask(nl, buffer, AF_UNSPEC, states, d) : -ENOMEM;
    if (buffer && error && !d->any) {
        error = ask(nl, buffer, AF_INET, states, d);
        int error6 = error == 0 ? ask(nl, buffer, AF_INET6, states, d) : 0;
        if (error6 != -ENOENT) /* a kernel without IPv6 */
            error = error ? error : error6;
    }
    free(buffer);
    (void)mnl_socket_close(nl);
    return error;
}

int dump_sockets(uint32_t states, dump_each *each, void *context) {
    return dump(states, &(struct dump){.each = each, .context = context});
}

int dump_sockets_where(uint32_t states, const struct dump_filter *filter, dump_each *each, void *context) {
    return dump(states, &(struct dump){.each = each, .context = context, .filter = filter});
}
