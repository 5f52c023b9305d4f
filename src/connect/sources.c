#include "connect/sources.h"

#include <errno.h>
#include <netinet/in.h>

#include "client/client.h"
#include "policy/order.h"
#include "connect/exclusive.h"
#include "connect/hash_by.h"
#include "connect/port_ranges.h"
#include "connect/prepare.h"
#include "connect/trace.h"
#include "state/pair.h"
#include "state/control.h"
#include "client/sockinfo.h"
#include "client/events.h"
#include "connect/diagnosis.h"
#include "state/pair_table.h"

/* PINNED_MAX: sources that a pinned socket is compared with, at some 10 us each. */
enum { LEAST_USED_MAX = 256, PINNED_MAX = 64 };

static enum step leave_alone(struct connecting *k) {
    k->state = CONNECTING_ALONE;
    return STEP_STOP;
}

/* Landlock, seccomp or another security module: it is about this process, and says nothing of the source, so no other
 * process may hear of it. Such a filter is not taken back; so it is asked once, and children inherit both. */
static enum step bind_denied(struct client *client, struct connecting *k, int error) {
    if (!__atomic_exchange_n(&client->bind_denied, true, __ATOMIC_RELAXED))
        (void)event_of_text(client, EVENT_ATTACH, (enum arm)k->conn->arm,
                            error == EACCES
                                ? "this process may not bind (EACCES, as from Landlock): its connects use no source"
                                : "this process may not bind (EPERM, as from seccomp): its connects use no source");
    state_count(&client->state, (enum arm)k->conn->arm, COUNT_BIND_DENIED);
    return leave_alone(k);
}

__attribute__((noinline)) static enum step bind_failed(struct client *client, struct connecting *k,
                                                       const struct endpoint *source, struct pair *alone, int error) {
    trace_source(k, source, error == -EADDRNOTAVAIL ? SAID_NOT_LOCAL : SAID_BIND_FAILED, -error);
    if (error == -EACCES || error == -EPERM)
        return bind_denied(client, k, -error);
    if (error == -EADDRNOTAVAIL && k->way == WAY_PINNED)
        return STEP_NEXT; /* its VRF, say, does not have it */
    if (error == -EADDRNOTAVAIL && sockinfo_interface(k->call->fd)) {
        conn_set_flags(k->conn, CONN_PINNED); /* not by a call of its own: ip vrf exec */
        return leave_alone(k);
    }
    if (error == -EADDRNOTAVAIL) {
        k->not_local++;
        k->seen |= SEEN_NOT_LOCAL;
        report_source(k->report, source, connecting_first_range(k->match), CAUSE_ADDRESS_NOT_LOCAL, EADDRNOTAVAIL,
                      NULL);
        if (!alone)
            alone = pair_find(&client->state, pair_key(k->netns, &source->addr, NULL), true, k->now);
        (void)__atomic_fetch_add(&client->state.header->quarantines, 1, __ATOMIC_RELAXED);
        if (pair_set_unusable(alone, k->now, QUARANTINE_MS))
            event_source_down(client, k->conn, source, NULL, CAUSE_ADDRESS_NOT_LOCAL, EADDRNOTAVAIL);
        return STEP_NEXT;
    }
    if (error == -EINVAL || error == -EBADF || error == -ENOTSOCK)
        return STEP_STOP; /* bound already, without our having seen it: leave it alone */
    connecting_note_unusable(k, source, -error);
    report_source(k->report, source, connecting_first_range(k->match), CAUSE_UNREACHABLE, -error, NULL);
    return STEP_NEXT;
}

/* What is known of the source alone: only whether it is on this host. */
static struct pair *find_alone(struct client *client, const struct connecting *k, const struct endpoint *source) {
    if (__atomic_load_n(&client->state.header->quarantines, __ATOMIC_RELAXED) == 0)
        return NULL;
    return pair_find(&client->state, pair_key(k->netns, &source->addr, NULL), false, k->now);
}

/* Why the pair may not be tried now. */
static enum said passed_over(const struct connecting *k, bool held) {
    if (held)
        return SAID_HELD_DOWN;
    return __atomic_load_n(&k->pair->unusable_until, __ATOMIC_RELAXED) > k->now ? SAID_UNREACHABLE : SAID_MARKED_DOWN;
}

static enum step unprepared(struct connecting *k, const struct endpoint *source) {
    trace_source(k, source, SAID_UNPREPARED, 0);
    return STEP_STOP;
}

/* On a socket that may be bound without a port. */
__attribute__((always_inline)) static inline enum step try_bind(struct client *client, struct connecting *k,
                                                                const struct endpoint *source, struct pair *alone) {
    int r = prepare_bind(k->call->fd, k->conn, source);
    if (r != 0)
        return bind_failed(client, k, source, alone, r);
    enum step step = port_ranges_try(client, k, source);
    if (step == STEP_DONE) {
        (void)pair_worked(alone);
        (void)pair_worked(k->pair);
    }
    return step;
}

static enum step try_exclusive(struct client *client, struct connecting *k, const struct endpoint *source,
                               struct pair *alone) {
    int r;
    if (!exclusive_has_way_back(client, k, source)) {
        trace_source(k, source, SAID_UNREACHABLE, ENETUNREACH);
        return STEP_NEXT;
    }
    if (!exclusive_has_way(client, k, source)) {
        if (prepare_no_port(client, k->call->fd, k->conn) == 0 && (r = prepare_bind(k->call->fd, k->conn, source)) != 0)
            return bind_failed(client, k, source, alone, r);
        connecting_note_unusable(k, source, ENETUNREACH);
        trace_source(k, source, SAID_UNREACHABLE, ENETUNREACH);
        return STEP_NEXT;
    }
    r = exclusive_bind(client, k, source);
    if (r == -EADDRINUSE) {
        k->seen |= SEEN_FULL | SEEN_NEWLY_FULL;
        return port_ranges_note_full(client, k, source);
    }
    if (r != 0)
        return bind_failed(client, k, source, alone, r);
    (void)connecting_run(client, k);
    (void)pair_worked(alone);
    (void)pair_worked(k->pair);
    return STEP_DONE;
}

__attribute__((noinline)) static enum step try_unusual(struct client *client, struct connecting *k,
                                                       const struct endpoint *source, struct pair *alone) {
    if (k->match->binding & BINDING_FREEBIND && prepare_freebind(k->call->fd, k->conn, !addr_is_v4(&source->addr)) != 0)
        return unprepared(k, source);
    if (k->match->binding & BINDING_EXCLUSIVE)
        return try_exclusive(client, k, source, alone);
    return prepare_no_port(client, k->call->fd, k->conn) != 0 ? unprepared(k, source)
                                                              : try_bind(client, k, source, alone);
}

static enum step try_source(struct client *client, struct connecting *k, const struct endpoint *source) {
    struct pair *alone = find_alone(client, k, source);
    if (!pair_may_try(alone, k->now)) {
        k->not_local++;
        trace_source(k, source, SAID_NOT_LOCAL, 0);
        return STEP_NEXT;
    }
    k->key = pair_key(k->netns, &source->addr, k->destination);
    k->pair = pair_find(&client->state, k->key, true, k->now);
    bool held = pair_held_down(k->pair, k->now);
    /* One search through a hold-down is enough for one connect. */
    if ((held && k->seen & SEEN_PROBED) || !pair_may_try(k->pair, k->now)) {
        /* Known to be full (unreachable ones are not worth a word). Costs no attempt. */
        if (held) {
            k->full++;
            state_count(&client->state, (enum arm)k->conn->arm, COUNT_HELD_DOWN);
            report_source(k->report, source, connecting_first_range(k->match), CAUSE_RANGE_FULL, 0, k->pair);
        }
        trace_source(k, source, passed_over(k, held), 0);
        return STEP_NEXT;
    }
    if (held)
        k->seen |= SEEN_PROBED;
    if (k->match->binding)
        return try_unusual(client, k, source, alone);
    if (prepare_no_port(client, k->call->fd, k->conn) != 0)
        return unprepared(k, source);
    return try_bind(client, k, source, alone);
}

/* No source of ours: the client's own address, or the kernel's choice, with our port ranges. */
__attribute__((noinline)) enum step sources_own_address(struct client *client, struct connecting *k) {
    struct endpoint source = {.addr = k->conn->source};
    k->key = pair_key(k->netns, &source.addr, k->destination);
    k->pair = pair_find(&client->state, k->key, true, k->now);
    k->way = WAY_OWN;
    return port_ranges_try(client, k, &source);
}

/* The source with the fewest quadruplets to this destination, open or in TIME-WAIT, among those from first on. */
__attribute__((noinline)) static uint32_t least_used(struct client *client, const struct connecting *k,
                                                     uint32_t first) {
    const struct match *match = k->match;
    uint32_t n = match->total < LEAST_USED_MAX ? match->total : LEAST_USED_MAX;
    uint32_t best = first, fewest = UINT32_MAX;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = (uint32_t)(((uint64_t)first + i) % match->total);
        struct endpoint source = match_source(match, at);
        uint64_t key = pair_key(k->netns, &source.addr, k->destination);
        const struct pair *pair = pair_find(&client->state, key, false, k->now);
        uint32_t used = pair_open(pair) + pair_time_waits(pair, k->now);
        if (used < fewest) {
            fewest = used;
            best = at;
        }
    }
    return best;
}

static uint32_t first_source(struct client *client, const struct connecting *k) {
    const struct match *match = k->match;
    uint32_t *next_source = &client->state.next_source[match->pool % POLICY_POOLS][match->scope % SCOPE_COUNT];
    uint32_t turn = 0;
    if (match->policy != POOL_HASH) {
        if (match->policy == POOL_HASH_BY)
            return order_first(POOL_HASH, match->total, 0, 0, hash_by(client, match->pool, k->destination));
        turn = __atomic_fetch_add(next_source, 1, __ATOMIC_RELAXED);
    }
    uint32_t first = pair_first_source(match, k->destination, turn, client->state.epoch);
    /* The turn breaks ties, so that equally used sources still take turns. */
    return match->policy == POOL_LEAST_USED ? least_used(client, k, first) : first;
}

/* Only sockets with the flag pay for it. */
static void look_at_pin(struct connecting *k) {
    if (!(conn_flags(k->conn) & CONN_PINNED))
        return;
    k->way = pin_look(k->call->fd, k->conn->family, &k->pin) ? WAY_PINNED : WAY_POOL;
    if (k->way != WAY_PINNED)
        conn_clear_flags(k->conn, CONN_PINNED);
}

enum step sources_try(struct client *client, struct connecting *k) {
    const struct match *match = k->match;
    uint32_t first = first_source(client, k);
    uint32_t n = match->total < ORDER_MAX ? match->total : ORDER_MAX, fit = 0;
    if (__atomic_load_n(&client->bind_denied, __ATOMIC_RELAXED)) {
        state_count(&client->state, (enum arm)k->conn->arm, COUNT_BIND_DENIED);
        return leave_alone(k);
    }
    look_at_pin(k);
    if (k->way == WAY_PINNED && n > PINNED_MAX)
        n = PINNED_MAX;
    for (uint32_t i = 0; i < n && k->attempts < match->attempts; i++) {
        struct endpoint source = match_source(match, (uint32_t)(((uint64_t)first + i) % match->total));
        k->pair = NULL; /* what a trace says of this one is not the last one's */
        k->key = 0;
        if (k->way == WAY_PINNED && !pin_allows(&k->pin, &source, k->destination)) {
            trace_source(k, &source, SAID_OTHER_INTERFACE, 0);
            continue;
        }
        fit++;
        enum step step = try_source(client, k, &source);
        if (step != STEP_NEXT)
            return step;
    }
    return fit ? STEP_NEXT : leave_alone(k);
}

/* An endpoint refused it, and its port stays. */
static enum step sources_bound(struct client *client, struct connecting *k) {
    const struct endpoint source = {.addr = k->conn->source};
    k->pair = pair_find(&client->state, pair_key(k->netns, &source.addr, k->destination), true, k->now);
    if (connecting_run(client, k))
        return STEP_DONE;
    k->seen |= SEEN_FULL;
    return port_ranges_note_full(client, k, &source);
}

enum step sources_or_own(struct client *client, struct connecting *k, bool own) {
    if (conn_flags(k->conn) & CONN_OUR_PORT)
        return sources_bound(client, k);
    return own ? sources_own_address(client, k) : sources_try(client, k);
}

void sources_name(struct client *client, struct connecting *k, enum cause cause) {
    const struct match *match = k->match;
    uint32_t first = match->total ? first_source(client, k) : 0;
    for (uint32_t i = 0; i < match->total && i < EXHAUSTED_SOURCES; i++) {
        struct endpoint source = match_source(match, (uint32_t)(((uint64_t)first + i) % match->total));
        uint64_t key = pair_key(k->netns, &source.addr, k->destination);
        report_source(k->report, &source, connecting_first_range(match), cause, 0,
                      pair_find(&client->state, key, false, k->now));
    }
}
