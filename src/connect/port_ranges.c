#include "connect/port_ranges.h"

#include <errno.h>

#include "base/sys.h"
#include "client/client.h"
#include "client/history_update.h"
#include "connect/diagnosis.h"
#include "connect/explicit_port.h"
#include "connect/prepare.h"
#include "connect/trace.h"
#include "policy/order.h"
#include "state/pair.h"

enum { PORT_WINDOWS = 4 };

__attribute__((noinline)) enum step port_ranges_note_full(struct client *client, struct connecting *k,
                                                          const struct endpoint *source) {
    k->full++;
    const struct history_update u = connecting_moment(client, k);
    history_update_full(&u, k->conn, k->pair);
    if (k->match->n_ports)
        host_ports_may_have_changed(client, k->now);
    report_source(k->report, source, connecting_first_range(k->match), CAUSE_RANGE_FULL, EADDRNOTAVAIL, k->pair);
    trace_source(k, source, SAID_FULL, EADDRNOTAVAIL);
    return STEP_NEXT;
}

__attribute__((noinline)) static enum step source_is_full(struct client *client, struct connecting *k,
                                                          const struct endpoint *source) {
    uint64_t began = k->now;
    k->now = clock_ns(CLOCK_MONOTONIC); /* a search may have taken long */
    if (pair_full(k->pair, k->now, k->now - began))
        k->seen |= SEEN_NEWLY_FULL;
    return port_ranges_note_full(client, k, source);
}

/* Ports outside the ephemeral range, once all inside it are taken. What is bound so stays bound: whatever this connect
 * says is the client's. */
__attribute__((noinline)) static enum step try_explicit(struct client *client, struct connecting *k,
                                                        const struct endpoint *source, const struct port_split *split) {
    const struct explicit_bind b = {
        .client = client,
        .fd = k->call->fd,
        .conn = k->conn,
        .source = source,
        .destination = k->destination,
        .pair = k->pair,
        .key = k->key,
        .reuse_after_ms = k->match->reuse_after_ms,
    };
    int port = explicit_bind(&b, split);
    if (port <= 0)
        return port == 0 ? source_is_full(client, k, source) : STEP_STOP;
    conn_set_flags(k->conn, CONN_OUR_PORT);
    (void)connecting_run(client, k);
    explicit_connected(client, k->key, (uint16_t)port);
    return STEP_DONE;
}

/* Before Linux 6.8 a connect searches all ports of one parity before the first of the other: costly once half of them
 * are taken. Small windows at random keep the search short while there is room; then the whole range, which finds what
 * is left. */
__attribute__((noinline)) static bool connect_in_window(struct client *client, struct connecting *k,
                                                        struct port_range range) {
    struct port_range window, whole = range.high ? range : host_ports(client, false);
    for (unsigned i = 0; i < PORT_WINDOWS; i++) {
        if (!ports_window(whole, order_scatter(k->now + i), &window) ||
            prepare_range(client, k->call->fd, k->conn, window) != 0)
            return false;
        if (connecting_run(client, k))
            return true;
        k->attempts--; /* part of one attempt */
    }
    return false;
}

#define INSIDE_NS ((uint64_t)HOLD_DOWN_MS * 1000000u)

/* The port that was left longest ago, as a range of its own: the kernel has nothing to search, and neighbours in time
 * are neighbours in its tables, where sources in turn share an entry: its connect gets cheaper by more than the option
 * costs. Where the turns of a destination begin cannot be guessed from outside (RFC 6056, 3.3.3). If the port is taken,
 * the range is searched. */
static bool connect_in_turn(struct client *client, struct connecting *k, struct port_range range) {
    if (conn_flags(k->conn) & CONN_APP_RANGE || (range.high == 0 && !host_ports_known(client, &range)))
        return false;
    uint32_t size = (uint32_t)range.high - range.low + 1;
    int turn = pair_port(k->pair, size);
    if (turn < 0)
        return false;
    uint64_t start = order_scatter(client->state.epoch ^ pair_key(0, &k->destination->addr, k->destination));
    uint16_t port = (uint16_t)(range.low + (start + (unsigned)turn) % size);
    if (prepare_range(client, k->call->fd, k->conn, (struct port_range){port, port}) != 0 ||
        __atomic_load_n(&client->no_port_range, __ATOMIC_RELAXED))
        return false;
    if (connecting_run(client, k))
        return true;
    k->attempts--; /* part of one attempt */
    pair_port_taken(k->pair);
    return false;
}

enum found { FOUND, FULL, BROKEN };

/* FOUND: anything but EADDRNOTAVAIL. BROKEN: this socket takes no range. */
static enum found connect_in(struct client *client, struct connecting *k, struct port_range range) {
    bool has_option = !__atomic_load_n(&client->no_port_range, __ATOMIC_RELAXED);
    if (has_option && connect_in_turn(client, k, range))
        return FOUND;
    if (client->parity_step && has_option && connect_in_window(client, k, range))
        return FOUND;
    if (prepare_range(client, k->call->fd, k->conn, range) != 0)
        return BROKEN;
    return connecting_run(client, k) ? FOUND : FULL;
}

/* The ports inside the ephemeral range were all taken a moment ago; those outside need not wait for another search. */
static bool inside_is_full(const struct connecting *k) {
    uint64_t until = k->pair ? __atomic_load_n(&k->pair->inside_until, __ATOMIC_RELAXED) : 0;
    return until > k->now && until - k->now <= INSIDE_NS;
}

__attribute__((noinline)) void port_ranges_split(struct client *client, const struct match *match,
                                                 struct port_split *out) {
    if (match->n_ports) {
        ports_split(out, match->ports, match->n_ports, host_ports(client, false));
        return;
    }
    out->n_inside = 1;
    out->inside[0] = (struct port_range){0, 0};
    out->n_outside = out->outside_total = 0;
}

/* The port ranges of one source, from the one that had room last. */
enum step port_ranges_try(struct client *client, struct connecting *k, const struct endpoint *source) {
    struct port_split split;
    port_ranges_split(client, k->match, &split);
    bool skip = split.outside_total && k->way != WAY_OWN && inside_is_full(k);
    unsigned n = skip ? 0 : split.n_inside, tried = 0;
    unsigned hint = k->pair && n ? __atomic_load_n(&k->pair->range_hint, __ATOMIC_RELAXED) % n : 0;
    for (; tried < n && k->attempts < k->match->attempts; tried++) {
        struct port_range range = split.inside[(hint + tried) % n];
        enum found found = connect_in(client, k, range);
        if (found == BROKEN)
            return STEP_STOP;
        if (found == FOUND) {
            enum step step = connecting_step(k);
            if (step != STEP_NEXT)
                return step;
            connecting_note_unusable(k, source, k->error);
            report_source(k->report, source, range, CAUSE_UNREACHABLE, k->error, k->pair);
            trace_source(k, source, SAID_UNREACHABLE, k->error);
            return STEP_NEXT;
        }
        k->seen |= SEEN_FULL;
        if (k->pair)
            __atomic_store_n(&k->pair->range_hint, (uint8_t)((hint + tried + 1) % n), __ATOMIC_RELAXED);
    }
    if (tried < n)
        return STEP_NEXT; /* no attempt was left for this source */
    if (split.outside_total && k->way != WAY_OWN && !(k->seen & SEEN_FIRST)) {
        if (k->pair && n)
            __atomic_store_n(&k->pair->inside_until, k->now + INSIDE_NS, __ATOMIC_RELAXED);
        return try_explicit(client, k, source, &split);
    }
    return source_is_full(client, k, source);
}
