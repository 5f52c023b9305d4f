/* fdtab.h - what is known of each descriptor, and the connections behind them.
 *
 * A descriptor's word says "unknown", "not TCP" or where its connection is; several descriptors (dup) may share
 * one connection, which counts them. Words are claimed by atomic exchange, so two threads that close one descriptor
 * never log it twice. Pages are mapped when first needed and never unmapped, so a stale pointer is at worst another
 * connection, never a fault. Lock-free; async-signal-safe; private to the process (a fork child has a copy). */
#ifndef CONNSPREAD_CLIENT_FDTAB_H
#define CONNSPREAD_CLIENT_FDTAB_H

#include <stdbool.h>
#include <stdint.h>

#include "net/addr.h"
#include "state/layout.h"

enum {
    FD_MAX = 1 << 20,  /* descriptors from here on are left alone, and looked at anew at their close */
    CONN_MAX = 1 << 18 /* connections one process can remember */
};

#define MPTCP_UNKNOWN UINT32_MAX

enum conn_phase { CONN_IDLE, CONN_CONNECTING, CONN_CONNECTED, CONN_LISTENING };

enum conn_flag {
    CONN_INBOUND = 1 << 0,
    CONN_MPTCP = 1 << 1,
    CONN_APP_ADDRESS = 1 << 2,   /* the client bound (address, 0) and we gave it a late port */
    CONN_APP_PORT = 1 << 3,      /* the client's bind took a port */
    CONN_OUR_BIND = 1 << 4,      /* bound by us */
    CONN_OUR_NO_PORT = 1 << 5,   /* IP_BIND_ADDRESS_NO_PORT set by us; the client had it off */
    CONN_OUR_RANGE = 1 << 6,     /* IP_LOCAL_PORT_RANGE set by us */
    CONN_OUR_V6ONLY = 1 << 7,    /* binding a v6 source set IPV6_V6ONLY */
    CONN_APP_NO_PORT = 1 << 8,   /* set by the client */
    CONN_APP_RANGE = 1 << 9,     /* a range of the client's own: left alone */
    CONN_APP_V6ONLY = 1 << 10,   /* client's last word on IPV6_V6ONLY was "on" ... */
    CONN_APP_V6DUAL = 1 << 11,   /* ... or "off" */
    CONN_LINGER_RESET = 1 << 12, /* SO_LINGER {1, 0} */
    CONN_LINGER2_OFF = 1 << 13,  /* TCP_LINGER2 < 0: no FIN_WAIT2 */
    CONN_ADOPTED = 1 << 14,      /* not seen from the start: inherited, received, or made behind our back */
    CONN_PASSED = 1 << 15,       /* others may have it: sent with SCM_RIGHTS, or closing_abort */
    CONN_PEER_ASK = 1 << 16,     /* the peer is not known from connect or accept */
    CONN_OUR_FREEBIND = 1 << 17,
    CONN_APP_FREEBIND = 1 << 18,
    CONN_TRIED = 1 << 19,       /* an earlier connect of this socket failed */
    CONN_COUNTED = 1 << 20,     /* counted as open in its pair */
    CONN_QUIET = 1 << 21,       /* not to be logged (log.inbound = false) */
    CONN_ULP = 1 << 22,         /* TCP_ULP set: kTLS and the like */
    CONN_SHUT = 1 << 23,        /* the client called shutdown, either way */
    CONN_STDIO = 1 << 26,       /* a FILE was made of it */
    CONN_OUR_PORT = 1 << 25,    /* bound by us to a port of its own: cannot be bound again */
    CONN_PINNED = 1 << 27,      /* the client pinned its device or mark; or that is not known: it was adopted */
    CONN_FASTOPEN = 1 << 24,    /* TCP_FASTOPEN_CONNECT: connect returns before anything is sent */
    CONN_LINGER_WAIT = 1 << 28, /* SO_LINGER {1, n}: close may wait */
    CONN_REPAIR = 1 << 29,      /* TCP_REPAIR: close sends nothing and leaves nothing */
    CONN_ASKED = 1 << 30        /* it went to another endpoint than the client asked for: asked.h */
};
/* No int, so no enumerator. We have bound it, so the kernel keeps what source it chooses itself from then on, too, when
 * the connect has failed or the connection is dissolved (SOCK_BINDADDR_LOCK). */
#define CONN_OUR_LOCK (UINT32_C(1) << 31)

struct pair;

/* Two cache lines, which no other connection's thread writes to. */
struct conn {
    _Alignas(64) uint32_t refs; /* descriptors of this process, and threads that hold it; see fdtab.c */
    uint32_t next;              /* free list */
    uint32_t serial;            /* counts the connections that this record has been; atomic */
    uint32_t generation;        /* process_generation() when it came to be */
    uint32_t flags;             /* enum conn_flag; atomic */
    struct endpoint peer;
    struct addr source;    /* bound by us or late-bound by the client; else :: */
    struct addr app;       /* what the client bound itself, with CONN_APP_ADDRESS */
    uint32_t asked;        /* with CONN_ASKED: which destination the client asked for (asked.h) */
    uint64_t connected_ns; /* CLOCK_MONOTONIC */
    uint64_t shutdown_ns;  /* first shutdown that sent our FIN */
    struct pair *pair;
    uint16_t rule_id, pool_id;
    uint16_t local_port;    /* 0: not known */
    uint8_t phase;          /* enum conn_phase */
    uint8_t family;         /* AF_INET or AF_INET6 */
    uint8_t shutdown_phase; /* enum tcp_state just before that shutdown; TCP_STATE_UNKNOWN: none */
    uint8_t arm;
    uint16_t stat;     /* stats_number() of the entry that its connect was counted in; 0: it was not seen */
    uint32_t flow;     /* history_key; 0: its connect was not seen */
    uint16_t so_error; /* that the client fetched while connecting; 0: none */
    uint32_t token;    /* of an MPTCP connection; 0: plain TCP; MPTCP_UNKNOWN: not asked yet, or no answer */
};

/* CLOSING: another thread is just closing it, and records what is to be recorded. */
enum fd_kind { FD_UNKNOWN, FD_NOT_TCP, FD_CLOSING, FD_TCP };

/* Looks without changing anything. *conn is set for FD_TCP. */
enum fd_kind fd_look(int fd, struct conn **conn);

/* Where that stands, for those who look more than once: it stays. NULL: nothing is known. */
typedef uintptr_t fd_word;
fd_word *fd_word_of(int fd);
enum fd_kind fd_look_at(const fd_word *word, struct conn **conn);

/* Is it conn's? */
bool fd_is(int fd, const struct conn *conn);

/* What the number was before is forgotten: a connection whose close was not seen gives its record back unlogged. */
void fd_set_not_tcp(int fd);
void fd_set_unknown(int fd);

/* Binds fd to conn (taking over one reference that the caller holds). Returns a connection that the number belonged to
 * before, whose close was not seen, or NULL; its reference is the caller's. False in *kept: no memory for the page, the
 * reference stays with the caller. */
struct conn *fd_assign(int fd, struct conn *conn, bool *kept);

/* The descriptor of word is about to be closed. Exactly one of several racing callers gets FD_TCP and the reference;
 * all others see FD_CLOSING, until fd_closed or until the number is given to something new. Any other kind is left as
 * it is. */
enum fd_kind fd_closing(fd_word *word, struct conn **conn);
void fd_closed(fd_word *word);

/* It was not closed after all: word takes over one reference again. False: another thread came to close the number
 * meanwhile, or it is something new; the reference stays with the caller. */
bool fd_put_back(fd_word *word, struct conn *conn);

/* A fork child: what threads of the parent were just closing does not count here, what they held no thread holds. */
void fd_forget_closing(void);

/* The first tracked TCP descriptor in [from, to], or -1. Skips unmapped spans. */
int fd_next_tcp(int from, int to);

/* A zeroed connection with one reference, or NULL. */
struct conn *conn_new(void);
/* Only by one that holds a reference already. */
void conn_ref(struct conn *c);

/* The connection of fd with one more reference, for a second descriptor; NULL when it is none, or is being closed by
 * another thread at this moment. */
struct conn *conn_share(int fd);

/* Around a call in which the client's thread may sleep, be cancelled, or fork elsewhere: nothing is held there. What
 * conn_serial says before tells afterwards whether the record is still that connection's; conn_take then holds it
 * again. False: its last descriptor is closed, and the record free or another's. */
uint32_t conn_serial(const struct conn *c);
bool conn_take(struct conn *c, uint32_t serial);

/* The connection of fd, held; NULL as for conn_share. True in conn_unhold: as conn_unref. */
struct conn *conn_hold_of(int fd);
bool conn_unhold(struct conn *c);

/* True when that was the last one: the caller now owns c and calls conn_free when done with it. */
bool conn_unref(struct conn *c);

/* The same if it is the only one; else false, and nothing is done. */
bool conn_unref_only(struct conn *c);

/* The same by one that may want it back, or be the last to have it after all: where others are left, the caller holds c
 * in its place (*held; never if too many threads do). copies: also where they are descriptors, not only threads. */
bool conn_unref_held(struct conn *c, bool copies, bool *held);
void conn_free(struct conn *c);

/* By one that holds it: nothing else has it. */
bool conn_held_alone(const struct conn *c);
/* A small number that is c's while it is in use: below CONN_MAX, the lowest ones first. */
uint32_t conn_index(const struct conn *c);

/* Descriptors of this process that stand for c. */
uint32_t conn_descriptors(const struct conn *c);

_Static_assert(sizeof(struct conn) == 128, "32 to a page");

static inline uint32_t conn_flags(const struct conn *c) {
    return __atomic_load_n(&c->flags, __ATOMIC_RELAXED);
}
/* Something is to be told of it: not what mode off or log.inbound says to pass over. */
static inline bool conn_phase_is_worth(const struct conn *c, uint8_t phase) {
    return (phase == CONN_CONNECTED || phase == CONN_CONNECTING) && !(conn_flags(c) & CONN_QUIET);
}
static inline void conn_set_flags(struct conn *c, uint32_t flags) {
    if ((conn_flags(c) & flags) != flags)
        __atomic_fetch_or(&c->flags, flags, __ATOMIC_RELAXED);
}
static inline void conn_clear_flags(struct conn *c, uint32_t flags) {
    if (conn_flags(c) & flags)
        __atomic_fetch_and(&c->flags, ~flags, __ATOMIC_RELAXED);
}

#endif
