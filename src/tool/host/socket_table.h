/* socket_table.h - sockets counted by (source, destination): the pairs that share one set of quadruplets. Pure.
 *
 * Outbound, a pair is an address of this host and a peer's address and port. A connection's direction is not in the
 * kernel's answer: what holds a port on which a process here listens was accepted, the rest is outbound; so what a
 * listener accepted before it went away counts as outbound, each connection as a pair of its own. */
#ifndef CONNSPREAD_TOOL_HOST_SOCKET_TABLE_H
#define CONNSPREAD_TOOL_HOST_SOCKET_TABLE_H

#include "tool/host/capacity.h"
#include "tool/host/dump.h"
#include "tool/host/tw_reuse.h"

/* The sockets that quads counts: all that keep a quadruplet taken. */
enum {
    QUADS_LISTENERS = 1 << 10,                          /* TCP_LISTEN */
    QUADS_STATES = 0xfff & ~(QUADS_LISTENERS | 1 << 7), /* all but TCP_LISTEN and TCP_CLOSE */
    QUADS_NEVER = UINT32_MAX                            /* of next_free_ms: no TIME-WAIT */
};

enum quads_count { QUADS_ESTABLISHED, QUADS_TIME_WAIT, QUADS_FIN_WAIT, QUADS_OTHER, QUADS_COUNTS };

struct quads_pair {
    struct addr source, destination;
    uint16_t port; /* of the destination, host byte order */
    uint32_t count[QUADS_COUNTS];
    uint32_t close_wait;   /* of QUADS_OTHER */
    uint32_t outside;      /* of all these, on source ports that are not in the ephemeral range */
    uint32_t reusable;     /* TIME-WAITs that a connect may take over now (tcp_tw_reuse); outbound */
    uint32_t next_free_ms; /* until the next TIME-WAIT ends, QUADS_NEVER: there is none */
};

/* The listeners of this host. */
struct quads_listeners {
    struct port_set any_v4, any_v6; /* wildcard listeners, by the family that they accept */
    struct port_set one;            /* listeners on one address */
    struct endpoint *endpoint;      /* those of one */
    size_t n, room;
    struct dump_local first[DUMP_WITHOUT]; /* some of all of them, for the kernel to leave out what they accepted */
    unsigned n_first;
    bool no_memory;
};
void quads_note_listener(struct quads_listeners *l, const struct addr *address, uint16_t port, bool v6_only);
/* Before the first question, after the last listener. */
void quads_listeners_ready(struct quads_listeners *l);
bool quads_is_accepted(const struct quads_listeners *l, const struct addr *address, uint16_t port);

/* Zero it, set ephemeral, reuse and listeners, give it sockets, free it. */
struct quads_table {
    struct port_range ephemeral;
    struct tw_reuse reuse; /* all zero: none */
    const struct quads_listeners *listeners;
    bool inbound; /* count what was accepted, by client address: the peer is the source */
    struct quads_pair *pair;
    size_t n, room;
    uint32_t *slot; /* open addressing: number of a pair + 1, or 0 */
    size_t slots;   /* a power of two */
    uint64_t seed;
    uint64_t total[QUADS_COUNTS];
    bool no_memory; /* some sockets are not counted */
};
void quads_add(struct quads_table *t, const struct dump_socket *s);
void quads_free(struct quads_table *t);
void quads_listeners_free(struct quads_listeners *l);

/* What one source can have open to one destination: the ephemeral range without the reserved ports in it, or, inbound,
 * the whole range, since clients have no part in this host's reservations. */
uint32_t quads_capacity(const struct host_ports *host, bool inbound);

uint32_t quads_taken(const struct quads_pair *p);
/* Of the capacity, without what lies outside the range; 100 for a capacity of 0. */
double quads_percent(const struct quads_pair *p, uint32_t capacity);

/* Fullest first, then by the number taken, then by address. */
void quads_sort(struct quads_table *t);

/* "tw_sock_TCP 10 16 256 ..." of /proc/slabinfo (slabinfo(5)): bytes of one object of a cache; 0: it is not there. */
uint32_t slab_object_bytes(const char *slabinfo, const char *cache);

#endif
