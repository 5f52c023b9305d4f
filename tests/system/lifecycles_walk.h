/* lifecycles_walk.h - one lifecycle: a random walk from connect to the last close. Part of lifecycles.c. */
#ifndef LIFECYCLES_WALK_H
#define LIFECYCLES_WALK_H

#include <arpa/inet.h>
#include <sched.h>

#include "lifecycles_conduct.h"

static const char *const side_name[] = {"near", "far"};

/* Every step: false if it cannot be made now. */
typedef bool step(struct world *w, enum side side);

static void told(const struct world *w, enum side side, const struct holder *h, const char *what, int how, int n,
                 int result) {
    tell(w, "  %s pid %d fd %d: %s %d %d = %d\n", side_name[side], (int)w->process[h->process].pid, h->fd, what, how, n,
         result);
}

/* --- data and options --- */

static bool step_write(struct world *w, enum side side) {
    struct holder *h = some_holder(w, side);
    struct end *e = &w->end[side], *peer = &w->end[!side];
    int n = 1 + below(w, 3000);
    if (!h || e->fin || w->end[side].unread + peer->unread > 20000)
        return false;
    int r = order_fd(w, h, OP_WRITE, 0, n);
    told(w, side, h, "write", 0, n, r);
    if (r > 0)
        peer->unread += r;
    w->peer_wrote = true;
    mark(e, DATA);
    mark(peer, DATA);
    return true;
}

static bool step_read(struct world *w, enum side side) {
    struct holder *h = some_holder(w, side);
    struct end *e = &w->end[side];
    if (!h || e->unread == 0)
        return false;
    int n = chance(w, 70) ? e->unread + 1 : 1 + below(w, e->unread);
    int r = order_fd(w, h, OP_READ, 0, n);
    told(w, side, h, "read", 0, n, r);
    e->unread = r > 0 ? e->unread - r : 0; /* nothing to read: a reset has taken it away */
    return true;
}

static bool step_peek(struct world *w, enum side side) {
    struct holder *h = some_holder(w, side);
    if (!h || w->end[side].unread == 0)
        return false;
    told(w, side, h, "peek", 0, 0, order_fd(w, h, OP_PEEK, 0, 0));
    mark(&w->end[side], PEEKED);
    return true;
}

static bool step_shutdown(struct world *w, enum side side) {
    struct holder *h = some_holder(w, side);
    int how = chance(w, 60) ? SHUT_WR : below(w, 3);
    if (!h)
        return false;
    int r = order_fd(w, h, OP_SHUTDOWN, how, 0);
    told(w, side, h, "shutdown", how, 0, r);
    if (r == 0 && how != SHUT_RD)
        w->end[side].fin = true;
    mark(&w->end[side], SHUTDOWN);
    return true;
}

static bool step_linger(struct world *w, enum side side) {
    struct holder *h = some_holder(w, side);
    bool off = chance(w, 20), reset = chance(w, 60);
    if (!h)
        return false;
    told(w, side, h, "linger", !off, reset ? 0 : 1, order_fd(w, h, OP_LINGER, !off, reset ? 0 : 1));
    mark(&w->end[side], reset ? LINGER_RESET : LINGERS);
    return true;
}

static bool step_linger2(struct world *w, enum side side) {
    struct holder *h = some_holder(w, side);
    if (!h)
        return false;
    told(w, side, h, "TCP_LINGER2", 0, -1, order_fd(w, h, OP_LINGER2, 0, -1));
    mark(&w->end[side], LINGER2_OFF);
    return true;
}

static bool step_disconnect(struct world *w, enum side side) {
    struct holder *h = some_holder(w, side);
    if (!h)
        return false;
    int r = order_fd(w, h, OP_DISCONNECT, 0, 0);
    told(w, side, h, "connect(AF_UNSPEC)", 0, 0, r);
    mark(&w->end[side], DISCONNECTED);
    w->end[side].unread = 0;
    w->end[side].fin = true;
    return true;
}

/* --- copies --- */

static bool step_dup(struct world *w, enum side side) {
    struct holder *h = some_holder(w, side);
    int how = below(w, DUP_HOWS);
    if (!h || w->end[side].holders > HOLDERS - 2)
        return false;
    int process = h->process, n = highest_fd(w, process) + 1 + below(w, 30);
    int fd = order_fd(w, h, OP_DUP, how, n);
    told(w, side, h, "dup", how, n, fd);
    if (fd < 0)
        fail("dup");
    mark(&w->end[side], COPIED);
    (void)hold(&w->end[side], process, fd, how == DUP_FCNTL_CLOEXEC || how == DUP_DUP3_CLOEXEC);
    return true;
}

/* The child of a fork has all copies, that of a spawn those that are not close-on-exec. */
static bool have_child(struct world *w, enum side side, enum op op, int how) {
    struct holder *h = some_holder(w, side);
    struct order o = {.op = op, .how = how};
    struct end *e = &w->end[side];
    int child = free_process(w), channel = -1, n = e->holders, parent;
    if (!h || child < 0 || 2 * n > HOLDERS - 2)
        return false;
    parent = h->process;
    name_actor(w, o.name);
    if (order(w, parent, &o, NULL, &channel) != 0 || channel < 0)
        fail("fork");
    bool bare = w->process[parent].bare || (op == OP_SPAWN && how == SPAWN_UNWATCHED);
    welcome(&w->process[child], channel, side, bare, o.name);
    w->process[child].cloned = op == OP_FORK && how == FORK_CLONE;
    for (int i = 0; i < n; i++)
        if (e->holder[i].process == parent && e->holder[i].fd != IN_FLIGHT && (op == OP_FORK || !e->holder[i].cloexec))
            e->holder[hold(e, child, e->holder[i].fd, e->holder[i].cloexec)].handed =
                e->holder[i].handed || op == OP_SPAWN || how != FORK;
    mark(e, op == OP_FORK ? FORKED : SPAWNED);
    tell(w, "  %s pid %d: %s %d = pid %d\n", side_name[side], (int)w->process[parent].pid,
         op == OP_FORK ? "fork" : "spawn", how, (int)w->process[child].pid);
    return true;
}

static bool step_fork(struct world *w, enum side side) {
    return have_child(w, side, OP_FORK, chance(w, 60) ? FORK : below(w, FORK_HOWS));
}

static bool step_spawn(struct world *w, enum side side) {
    return have_child(w, side, OP_SPAWN, chance(w, 80) ? SPAWN : SPAWN_UNWATCHED);
}

static bool step_vfork(struct world *w, enum side side) {
    struct holder *h = some_holder(w, side);
    int how = below(w, VFORK_HOWS);
    if (!h)
        return false;
    told(w, side, h, "vfork", how, 0, order_fd(w, h, OP_VFORK, how, 0));
    mark(&w->end[side], VFORKED);
    return true;
}

static bool step_system(struct world *w, enum side side) {
    struct holder *h = some_holder(w, side);
    if (!h)
        return false;
    told(w, side, h, "system", 0, 0, order_fd(w, h, OP_SYSTEM, 0, 0));
    mark(&w->end[side], SPAWNED);
    return true;
}

static bool has_mail(const struct world *w, int process) {
    for (int side = NEAR; side <= FAR; side++)
        for (int i = 0; i < w->end[side].holders; i++)
            if (w->end[side].holder[i].process == process && w->end[side].holder[i].fd == IN_FLIGHT)
                return true;
    return false;
}

/* To another process of this side, or to itself. */
static bool step_pass(struct world *w, enum side side) {
    struct holder *h = some_holder(w, side);
    struct order o = {.op = OP_SEND_FD};
    int to = below(w, PROCESSES);
    for (int i = 0; i < PROCESSES; i++, to = (to + 1) % PROCESSES)
        if (w->process[to].alive && w->process[to].side == side)
            break;
    if (!h || w->end[side].holders > HOLDERS - 2 || has_mail(w, to))
        return false;
    o.fd = h->fd;
    memcpy(o.name, w->process[to].name, sizeof o.name);
    if (order(w, h->process, &o, NULL, NULL) != 1)
        fail("sendmsg");
    told(w, side, h, "SCM_RIGHTS to pid", 0, (int)w->process[to].pid, 1);
    mark(&w->end[side], PASSED);
    (void)hold(&w->end[side], to, IN_FLIGHT, false);
    return true;
}

static bool step_receive(struct world *w, enum side side) {
    struct end *e = &w->end[side];
    struct order o = {.op = OP_RECEIVE_FD};
    for (int i = 0; i < e->holders; i++) {
        struct holder *h = &e->holder[i];
        if (h->fd != IN_FLIGHT)
            continue;
        int fd = order(w, h->process, &o, NULL, NULL);
        if (fd < 0)
            fail("recvmsg");
        h->fd = fd;
        h->handed = true;
        told(w, side, h, "received", 0, 0, fd);
        return true;
    }
    return false;
}

/* --- closes --- */

static bool step_close(struct world *w, enum side side) {
    struct holder *h = some_holder(w, side);
    struct end *e = &w->end[side];
    int how = chance(w, 40) ? CLOSE : below(w, CLOSE_HOWS);
    if (!h)
        return false;
    if (e->unread > 0 && chance(w, 65)) /* most programs read first */
        return step_read(w, side);
    int process = h->process, fd = h->fd, r = order_fd(w, h, OP_CLOSE, how, 0);
    told(w, side, h, "close", how, 0, r);
    if (r != 0)
        fail("close");
    for (int i = e->holders; i-- > 0;)
        if (e->holder[i].process == process && e->holder[i].fd != IN_FLIGHT &&
            (e->holder[i].fd == fd || (how == CLOSE_FROM && e->holder[i].fd > fd)))
            release(w, side, i);
    return true;
}

/* Several threads close all copies of one process, each copy twice. */
static bool step_close_together(struct world *w, enum side side) {
    struct holder *h = some_holder(w, side);
    struct end *e = &w->end[side];
    struct order o = {.op = OP_CLOSE_TOGETHER};
    if (!h)
        return false;
    int process = h->process;
    for (int i = e->holders; i-- > 0;)
        if (e->holder[i].process == process && e->holder[i].fd != IN_FLIGHT) {
            o.fds[o.n++] = e->holder[i].fd;
            mark(e, THREADS);
        }
    int r = order(w, process, &o, NULL, NULL);
    tell(w, "  %s pid %d: %d threads close = %d\n", side_name[side], (int)w->process[process].pid, o.n, r);
    for (int i = e->holders; i-- > 0;)
        if (e->holder[i].process == process && e->holder[i].fd != IN_FLIGHT)
            release(w, side, i);
    return true;
}

static void end_process(struct world *w, int process, int how) {
    struct process *p = &w->process[process];
    struct order o = {.op = OP_END, .how = how};
    struct end *e = &w->end[p->side];
    if (how == END_THREAD && p->cloned)
        o.how = how = END_EXIT;
    tell(w, "  %s pid %d: ends %d%s\n", side_name[p->side], (int)p->pid, how, how == END_KILL ? " (SIGKILL)" : "");
    if (how == END_KILL)
        (void)kill(p->pid, SIGKILL);
    else if (send(p->channel, &o, sizeof o, MSG_NOSIGNAL) != sizeof o)
        fail("an actor has gone");
    for (int pass = 0; pass < 2; pass++) /* what is in flight goes last */
        for (int i = e->holders; i-- > 0;)
            if (e->holder[i].process == process && (pass == 1 || e->holder[i].fd != IN_FLIGHT)) {
                if (how == END_KILL)
                    mark(e, e->holders == 1 && e->holder[i].handed ? HANDED : KILLED);
                release(w, p->side, i);
            }
    gone(p);
}

static bool step_end(struct world *w, enum side side) {
    struct holder *h = some_holder(w, side);
    if (!h)
        return false;
    end_process(w, h->process, chance(w, 35) ? END_KILL : below(w, END_HOWS));
    return true;
}

static bool step_exec(struct world *w, enum side side) {
    struct holder *h = some_holder(w, side);
    struct end *e = &w->end[side];
    struct order o = {.op = OP_EXEC};
    if (!h)
        return false;
    int process = h->process;
    memcpy(o.name, w->process[process].name, sizeof o.name);
    if (order(w, process, &o, NULL, NULL) != 0)
        fail("exec");
    tell(w, "  %s pid %d: exec\n", side_name[side], (int)w->process[process].pid);
    w->process[process].cloned = false;
    mark(e, EXECED);
    for (int i = e->holders; i-- > 0;)
        if (e->holder[i].process == process && e->holder[i].cloexec)
            release(w, side, i);
    return true;
}

/* --- the walk --- */

struct choice {
    step *step;
    int weight;
};
static const struct choice during[] = {
    {step_write, 24}, {step_read, 14},      {step_peek, 5},   {step_shutdown, 14}, {step_linger, 4}, {step_linger2, 2},
    {step_dup, 10},   {step_fork, 6},       {step_spawn, 1},  {step_vfork, 3},     {step_pass, 4},   {step_receive, 4},
    {step_exec, 1},   {step_disconnect, 1}, {step_close, 12}, {step_end, 1},       {step_system, 1},
};
static const struct choice closing[] = {
    {step_close, 60}, {step_close_together, 6}, {step_receive, 15}, {step_end, 8},
    {step_exec, 3},   {step_read, 10},          {step_shutdown, 3}, {step_write, 2},
};

static void take_step(struct world *w, const struct choice *choice, size_t n) {
    int total = 0;
    for (size_t i = 0; i < n; i++)
        total += choice[i].weight;
    int at = below(w, total);
    enum side side = (enum side)below(w, 2);
    size_t i = 0;
    while (at >= choice[i].weight)
        at -= choice[i++].weight;
    w->peer_wrote = false;
    if (choice[i].step(w, side))
        settle(w);
}

enum family { V4, V6, MAPPED, DUAL_STACK_FAR, MPTCP_BOTH, MPTCP_NEAR, MPTCP_FAR, FAMILIES };
static const char *const family_name[FAMILIES] = {
    "IPv4", "IPv6", "v4-mapped", "v4-mapped inbound", "MPTCP", "MPTCP outbound only", "MPTCP inbound only"};

static socklen_t destination(const struct world *w, enum family family, struct sockaddr_in6 *out) {
    struct sockaddr_in *v4 = (void *)out;
    char mapped[64];
    *out = (struct sockaddr_in6){0};
    if (family == V6 || family == MAPPED) {
        (void)snprintf(mapped, sizeof mapped, "::ffff:%s", w->to);
        out->sin6_family = AF_INET6;
        out->sin6_port = htons((uint16_t)(w->port + (family == V6)));
        (void)inet_pton(AF_INET6, family == V6 ? w->to6 : mapped, &out->sin6_addr);
        return sizeof *out;
    }
    v4->sin_family = AF_INET;
    v4->sin_port = htons((uint16_t)(w->port + (family == DUAL_STACK_FAR                      ? 1
                                               : family == MPTCP_BOTH || family == MPTCP_FAR ? 2
                                                                                             : 0)));
    (void)inet_pton(AF_INET, w->to, &v4->sin_addr);
    return sizeof *v4;
}

static const int connect_hows[] = {
    0,
    0,
    0,
    0,
    CONNECT_BIND,
    CONNECT_NONBLOCK,
    CONNECT_NONBLOCK | CONNECT_ASK,
    CONNECT_NONBLOCK | CONNECT_AGAIN,
    CONNECT_FASTOPEN,
    CONNECT_FASTOPEN2,
};

static uint32_t token_of(struct world *w, enum side side) {
    struct order o = {.op = OP_TOKEN, .fd = w->end[side].holder[0].fd};
    struct answer a;
    (void)order(w, w->end[side].holder[0].process, &o, &a, NULL);
    if (a.token == 0)
        fail("an MPTCP connection without a token");
    return a.token;
}

static void connect_both(struct world *w, enum family family) {
    struct order o = {.op = OP_CONNECT, .n = 1 + below(w, 500)};
    struct order accept = {.op = OP_ACCEPT, .how = below(w, ACCEPT_HOWS), .fd = LISTENER};
    struct answer a;
    bool fastopen;
    o.length = destination(w, family, &o.address);
    o.how = connect_hows[below(w, (int)(sizeof connect_hows / sizeof *connect_hows))];
    fastopen = o.how & (CONNECT_FASTOPEN | CONNECT_FASTOPEN2) && family < MPTCP_BOTH;
    if ((family >= MPTCP_BOTH && !fastopen && o.how & (CONNECT_FASTOPEN | CONNECT_FASTOPEN2)) ||
        (o.how & CONNECT_BIND && family != V4))
        o.how = 0;
    if (family == MPTCP_BOTH || family == MPTCP_NEAR)
        o.how |= CONNECT_MPTCP;
    if (chance(w, 40))
        o.how |= CONNECT_CLOEXEC;
    if (family == V6 || family == DUAL_STACK_FAR)
        accept.fd = LISTENER6;
    else if (family == MPTCP_BOTH || family == MPTCP_FAR)
        accept.fd = LISTENER_MPTCP;
    if (order(w, NEAR, &o, &a, NULL) < 0)
        fail("connect");
    int fd = order(w, FAR, &accept, NULL, NULL);
    if (fd < 0)
        fail("accept");
    w->mptcp = family == MPTCP_BOTH;
    memset(w->end, 0, sizeof w->end);
    w->end[NEAR].mptcp = family == MPTCP_BOTH || family == MPTCP_NEAR;
    w->end[FAR].mptcp = family == MPTCP_BOTH;
    w->end[NEAR].name = name_of(&a.local);
    w->end[FAR].name = name_of(&a.peer);
    (void)hold(&w->end[NEAR], NEAR, a.result, o.how & CONNECT_CLOEXEC);
    (void)hold(&w->end[FAR], FAR, fd, accept.how == ACCEPT_CLOEXEC);
    if (w->mptcp) {
        w->end[NEAR].token = token_of(w, NEAR);
        w->end[FAR].token = token_of(w, FAR);
    }
    w->end[FAR].unread = fastopen ? o.n : 0;
    if (fastopen)
        mark(&w->end[NEAR], FASTOPEN);
    if (o.how & CONNECT_NONBLOCK)
        mark(&w->end[NEAR], NONBLOCKING);
    for (enum side side = NEAR; family >= MPTCP_BOTH && side <= FAR; side++)
        mark(&w->end[side], MPTCP);
    tell(w, "  %s: connect how %d -> fd %d, accept how %d -> fd %d\n", family_name[family], o.how, a.result, accept.how,
         fd);
    settle(w);
}

static void print_end(const struct world *w, uint64_t number, enum side side, enum family family, unsigned state) {
    char local[INET6_ADDRSTRLEN], peer[INET6_ADDRSTRLEN];
    const struct end *e = &w->end[side], *p = &w->end[!side];
    (void)inet_ntop(e->name.v4 ? AF_INET : AF_INET6, e->name.address, local, sizeof local);
    (void)inet_ntop(p->name.v4 ? AF_INET : AF_INET6, p->name.address, peer, sizeof peer);
    int row = PLAIN;
    for (int trait = 0; trait < TRAITS; trait++)
        if (e->traits >> trait & 1)
            row = trait;
    printf("%llu\t%s\t%s\t%u\t%s\t%u\t%s\t%s\t%s\t%s\n", (unsigned long long)number, side_name[side], local,
           e->name.port, peer, p->name.port, state_name[state], trait_name[row], family_name[family],
           w->unsettled ? "unsettled" : "");
}

static void lifecycle(struct world *w, uint64_t seed, uint64_t number) {
    struct seen seen[2];
    w->random = seed * 0x2545f4914f6cdd1du ^ number * 0x9e3779b97f4a7c15u;
    w->unsettled = w->mptcp = false;
    enum family family = chance(w, 40) ? V4 : (enum family)below(w, FAMILIES);
    tell(w, "lifecycle %llu of seed %llu:\n", (unsigned long long)number, (unsigned long long)seed);
    for (enum side side = NEAR; side <= FAR; side++)
        if (!w->process[side].alive)
            start_main(w, side);
    connect_both(w, family);
    for (int steps = below(w, 12); steps > 0; steps--)
        take_step(w, during, sizeof during / sizeof *during);
    while (w->end[NEAR].holders + w->end[FAR].holders > 0)
        take_step(w, closing, sizeof closing / sizeof *closing);
    for (int i = 2; i < PROCESSES; i++)
        if (w->process[i].alive)
            end_process(w, i, below(w, END_HOWS));
    settle(w);
    look(w, seen);
    print_end(w, number, NEAR, family, seen[NEAR].state);
    print_end(w, number, FAR, family, seen[FAR].state);
}

#endif
