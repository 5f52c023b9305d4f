/* conclude.h - from what is known of an incident to its cause and what to do. Pure: no files, no sockets. */
#ifndef CONNSPREAD_TOOL_REPORT_CONCLUDE_H
#define CONNSPREAD_TOOL_REPORT_CONCLUDE_H

#include "tool/events/occupied.h"

#include <stdbool.h>
#include <stdint.h>

enum conclusion_kind {
    CONCLUDE_TIME_WAIT,   /* short-lived connections, closed first: their TIME-WAITs took the ports */
    CONCLUDE_OPEN,        /* connections that stay open took them */
    CONCLUDE_OTHERS,      /* connections of processes that this instance does not see took them */
    CONCLUDE_EXPLICIT,    /* ports bound explicitly, connected to nothing here, took them */
    CONCLUDE_ELSEWHERE,   /* one of the last two; which was not measured */
    CONCLUDE_ADDRESS,     /* a local address that is not on the host */
    CONCLUDE_IPV6,        /* IPv6 is disabled */
    CONCLUDE_PORT_BUSY,   /* the client's own fixed local port is taken */
    CONCLUDE_UNREACHABLE, /* a source from which the destination cannot be reached */
    CONCLUDE_UNANSWERED,  /* a source from which nothing comes back from the destination */
    CONCLUDE_UNKNOWN,
    CONCLUSIONS
};

/* In no particular order; a conclusion has them in order of least intrusion. */
enum remedy {
    REMEDY_REUSE_CONNECTIONS,
    REMEDY_LIMIT_OPEN,
    REMEDY_FIND_OTHERS,
    REMEDY_RELEASE_BINDS,
    REMEDY_RESERVE_PORTS,
    REMEDY_WIDEN_RANGE,
    REMEDY_ADD_SOURCES,
    REMEDY_ADD_DESTINATIONS,
    REMEDY_TW_REUSE,
    REMEDY_RESET_ON_CLOSE,
    REMEDY_RESTORE_ADDRESS,
    REMEDY_CHANGE_SOURCE,
    REMEDY_ENABLE_IPV6,
    REMEDY_USE_IPV4,
    REMEDY_LET_KERNEL_CHOOSE,
    REMEDY_ROUTE_SOURCE,
    REMEDY_FOLLOW_PACKETS,
    REMEDY_ASK_DOCTOR,
    REMEDIES
};
enum { REMEDIES_MAX = 8 };

enum ports_from { PORTS_BY_EVENT, PORTS_OF_THIS_HOST, PORTS_ASSUMED };

/* Of one incident, at its first failure unless said otherwise. Counts are quadruplets towards the destination. */
struct evidence {
    bool source_down; /* told by a source that was unusable, not by a call that failed */
    uint8_t cause;    /* enum cause */
    enum ports_from ports_from;
    uint32_t ports, sources; /* ports each source can use */
    uint64_t open, waits;    /* of this instance: open; in TIME-WAIT, the best of what is known */
    bool counted;            /* the kernel's sockets were: */
    bool estimated;          /* ... from a sample */
    enum occupied occupied;  /* what the event makes of it */
    uint64_t kernel_open, kernel_waits, kernel_closing, kernel_other; /* of all processes */
    uint32_t bound;                     /* ports of the range that are taken without a connection to there */
    uint32_t reserved;                  /* ports of the range that a program gets only by asking */
    uint64_t peak_waits, peak_failures; /* most in a minute during the incident */
};

struct conclusion {
    enum conclusion_kind kind;
    uint64_t capacity;       /* ports x sources */
    uint64_t taken;          /* of it, by all that were counted */
    double sustained;        /* new connections a second that the capacity carries when each leaves a TIME-WAIT */
    double wanted;           /* a second, by what succeeded and what failed in the worst minute */
    uint32_t sources_needed; /* in all, for what was wanted and a tenth more */
    uint32_t targets_needed; /* likewise, ports or addresses on the server's side */
    double widest;           /* a second, with the ports 1024-65535 */
    uint32_t n_remedies;
    enum remedy remedy[REMEDIES_MAX];
};

void conclude(const struct evidence *e, struct conclusion *out);

/* Words for programs: "time-wait", "reuse-connections". */
const char *conclusion_name(enum conclusion_kind kind);
const char *remedy_name(enum remedy remedy);

#endif
