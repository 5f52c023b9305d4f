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

bool dump_read(struct dump_socket *out, const struct nlmsghdr *message) {
    if (mnl_nlmsg_get_payload_len(message) < sizeof(struct inet_diag_msg))
        return false;
    const struct inet_diag_msg *m = mnl_nlmsg_get_payload(message);
    *out = (struct dump_socket){
        .local = address(m->id.idiag_src, m->idiag_family),
        .peer = address(m->id.idiag_dst, m->idiag_family),
        .local_port = ntohs(m->id.idiag_sport),
        .peer_port = ntohs(m->id.idiag_dport),
        .state = m->idiag_state,
        .timer = m->idiag_timer,
        .expires_ms = m->idiag_expires,
        .inode = m->idiag_inode,
        .interface = m->id.idiag_if,
        .cookie = (uint64_t)m->id.idiag_cookie[1] << 32 | m->id.idiag_cookie[0],
        .uid = m->idiag_uid,
    };
    if (m->idiag_state == TCP_LISTEN)
        (void)mnl_attr_parse(message, sizeof *m, note_v6_only, &out->v6_only);
    return true;
}

static int take(const struct nlmsghdr *header, void *data) {
    struct dump *d = data;
    struct dump_socket s;
    if (!dump_read(&s, header))
        return MNL_CB_OK;
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
    int more = MNL_CB_OK;
    while (more > MNL_CB_STOP) {
        ssize_t n = mnl_socket_recvfrom(nl, buffer, BUFFER);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        more = mnl_cb_run(buffer, (size_t)n, 0, 0, take, d);
    }
    return more < 0 ? -errno : 0;
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
