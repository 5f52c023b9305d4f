#include "connect/sources.h"

#include <errno.h>
#include <netinet/in.h>

#include "client/client.h"
#include "connect/explicit_port.h"
#include "client/open_table.h"
#include "client/history_update.h"
#include "policy/order.h"
#include "connect/prepare.h"
#include "client/track.h"
#include "state/pair.h"
#include "base/sys.h"
#include "state/control.h"
#include "client/sockinfo.h"
#include "client/events.h"
#include "connect/diagnosis.h"
#include "base/kernel_constants.h"

void sources_look_again(struct connecting *k, uint32_t serial) {
    struct conn *now;
    if (!conn_take(k->conn, serial)) {
        k->lost = true;
        k->conn = k->stand_in;
        k->report->conn = k->stand_in;
    }
    k->closed = k->lost || fd_look(k->call->fd, &now) != FD_TCP || now != k->conn;
}

bool sources_run(struct client *client, struct connecting *k) {
    uint32_t serial = conn_serial(k->conn);
    k->attempts++;
    open_table_opened(client, k->conn);
    k->stand_in->source = k->conn->source;
    k->stand_in->flags = conn_flags(k->conn) & (CONN_OUR_BIND | CONN_APP_ADDRESS);
    conn_release(client, k->conn);
    k->result = k->call->make(k->call);
    k->error = k->result < 0 ? errno : 0;
    sources_look_again(k, serial);
    return k->closed || k->error != EADDRNOTAVAIL;
}

/* PINNED_MAX: sources that a pinned socket is compared with, at some 10 us each. */
enum { PORT_WINDOWS = 4, LEAST_USED_MAX = 256, PINNED_MAX = 64, AT_ONCE_NS = 50000000 };

/* The socket that we prepared, still: it has our option, and the number is on record as ours. A socket that another
 * thread has just got under the number has neither both. */
static bool is_prepared(const struct connecting *k) {
    struct conn *now;
    int value = 0, fd = k->call->fd;
    return get_option(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &value) == 0 && value == 1 && fd_look(fd, &now) == FD_TCP &&
           now == k->conn;
}

/* Did the call that failed find no way out with our source, without a SYN? The kernel asks for the route first and
 * takes a port then (tcp_v4_connect, tcp_v6_connect), and the socket goes on showing that port when the connect has
 * failed: what shows our source and no port has sent nothing, and is the socket that we bound. NEXT: so it is. STOP:
 * getsockname is denied (a seccomp filter), but what came back at once may be made once more, as the client made it. */
static enum step step_without_way(const struct connecting *k) {
    struct sockaddr_storage name;
    struct endpoint local;
    socklen_t length = sizeof name;
    if (sys_call3(SYS_getsockname, k->call->fd, &name, &length) != 0)
        return clock_ns(CLOCK_MONOTONIC) - k->now < AT_ONCE_NS && is_prepared(k) ? STEP_STOP : STEP_DONE;
    return endpoint_from_sockaddr(&local, &name, length) && local.port == 0 &&
                   addr_compare(&local.addr, &k->conn->source) == 0
               ? STEP_NEXT
               : STEP_DONE;
}

/* NEXT: an error of routing or filtering that our source has caused. What the network answered is the client's result:
 * to ask it again from elsewhere would cost the client its wait again. */
static enum step step_after(const struct connecting *k) {
    if (k->own || k->closed)
        return STEP_DONE;
    switch (k->error) {
    case EINVAL:
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EACCES:
    case EPERM:
        return step_without_way(k);
    default:
        return STEP_DONE;
    }
}

static void note_unusable(struct connecting *k, const struct endpoint *source, int error) {
    if (k->n_unusable < UNUSABLE_MAX && !k->pinned) /* what its own device refuses says nothing to others */
        k->unusable[k->n_unusable++] = (struct unusable_source){k->pair, *source, error};
}

/* Another way worked: so it was the sources. */
void sources_mark_unusable(struct client *client, struct connecting *k) {
    for (unsigned i = 0; i < k->n_unusable; i++)
        if (pair_set_unusable(k->unusable[i].pair, k->now, UNREACHABLE_MS))
            event_source_down(client, k->conn, &k->unusable[i].source, k->destination, CAUSE_UNREACHABLE,
                              k->unusable[i].error);
    k->n_unusable = 0;
}

/* For reports: where the search began. 0-0 is the whole ephemeral range. */
static struct port_range first_range(const struct match *match) {
    return match->n_ports ? match->ports[0] : (struct port_range){0, 0};
}

static enum step source_is_full(struct client *client, struct connecting *k, const struct endpoint *source) {
    uint64_t began = k->now;
    k->now = clock_ns(CLOCK_MONOTONIC); /* a search may have taken long */
    k->full++;
    k->newly_full |= pair_full(k->pair, k->now, k->now - began);
    const struct history_update u = sources_moment(client, k);
    history_update_full(&u, k->conn, k->pair);
    if (k->match->n_ports)
        host_ports_may_have_changed(client, k->now);
    report_source(k->report, source, first_range(k->match), CAUSE_RANGE_FULL, EADDRNOTAVAIL, k->pair);
    return STEP_NEXT;
}

/* Ports outside the ephemeral range, once all inside it are taken. What is bound so stays bound: whatever this connect
 * says is the client's. */
static enum step try_explicit(struct client *client, struct connecting *k, const struct endpoint *source,
                              const struct port_split *split) {
    const struct explicit_bind b = {
        .client = client,
        .fd = k->call->fd,
        .conn = k->conn,
        .source = source,
        .destination = k->destination,
        .pair = k->pair,
        .reuse_after_ms = k->match->reuse_after_ms,
    };
    int port = explicit_bind(&b, split);
    if (port <= 0)
        return port == 0 ? source_is_full(client, k, source) : STEP_STOP;
    conn_set_flags(k->conn, CONN_OUR_PORT);
    (void)sources_run(client, k);
    explicit_connected(client, k->pair, (uint16_t)port);
    return STEP_DONE;
}

/* Before Linux 6.8 a connect searches all ports of one parity before the first of the other: costly once half of them
 * are taken. Small windows at random keep the search short while there is room; then the whole range, which finds what
 * is left. */
static bool connect_in_window(struct client *client, struct connecting *k, struct port_range range) {
    struct port_range window, whole = range.high ? range : host_ports(client, false);
    for (unsigned i = 0; i < PORT_WINDOWS; i++) {
        if (!ports_window(whole, order_scatter(k->now + i), &window) ||
            prepare_range(client, k->call->fd, k->conn, window) != 0)
            return false;
        if (sources_run(client, k))
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
    if (sources_run(client, k))
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
    return sources_run(client, k) ? FOUND : FULL;
}

/* The ports inside the ephemeral range were all taken a moment ago; those outside need not wait for another search. */
static bool inside_is_full(const struct connecting *k) {
    uint64_t until = k->pair ? __atomic_load_n(&k->pair->inside_until, __ATOMIC_RELAXED) : 0;
    return until > k->now && until - k->now <= INSIDE_NS;
}

/* No ports configured: 0-0, the whole ephemeral range. */
static void split_ports(struct client *client, const struct match *match, struct port_split *out) {
    if (match->n_ports) {
        ports_split(out, match->ports, match->n_ports, host_ports(client, false));
        return;
    }
    out->n_inside = 1;
    out->inside[0] = (struct port_range){0, 0};
    out->n_outside = out->outside_total = 0;
}

/* The port ranges of one source, from the one that had room last. */
static enum step try_ranges(struct client *client, struct connecting *k, const struct endpoint *source) {
    struct port_split split;
    split_ports(client, k->match, &split);
    bool skip = split.outside_total && !k->own && inside_is_full(k);
    unsigned n = skip ? 0 : split.n_inside, tried = 0;
    unsigned hint = k->pair && n ? __atomic_load_n(&k->pair->range_hint, __ATOMIC_RELAXED) % n : 0;
    for (; tried < n && k->attempts < k->match->attempts; tried++) {
        struct port_range range = split.inside[(hint + tried) % n];
        enum found found = connect_in(client, k, range);
        if (found == BROKEN)
            return STEP_STOP;
        if (found == FOUND) {
            enum step step = step_after(k);
            if (step != STEP_NEXT)
                return step;
            note_unusable(k, source, k->error);
            report_source(k->report, source, range, CAUSE_UNREACHABLE, k->error, k->pair);
            return STEP_NEXT;
        }
        k->met = true;
        if (k->pair)
            __atomic_store_n(&k->pair->range_hint, (uint8_t)((hint + tried + 1) % n), __ATOMIC_RELAXED);
    }
    if (tried < n)
        return STEP_NEXT; /* no attempt was left for this source */
    if (split.outside_total && !k->own) {
        if (k->pair && n)
            __atomic_store_n(&k->pair->inside_until, k->now + INSIDE_NS, __ATOMIC_RELAXED);
        return try_explicit(client, k, source, &split);
    }
    return source_is_full(client, k, source);
}

static enum step leave_alone(struct connecting *k) {
    k->left_alone = true;
    return STEP_STOP;
}

/* Landlock, seccomp or another security module: it is about this process, and says nothing of the source, so no other
 * process may hear of it. Such a filter is not taken back; so it is asked once, and children inherit both. */
static enum step bind_denied(struct client *client, struct connecting *k, int error) {
    if (!__atomic_exchange_n(&client->bind_denied, true, __ATOMIC_RELAXED))
        event_of_text(client, EVENT_ATTACH, (enum arm)k->conn->arm,
                      error == EACCES
                          ? "this process may not bind (EACCES, as from Landlock): its connects use no source"
                          : "this process may not bind (EPERM, as from seccomp): its connects use no source");
    state_count(&client->state, (enum arm)k->conn->arm, COUNT_BIND_DENIED);
    return leave_alone(k);
}

static enum step bind_failed(struct client *client, struct connecting *k, const struct endpoint *source,
                             struct pair *alone, int error) {
    if (error == -EACCES || error == -EPERM)
        return bind_denied(client, k, -error);
    if (error == -EADDRNOTAVAIL && k->pinned)
        return STEP_NEXT; /* its VRF, say, does not have it */
    if (error == -EADDRNOTAVAIL && sockinfo_interface(k->call->fd)) {
        conn_set_flags(k->conn, CONN_PINNED); /* not by a call of its own: ip vrf exec */
        return leave_alone(k);
    }
    if (error == -EADDRNOTAVAIL) {
        k->not_local++;
        k->refused = true;
        report_source(k->report, source, first_range(k->match), CAUSE_ADDRESS_NOT_LOCAL, EADDRNOTAVAIL, NULL);
        if (!alone)
            alone = pair_find(&client->state, pair_key(k->netns, &source->addr, NULL), true, k->now);
        (void)__atomic_fetch_add(&client->state.header->quarantines, 1, __ATOMIC_RELAXED);
        if (pair_set_unusable(alone, k->now, QUARANTINE_MS))
            event_source_down(client, k->conn, source, NULL, CAUSE_ADDRESS_NOT_LOCAL, EADDRNOTAVAIL);
        return STEP_NEXT;
    }
    if (error == -EINVAL || error == -EBADF || error == -ENOTSOCK)
        return STEP_STOP; /* bound already, without our having seen it: leave it alone */
    note_unusable(k, source, -error);
    report_source(k->report, source, first_range(k->match), CAUSE_UNREACHABLE, -error, NULL);
    return STEP_NEXT;
}

/* What is known of the source alone: only whether it is on this host. */
static struct pair *find_alone(struct client *client, const struct connecting *k, const struct endpoint *source) {
    if (__atomic_load_n(&client->state.header->quarantines, __ATOMIC_RELAXED) == 0)
        return NULL;
    return pair_find(&client->state, pair_key(k->netns, &source->addr, NULL), false, k->now);
}

static enum step try_source(struct client *client, struct connecting *k, const struct endpoint *source) {
    int fd = k->call->fd;
    struct pair *alone = find_alone(client, k, source);
    if (!pair_may_try(alone, k->now)) {
        k->not_local++;
        return STEP_NEXT;
    }
    k->pair = pair_find(&client->state, pair_key(k->netns, &source->addr, k->destination), true, k->now);
    bool held = pair_held_down(k->pair, k->now);
    /* One search through a hold-down is enough for one connect. */
    if ((held && k->probed) || !pair_may_try(k->pair, k->now)) {
        /* Known to be full (unreachable ones are not worth a word). Costs no attempt. */
        if (held) {
            k->full++;
            state_count(&client->state, (enum arm)k->conn->arm, COUNT_HELD_DOWN);
            report_source(k->report, source, first_range(k->match), CAUSE_RANGE_FULL, 0, k->pair);
        }
        return STEP_NEXT;
    }
    k->probed |= held;
    if (prepare_no_port(fd, k->conn) != 0)
        return STEP_STOP;
    if (k->match->freebind && prepare_freebind(fd, k->conn, !addr_is_v4(&source->addr)) != 0)
        return STEP_STOP;
    int r = prepare_bind(fd, k->conn, source);
    if (r != 0)
        return bind_failed(client, k, source, alone, r);
    enum step step = try_ranges(client, k, source);
    if (step == STEP_DONE) {
        (void)pair_worked(alone);
        (void)pair_worked(k->pair);
    }
    return step;
}

/* No source of ours: the client's own address, or the kernel's choice, with our port ranges. */
enum step sources_own_address(struct client *client, struct connecting *k) {
    struct endpoint source = {.addr = k->conn->source};
    k->pair = pair_find(&client->state, pair_key(k->netns, &source.addr, k->destination), true, k->now);
    k->own = true;
    k->whole_range = k->match->n_ports == 0;
    return try_ranges(client, k, &source);
}

/* The source with the fewest quadruplets to this destination, open or in TIME-WAIT, among those from first on. */
static uint32_t least_used(struct client *client, const struct connecting *k, uint32_t first) {
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
    uint32_t turn = match->policy == POOL_HASH ? 0 : __atomic_fetch_add(next_source, 1, __ATOMIC_RELAXED);
    uint32_t first = pair_first_source(match, k->destination, turn, client->state.epoch);
    /* The turn breaks ties, so that equally used sources still take turns. */
    return match->policy == POOL_LEAST_USED ? least_used(client, k, first) : first;
}

/* Only sockets with the flag pay for it. */
static void look_at_pin(struct connecting *k) {
    if (!(conn_flags(k->conn) & CONN_PINNED))
        return;
    k->pinned = pin_look(k->call->fd, k->conn->family, &k->pin);
    if (!k->pinned)
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
    if (k->pinned && n > PINNED_MAX)
        n = PINNED_MAX;
    for (uint32_t i = 0; i < n && k->attempts < match->attempts; i++) {
        struct endpoint source = match_source(match, (uint32_t)(((uint64_t)first + i) % match->total));
        if (k->pinned && !pin_allows(&k->pin, &source, k->destination))
            continue;
        fit++;
        enum step step = try_source(client, k, &source);
        if (step != STEP_NEXT)
            return step;
    }
    return fit ? STEP_NEXT : leave_alone(k);
}

void sources_name(struct client *client, struct connecting *k, enum cause cause) {
    const struct match *match = k->match;
    uint32_t first = match->total ? first_source(client, k) : 0;
    for (uint32_t i = 0; i < match->total && i < EXHAUSTED_SOURCES; i++) {
        struct endpoint source = match_source(match, (uint32_t)(((uint64_t)first + i) % match->total));
        uint64_t key = pair_key(k->netns, &source.addr, k->destination);
        report_source(k->report, &source, first_range(match), cause, 0, pair_find(&client->state, key, false, k->now));
    }
}
