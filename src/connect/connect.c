#include "connect/connect.h"

#include <errno.h>
#include <string.h>

#include "client/track.h"
#include "client/arm.h"
#include "client/client.h"
#include "connect/again.h"
#include "connect/endpoints.h"
#include "connect/limit.h"
#include "connect/sources.h"
#include "connect/trace.h"
#include "client/open_table.h"
#include "client/history_update.h"
#include "client/match_cache.h"
#include "connect/prepare.h"
#include "client/process.h"
#include "client/answers.h"
#include "state/pair.h"
#include "state/stats.h"
#include "base/sys.h"
#include "state/control.h"
#include "connect/wait.h"
#include "client/events.h"
#include "connect/diagnosis.h"
#include "state/pair_table.h"

/* The client bound an address itself and the rule leaves it that one. */
__attribute__((always_inline)) static inline bool keeps_own_address(const struct connecting *k) {
    return conn_flags(k->conn) & CONN_APP_ADDRESS && !addr_is_any(&k->conn->app) &&
           k->match->client_bind != CLIENT_BIND_OVERRIDE;
}

static bool started(const struct connecting *k) {
    return k->result >= 0 || k->error == EINPROGRESS || k->error == EINTR || k->error == EALREADY;
}

/* What the connection is from now on. */
static void settle(struct connecting *k) {
    struct conn *c = k->conn;
    if (k->number == NUMBER_LOST)
        return;
    bool connecting = k->error != 0 || k->call->sends || conn_flags(c) & CONN_FASTOPEN;
    if (!started(k)) {
        if (k->error != EISCONN)
            conn_set_flags(c, CONN_TRIED);
        open_table_closed(c);
        return;
    }
    __atomic_store_n(&c->phase, connecting ? CONN_CONNECTING : CONN_CONNECTED, __ATOMIC_RELAXED);
    if (addr_is_any(&k->destination->addr))
        conn_set_flags(c, CONN_PEER_ASK);
    __atomic_store_n(&c->connected_ns, k->now, __ATOMIC_RELAXED);
    c->shutdown_phase = TCP_STATE_UNKNOWN;
    c->so_error = 0;
    __atomic_store_n(&c->token, conn_flags(c) & CONN_MPTCP ? MPTCP_UNKNOWN : 0, __ATOMIC_RELAXED);
    c->pair = k->pair;
    conn_clear_flags(c, CONN_TRIED | CONN_SHUT);
    if (k->pair) {
        conn_set_flags(c, CONN_COUNTED);
        open_table_count(c, k->now);
    }
}

/* The client's own call, for want of a better one. */
__attribute__((noinline)) static enum outcome fall_back(struct client *client, struct connecting *k) {
    bool refuse = k->match->on_exhausted == EXHAUSTED_ERROR && k->full > 0;
    bool same =
        k->way == WAY_OWN && k->match->n_ports == 0 && k->seen & SEEN_FULL; /* its own call has just been made */
    int error = k->error;
    prepare_undo(k->call->fd, k->conn);
    k->pair = NULL;
    k->key = 0;
    if (refuse || same) {
        k->result = -1;
        k->error = same ? error : EADDRNOTAVAIL;
    } else {
        (void)connecting_run(client, k);
    }
    if (k->error == EADDRNOTAVAIL)
        return OUTCOME_FAILED;
    if (started(k))
        connecting_mark_unusable(client, k);
    return OUTCOME_FALLBACK;
}

/* EADDRNOTAVAIL was met, or is known from a hold-down: to the counters, and if it is worth an event, to the log. */
__attribute__((noinline)) static void record_outcome(struct client *client, struct connecting *k, enum outcome outcome,
                                                     enum cause cause, bool event) {
    static const uint8_t counter[OUTCOMES] = {
        [OUTCOME_RECOVERED] = COUNT_RECOVERED,
        [OUTCOME_FALLBACK] = COUNT_FALLBACK,
        [OUTCOME_FAILED] = COUNT_FAILED,
    };
    state_count(&client->state, (enum arm)k->conn->arm, (enum counter)counter[outcome]);
    struct history_update u = connecting_moment(client, k);
    u.destination = k->report->destination; /* which was full, wherever the connect went then */
    history_update_exhausted(&u, k->conn, outcome, cause);
    if (event)
        report_exhausted(k->report, k->conn, CALL_CONNECT, outcome, cause, k->attempts);
}

/* Why the sources of the pool did not do, and how it is known. */
__attribute__((noinline)) static enum cause cause_of(struct client *client, struct connecting *k) {
    k->report->proof = k->seen & SEEN_FULL ? PROOF_SEARCH : PROOF_HOLD_DOWN;
    if (k->full)
        return CAUSE_RANGE_FULL;
    if (k->not_local == 0) {
        k->report->proof = PROOF_NONE;
        return CAUSE_UNKNOWN;
    }
    k->report->proof = k->seen & SEEN_NOT_LOCAL ? PROOF_BIND : PROOF_HOLD_DOWN;
    if (!k->report->filled)
        sources_name(client, k, CAUSE_ADDRESS_NOT_LOCAL);
    return CAUSE_ADDRESS_NOT_LOCAL;
}

__attribute__((noinline)) static void watched_failed(struct client *client, struct connecting *k) {
    k->state = CONNECTING_FAILED;
    const struct history_update u = connecting_moment(client, k);
    history_update_full(&u, k->conn, k->pair);
    enum cause cause = diagnosis_of_connect(k->report);
    report_source(k->report, &(struct endpoint){.addr = k->conn->source}, (struct port_range){0, 0}, cause,
                  EADDRNOTAVAIL, k->pair);
    if (k->match->matched && k->conn->arm == ARM_OBSERVE) /* the source that would have been asked */
        sources_name(client, k, CAUSE_UNKNOWN);
    record_outcome(client, k, OUTCOME_FAILED, cause, true);
}

/* No rule, or nothing to do to this socket: only watched. Its quadruplets are counted all the same, for the day when
 * they run out. */
__attribute__((always_inline)) static inline void watch(struct client *client, struct connecting *k) {
    k->state = CONNECTING_ALONE;
    prepare_undo(k->call->fd, k->conn);
    k->key = pair_key(k->netns, &k->conn->source, k->destination);
    k->pair = pair_find(&client->state, k->match->pool_id ? k->key : pair_key_unruled(k->key), true, k->now);
    (void)connecting_run(client, k);
    if (k->error == EADDRNOTAVAIL)
        watched_failed(client, k);
}

/* What has only begun is recorded later; with fast open, success says nothing of the peer. */
static void note_answer(struct client *client, const struct connecting *k) {
    bool early = k->call->sends || conn_flags(k->conn) & CONN_FASTOPEN;
    if (k->number == NUMBER_OURS && (k->result < 0 || !early))
        answers_note(client, k->conn, k->pair, k->result < 0 ? k->error : 0, k->now);
}

/* The client's own destination has no quadruplet left: there are others, and time. */
__attribute__((noinline)) static enum step rest_of_policy(struct client *client, struct connecting *k, bool own) {
    enum step step = STEP_NEXT;
    if (k->match->n_also)
        step = endpoints_after(client, k, own);
    if (step == STEP_NEXT && k->match->wait_ms)
        step = wait_for_source(client, k);
    return step;
}

/* unusual: MATCHED_UNUSUAL. Known when this is compiled, once for each, so that the usual pays nothing for it. */
__attribute__((always_inline)) static inline void through(struct client *client, struct connecting *k, bool unusual) {
    bool own = k->match->total == 0 || keeps_own_address(k);
    enum step step = STEP_NEXT;
    if (own && k->match->has_sources && !keeps_own_address(k))
        step = STEP_STOP; /* the pool's addresses are all of another scope or family */
    else if (unusual)
        step = endpoints_first(client, k, own);
    if (step == STEP_NEXT)
        step = unusual ? sources_or_own(client, k, own) : own ? sources_own_address(client, k) : sources_try(client, k);
    if (step == STEP_NEXT)
        step = rest_of_policy(client, k, own);
    if (k->state == CONNECTING_ALONE) {
        watch(client, k);
        return;
    }
    if (k->number != NUMBER_OURS && k->error == EADDRNOTAVAIL) {
        k->state = CONNECTING_FAILED;
        record_outcome(client, k, OUTCOME_FAILED, CAUSE_UNKNOWN, true); /* and the search was cut short */
        return;
    }
    if (step == STEP_DONE && k->error == EADDRNOTAVAIL) {
        /* Bound to a port that another process took between the look and the connect; there is no way back. */
        k->report->proof = PROOF_BOUND_PORT;
        k->state = CONNECTING_FAILED;
        record_outcome(client, k, OUTCOME_FAILED, CAUSE_PORT_BUSY, true);
        return;
    }
    if (step == STEP_DONE) {
        if (started(k))
            connecting_mark_unusable(client, k);
        k->state = CONNECTING_SPREAD;
        note_answer(client, k);
        if (!(k->seen & SEEN_FULL))
            return;
        k->state = CONNECTING_RECOVERED;
        k->report->proof = PROOF_SEARCH;
        record_outcome(client, k, OUTCOME_RECOVERED, CAUSE_RANGE_FULL, (k->seen & SEEN_NEWLY_FULL) != 0);
        return;
    }
    enum outcome outcome = fall_back(client, k);
    k->state = outcome == OUTCOME_FALLBACK ? CONNECTING_FELL_BACK : CONNECTING_FAILED;
    bool unmet = outcome == OUTCOME_FALLBACK && !(k->seen & SEEN_FULL) && !k->full && !k->not_local;
    if (unmet) { /* the sources had no way to the destination, or this socket takes none */
        state_count(&client->state, (enum arm)k->conn->arm, COUNT_FALLBACK);
        return;
    }
    enum cause cause = cause_of(client, k);
    if (outcome == OUTCOME_FAILED && (own || !k->full)) {
        cause = diagnosis_of_connect(k->report);
        if (!k->full) /* what the client's own call would have had */
            report_source(k->report, &(struct endpoint){.addr = k->conn->source}, (struct port_range){0, 0}, cause,
                          EADDRNOTAVAIL, NULL);
    }
    if (k->match->n_also && k->full)
        endpoints_name(client, k);
    record_outcome(client, k, outcome, cause, k->full || k->not_local || outcome == OUTCOME_FAILED);
}

/* Flattened as connect_spread is; what the usual connect does not meet is apart. */
__attribute__((flatten, noinline)) static void through_policy(struct client *client, struct connecting *k) {
    through(client, k, false);
}

/* Its own port, if no port may be shared, as it would have had it without us. */
__attribute__((noinline)) static void through_unusual(struct client *client, struct connecting *k) {
    if (k->match->binding & BINDING_EXCLUSIVE && keeps_own_address(k)) {
        prepare_settle_port(k->call->fd, k->conn);
        watch(client, k);
    } else {
        through(client, k, true);
    }
}

/* May this socket be prepared, as far as the client's own doings go? */
static bool spreadable(const struct connecting *k) {
    uint32_t flags = conn_flags(k->conn);
    if (addr_is_any(&k->destination->addr) || flags & (CONN_APP_PORT | CONN_OUR_PORT))
        return false;
    if (flags & CONN_APP_ADDRESS && addr_is_v4(&k->conn->app) && !addr_is_v4(&k->destination->addr))
        return false; /* bound to ::ffff:0.0.0.0 */
    return !(flags & CONN_APP_ADDRESS) || addr_is_any(&k->conn->app) || k->match->client_bind != CLIENT_BIND_KEEP;
}

/* Addresses of the pool that it left from; 1: by one of the client's own. */
static uint32_t of_how_many(const struct connecting *k) {
    return conn_flags(k->conn) & CONN_OUR_BIND ? k->match->total : 1;
}

static void otherwise(struct client *client, struct connecting *k, bool enforce) {
    if (!enforce || k->match->matched != MATCHED_UNUSUAL || !spreadable(k)) {
        watch(client, k);
        return;
    }
    k->report->match = k->match;
    through_unusual(client, k);
    limit_over(k);
}

static void spread_or_watch(struct client *client, struct connecting *k, const struct settings *now) {
    struct conn *c = k->conn, *s = k->stand_in;
    const enum arm arm = arm_now(client, now);
    c->arm = (uint8_t)arm;
    c->rule_id = k->match->rule_id;
    c->pool_id = k->match->pool_id;
    s->arm = c->arm;
    s->rule_id = c->rule_id;
    s->pool_id = c->pool_id;
    conn_clear_flags(c, CONN_QUIET | CONN_ASKED);
    client_attach(client, k->call->fd, arm);
    k->netns = client_netns(client, k->call->fd);
    report_begin(k->report, client, k->call->fd, c, k->destination, k->now);
    if (arm == ARM_ENFORCE && k->match->matched == MATCHED_SPREAD && spreadable(k)) {
        k->report->match = k->match;
        through_policy(client, k);
        limit_over(k);
    } else {
        otherwise(client, k, arm == ARM_ENFORCE);
    }
    c = k->conn;
    /* What carried it: a source of ours or the client's own; :: is the kernel's choice. */
    uint64_t elapsed = clock_ns(CLOCK_MONOTONIC) - k->began;
    struct stat_entry *e = stats_find_of_many(&client->state, arm, c->rule_id, &c->source, of_how_many(k));
    c->stat = (uint16_t)stats_number(&client->state, e);
    const struct stat_connect how = {.error = k->error,
                                     .spread = k->state == CONNECTING_SPREAD || k->state == CONNECTING_RECOVERED,
                                     .recovered = k->state == CONNECTING_RECOVERED,
                                     .fallback = k->state == CONNECTING_FELL_BACK,
                                     .elapsed_ns = elapsed};
    stats_connect(&client->state, e, arm, &how);
    bool late = conn_flags(c) & CONN_APP_ADDRESS && !(conn_flags(c) & CONN_APP_NO_PORT);
    if (k->error == EADDRNOTAVAIL && late && c->rule_id == 0)
        stats_add(e, STAT_LATE_FAILED);
    const struct history_update u = connecting_moment(client, k);
    history_update_connect(&u, c, k->pair, elapsed);
}

/* Mode off, or no policy: as if we were not there, but for the record that a later mode will want. */
__attribute__((noinline)) static void pass(struct client *client, struct connecting *k) {
    prepare_undo(k->call->fd, k->conn);
    k->conn->arm = ARM_CONTROL;
    k->conn->rule_id = k->conn->pool_id = 0;
    conn_set_flags(k->conn, CONN_QUIET);
    (void)connecting_run(client, k);
}

__attribute__((always_inline)) static inline void carry_out(struct client *client, const struct settings *now,
                                                            struct connecting *k, struct match *match) {
    if (now->mode != MODE_OFF && match_cache_find(client, k->destination, match))
        spread_or_watch(client, k, now);
    else
        pass(client, k);
}

/* Apart: the room for what sources say is not on the stack of connects that are not traced. */
__attribute__((noinline)) static void carry_out_traced(struct client *client, const struct settings *now,
                                                       struct connecting *k, struct match *match) {
    struct event_exhausted trace = {0};
    k->trace = &trace;
    carry_out(client, now, k, match);
    trace_connect(client, k);
    k->trace = NULL;
}

/* Flattened, as is close/closing.c: what each connect passes is one piece. */
__attribute__((flatten)) ssize_t connect_spread(struct client *client, const struct settings *now, struct call *call,
                                                const struct endpoint *destination) {
    int saved = errno;
    process_refresh(client);
    struct conn *c = conn_hold(client, call->fd);
    errno = saved;
    if (!c)
        return call->make(call);
    if (c->phase != CONN_IDLE)
        return again_asked(client, call, c);
    if (call->family != c->family && call->family != 0) { /* fails, and nothing is bound for it */
        conn_release(client, c);
        return call->make(call);
    }
    struct report report;
    struct match match;
    struct unusable_source unusable[UNUSABLE_MAX];
    struct conn stand_in = {0};
    struct connecting k = {
        .call = call,
        .destination = destination,
        .match = &match,
        .conn = c,
        .stand_in = &stand_in,
        .report = &report,
        .unusable = unusable,
        .now = clock_ns(CLOCK_MONOTONIC),
    };
    k.began = k.now;
    c->peer = *destination;
    __atomic_store_n(&c->local_port, 0, __ATOMIC_RELAXED);
    if (client->trace)
        carry_out_traced(client, now, &k, &match);
    else
        carry_out(client, now, &k, &match);
    settle(&k);
    if (k.number != NUMBER_LOST)
        conn_release(client, c);
    errno = k.result < 0 ? k.error : saved;
    return k.result;
}
