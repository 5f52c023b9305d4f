#include "connect/exclusive.h"

#include <errno.h>
#include <netinet/in.h>

#include "base/kernel_constants.h"
#include "base/sys.h"
#include "client/client.h"
#include "client/sockinfo.h"
#include "connect/explicit_port.h"
#include "connect/port_ranges.h"
#include "connect/prepare.h"
#include "net/ports.h"
#include "net/route.h"
#include "state/pair.h"
#include "state/pair_table.h"

enum { IN_TURN = 32 };

static bool has_way(struct client *client, const struct connecting *k, const struct endpoint *source,
                    const struct endpoint *to, const struct pair *pair) {
    if (pair_last_answer(pair, k->now) || __atomic_load_n(&client->netns_varies, __ATOMIC_RELAXED))
        return true;
    int way = route_way(&source->addr, to, 0);
    /* What could not be asked is not known. */
    return way > 0 || way == -EMFILE || way == -ENFILE || way == -EPERM || way == -ENOBUFS || way == -ENOMEM;
}

bool exclusive_has_way(struct client *client, const struct connecting *k, const struct endpoint *source) {
    return has_way(client, k, source, k->destination, k->pair);
}

bool exclusive_has_way_back(struct client *client, const struct connecting *k, const struct endpoint *source) {
    const struct endpoint *own = k->report->destination;
    if (own == k->destination)
        return true;
    uint64_t key = pair_key(k->netns, &source->addr, own);
    return has_way(client, k, source, own, pair_find(&client->state, key, false, k->now));
}

static int bind_at(const struct connecting *k, const struct endpoint *source, uint16_t port) {
    struct sockaddr_storage name;
    const struct endpoint at = {.addr = source->addr, .port = port, .scope = source->scope};
    socklen_t length = endpoint_to_sockaddr(&name, &at, k->conn->family);
    return length ? (int)sys_call3(SYS_bind, k->call->fd, &name, length) : -EAFNOSUPPORT;
}

/* bind with port 0 takes its port from the range that a connect would, and skips reserved ones. */
static int bind_in(struct client *client, struct connecting *k, const struct endpoint *source,
                   struct port_range range) {
    int r = prepare_range(client, k->call->fd, k->conn, range);
    return r ? r : bind_at(k, source, 0);
}

/* What is known of the source as a whole: whose turn it is among its ports, and whether a search was in vain. */
static struct pair *whole_source(struct client *client, const struct connecting *k, const struct endpoint *source) {
    return pair_find(&client->state, pair_key(~k->netns, &source->addr, NULL), true, k->now);
}

static uint32_t ports_in(const struct port_split *split) {
    uint32_t n = 0;
    for (unsigned i = 0; i < split->n_inside; i++)
        n += 1u + split->inside[i].high - split->inside[i].low;
    return n;
}

/* The kernel's search for a port to bind takes some 0.4 us for each that is taken, and goes through half of the range
 * before it looks at the other half. So the ports that were left longest ago are tried first, each as a range of its
 * own; and of searches in vain there are few (pair_full). */
static int bind_inside(struct client *client, struct connecting *k, const struct endpoint *source,
                       const struct port_split *split) {
    uint32_t ports = ports_in(split);
    struct pair *whole = ports > IN_TURN ? whole_source(client, k, source) : NULL;
    int r = -EADDRINUSE;
    for (unsigned i = 0; whole && i < IN_TURN && r == -EADDRINUSE; i++) {
        uint32_t turn = __atomic_fetch_add(&whole->port_cursor, 1, __ATOMIC_RELAXED);
        uint16_t port = ports_nth(split, turn % ports);
        r = bind_in(client, k, source, (struct port_range){port, port});
    }
    if (r != -EADDRINUSE || !pair_may_try(whole, k->now))
        return r;
    uint64_t began = clock_ns(CLOCK_MONOTONIC);
    for (unsigned i = 0; i < split->n_inside && r == -EADDRINUSE; i++)
        r = bind_in(client, k, source, split->inside[i]);
    if (r == -EADDRINUSE && whole) {
        uint64_t now = clock_ns(CLOCK_MONOTONIC);
        (void)pair_full(whole, now, now - began);
    } else if (r == 0) {
        (void)pair_worked(whole);
    }
    return r;
}

/* Where a socket takes no range (before Linux 6.3, or one of the client's own): any port of the host's, if the pool
 * names none. */
static int bind_anywhere(const struct connecting *k, const struct endpoint *source) {
    return k->match->n_ports ? -EADDRINUSE : bind_at(k, source, 0);
}

static int bind_outside(struct connecting *k, const struct endpoint *source, const struct port_split *split) {
    uint32_t tries = split->outside_total < PORTS_TRIED ? split->outside_total : PORTS_TRIED;
    int r = -EADDRINUSE;
    for (uint32_t i = 0; i < tries && (r == -EADDRINUSE || r == -EACCES); i++) {
        uint32_t turn = k->pair ? __atomic_fetch_add(&k->pair->port_cursor, 1, __ATOMIC_RELAXED) : i;
        r = bind_at(k, source, ports_outside(split, turn % split->outside_total));
    }
    return r;
}

/* The option off for the bind, and the client's own again afterwards. True: it was on. */
static bool switch_off(int fd, int level, int option) {
    int value = 0;
    if (get_option(fd, level, option, &value) != 0 || value == 0)
        return false;
    return set_option(fd, level, option, 0) == 0;
}

int exclusive_bind(struct client *client, struct connecting *k, const struct endpoint *source) {
    int fd = k->call->fd;
    struct port_split split;
    bool late = switch_off(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT);
    bool address = switch_off(fd, SOL_SOCKET, SO_REUSEADDR), port = switch_off(fd, SOL_SOCKET, SO_REUSEPORT);
    port_ranges_split(client, k->match, &split);
    if (split.n_inside && split.inside[0].high == 0)
        split.inside[0] = host_ports(client, false);
    bool ranges = !__atomic_load_n(&client->no_port_range, __ATOMIC_RELAXED) && !(conn_flags(k->conn) & CONN_APP_RANGE);
    int r = ranges ? bind_inside(client, k, source, &split) : bind_anywhere(k, source);
    if (r == -EADDRINUSE)
        r = bind_outside(k, source, &split);
    if (late)
        (void)set_option(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    if (address)
        (void)set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (port)
        (void)set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    k->attempts++;
    if (r != 0)
        return r;
    k->conn->source = source->addr;
    conn_set_flags(k->conn, CONN_OUR_BIND | CONN_OUR_PORT | (addr_is_v4(&source->addr) ? 0 : CONN_OUR_V6ONLY));
    return 0;
}
