#include "shim/closing.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>

#include "shim/adopt.h"
#include "shim/arm.h"
#include "shim/client.h"
#include "shim/held.h"
#include "shim/look.h"
#include "shim/minutes.h"
#include "shim/process.h"
#include "shim/verify.h"
#include "state/pair.h"
#include "state/ring.h"
#include "state/stats.h"
#include "state/sys.h"

/* A child of a server with thousands of connections shall not look at each before it execs a helper: the parent holds
 * them, and logs them. */
enum { EXEC_INHERITED_MAX = 64, INHERITED_LOOK = 256 };

static bool others_may_hold(const struct conn *c) {
    return conn_flags(c) & (CONN_ADOPTED | CONN_PASSED) || c->generation != process_generation();
}

/* State and receive queue with as few system calls as the case allows. */
static void look_at(const struct conn *c, int fd, struct fate_facts *f) {
    uint32_t flags = conn_flags(c);
    bool plain = !(flags & (CONN_MPTCP | CONN_ULP | CONN_SHUT)) && !f->others;
    if (plain && c->phase == CONN_CONNECTED) {
        look_peek(fd, &f->phase, &f->unread);
        return;
    }
    if (look_state(fd, &f->phase, NULL) != 0)
        f->phase = PHASE_UNKNOWN;
    /* A peek sees the queue, and a FIN that came meanwhile. MPTCP: the subflow stays ESTABLISHED when the peer closes;
     * only reading shows its DATA_FIN. */
    if ((plain || f->mptcp) && f->phase == PHASE_ESTABLISHED && !(flags & CONN_SHUT))
        look_peek(fd, &f->phase, &f->unread);
    else if (f->phase == PHASE_ESTABLISHED || f->phase == PHASE_FIN_WAIT_1 || f->phase == PHASE_FIN_WAIT_2)
        f->unread = look_unread(fd);
}

/* Where exactly the connection is: its port was chosen by the kernel and nobody asked so far. */
static void complete(struct conn *c, int fd) {
    struct endpoint local, peer;
    if (c->local_port == 0 && look_local(fd, &local)) {
        c->source = local.addr;
        c->local_port = local.port;
    }
    if (conn_flags(c) & CONN_PEER_ASK && look_peer(fd, &peer))
        c->peer = peer;
    held_located(c);
}

static void judge(struct closing *c) {
    struct conn *conn = c->conn;
    uint32_t flags = conn_flags(conn);
    struct settings settings = {.log_verify = VERIFY_AUTO};
    c->facts = (struct fate_facts){
        .shutdown_phase = conn->shutdown_phase,
        .connected = conn->phase == CONN_CONNECTED || flags & CONN_ADOPTED,
        .linger_reset = flags & CONN_LINGER_RESET,
        .linger2_off = flags & CONN_LINGER2_OFF,
        .mptcp = flags & CONN_MPTCP,
        .others = others_may_hold(conn),
    };
    ring_prepare(&client.state);
    __builtin_prefetch(conn->pair, 1);
    (void)state_settings(&client.state, NULL, &settings);
    if (settings.log_verify == VERIFY_ALWAYS || (settings.log_verify == VERIFY_AUTO && c->facts.others))
        verify_identify(c);
    complete(conn, c->fd);
    /* As late as can be: a FIN of the peer between this look and the close makes the verdict wrong. */
    look_at(conn, c->fd, &c->facts);
    if (conn->phase == CONN_CONNECTING && c->facts.phase == PHASE_CLOSED && !(flags & CONN_ADOPTED))
        c->connect_error = look_connect_error(c->fd);
    c->verdict = fate_decide(&c->facts);
    if (settings.log_verify != VERIFY_AUTO)
        c->verdict.ask = settings.log_verify == VERIFY_ALWAYS;
    if (c->verdict.ask)
        verify_prepare(c);
}

/* Not what mode off or log.inbound says to pass over. */
static bool worth_a_look(const struct conn *conn) {
    return (conn->phase == CONN_CONNECTED || conn->phase == CONN_CONNECTING) && !(conn_flags(conn) & CONN_QUIET);
}

/* The connection behind fd, claimed, if this close is the last that this process can know of. */
static struct conn *claim(int fd) {
    struct conn *conn;
    switch (fd_look(fd, &conn)) {
    case FD_NOT_TCP:
        (void)fd_claim(fd, &conn);
        return NULL;
    case FD_UNKNOWN: {
        enum tcp_phase phase;
        if (fd < 0 || look_state(fd, &phase, NULL) != 0 || phase == PHASE_LISTEN || !process_may_record())
            return NULL;
        return adopt(fd);
    }
    default:
        break;
    }
    if (!process_may_record() || fd_claim(fd, &conn) != FD_TCP)
        return NULL;
    return conn_unref(conn) ? conn : NULL;
}

void closing_begin(struct closing *c, int fd, enum via via) {
    *c = (struct closing){.fd = fd, .via = via};
    if (!client_active())
        return;
    int saved = errno;
    struct conn *conn = claim(fd);
    if (conn) {
        /* Kept even when there is nothing to log, so that closing_abort can put it back. */
        c->conn = conn;
        if (worth_a_look(conn))
            judge(c);
    }
    errno = saved;
}

static void write_event(struct closing *c, enum fate fate, enum verified verified, uint64_t now) {
    struct event_record r;
    bool by_shutdown = c->verdict.decided_by == DECIDED_BY_SHUTDOWN && fate != FATE_RESET;
    event_of_conn(&r, fate == FATE_TIME_WAIT ? EVENT_TIME_WAIT : EVENT_CLOSE, c->conn, now);
    r.e.via = (uint8_t)c->via;
    r.e.phase = (uint8_t)c->facts.phase;
    r.e.fate = (uint8_t)fate;
    r.e.verified = (uint8_t)verified;
    if (by_shutdown) {
        uint64_t ago = c->conn->shutdown_ns && now > c->conn->shutdown_ns ? now - c->conn->shutdown_ns : 0;
        r.e.decided_by = DECIDED_BY_SHUTDOWN;
        r.e.decided_before_ms = (uint32_t)(ago / 1000000);
    }
    (void)ring_write(&client.state, &r);
}

/* Where its connect was counted; without one, by what is known of it. */
static struct stat_entry *entry_of(const struct conn *conn) {
    struct addr source = conn->source;
    if (conn->stat)
        return stats_of_number(&client.state, conn->stat);
    /* By now the kernel's choice of address is known too, but it was the kernel's. */
    if (!(conn_flags(conn) & (CONN_OUR_BIND | CONN_APP_ADDRESS)))
        source = (struct addr){{0}};
    return stats_find(&client.state, (enum arm)conn->arm, conn->rule_id, &source);
}

static void count(const struct closing *c, enum fate fate) {
    const struct conn *conn = c->conn;
    state_count(&client.state, (enum arm)conn->arm, counter_of_fate(fate));
    struct stat_entry *e = entry_of(conn);
    stats_add(e, STAT_CLOSED + fate);
    if (c->connect_error == ECONNREFUSED)
        stats_add(e, STAT_REFUSED);
    else if (c->connect_error == ETIMEDOUT || c->facts.phase == PHASE_SYN_SENT)
        stats_add(e, STAT_SYN_TIMEOUT);
}

static void finish(struct closing *c) {
    struct conn *conn = c->conn;
    struct settings settings = {0};
    enum verified verified = VERIFIED_NULL;
    enum fate fate = c->verdict.fate;
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    if (c->verdict.ask)
        fate = verify_fate(c, &verified);
    conn_uncount(conn, fate == FATE_TIME_WAIT, now);
    if (conn_flags(conn) & CONN_QUIET || !state_settings(&client.state, NULL, &settings) ||
        client_mode(&settings) == MODE_OFF)
        return;
    count(c, fate);
    minutes_closed(conn, fate, now);
    if (fate == FATE_TIME_WAIT || settings.log_closes == CLOSES_ALL)
        write_event(c, fate, verified, now);
}

void closing_end(struct closing *c, bool closed) {
    struct conn *conn = c->conn;
    if (!conn)
        return;
    int saved = errno;
    if (closed && worth_a_look(conn))
        finish(c);
    held_closed(conn);
    conn_free(conn);
    errno = saved;
}

void closing_abort(struct closing *c) {
    bool kept;
    if (!c->conn)
        return;
    conn_ref(c->conn);
    (void)fd_assign(c->fd, c->conn, &kept);
    if (!kept)
        conn_free(c->conn);
}

void closing_disconnect(int fd, struct conn *conn) {
    struct closing c = {.conn = conn, .fd = fd, .via = VIA_CLOSE};
    int saved = errno;
    if (conn->shutdown_phase != PHASE_UNKNOWN && conn->phase != CONN_IDLE && process_may_record()) {
        judge(&c);
        if (c.facts.phase == PHASE_CLOSED && c.verdict.fate == FATE_TIME_WAIT) {
            finish(&c);
            conn_clear_flags(conn, CONN_COUNTED); /* in all other cases the record is given back */
        }
    }
    errno = saved;
}

/* Is every descriptor of conn in this process close-on-exec? fd is one of them. */
static bool closes_on_exec(const struct conn *conn) {
    struct conn *other;
    uint32_t closing = 0;
    for (int fd = 0; (fd = fd_next_tcp(fd, INT_MAX)) >= 0; fd++)
        if (fd_look(fd, &other) == FD_TCP && other == conn) {
            long flags = sys_call2(SYS_fcntl, fd, F_GETFD);
            if (flags >= 0 && flags & FD_CLOEXEC)
                closing++;
        }
    return closing == __atomic_load_n(&conn->refs, __ATOMIC_RELAXED);
}

static bool may_close_on_exec(int fd, const struct conn *conn) {
    long flags = sys_call2(SYS_fcntl, fd, F_GETFD);
    if (flags < 0 || !(flags & FD_CLOEXEC) || conn->phase == CONN_IDLE || conn->phase == CONN_LISTENING)
        return false;
    return __atomic_load_n(&conn->refs, __ATOMIC_RELAXED) == 1 || closes_on_exec(conn);
}

void closing_exec(bool pending) {
    unsigned inherited = 0;
    for (int fd = 0; (fd = fd_next_tcp(fd, INT_MAX)) >= 0; fd++) {
        struct closing c = {.fd = fd, .via = VIA_EXEC};
        if (fd_look(fd, &c.conn) != FD_TCP)
            continue;
        if (c.conn->generation < process_first_generation() && ++inherited > EXEC_INHERITED_MAX)
            continue;
        if (!may_close_on_exec(fd, c.conn))
            continue;
        if (!pending) {
            held_exec_failed(c.conn);
            continue;
        }
        judge(&c);
        complete(c.conn, fd);
        held_pending(c.conn, HELD_EXEC, c.facts.phase, c.verdict.fate);
    }
}

void closing_range(unsigned first, unsigned last, enum via via) {
    struct closing c;
    int to = last > INT_MAX ? INT_MAX : (int)last;
    if (first > INT_MAX)
        return;
    for (int fd = (int)first; (fd = fd_next_tcp(fd, to)) >= 0; fd++) {
        closing_begin(&c, fd, via);
        closing_end(&c, sys_call1(SYS_close, fd) != -EBADF);
    }
}

/* Sockets that came by inheritance and were never named in a call: into the table, so that the sweep meets them. One
 * poll tells which of the low descriptors are open. */
static void find_inherited(void) {
    struct pollfd fds[INHERITED_LOOK];
    struct timespec now = {0};
    struct conn *conn;
    for (int fd = 0; fd < INHERITED_LOOK; fd++)
        fds[fd] = (struct pollfd){.fd = fd};
    if (sys_call5(SYS_ppoll, fds, INHERITED_LOOK, &now, 0, 0) < 0)
        return;
    for (int fd = 0; fd < INHERITED_LOOK; fd++) {
        enum tcp_phase phase;
        if (!(fds[fd].revents & POLLNVAL) && fd_look(fd, &conn) == FD_UNKNOWN && look_state(fd, &phase, NULL) == 0)
            (void)conn_of(fd);
    }
}

/* Another process may hold the connection, so only the kernel can tell what becomes of it, and only once it is closed
 * here. A stream's buffer is written after the last exit handler: such a socket stays open, and the tool tells. */
static void sweep_shared(struct closing *c) {
    bool buffered = c->fd <= 2 || conn_flags(c->conn) & CONN_STDIO;
    if (c->via != VIA_EXIT || !buffered) {
        (void)sys_call1(SYS_close, c->fd);
        closing_end(c, true);
        return;
    }
    held_pending(c->conn, HELD_EXIT, c->facts.phase, c->verdict.fate);
    conn_free(c->conn);
}

void closing_sweep(enum via via) {
    struct closing c;
    if (!client_active() || !process_may_record())
        return;
    find_inherited();
    for (int fd = 0; (fd = fd_next_tcp(fd, INT_MAX)) >= 0; fd++) {
        closing_begin(&c, fd, via);
        if (c.conn && c.verdict.ask)
            sweep_shared(&c);
        else
            closing_end(&c, true);
    }
    held_release();
    /* After the first sweep (exit handlers run, then _exit) there is nothing left to say. */
    if (__atomic_exchange_n(&client.attached, 0, __ATOMIC_RELAXED)) {
        struct settings settings = {0};
        (void)state_settings(&client.state, NULL, &settings);
        if (client_mode(&settings) != MODE_OFF)
            event_text(EVENT_DETACH, arm_of_process(), "");
    }
}
