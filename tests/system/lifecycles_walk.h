/* lifecycles_walk.h - one lifecycle: a random walk from connect to the last close. Part of lifecycles.c. */
#ifndef LIFECYCLES_WALK_H
#define LIFECYCLES_WALK_H

#include "lifecycles_steps.h"

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
