/* event.h - an event as it lies in a ring, and what can be said of a connection.
 *
 * struct event is what writer and reader share; text and JSON are made of it by the tool only. 112 bytes, one cell;
 * exhausted and text events continue in further cells. */
#ifndef CONNSPREAD_STATE_EVENT_H
#define CONNSPREAD_STATE_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "net/addr.h"
#include "net/tally.h"
#include "state/layout.h"

enum event_kind {
    EVENT_NONE,
    EVENT_TIME_WAIT,
    EVENT_CLOSE,
    EVENT_EXHAUSTED,
    EVENT_SOURCE_DOWN,
    EVENT_ATTACH,
    EVENT_DETACH,
    EVENT_RELOAD,
    EVENT_OVERRIDE,
    EVENT_TRACE_CONNECT, /* these two only from clients that are traced: CONNSPREAD_TRACE */
    EVENT_TRACE_CLOSE,
    EVENT_TIME_WAIT_GONE,
    EVENT_HOLDERS, /* by the recorder: which programs had ports when a connect found none */
    EVENT_KINDS
};
enum direction { OUTBOUND, INBOUND, DIRECTIONS };
enum via {
    VIA_CLOSE,
    VIA_DUP2,
    VIA_DUP3,
    VIA_CLOSE_RANGE,
    VIA_CLOSEFROM,
    VIA_FCLOSE,
    VIA_FREOPEN,
    VIA_SYSCALL,
    VIA_EXIT,
    VIA__EXIT,
    VIA_EXEC,
    VIA_KILLED,
    VIA_KERNEL,
    VIAS
};
enum tcp_state { /* the state before the close; numbers are ours, names are the contract's */
                 TCP_STATE_UNKNOWN,
                 TCP_STATE_ESTABLISHED,
                 TCP_STATE_SYN_SENT,
                 TCP_STATE_SYN_RECV,
                 TCP_STATE_FIN_WAIT_1,
                 TCP_STATE_FIN_WAIT_2,
                 TCP_STATE_TIME_WAIT,
                 TCP_STATE_CLOSED,
                 TCP_STATE_CLOSE_WAIT,
                 TCP_STATE_LAST_ACK,
                 TCP_STATE_LISTEN,
                 TCP_STATE_CLOSING,
                 TCP_STATES
};
_Static_assert(TCP_STATE_ESTABLISHED == 1 && TCP_STATE_SYN_SENT == 2 && TCP_STATE_FIN_WAIT_1 == 4 &&
                   TCP_STATE_TIME_WAIT == 6 && TCP_STATE_CLOSED == 7 && TCP_STATE_LAST_ACK == 9 &&
                   TCP_STATE_CLOSING == 11,
               "enum tcp_state follows the kernel's numbers (include/net/tcp_states.h)");

/* The kernel's state (TCP_INFO, sock_diag) in our numbering, which is the same; anything else is TCP_STATE_UNKNOWN. */
static inline enum tcp_state tcp_state_from_kernel(unsigned state) {
    return state < TCP_STATES ? (enum tcp_state)state : TCP_STATE_UNKNOWN;
}

enum fate { FATE_TIME_WAIT, FATE_PASSIVE, FATE_RESET, FATE_SHARED, FATE_NONE, FATES };
enum decided_by { DECIDED_BY_CLOSE, DECIDED_BY_SHUTDOWN, DECIDED_BYS };
enum verified { VERIFIED_NULL, VERIFIED_TRUE, VERIFIED_FALSE, VERIFIEDS };
enum exhausted_call { CALL_CONNECT, CALL_BIND, CALL_SOCKET, CALLS };
enum cause {
    CAUSE_UNKNOWN,
    CAUSE_RANGE_FULL,
    CAUSE_PORT_BUSY,
    CAUSE_ADDRESS_NOT_LOCAL,
    CAUSE_FAMILY_DISABLED,
    CAUSE_UNREACHABLE,
    CAUSE_UNANSWERED,  /* of a source-down alone: never why a call failed, so the history has no counter for it */
    CAUSE_DESCRIPTORS, /* of socket() alone: EMFILE or ENFILE; the history counts connects and binds */
    CAUSES
};
enum outcome { OUTCOME_RECOVERED, OUTCOME_FALLBACK, OUTCOME_FAILED, OUTCOMES };

/* What became of a traced connect. */
enum decision {
    DECISION_PASSED,  /* the client's own call, without a look at the policy */
    DECISION_WATCHED, /* the client's own call, watched and counted */
    DECISION_SPREAD,
    DECISION_RECOVERED,
    DECISION_FALLBACK,
    DECISION_FAILED, /* the client got EADDRNOTAVAIL */
    DECISIONS
};

/* And why that one. */
enum reason {
    REASON_RULE, /* the rule said so, and what the sources said */
    REASON_MODE_OFF,
    REASON_NO_RULE,
    REASON_IGNORED, /* the rule's action is ignore */
    REASON_OBSERVE,
    REASON_CONTROL,
    REASON_PORT_BOUND,    /* by the client */
    REASON_ADDRESS_BOUND, /* by the client, and the rule leaves it that */
    REASON_NO_SOURCE,     /* none may be bound to this socket */
    REASON_CLOSED,        /* another thread closed the descriptor meanwhile */
    REASONS
};

/* What one source said to a traced connect. */
enum said {
    SAID_UNKNOWN,
    SAID_CHOSEN,
    SAID_NOT_LOCAL,   /* not on this host; with an error: bind said so just now */
    SAID_UNREACHABLE, /* no way from it to the destination; with an error: just now */
    SAID_MARKED_DOWN,
    SAID_HELD_DOWN, /* full a moment ago */
    SAID_FULL,
    SAID_BIND_FAILED,
    SAID_OTHER_INTERFACE, /* the socket is pinned, and its packets leave elsewhere */
    SAID_UNPREPARED,      /* the socket took an option of ours not */
    SAIDS
};

/* How the cause of an EADDRNOTAVAIL is known. */
enum proof {
    PROOF_NONE,
    PROOF_SEARCH,     /* a connect searched the range in vain */
    PROOF_HOLD_DOWN,  /* another search did, a moment ago; or another bind was refused */
    PROOF_BIND,       /* bind refused the address */
    PROOF_ROUTE,      /* the kernel has no address of that family to connect from */
    PROOF_BOUND_PORT, /* the socket was bound to one port */
    PROOFS
};
/* Why a TIME-WAIT that was told is not there. */
enum gone_reason {
    GONE_UNKNOWN,
    GONE_RESET,       /* the peer reset it, or sent data, which the kernel answers with a reset */
    GONE_FIN_TIMEOUT, /* no FIN of the peer came, and FIN-WAIT-2 ended */
    GONE_OVERFLOW,    /* tcp_max_tw_buckets */
    GONE_REASONS
};
enum { EVENT_PROGRAM = 20, EXHAUSTED_SOURCES = 9, ENDPOINTS_NAMED = 4 };

struct event {
    uint64_t time_us; /* CLOCK_REALTIME since 1970 */
    uint64_t seq;
    uint64_t netns; /* cookie */
    uint64_t age_us;
    struct addr local, peer;
    uint32_t pid, tid;
    uint32_t decided_before_ms;     /* decided_at = time - this */
    char program[EVENT_PROGRAM];    /* NUL-padded, not necessarily terminated */
    uint16_t local_port, peer_port; /* host byte order */
    uint16_t rule_id, pool_id;      /* name table; 0: none */
    uint8_t kind, arm, direction, via, phase, fate, decided_by, verified;
};
/* Of EVENT_TIME_WAIT_GONE: decided_before_ms is the time since the close, age_us the seq of its event, phase the state
 * that was seen last after the close, and via an enum gone_reason. */
_Static_assert(sizeof(struct event) == CELL_PAYLOAD, "an event fills one cell");

/* One source that a connect tried. */
struct exhausted_source {
    struct addr address;
    struct port_range ports;  /* as tried; 0-0: the whole ephemeral range */
    uint32_t open, time_wait; /* quadruplets to this destination through this instance */
    uint16_t cause;           /* enum cause; of a trace: enum said */
    uint16_t error;           /* errno of the attempt */
    /* The kernel's sockets from it to this destination, of all users; at most 65535 of each. */
    uint16_t kernel[KERNEL_GROUPS];
    uint8_t counted; /* enum counted */
    uint8_t zero;
};

/* The rest of EVENT_EXHAUSTED (call, cause, outcome ...), EVENT_SOURCE_DOWN (cause, error) and EVENT_TRACE_CONNECT
 * (cause: enum reason, outcome: enum decision, error: of the call; sources). */
struct event_exhausted {
    uint64_t elapsed_us;
    uint32_t repeats; /* events like this one that were not written since the last: connspread(1) */
    uint16_t attempts, n_sources;
    uint16_t omitted; /* sources tried beyond EXHAUSTED_SOURCES */
    uint16_t error;
    uint8_t call, cause, outcome, proof;
    uint16_t recent_s;          /* the next two are of the last so many seconds; 0: not known */
    uint16_t bound;             /* ports of the range that are taken without a connection to here; with bound_counted */
    uint32_t recent_connects;   /* of this program to this destination, */
    uint32_t recent_time_waits; /* and the TIME-WAITs that it left */
    uint16_t reserved;          /* ports of the range that ip_local_reserved_ports takes away */
    uint16_t capacity;          /* quadruplets that one source can have to one destination; 0: not known */
    uint8_t bound_counted;
    uint8_t n_endpoints, endpoints_omitted; /* of also-to: they stand behind the sources */
    uint8_t zero[5];
    struct exhausted_source source[EXHAUSTED_SOURCES];
    uint32_t zero2;
};

/* The rest of EVENT_TIME_WAIT and EVENT_CLOSE, if direction has EVENT_ASKED, which a reader takes off: what connect was
 * called with, where a program of the host translated it. port 0: none did. */
enum { EVENT_ASKED = 0x80 };
struct event_asked {
    struct addr address;
    uint16_t port, zero[3];
};

/* The rest of EVENT_ATTACH, EVENT_DETACH, EVENT_RELOAD, EVENT_OVERRIDE, EVENT_TRACE_CLOSE and EVENT_HOLDERS: free text
 * for people. */
enum { EVENT_TEXT = (EVENT_CELLS_MAX - 1) * CELL_PAYLOAD };

struct event_record {
    struct event e;
    union {
        struct event_exhausted exhausted;
        struct event_asked asked;
        char text[EVENT_TEXT];
    } u;
};
_Static_assert(sizeof(struct event_record) == EVENT_CELLS_MAX * CELL_PAYLOAD, "an event takes at most five cells");

/* Which kinds go on as struct event_exhausted; which only a trace has. */
static inline bool event_has_sources(unsigned kind) {
    return kind == EVENT_EXHAUSTED || kind == EVENT_SOURCE_DOWN || kind == EVENT_TRACE_CONNECT;
}
static inline bool event_is_trace(unsigned kind) {
    return kind == EVENT_TRACE_CONNECT || kind == EVENT_TRACE_CLOSE;
}

/* A marked entry of the open table had TCP_LINGER2 < 0, as its owner saw (the one way from ESTABLISHED to FATE_NONE):
 * if it is in FIN_WAIT1, it goes with the ACK that is to come. */
static inline bool open_without_fin_wait_2(const struct open_entry *h) {
    return open_fate(h) == FATE_NONE && open_phase(h) != TCP_STATE_UNKNOWN && h->token == 0;
}

#endif
