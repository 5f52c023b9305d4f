#include "tool/host/holders.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tool/common/strbuf.h"
#include "tool/host/dump.h"
#include "tool/host/socket_users.h"
#include "base/kernel_constants.h"

#ifndef TCP_FASTOPEN_NO_COOKIE
#define TCP_FASTOPEN_NO_COOKIE 34
#endif

enum { OWNED_FIRST = 64, ALL_STATES = 0xfff | 1 << DUMP_BOUND_INACTIVE, PROBE_PEER = 0x7f4d1234, PROBE_PORT = 9 };

/* A socket on a blocked port that some process has open. */
struct owned {
    uint32_t inode, uid;
    uint16_t port;
    bool named;
};

struct gathering {
    struct holder holder;
    struct port_set ports;
};

struct search {
    struct port_set blocked, listening, live, ended;
    struct owned *owned;
    size_t n, room;
    struct gathering listener[HOLDERS], binder[HOLDERS];
    unsigned n_listeners, n_binders;
    const struct endpoint *to; /* NULL: the owner of a blocked port; else: of a connection to there */
    const char *but_mapping;
    uint32_t asked_pid;
    bool left_out;
};

static void add_port(struct port_set *set, unsigned port) {
    set->word[port / 64] |= UINT64_C(1) << (port % 64);
}

/* 0: connect() takes this port; EADDRNOTAVAIL: it does not; anything else: cannot tell. */
static int try_port(unsigned port) {
    static const int one = 1;
    const uint32_t range = port | port << 16;
    const struct sockaddr_in peer = {
        .sin_family = AF_INET, .sin_port = htons(PROBE_PORT), .sin_addr.s_addr = htonl(PROBE_PEER)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), error = 0;
    if (fd < 0)
        return errno;
    if (setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof one) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, &one, sizeof one) != 0 ||
        setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &range, sizeof range) != 0)
        error = EOPNOTSUPP;
    else if (connect(fd, (const struct sockaddr *)&peer, sizeof peer) != 0)
        error = errno;
    (void)close(fd);
    return error;
}

static bool find_blocked(struct port_set *out, const struct host_ports *ports) {
    for (unsigned port = ports->ephemeral.low; port <= ports->ephemeral.high; port++) {
        int error = port_in(&ports->reserved, port) ? 0 : try_port(port);
        if (error == EADDRNOTAVAIL)
            add_port(out, port);
        else if (error != 0)
            return false;
    }
    return true;
}

static void remember(struct search *s, const struct dump_socket *socket) {
    if (s->n == s->room) {
        size_t room = s->room ? 2 * s->room : OWNED_FIRST;
        struct owned *grown = realloc(s->owned, room * sizeof *grown);
        if (!grown)
            return;
        s->owned = grown;
        s->room = room;
    }
    s->owned[s->n++] = (struct owned){socket->inode, socket->uid, socket->local_port, false};
}

static void consider(const struct dump_socket *socket, void *context) {
    struct search *s = context;
    if (s->to ? socket->peer_port != s->to->port || addr_compare(&socket->peer, &s->to->addr) != 0
              : !port_in(&s->blocked, socket->local_port))
        return;
    if (socket->state == TCP_LISTEN)
        add_port(&s->listening, socket->local_port);
    add_port(socket->inode ? &s->live : &s->ended, socket->local_port);
    if (socket->inode)
        remember(s, socket);
}

static int by_inode(const void *left, const void *right) {
    const struct owned *a = left, *b = right;
    return (a->inode > b->inode) - (a->inode < b->inode);
}

/* The holder of this process, or of this user; NULL: no room for one more. */
static struct gathering *gathering_of(struct gathering *all, unsigned *n, uint32_t pid, uint32_t uid) {
    for (unsigned i = 0; i < *n; i++)
        if (all[i].holder.pid == pid && (pid || all[i].holder.uid == uid))
            return &all[i];
    if (*n == HOLDERS)
        return NULL;
    all[*n].holder = (struct holder){.pid = pid, .uid = uid};
    return &all[(*n)++];
}

static void attribute(struct search *s, const struct owned *o, uint32_t pid, const char *name) {
    bool listens = port_in(&s->listening, o->port);
    struct gathering *g =
        gathering_of(listens ? s->listener : s->binder, listens ? &s->n_listeners : &s->n_binders, pid, o->uid);
    if (!g)
        return;
    (void)snprintf(g->holder.name, sizeof g->holder.name, "%s", name);
    add_port(&g->ports, o->port);
}

/* Does it have a file of this name mapped? */
static bool maps(const char *pid, const char *file) {
    char line[512], path[64];
    (void)snprintf(path, sizeof path, "/proc/%.20s/maps", pid);
    FILE *text = fopen(path, "re");
    bool found = false;
    while (text && !found && fgets(line, sizeof line, text)) {
        const char *name = strrchr(line, '/');
        line[strcspn(line, "\n")] = 0;
        found = name && strcmp(name + 1, file) == 0;
    }
    if (text)
        (void)fclose(text);
    return found;
}

/* The sockets of one process come one after the other. */
static bool is_left_out(struct search *s, uint32_t pid) {
    char number[16];
    if (s->but_mapping && pid != s->asked_pid) {
        (void)snprintf(number, sizeof number, "%u", pid);
        s->asked_pid = pid;
        s->left_out = maps(number, s->but_mapping);
    }
    return s->but_mapping && s->left_out;
}

static void name_owner(void *context, uint32_t inode, uint32_t pid, const char *name) {
    struct search *s = context;
    const struct owned wanted = {.inode = inode};
    struct owned *found = bsearch(&wanted, s->owned, s->n, sizeof wanted, by_inode);
    if (!found || is_left_out(s, pid))
        return;
    found->named = true;
    attribute(s, found, pid, name);
}

static void name_owners(struct search *s) {
    if (s->n) {
        qsort(s->owned, s->n, sizeof *s->owned, by_inode);
        socket_walk(name_owner, s);
    }
    for (size_t i = 0; i < s->n && !s->to; i++)
        if (!s->owned[i].named)
            attribute(s, &s->owned[i], 0, "");
}

/* "40000-40009, 40020, ..." */
static void list_ports(struct holder *h, const struct port_set *ports) {
    struct strbuf text;
    char number[HOLDER_PORTS - 8];
    strbuf_init(&text, number, sizeof number);
    for (unsigned port = 0; port < PORTS; port++) {
        unsigned last = port;
        if (!port_in(ports, port))
            continue;
        while (port_in(ports, last + 1))
            last++;
        h->ports += last - port + 1;
        strbuf_text(&text, text.at == text.start ? "" : ", ");
        strbuf_number(&text, port);
        if (last > port) {
            strbuf_text(&text, "-");
            strbuf_number(&text, last);
        }
        port = last;
    }
    bool full = strbuf_finish(&text) < 0;
    char *comma = full ? strrchr(number, ',') : NULL; /* behind it may stand a half */
    if (comma)
        *comma = 0;
    (void)snprintf(h->some, sizeof h->some, "%s%s", number, full ? ", ..." : "");
}

static void count_ports(struct held_ports *out, const struct search *s) {
    for (unsigned port = 0; port < PORTS; port++) {
        if (!port_in(&s->blocked, port))
            continue;
        out->blocked++;
        if (port_in(&s->listening, port))
            out->listening++;
        else if (!port_in(&s->live, port) && port_in(&s->ended, port))
            out->ended++;
        else if (!port_in(&s->live, port))
            out->unseen++;
    }
}

static unsigned hand_over(struct holder *out, struct gathering *all, unsigned n) {
    for (unsigned i = 0; i < n; i++) {
        list_ports(&all[i].holder, &all[i].ports);
        out[i] = all[i].holder;
    }
    return n;
}

void holders_find(const struct host_ports *ports, struct held_ports *out) {
    struct search *s = calloc(1, sizeof *s);
    out->known = s && find_blocked(&s->blocked, ports) && dump_sockets(ALL_STATES, consider, s) == 0;
    if (out->known) {
        name_owners(s);
        count_ports(out, s);
        out->n_listeners = hand_over(out->listener, s->listener, s->n_listeners);
        out->n_binders = hand_over(out->binder, s->binder, s->n_binders);
    }
    if (s)
        free(s->owned);
    free(s);
}

unsigned holders_of_connections(const struct endpoint *to, const char *but_mapping, struct holder out[HOLDERS]) {
    struct search *s = calloc(1, sizeof *s);
    unsigned n = 0;
    if (s) {
        s->to = to;
        s->but_mapping = but_mapping;
        (void)dump_sockets(0xfff & ~(1 << TCP_LISTEN), consider, s);
        name_owners(s);
        n = hand_over(out, s->binder, s->n_binders);
        free(s->owned);
    }
    free(s);
    return n;
}

unsigned holders_of_binds(const struct host_ports *ports, struct holder out[HOLDERS]) {
    struct search *s = calloc(1, sizeof *s);
    unsigned n = 0;
    if (s) {
        for (unsigned port = ports->ephemeral.low; port <= ports->ephemeral.high; port++)
            add_port(&s->blocked, port);
        (void)dump_sockets(1 << DUMP_BOUND_INACTIVE, consider, s);
        name_owners(s);
        n = hand_over(out, s->binder, s->n_binders);
        free(s->owned);
    }
    free(s);
    return n;
}

struct holder holders_largest(const struct holder *h, unsigned n) {
    struct holder most = {0};
    for (unsigned i = 0; i < n; i++)
        if (h[i].pid && h[i].ports > most.ports)
            most = h[i];
    return most;
}
