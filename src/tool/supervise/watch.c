#include "tool/supervise/watch.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/sys.h"
#include "client/answers.h"
#include "close/reported.h"
#include "net/attribute.h"
#include "state/control.h"
#include "tool/host/dump.h"

enum {
    HEARD = 16 << 10,
    QUEUE = 8 << 20,
    AT_ONCE = 1 << 16, /* messages, more than the queue holds */
    INFO = offsetof(struct tcp_info, tcpi_segs_in) + sizeof(((struct tcp_info *)NULL)->tcpi_segs_in)
};

int watch_open(void) {
    static const int groups[] = {SKNLGRP_INET_TCP_DESTROY, SKNLGRP_INET6_TCP_DESTROY};
    struct sockaddr_nl self = {.nl_family = AF_NETLINK};
    int queue = QUEUE, fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &queue, sizeof queue) != 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &queue, sizeof queue);
    bool good = bind(fd, (struct sockaddr *)&self, sizeof self) == 0;
    for (unsigned i = 0; good && i < sizeof groups / sizeof groups[0]; i++)
        good = setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof groups[i]) == 0;
    if (good)
        return fd;
    int error = errno;
    close(fd);
    return -error;
}

static struct tuple tuple_of_socket(const struct dump_socket *d) {
    struct tuple t = tuple_of(&d->local, d->local_port, &d->peer, d->peer_port);
    t.interface = d->interface;
    return t;
}

static void tell(struct service *s, struct known_socket *known, const struct tuple *where) {
    struct client client = service_client(s, &known->peer);
    client.tid = known->peer.pid; /* which of its threads is not known */
    reported_close(&client, known->conn, known->cookie, where);
    free(known);
}

/* The socket's own counts, as they were at its end. False: not told. */
static bool info_of(const struct nlmsghdr *message, struct tcp_info *out) {
    enum { OWN = NLMSG_SPACE(sizeof(struct inet_diag_msg)) };
    const void *found = message->nlmsg_len < OWN ? NULL
                                                 : attribute_find((const char *)message + OWN, message->nlmsg_len - OWN,
                                                                  INET_DIAG_INFO, INFO);
    if (found)
        memcpy(out, found, INFO);
    return found != NULL;
}

/* Was the connect answered that has only begun, as far as was seen? A blocking one that failed in the kernel has set
 * its counts back: that is not known. */
static void note_answer(struct client *client, const struct conn *c, const struct nlmsghdr *message) {
    struct tcp_info info;
    if (c->phase == CONN_CONNECTING && info_of(message, &info) && info.tcpi_segs_out != 0)
        answers_note(client, c, c->pair, info.tcpi_segs_in ? 0 : ETIMEDOUT, c->connected_ns);
}

static void hear_one(struct service *s, const struct nlmsghdr *message) {
    struct dump_socket d;
    if (message->nlmsg_type != SOCK_DIAG_BY_FAMILY || !dump_read(&d, message))
        return;
    struct known_socket *known = sockets_take(&s->sockets, d.cookie);
    struct tuple where = tuple_of_socket(&d);
    if (!known)
        return;
    struct client client = service_client(s, &known->peer);
    note_answer(&client, known->conn, message);
    tell(s, known, &where);
}

void watch_hear(struct service *s, int watch) {
    _Alignas(struct nlmsghdr) char buffer[HEARD];
    bool lost = false;
    /* Other processes close, too: it need not end while they do. What comes then is heard at the next time. */
    for (unsigned i = 0; i < AT_ONCE; i++) {
        ssize_t n = recv(watch, buffer, sizeof buffer, MSG_DONTWAIT);
        if (n < 0 && errno == ENOBUFS) {
            lost = true;
            continue;
        }
        if (n <= 0)
            break;
        struct nlmsghdr *message = (struct nlmsghdr *)(void *)buffer;
        for (; NLMSG_OK(message, (size_t)n); message = NLMSG_NEXT(message, n))
            hear_one(s, message);
    }
    if (lost)
        watch_look_at_all(s, true);
}

struct look {
    struct service *service;
    uint64_t number;
};

static void look_at(const struct dump_socket *d, void *context) {
    struct look *l = context;
    struct tuple where = tuple_of_socket(d);
    sockets_found(&l->service->sockets, d->cookie, l->number, &where, d->inode != 0);
}

void watch_look_at_all(struct service *s, bool lost) {
    uint64_t began = clock_ns(CLOCK_MONOTONIC);
    struct look look = {.service = s, .number = began};
    struct known_socket *known;
    unsigned from = 0;
    if (dump_sockets(~0u, look_at, &look) != 0)
        return;
    while ((known = sockets_take_lost(&s->sockets, &from, look.number, began))) {
        struct tuple where = known->where;
        if (lost)
            state_count(&s->client.state, (enum arm)known->conn->arm, COUNT_UNSEEN_CLOSE);
        tell(s, known, where.local.port ? &where : NULL);
    }
}
