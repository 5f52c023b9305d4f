/* lifecycles_conduct.h - the conductor's side: who holds the connection, orders, and waiting until both ends have seen
 * what the last step did. Part of lifecycles.c. */
#ifndef LIFECYCLES_CONDUCT_H
#define LIFECYCLES_CONDUCT_H

#include <stdarg.h>
#include <time.h>

#include "lifecycles_actor.h"
#include "lifecycles_kernel.h"

enum side { NEAR, FAR }; /* who connected, who accepted */
enum { PROCESSES = 16, HOLDERS = 14, IN_FLIGHT = -1 };

/* What happened to an end. The last of these is its row in the matrix. */
enum trait {
    PLAIN,
    DATA,
    NONBLOCKING,
    FASTOPEN,
    SHUTDOWN,
    LINGERS,
    PEEKED,
    UNREAD,
    LINGER_RESET,
    LINGER2_OFF,
    COPIED,
    THREADS,
    VFORKED,
    SPAWNED,
    FORKED,
    PASSED,
    EXECED,
    DISCONNECTED,
    MPTCP,
    KILLED,
    PEER_RESET, /* from here on: what nobody can know at the close */
    PEER_DATA,
    UNWATCHED,
    FELL_BACK, /* MPTCP with a peer without: half-closed, the kernel does not say how many hold it */
    HANDED,    /* to a process that was killed before it did anything that the shim sees */
    TRAITS
};
static const char *const trait_name[TRAITS] = {
    [PLAIN] = "plain",
    [DATA] = "data",
    [NONBLOCKING] = "nonblocking connect",
    [FASTOPEN] = "fast open",
    [SHUTDOWN] = "shutdown",
    [LINGERS] = "linger {1, t}",
    [PEEKED] = "peeked data",
    [UNREAD] = "unread data",
    [LINGER_RESET] = "linger {1, 0}",
    [LINGER2_OFF] = "TCP_LINGER2 < 0",
    [COPIED] = "dup",
    [THREADS] = "threads",
    [VFORKED] = "vfork",
    [SPAWNED] = "posix_spawn",
    [FORKED] = "fork",
    [PASSED] = "SCM_RIGHTS",
    [EXECED] = "exec",
    [DISCONNECTED] = "connect(AF_UNSPEC)",
    [MPTCP] = "MPTCP",
    [KILLED] = "SIGKILL",
    [PEER_RESET] = "peer reset after our close",
    [PEER_DATA] = "peer data after our close",
    [UNWATCHED] = "closed last where no shim is",
    [FELL_BACK] = "fallen back, shut down and shared",
    [HANDED] = "handed to a process, and killed",
};

struct process {
    bool alive, bare; /* bare: not preloaded */
    bool cloned;      /* by the bare system call: libc does not know its thread */
    enum side side;
    pid_t pid;
    int pidfd, channel;
    char name[32];
};

struct holder {
    int process, fd; /* fd IN_FLIGHT: in that process's mailbox */
    bool cloexec;
    bool handed; /* by SCM_RIGHTS, posix_spawn or a fork without handlers */
};

struct end {
    struct holder holder[HOLDERS];
    int holders;
    struct name name;
    uint32_t traits;
    int unread;
    bool fin;
    bool mptcp;     /* an MPTCP socket: what has come is not in its subflow's queue */
    uint32_t token; /* of an MPTCP connection */
    unsigned state; /* as of the last settling */
    bool closed;    /* then already */
};

struct world {
    struct process process[PROCESSES]; /* the first two are the main actors */
    struct end end[2];
    int netlink, serial;
    uint64_t random;
    bool verbose, mptcp, unsettled, peer_wrote;
    const char *to, *to6;
    uint16_t port;
};

static void tell(const struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void tell(const struct world *w, const char *format, ...) {
    va_list list;
    va_start(list, format);
    if (w->verbose)
        (void)vfprintf(stderr, format, list);
    va_end(list);
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

/* splitmix64 */
static uint64_t draw(struct world *w) {
    uint64_t z = w->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static int below(struct world *w, int n) {
    return (int)(draw(w) % (uint64_t)n);
}

static bool chance(struct world *w, int percent) {
    return below(w, 100) < percent;
}

/* --- orders --- */

/* Waits for the answer. False: the process is gone. *passed: a descriptor that came with it, or -1. */
static bool hear(struct process *p, struct answer *a, int *passed) {
    struct pollfd wait[2] = {{.fd = p->channel, .events = POLLIN}, {.fd = p->pidfd, .events = POLLIN}};
    if (poll(wait, p->pidfd < 0 ? 1 : 2, 10000) < 1)
        fail("an actor does not answer");
    *a = (struct answer){0};
    return wait[0].revents & POLLIN && receive_with(p->channel, a, sizeof *a, passed) == sizeof *a;
}

static int order(struct world *w, int process, const struct order *o, struct answer *a, int *passed) {
    struct answer own;
    int nothing;
    struct process *p = &w->process[process];
    a = a ? a : &own;
    if (send(p->channel, o, sizeof *o, MSG_NOSIGNAL) != sizeof *o || !hear(p, a, passed ? passed : &nothing))
        fail("an actor has gone");
    errno = a->error;
    return a->result;
}

static int order_fd(struct world *w, const struct holder *h, enum op op, int how, int n) {
    struct order o = {.op = op, .fd = h->fd, .how = how, .n = n};
    return order(w, h->process, &o, NULL, NULL);
}

/* --- processes --- */

static void name_actor(struct world *w, char name[32]) {
    (void)snprintf(name, 32, "%d-%d", (int)getpid(), w->serial++);
}

static int free_process(const struct world *w) {
    for (int i = 2; i < PROCESSES; i++)
        if (!w->process[i].alive)
            return i;
    return -1;
}

/* The channel's other end is an actor that has just begun. */
static void welcome(struct process *p, int channel, enum side side, bool bare, const char *name) {
    struct answer a;
    int nothing;
    *p = (struct process){.alive = true, .bare = bare, .side = side, .pidfd = -1, .channel = channel};
    memcpy(p->name, name, sizeof p->name);
    if (!hear(p, &a, &nothing))
        fail("an actor did not begin");
    p->pid = a.pid;
    p->pidfd = (int)syscall(SYS_pidfd_open, a.pid, 0);
    if (p->pidfd < 0)
        fail("pidfd_open");
}

static void start_main(struct world *w, enum side side) {
    int pair[2];
    char name[32] = {0};
    name_actor(w, name);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        fail("socketpair");
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(pair[1], CONTROL);
        (void)close_range(FIRST_FREE, ~0u, 0);
        if (side == NEAR)
            for (int fd = LISTENER; fd < FIRST_FREE; fd++)
                (void)dup2(NOTHING, fd);
        (void)execv("/proc/self/exe", actor_argv(name));
        _exit(6);
    }
    (void)close(pair[1]);
    welcome(&w->process[side], pair[0], side, false, name);
}

static void gone(struct process *p) {
    struct pollfd end = {.fd = p->pidfd, .events = POLLIN};
    if (poll(&end, 1, 10000) != 1)
        fail("an actor does not end");
    (void)waitpid(p->pid, NULL, WNOHANG);
    (void)close(p->pidfd);
    (void)close(p->channel);
    p->alive = false;
}

/* --- who holds what --- */

/* Its number among the holders. */
static int hold(struct end *e, int process, int fd, bool cloexec) {
    if (e->holders == HOLDERS)
        fail("too many holders");
    e->holder[e->holders] = (struct holder){process, fd, cloexec, false};
    return e->holders++;
}

static void mark(struct end *e, enum trait trait) {
    e->traits |= UINT32_C(1) << trait;
}

static void release(struct world *w, enum side side, int at) {
    struct end *e = &w->end[side];
    struct holder h = e->holder[at];
    e->holder[at] = e->holder[--e->holders];
    if (e->holders > 0) {
        if (e->fin && e->mptcp && !w->mptcp)
            mark(e, FELL_BACK);
        return;
    }
    e->fin = true;
    if (e->unread > 0)
        mark(e, UNREAD);
    if (h.fd == IN_FLIGHT || w->process[h.process].bare)
        mark(e, UNWATCHED);
}

/* A holder that can be ordered about, or NULL. */
static struct holder *some_holder(struct world *w, enum side side) {
    struct end *e = &w->end[side];
    int start = e->holders ? below(w, e->holders) : 0;
    for (int i = 0; i < e->holders; i++) {
        struct holder *h = &e->holder[(start + i) % e->holders];
        if (h->fd != IN_FLIGHT)
            return h;
    }
    return NULL;
}

static int highest_fd(const struct world *w, int process) {
    int highest = FIRST_FREE;
    for (int side = NEAR; side <= FAR; side++)
        for (int i = 0; i < w->end[side].holders; i++)
            if (w->end[side].holder[i].process == process && w->end[side].holder[i].fd > highest)
                highest = w->end[side].holder[i].fd;
    return highest;
}

/* --- settling --- */

static uint64_t now_ms(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static bool has_come(const struct end *e, struct seen s) {
    return e->mptcp || (int)s.unread >= e->unread;
}

/* Both ends have seen all that the other has sent; nothing happens any more without a further step. */
static bool at_rest(const struct world *w, struct seen near, struct seen far) {
    const struct end *e = w->end;
    if (near.state == ESTABLISHED && far.state == ESTABLISHED)
        return !e[NEAR].fin && !e[FAR].fin && has_come(&e[NEAR], near) && has_come(&e[FAR], far);
    for (int side = NEAR; side <= FAR; side++) {
        struct seen a = side == NEAR ? near : far, b = side == NEAR ? far : near;
        if ((a.state == GONE || a.state == TIME_WAIT) && b.state == GONE)
            return true;
        /* What is written to an end that is gone, or goes by it, comes back as a reset. */
        if (a.state == GONE && b.state == CLOSE_WAIT)
            return e[!side].holders > 0 && !w->peer_wrote;
        if ((a.state == FIN_WAIT1 || a.state == FIN_WAIT2) && b.state == CLOSE_WAIT)
            return e[!side].holders > 0 && has_come(&e[side], a) && has_come(&e[!side], b);
    }
    return false;
}

static void look(struct world *w, struct seen seen[2]) {
    seen[NEAR] = ask(w->netlink, &w->end[NEAR].name, &w->end[FAR].name);
    seen[FAR] = ask(w->netlink, &w->end[FAR].name, &w->end[NEAR].name);
}

static void await_mptcp(struct world *w) {
    for (enum side side = NEAR; side <= FAR; side++) {
        struct holder *h = some_holder(w, side);
        if (h && w->end[side].mptcp && w->end[side].unread && order_fd(w, h, OP_AWAIT, 0, w->end[side].unread) != 0)
            w->unsettled = true;
    }
}

static bool over(struct seen s) {
    return s.state == GONE || s.state == TIME_WAIT;
}

/* subflow: of each end. It outlives the connection for a moment. */
static bool mptcp_at_rest(const struct world *w, const struct seen subflow[2]) {
    struct seen near = ask_mptcp(w->netlink, w->end[NEAR].token, &w->end[FAR].name);
    struct seen far = ask_mptcp(w->netlink, w->end[FAR].token, &w->end[NEAR].name);
    bool both_over = near.state == GONE && far.state == GONE;
    return at_rest(w, near, far) && (!both_over || (over(subflow[NEAR]) && over(subflow[FAR])));
}

static void settle(struct world *w) {
    uint64_t end = now_ms() + 2000;
    struct seen seen[2];
    bool rest;
    await_mptcp(w);
    do {
        look(w, seen);
        rest = w->mptcp ? mptcp_at_rest(w, seen) : at_rest(w, seen[NEAR], seen[FAR]);
        if (!rest)
            (void)sched_yield();
    } while (!rest && now_ms() < end);
    for (enum side side = NEAR; side <= FAR; side++) {
        struct end *e = &w->end[side];
        unsigned was = e->state;
        /* It would have become a TIME-WAIT if the other end had just closed too. */
        bool would_wait = e->closed && was != GONE && was != TIME_WAIT && was != LAST_ACK && was != CLOSE_WAIT;
        e->state = seen[side].state;
        e->closed = e->holders == 0;
        if (would_wait && e->state == GONE && seen[!side].state == GONE)
            mark(e, w->peer_wrote ? PEER_DATA : PEER_RESET);
    }
    if (!rest)
        w->unsettled = true;
    tell(w, "    -> near %s %u/%d, far %s %u/%d%s\n", state_name[seen[NEAR].state], seen[NEAR].unread,
         w->end[NEAR].unread, state_name[seen[FAR].state], seen[FAR].unread, w->end[FAR].unread,
         rest ? "" : " UNSETTLED");
}

#endif
