/* lifecycles_steps.h - the steps of a lifecycle: orders to an actor, and what they change. Part of lifecycles.c. */
#ifndef LIFECYCLES_STEPS_H
#define LIFECYCLES_STEPS_H

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
    bool handed = h->handed; /* a number that the shim does not know makes a copy that it does not know */
    int fd = order_fd(w, h, OP_DUP, how, n);
    told(w, side, h, "dup", how, n, fd);
    if (fd < 0)
        fail("dup");
    mark(&w->end[side], COPIED);
    struct end *e = &w->end[side];
    e->holder[hold(e, process, fd, how == DUP_FCNTL_CLOEXEC || how == DUP_DUP3_CLOEXEC)].handed = handed;
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

/* A program that inherited it has come and gone. */
static void shared_for_a_moment(struct world *w, enum side side) {
    if (w->end[side].fin && w->end[side].mptcp && !w->mptcp)
        mark(&w->end[side], FELL_BACK);
}

static bool step_vfork(struct world *w, enum side side) {
    struct holder *h = some_holder(w, side);
    int how = below(w, VFORK_HOWS);
    if (!h)
        return false;
    told(w, side, h, "vfork", how, 0, order_fd(w, h, OP_VFORK, how, 0));
    mark(&w->end[side], VFORKED);
    shared_for_a_moment(w, side);
    return true;
}

static bool step_system(struct world *w, enum side side) {
    struct holder *h = some_holder(w, side);
    if (!h)
        return false;
    told(w, side, h, "system", 0, 0, order_fd(w, h, OP_SYSTEM, 0, 0));
    mark(&w->end[side], SPAWNED);
    shared_for_a_moment(w, side);
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

#endif
