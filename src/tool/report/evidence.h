/* evidence.h - what is known of an incident, and what its cause may be. */
#ifndef CONNSPREAD_TOOL_REPORT_EVIDENCE_H
#define CONNSPREAD_TOOL_REPORT_EVIDENCE_H

#include "net/tally.h"

#include <stdbool.h>
#include <stdint.h>

enum conclusion_kind {
    /* What has the ports of a range: each a share of it. */
    CONCLUDE_TIME_WAIT,  /* short-lived connections, closed first: their TIME-WAITs */
    CONCLUDE_OPEN,       /* connections that stay open */
    CONCLUDE_FIN_WAIT,   /* connections that were closed here and that the server never closes: FIN-WAIT-2 */
    CONCLUDE_CLOSE_WAIT, /* connections that the server has closed and the client never closes: CLOSE-WAIT */
    CONCLUDE_OTHERS,     /* connections of processes that this instance does not see */
    CONCLUDE_EXPLICIT,   /* ports bound explicitly, connected to nothing here */
    CONCLUDE_RESERVED,   /* ports that ip_local_reserved_ports takes away */
    CONCLUDE_ELSEWHERE,  /* others' connections or explicit binds; which was not measured */
    /* What has nothing to do with a range. */
    CONCLUDE_ADDRESS,     /* a local address that is not on the host */
    CONCLUDE_IPV6,        /* IPv6 is disabled */
    CONCLUDE_PORT_BUSY,   /* the client's own fixed local port is taken */
    CONCLUDE_DESCRIPTORS, /* no descriptor was left for a socket */
    CONCLUDE_UNREACHABLE, /* a source from which the destination cannot be reached */
    CONCLUDE_UNANSWERED,  /* a source from which nothing comes back from the destination */
    /* Of which no call fails. */
    CONCLUDE_TW_BUCKETS,  /* closes that left no TIME-WAIT, for the kernel makes no more of them */
    CONCLUDE_SLOW_SEARCH, /* connect() searches long for a port */
    CONCLUDE_UNKNOWN,
    CONCLUSIONS
};

enum ports_from { PORTS_BY_EVENT, PORTS_OF_THIS_HOST, PORTS_ASSUMED };

/* Of one incident, at its first failure unless said otherwise. Counts are quadruplets towards the destination. */
struct evidence {
    bool quiet; /* no call failed, and no event tells: the next is what it is */
    enum conclusion_kind kind;
    bool source_down; /* told by a source that was put aside, not by a call that failed */
    uint8_t cause;    /* enum cause */
    bool bind_first;  /* the call that failed is a bind to port 0, which wants a port that no socket has */
    enum ports_from ports_from;
    uint32_t ports, sources;        /* ports each source can use, without the reserved; sources that were looked at */
    bool own_range;                 /* the ports are the pool's or the program's, and not the host's ephemeral range */
    uint32_t more_sources;          /* that the pool has besides */
    uint64_t open, waits;           /* of this instance: open; in TIME-WAIT, the best of what is known */
    bool counted;                   /* the kernel's sockets were: */
    bool estimated;                 /* ... from a sample */
    uint64_t kernel[KERNEL_GROUPS]; /* of all processes */
    uint64_t fin_wait;              /* of the kernel's FIN-WAITs those that are known to have been so for seconds */
    uint32_t counted_sources;
    uint64_t counted_open, counted_waits; /* open and waits of the moment at which the kernel's were counted */
    uint32_t reserved;                    /* ports of the range that a program gets only by asking */
    uint64_t peak_waits, peak_failures;   /* most in a minute during the incident */
};

/* Is it one of which no call fails? */
static inline bool conclusion_is_quiet(enum conclusion_kind kind) {
    return kind == CONCLUDE_TW_BUCKETS || kind == CONCLUDE_SLOW_SEARCH;
}

/* Of the ports of all sources, the reserved included. */
struct share {
    enum conclusion_kind kind;
    uint64_t quadruplets;
    unsigned percent;
};
enum { SHARES_MAX = CONCLUDE_ELSEWHERE + 1 };

#endif
