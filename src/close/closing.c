#include "close/closing.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>

#include "client/track.h"
#include "client/client.h"
#include "client/open_table.h"
#include "client/sockinfo.h"
#include "client/process.h"
#include "close/peer.h"
#include "close/record.h"
#include "close/deferred.h"
#include "close/look.h"
#include "close/verify.h"
#include "state/dedup.h"
#include "state/pair.h"
#include "state/ring.h"
#include "base/sys.h"
#include "state/control.h"

/* A child of a server with thousands of connections shall not look at each before it execs a helper: the parent holds
 * them, and logs them. */
enum { EXEC_INHERITED_MAX = 64 };

static bool others_may_hold(const struct conn *c) {
    return conn_flags(c) & (CONN_ADOPTED | CONN_PASSED) || process_forking() || c->generation != process_generation();
}

void closing_complete(struct conn *c, int fd) {
    struct endpoint local, peer;
    if (c->local_port == 0 && sockinfo_local(fd, &local)) {
        c->source = local.addr;
        __atomic_store_n(&c->local_port, local.port, __ATOMIC_RELAXED);
    }
    if (conn_flags(c) & CONN_PEER_ASK && sockinfo_peer(fd, &peer))
        c->peer = peer;
    open_table_located(c);
}

/* MPTCP_UNKNOWN: no answer. */
__attribute__((noinline)) static uint32_t ask_token(struct client *client, int fd) {
    uint32_t token;
    return sockinfo_mptcp_token(fd, &token) && (token || client->mptcp_info) ? token : MPTCP_UNKNOWN;
}

uint32_t closing_token(struct client *client, struct conn *c, int fd) {
    if (c->token == MPTCP_UNKNOWN)
        __atomic_store_n(&c->token, ask_token(client, fd), __ATOMIC_RELAXED);
    return c->token;
}

/* Why its connect failed, or has been given up: an ICMP error does not end an attempt that the client may wait for. */
__attribute__((noinline)) static void look_why_not_connected(struct closing *c) {
    bool may_fetch = c->sure && c->claimed && !c->facts.others;
    if (c->facts.phase == TCP_STATE_SYN_SENT)
        c->exact = sockinfo_pending_error(c->fd, c->conn->so_error, may_fetch, &c->connect_error);
    else if (c->facts.phase == TCP_STATE_CLOSED)
        c->exact = sockinfo_connect_error(c->fd, c->conn->so_error, may_fetch, &c->connect_error);
}

/* Our FIN is sent, and no TIME-WAIT is to come unless the peer's FIN comes before the close. A reset frees the
 * quadruplet at once: so it must be found by the cookie, drawn before that FIN came. Draw it, and look again. */
__attribute__((noinline)) static void look_identified(struct closing *c) {
    struct conn *conn = c->conn;
    enum tcp_state phase = c->facts.phase;
    if (phase != TCP_STATE_FIN_WAIT_1 && phase != TCP_STATE_FIN_WAIT_2 && phase != TCP_STATE_CLOSING)
        return;
    if (conn->shutdown_phase == TCP_STATE_UNKNOWN) { /* another process shut it down, or a call that no wrapper saw */
        conn->shutdown_phase = (uint8_t)phase;
        conn->shutdown_ns = clock_ns(CLOCK_MONOTONIC);
        c->facts.shutdown_phase = phase;
    }
    verify_identify(c);
    look_at(conn, c->fd, &c->facts, c->cookie != 0, c->sure);
    c->verdict = fate_decide(&c->facts);
}

/* A part of each that looks, lest it saves and restores all registers once more. So are finish and claim. */
__attribute__((always_inline)) static inline void judge(struct closing *c) {
    struct conn *conn = c->conn;
    uint32_t flags = conn_flags(conn);
    c->facts = (struct fate_facts){
        .shutdown_phase = conn->shutdown_phase,
        .connected = conn->phase == CONN_CONNECTED || flags & CONN_ADOPTED,
        .linger_reset = flags & CONN_LINGER_RESET,
        .repair = flags & CONN_REPAIR,
        .linger2_off = flags & CONN_LINGER2_OFF,
        .mptcp = closing_token(c->client, conn, c->fd) != 0,
        .fallback = flags & CONN_MPTCP && conn->token == 0,
        .others = others_may_hold(conn),
    };
    ring_prepare(&c->client->state);
    __builtin_prefetch(conn->pair, 1);
    uint8_t asking = c->settings.log_verify;
    if (c->facts.others) {
        c->looked_ns = clock_ns(CLOCK_MONOTONIC);
        c->facts.linger2_off |= sockinfo_linger2_off(c->fd); /* set by another process that has it */
    }
    if (asking == VERIFY_ALWAYS || (asking == VERIFY_AUTO && c->facts.others))
        verify_identify(c);
    closing_complete(conn, c->fd);
    /* As late as can be: a FIN of the peer between this look and the close makes the verdict wrong. */
    look_at(conn, c->fd, &c->facts, c->cookie != 0, c->sure);
    if (conn->phase == CONN_CONNECTING && !(flags & CONN_ADOPTED))
        look_why_not_connected(c);
    c->verdict = fate_decide(&c->facts);
    if (asking != VERIFY_AUTO)
        c->verdict.ask = asking == VERIFY_ALWAYS;
    else if (c->verdict.ask && c->cookie == 0)
        look_identified(c);
    peer_look(c);
    if (c->verdict.ask)
        verify_prepare(c);
}

/* Not what mode off or log.inbound says to pass over. */
static bool phase_is_worth(const struct conn *conn, uint8_t phase) {
    return (phase == CONN_CONNECTED || phase == CONN_CONNECTING) && !(conn_flags(conn) & CONN_QUIET);
}

static bool worth_a_look(const struct conn *conn) {
    return phase_is_worth(conn, conn->phase);
}

/* What only an open descriptor tells of its connection. */
struct located {
    struct endpoint local;
    uint32_t token;
    uint64_t connected_ns;
};

/* Asked before the claim: until then, no other thread that closes fd too can have come to its real close; afterwards it
 * may be the first there, and the number be gone. conn may be another's by the time it is read, and one that has just
 * connected it may be writing: see settle_located. */
static struct located look_located(struct client *client, const struct conn *conn, int fd) {
    struct located p = {.token = __atomic_load_n(&conn->token, __ATOMIC_RELAXED),
                        .connected_ns = __atomic_load_n(&conn->connected_ns, __ATOMIC_RELAXED)};
    if (!phase_is_worth(conn, __atomic_load_n(&conn->phase, __ATOMIC_RELAXED)))
        return p;
    if (__atomic_load_n(&conn->local_port, __ATOMIC_RELAXED) == 0)
        (void)sockinfo_local(fd, &p.local);
    if (p.token == MPTCP_UNKNOWN)
        p.token = ask_token(client, fd);
    return p;
}

/* conn is ours alone now, or others have it too, and would learn the same. */
static void settle_located(struct conn *conn, const struct located *p) {
    if (conn->connected_ns != p->connected_ns)
        return; /* another connection's: the record has changed hands meanwhile */
    if (conn->local_port == 0 && p->local.port != 0) {
        conn->source = p->local.addr;
        __atomic_store_n(&conn->local_port, p->local.port, __ATOMIC_RELAXED);
    }
    if (conn->token == MPTCP_UNKNOWN)
        __atomic_store_n(&conn->token, p->token, __ATOMIC_RELAXED);
}

/* The connection behind c->fd, claimed, if this close is the last that this process can know of; of a close that may
 * fail, also where it is not, but then it is only held. */
__attribute__((always_inline)) static inline struct conn *claim(struct closing *c) {
    struct conn *conn, *known;
    int fd = c->fd;
    c->word = fd_word_of(fd);
    switch (fd_look_at(c->word, &known)) {
    case FD_NOT_TCP:
        fd_set_unknown(fd);
        return NULL;
    case FD_UNKNOWN: {
        enum tcp_state phase;
        if (c->silent || fd < 0 || sockinfo_state(fd, &phase, NULL) != 0 || phase == TCP_STATE_LISTEN ||
            !process_may_record(c->client))
            return NULL;
        c->found = true;
        return track_adopt(c->client, fd);
    }
    default:
        break;
    }
    if (!process_may_record(c->client))
        return NULL;
    struct located place = {0};
    bool look = known && !c->silent; /* NULL: another thread is closing it, and learns that we are, too */
    if (look)
        place = look_located(c->client, known, fd);
    c->claimed = fd_closing(c->word, &conn) == FD_TCP;
    if (!c->claimed || !(c->sure ? conn_unref(conn) : conn_unref_held(conn, &c->held) || c->held))
        return NULL;
    if (look && conn == known)
        settle_located(conn, &place);
    return conn;
}

/* Flattened, as are closing_end and record_close: what each close passes is one piece, what hardly one does is apart.
 */
__attribute__((flatten)) void closing_begin(struct closing *c, struct client *client, int fd, enum via via, bool sure) {
    *c = (struct closing){.client = client, .fd = fd, .via = via, .sure = sure, .mark = deferred_mark()};
    if (!client_active(client))
        return;
    c->settings = client_settings(client);
    c->silent = !settings_ask(c->settings);
    int saved = errno;
    struct conn *conn = claim(c);
    if (conn) {
        /* Kept even when there is nothing to log, so that closing_abort can put it back. */
        c->conn = conn;
        if (!c->silent && conn->phase == CONN_IDLE)
            conn_catch_up(client, conn, fd, others_may_hold(conn));
        if (!c->silent && worth_a_look(conn))
            judge(c);
    }
    errno = saved;
}

/* Of several processes that hold one socket, each may see its end; and a TIME-WAIT that was there before the close may
 * be seen by one that finds the closed socket later (received, or closed by two threads), though we alone held it. */
__attribute__((noinline)) static bool is_recorded(const struct closing *c, uint64_t now) {
    const struct conn *conn = c->conn;
    uint64_t since = c->looked_ns;
    bool alone = !c->facts.others;
    if (conn->local_port == 0) /* disconnected by another thread, which recorded it */
        return true;
    /* It may have been recorded already while we held it; a word of the millisecond in which it began may be another's.
     */
    if (c->facts.phase == TCP_STATE_CLOSED || c->facts.phase == TCP_STATE_UNKNOWN || c->facts.fallback)
        since = conn->connected_ns ? conn->connected_ns + (alone ? 1000000 : 0) : now - DEDUP_NS;
    const struct endpoint *peer = peer_of(c);
    struct tuple tuple = tuple_of(&conn->source, conn->local_port, &peer->addr, peer->port);
    return !dedup_first(&c->client->state, __atomic_load_n(&c->client->netns, __ATOMIC_RELAXED), &tuple, since,
                        clock_ns(CLOCK_MONOTONIC));
}

/* Hardly ever: of those that nothing else holds, only one that was closed already. */
static inline bool recorded_before(const struct closing *c, uint64_t now) {
    if (!c->facts.others && (c->facts.phase != TCP_STATE_CLOSED || c->conn->local_port == 0))
        return false;
    return is_recorded(c, now);
}

/* Another thread forked between the look and the close: the child has it too. */
static void notice_fork(struct closing *c) {
    if (c->facts.others || !others_may_hold(c->conn))
        return;
    c->forked = c->facts.others = true;
    c->looked_ns = c->conn->connected_ns;
    c->verdict.ask |= c->settings.log_verify != VERIFY_NEVER;
}

/* It was open when it was claimed and is not now: another thread closed the same number, and may have found no record,
 * or other copies. What this close itself has found, without a record, is that other thread's to record. */
static bool lost_the_race(struct closing *c) {
    if (c->found)
        return false;
    if (!c->facts.others)
        c->looked_ns = c->conn->connected_ns;
    c->raced = c->facts.others = c->verdict.ask = true;
    return true;
}

__attribute__((always_inline)) static inline void finish(struct closing *c) {
    struct conn *conn = c->conn;
    enum verified verified = VERIFIED_NULL;
    enum fate fate = c->verdict.fate;
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    notice_fork(c);
    if (c->verdict.ask)
        fate = verify_fate(c, &verified);
    if (fate == FATE_TIME_WAIT && recorded_before(c, now))
        fate = FATE_SHARED;
    conn_uncount(conn, fate == FATE_TIME_WAIT, now);
    record_close(c, fate, verified, now);
}

/* Another thread's note: when it was left this one still had a reference to the socket. */
static bool settle(struct closing *c) {
    enum verified verified;
    enum fate fate = verify_again(c, &verified);
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    if (fate == FATE_SHARED)
        return false;
    if (fate == FATE_TIME_WAIT && recorded_before(c, now))
        return true;
    if (fate == FATE_TIME_WAIT && conn_flags(c->conn) & CONN_COUNTED)
        pair_waits(c->conn->pair, now);
    record_close(c, fate, verified, now);
    return true;
}

static void settle_noted(const struct closing *c) {
    if (deferred_mark() != c->mark && client_asks(c->client) && process_may_record(c->client))
        deferred_settle(c->mark, settle);
}

/* A filter of the client's own keeps us from finding out what becomes of it; mode off, from saying so. */
static void finish_unasked(struct client *client, const struct conn *conn) {
    if (!worth_a_look(conn))
        return;
    conn_uncount(conn, false, conn->connected_ns);
    if (sys_sealed())
        state_count(&client->state, (enum arm)conn->arm, COUNT_SEALED_CLOSE);
}

__attribute__((flatten)) void closing_end(struct closing *c, bool closed) {
    struct conn *conn = c->conn;
    int saved = errno;
    if (c->claimed)
        fd_closed(c->word);
    if (conn && (!c->held || conn_unhold(conn))) {
        if (c->silent)
            finish_unasked(c->client, conn);
        else if (worth_a_look(conn) && ((closed && !c->held) || lost_the_race(c)))
            finish(c);
        open_table_closed(conn);
        conn_free(conn);
    }
    settle_noted(c);
    errno = saved;
}

void closing_abort(struct closing *c) {
    struct conn *conn = c->conn;
    if (c->claimed && conn) {
        /* Other threads found no record meanwhile, whether they copied it, shut it down, or set an option. */
        conn_set_flags(conn, CONN_PASSED);
        conn_ref(conn);
        if (!fd_put_back(c->word, conn))
            (void)conn_unref(conn);
        else if (c->held)
            c->claimed = false;
        else
            return;
    }
    closing_end(c, false);
}

void closing_disconnect(struct client *client, int fd, struct conn *conn) {
    struct closing c = {
        .client = client, .conn = conn, .fd = fd, .via = VIA_CLOSE, .settings = client_settings(client)};
    int saved = errno;
    bool shut = conn->shutdown_phase != TCP_STATE_UNKNOWN || others_may_hold(conn);
    if (shut && conn->phase != CONN_IDLE && process_may_record(client)) {
        enum verified verified;
        judge(&c);
        if (c.verdict.ask && c.facts.phase == TCP_STATE_CLOSED)
            c.verdict.fate = verify_fate(&c, &verified);
        if (c.facts.phase == TCP_STATE_CLOSED && c.verdict.fate == FATE_TIME_WAIT) {
            finish(&c);
            conn_clear_flags(conn, CONN_COUNTED); /* in all other cases the record is given back */
        }
    }
    errno = saved;
}

/* Is every descriptor of conn in this process close-on-exec? fd is one of them. */
static bool closes_on_exec(const struct conn *conn) {
    uint32_t closing = 0;
    for (int fd = 0; (fd = fd_next_tcp(fd, INT_MAX)) >= 0; fd++)
        if (fd_is(fd, conn)) {
            long flags = sys_call2(SYS_fcntl, fd, F_GETFD);
            if (flags >= 0 && flags & FD_CLOEXEC)
                closing++;
        }
    return closing == conn_descriptors(conn);
}

static bool may_close_on_exec(struct client *client, int fd, struct conn *conn) {
    long flags = sys_call2(SYS_fcntl, fd, F_GETFD);
    if (flags < 0 || !(flags & FD_CLOEXEC))
        return false;
    conn_catch_up(client, conn, fd, others_may_hold(conn));
    if (conn->phase == CONN_IDLE || conn->phase == CONN_LISTENING)
        return false;
    return conn_descriptors(conn) == 1 || closes_on_exec(conn);
}

void closing_exec(struct client *client, bool pending) {
    unsigned inherited = 0;
    if (pending)
        track_find(client, 0, INT_MAX);
    for (int fd = 0; (fd = fd_next_tcp(fd, INT_MAX)) >= 0; fd++) {
        struct closing c = {.client = client, .fd = fd, .via = VIA_EXEC, .settings = client_settings(client)};
        if (fd_look(fd, &c.conn) != FD_TCP)
            continue;
        if (c.conn->generation < process_first_generation() && ++inherited > EXEC_INHERITED_MAX)
            continue;
        if (!may_close_on_exec(client, fd, c.conn))
            continue;
        if (!pending) {
            open_table_exec_failed(c.conn);
            continue;
        }
        judge(&c);
        closing_complete(c.conn, fd);
        open_table_pending(client, c.conn, OPEN_TO_EXEC, c.facts.phase, c.verdict.fate);
    }
}
