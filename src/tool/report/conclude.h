/* conclude.h - from what is known of an incident to its cause and what to do. Pure: no files, no sockets. */
#ifndef CONNSPREAD_TOOL_REPORT_CONCLUDE_H
#define CONNSPREAD_TOOL_REPORT_CONCLUDE_H

#include "tool/report/evidence.h"

/* In no particular order; a conclusion has them in order of least intrusion. */
enum remedy {
    REMEDY_REUSE_CONNECTIONS,
    REMEDY_LIMIT_OPEN,
    REMEDY_CLOSE_IN_SERVER,
    REMEDY_FIN_TIMEOUT,
    REMEDY_CLOSE_IN_CLIENT,
    REMEDY_FIND_OTHERS,
    REMEDY_RELEASE_BINDS,
    REMEDY_RESERVE_PORTS,
    REMEDY_UNRESERVE_PORTS,
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
    REMEDY_DESCRIPTORS,
    REMEDY_LATE_PORT,
    REMEDY_TW_BUCKETS,
    REMEDY_SOCKET_RANGE,
    REMEDY_ASK_DOCTOR,
    REMEDIES
};
enum { REMEDIES_MAX = 10 };

struct conclusion {
    enum conclusion_kind kind;      /* that of the largest share */
    struct share share[SHARES_MAX]; /* the largest first; they add up to 100 %; none where a range is not the matter */
    unsigned n_shares;
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
