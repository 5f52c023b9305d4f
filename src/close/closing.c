#include "close/closing.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>

#include "client/track.h"
#include "client/client.h"
#include "client/open_table.h"
#include "client/sockinfo.h"
#include "client/process.h"
#include "close/peer.h"
#include "close/record.h"
#include "close/deferred.h"
#include "close/located.h"
#include "close/look.h"
#include "close/verify.h"
#include "state/dedup.h"
#include "state/pair.h"
#include "state/ring.h"
#include "base/sys.h"
#include "state/control.h"

bool closing_others_may_hold(const struct conn *c) {
    return conn_flags(c) & (CONN_ADOPTED | CONN_PASSED) || process_forking() || c->generation != process_generation();
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

/* As far as the record knows them: of phase and what follows from it nothing. */
__attribute__((always_inline)) static inline void take_facts(struct closing *c, bool mptcp) {
    const struct conn *conn = c->conn;
    uint32_t flags = conn_flags(conn);
    c->facts = (struct fate_facts){
        .shutdown_phase = conn->shutdown_phase,
        .connected = conn->phase == CONN_CONNECTED || flags & CONN_ADOPTED,
        .linger_reset = flags & CONN_LINGER_RESET,
        .repair = flags & CONN_REPAIR,
        .linger2_off = flags & CONN_LINGER2_OFF,
        .mptcp = mptcp,
        .fallback = flags & CONN_MPTCP && !mptcp,
        .others = closing_others_may_hold(conn),
    };
}

/* A part of each that looks, lest it saves and restores all registers once more. So are finish and claim. */
__attribute__((always_inline)) static inline void judge(struct closing *c) {
    struct conn *conn = c->conn;
    take_facts(c, located_token(c->client, conn, c->fd) != 0);
    ring_prepare(&c->client->state);
    __builtin_prefetch(conn->pair, 1);
    uint8_t asking = c->settings.log_verify;
    if (c->facts.others) {
        c->looked_ns = clock_ns(CLOCK_MONOTONIC);
        c->facts.linger2_off |= sockinfo_linger2_off(c->fd); /* set by another process that has it */
    }
    if (asking == VERIFY_ALWAYS || (asking == VERIFY_AUTO && c->facts.others))
        verify_identify(c);
    located_complete(conn, c->fd);
    /* As late as can be: a FIN of the peer between this look and the close makes the verdict wrong. */
    look_at(conn, c->fd, &c->facts, c->cookie != 0, c->sure);
    if (conn->phase == CONN_CONNECTING && !(conn_flags(conn) & CONN_ADOPTED))
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

void closing_judge(struct closing *c) {
    judge(c);
}

static bool worth_a_look(const struct conn *conn) {
    return conn_phase_is_worth(conn, conn->phase);
}

/* Of a connection that others have, too: into c alone, for they may be writing into the record. */
static void look_beside(struct closing *c) {
    c->looked_ns = clock_ns(CLOCK_MONOTONIC);
    (void)sockinfo_state(c->fd, &c->facts.phase, NULL);
    located_fill(&c->place, c->client, c->conn, c->fd);
    peer_look(c);
    verify_prepare(c);
}

/* Held in c where this close may fail; or where threads alone have it, that are at work with it: as one comes to note
 * that it has connected it, another closes it already. It is returned if they have just left it. */
__attribute__((noinline)) static struct conn *claim_beside(struct closing *c, struct conn *conn) {
    if (conn_unref_held(conn, !c->sure, &c->held)) {
        located_settle(&c->place, conn);
        return conn;
    }
    if (c->held) {
        c->conn = conn;
        if (!c->silent)
            look_beside(c);
    }
    return NULL;
}

/* The connection behind c->fd, claimed, if this close is the last that this process can know of. */
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
        place = located_look(c->client, known, fd);
    c->claimed = fd_closing(c->word, &conn) == FD_TCP;
    if (!c->claimed)
        return NULL;
    look &= conn == known && located_is_of(&place, conn); /* else the record has changed hands meanwhile */
    if (!conn_unref_only(conn)) {
        c->place = look ? place : (struct located){.token = MPTCP_UNKNOWN};
        return claim_beside(c, conn);
    }
    if (look)
        located_settle(&place, conn);
    return conn;
}

/* Flattened, as are closing_end and record_close: what each close passes is one piece, what hardly one does is apart.
 */
__attribute__((flatten)) void closing_begin(struct closing *c, struct client *client, int fd, enum via via, bool sure) {
    __builtin_memset(c, 0, offsetof(struct closing, place));
    c->client = client;
    c->fd = fd;
    c->via = via;
    c->sure = sure;
    c->mark = deferred_mark();
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
            conn_catch_up(client, conn, fd, closing_others_may_hold(conn));
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
    if (c->facts.others || !closing_others_may_hold(c->conn))
        return;
    c->forked = c->facts.others = true;
    c->looked_ns = c->conn->connected_ns;
    c->verdict.ask |= c->settings.log_verify != VERIFY_NEVER;
}

/* The others that had it have left it: the record is ours now, and says all that they knew. */
__attribute__((noinline)) static void judge_late(struct closing *c) {
    enum tcp_state phase = c->facts.phase;
    located_settle(&c->place, c->conn);
    take_facts(c, c->conn->token != 0);
    c->facts.phase = phase;
    c->verdict = fate_decide(&c->facts);
}

/* It was open when it was claimed and is not now: another thread closed the same number, and may have found no record,
 * or other copies. What this close itself has found, without a record, is that other thread's to record. */
static bool lost_the_race(struct closing *c) {
    if (c->found)
        return false;
    if (c->held)
        judge_late(c);
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

/* Threads alone have it, still, and one may be on its way to note that it is connected. A TIME-WAIT is told from what
 * was noted before that connect, and from what the socket said; that thread then finds nothing left to tell. */
static void tell_beside(struct closing *c) {
    struct conn *conn = c->conn;
    uint32_t flags = conn_flags(conn);
    uint64_t connected_ns = __atomic_load_n(&conn->connected_ns, __ATOMIC_RELAXED);
    struct conn own = {.generation = conn->generation,
                       .flags = flags & ~(uint32_t)CONN_COUNTED,
                       .peer = conn->peer,
                       .source = conn->source,
                       .asked = __atomic_load_n(&conn->asked, __ATOMIC_RELAXED),
                       .connected_ns = connected_ns ? connected_ns : c->looked_ns, /* about then */
                       .rule_id = conn->rule_id,
                       .pool_id = conn->pool_id,
                       .local_port = __atomic_load_n(&conn->local_port, __ATOMIC_RELAXED),
                       .phase = CONN_CONNECTED,
                       .family = conn->family,
                       .arm = conn->arm,
                       .token = flags & CONN_MPTCP ? MPTCP_UNKNOWN : 0};
    enum verified verified;
    c->conn = &own;
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    if (lost_the_race(c) && verify_fate(c, &verified) == FATE_TIME_WAIT) {
        if (!recorded_before(c, now))
            record_close(c, FATE_TIME_WAIT, verified, now);
        conn_set_flags(conn, CONN_QUIET);
    }
    c->conn = conn;
}

/* True: it is not held any more, but ours. */
__attribute__((noinline)) static bool left_to_us(struct closing *c, bool closed) {
    struct conn *conn = c->conn;
    bool theirs = closed && !c->silent && !conn_held_alone(conn) && conn_descriptors(conn) == 0;
    if (theirs && !(conn_flags(conn) & CONN_QUIET))
        tell_beside(c);
    if (!conn_unhold(conn))
        return false;
    if (conn_flags(conn) & CONN_QUIET) /* told by another, beside us */
        conn_uncount(conn, false, conn->connected_ns);
    return true;
}

__attribute__((flatten)) void closing_end(struct closing *c, bool closed) {
    struct conn *conn = c->conn;
    int saved = errno;
    if (c->claimed)
        fd_closed(c->word);
    if (conn && (!c->held || left_to_us(c, closed))) {
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
    bool shut = conn->shutdown_phase != TCP_STATE_UNKNOWN || closing_others_may_hold(conn);
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
