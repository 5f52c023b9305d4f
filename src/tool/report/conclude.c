#include "tool/report/conclude.h"

#include "state/event.h"
#include "tool/report/shares.h"

/* A TIME-WAIT lasts 60 s and up to one step of the kernel's timer wheel more. */
static const double time_wait_seconds = 62;

enum { WIDEST_PORTS = 65535 - 1024 + 1 };

static uint64_t taken_by_us(const struct evidence *e) {
    return e->open + e->waits;
}

/* What the kernel counted cannot be less than what we know to be there, and both not more than there is. */
static uint64_t taken_by_all(const struct evidence *e, uint64_t capacity) {
    uint64_t all = 0, us = taken_by_us(e);
    for (unsigned i = 0; i < KERNEL_GROUPS; i++)
        all += e->kernel[i];
    all = e->counted && all > us ? all : us;
    return all < capacity ? all : capacity;
}

/* Of causes that are not a full range. */
static enum conclusion_kind kind_of(const struct evidence *e) {
    switch (e->cause) {
    case CAUSE_ADDRESS_NOT_LOCAL:
        return CONCLUDE_ADDRESS;
    case CAUSE_FAMILY_DISABLED:
        return CONCLUDE_IPV6;
    case CAUSE_PORT_BUSY:
        return CONCLUDE_PORT_BUSY;
    case CAUSE_DESCRIPTORS:
        return CONCLUDE_DESCRIPTORS;
    case CAUSE_UNREACHABLE:
        return CONCLUDE_UNREACHABLE;
    case CAUSE_UNANSWERED:
        return CONCLUDE_UNANSWERED;
    default:
        return CONCLUDE_UNKNOWN;
    }
}

static uint32_t round_up(double x) {
    if (x >= UINT32_MAX)
        return UINT32_MAX;
    uint32_t whole = (uint32_t)x;
    return whole + ((double)whole < x);
}

static uint32_t at_least(uint32_t n, uint32_t least) {
    return n > least ? n : least;
}

/* What succeeded in the worst minute and what failed in it, and how much room that takes. */
static void compute_demand(const struct evidence *e, struct conclusion *out) {
    uint64_t waits = e->peak_waits > e->waits ? e->peak_waits : e->waits;
    double room = 1.1 * (double)(waits + e->open + e->peak_failures);
    out->sustained = (double)out->capacity / time_wait_seconds;
    out->widest = (double)WIDEST_PORTS * e->sources / time_wait_seconds;
    out->wanted = (double)(waits + e->peak_failures) / time_wait_seconds;
    out->sources_needed = at_least(e->ports ? round_up(room / e->ports) : 0, e->sources + e->more_sources + 1);
    out->targets_needed = at_least(out->capacity ? round_up(room / (double)out->capacity) : 0, 2);
}

static void add(struct conclusion *out, enum remedy remedy) {
    for (unsigned i = 0; i < out->n_remedies; i++)
        if (out->remedy[i] == remedy)
            return;
    if (out->n_remedies < REMEDIES_MAX)
        out->remedy[out->n_remedies++] = remedy;
}

/* What to do first about a share of a range. */
static enum remedy first_remedy(enum conclusion_kind kind) {
    static const enum remedy first[SHARES_MAX] = {
        [CONCLUDE_TIME_WAIT] = REMEDY_REUSE_CONNECTIONS, [CONCLUDE_OPEN] = REMEDY_LIMIT_OPEN,
        [CONCLUDE_FIN_WAIT] = REMEDY_CLOSE_IN_SERVER,    [CONCLUDE_CLOSE_WAIT] = REMEDY_CLOSE_IN_CLIENT,
        [CONCLUDE_OTHERS] = REMEDY_FIND_OTHERS,          [CONCLUDE_EXPLICIT] = REMEDY_RELEASE_BINDS,
        [CONCLUDE_RESERVED] = REMEDY_UNRESERVE_PORTS,    [CONCLUDE_ELSEWHERE] = REMEDY_RELEASE_BINDS,
    };
    return first[kind];
}

static void add_widening(const struct evidence *e, struct conclusion *out) {
    if (e->ports + e->reserved < WIDEST_PORTS - WIDEST_PORTS / 10)
        add(out, REMEDY_WIDEN_RANGE);
}

static void add_room(const struct evidence *e, struct conclusion *out) {
    add_widening(e, out);
    add(out, REMEDY_ADD_SOURCES);
    add(out, REMEDY_ADD_DESTINATIONS);
}

/* What else helps against a share of a range, once the first remedy was tried. */
static void add_others(const struct evidence *e, enum conclusion_kind kind, struct conclusion *out) {
    switch (kind) {
    case CONCLUDE_TIME_WAIT:
        add_room(e, out);
        add(out, REMEDY_TW_REUSE);
        add(out, REMEDY_RESET_ON_CLOSE);
        break;
    case CONCLUDE_FIN_WAIT: /* here it helps, and nowhere else */
        add(out, REMEDY_FIN_TIMEOUT);
        add_room(e, out);
        break;
    case CONCLUDE_OPEN:
    case CONCLUDE_OTHERS:
        add_room(e, out);
        break;
    case CONCLUDE_ELSEWHERE:
        add(out, REMEDY_FIND_OTHERS);
        add(out, REMEDY_RESERVE_PORTS);
        add_widening(e, out);
        break;
    case CONCLUDE_EXPLICIT:
        add(out, REMEDY_RESERVE_PORTS);
        add_widening(e, out);
        break;
    case CONCLUDE_RESERVED:
        add_widening(e, out);
        break;
    default: /* a client that does not close uses up any number of ports */
        break;
    }
}

/* First against each share, the largest first; then what else there is against the largest. */
static void choose_for_shares(const struct evidence *e, struct conclusion *out) {
    for (unsigned i = 0; i < out->n_shares; i++)
        add(out, first_remedy(out->share[i].kind));
    if (e->bind_first)
        add(out, REMEDY_LATE_PORT);
    add_others(e, out->kind, out);
}

static void choose_remedies(struct conclusion *out) {
    switch (out->kind) {
    case CONCLUDE_ADDRESS:
        add(out, REMEDY_RESTORE_ADDRESS);
        add(out, REMEDY_CHANGE_SOURCE);
        break;
    case CONCLUDE_TW_BUCKETS:
        add(out, REMEDY_TW_BUCKETS);
        break;
    case CONCLUDE_SLOW_SEARCH:
        add(out, REMEDY_SOCKET_RANGE);
        add(out, REMEDY_REUSE_CONNECTIONS);
        add(out, REMEDY_ADD_SOURCES);
        break;
    case CONCLUDE_IPV6:
        add(out, REMEDY_ENABLE_IPV6);
        add(out, REMEDY_USE_IPV4);
        break;
    case CONCLUDE_PORT_BUSY:
        add(out, REMEDY_LET_KERNEL_CHOOSE);
        add(out, REMEDY_REUSE_CONNECTIONS);
        break;
    case CONCLUDE_DESCRIPTORS:
        add(out, REMEDY_DESCRIPTORS);
        add(out, REMEDY_LIMIT_OPEN);
        break;
    case CONCLUDE_UNREACHABLE:
        add(out, REMEDY_ROUTE_SOURCE);
        add(out, REMEDY_CHANGE_SOURCE);
        break;
    case CONCLUDE_UNANSWERED:
        add(out, REMEDY_FOLLOW_PACKETS);
        add(out, REMEDY_ROUTE_SOURCE);
        add(out, REMEDY_CHANGE_SOURCE);
        break;
    default:
        add(out, REMEDY_ASK_DOCTOR);
        break;
    }
}

void conclude(const struct evidence *e, struct conclusion *out) {
    *out = (struct conclusion){.capacity = (uint64_t)e->ports * e->sources};
    out->taken = taken_by_all(e, out->capacity);
    compute_demand(e, out);
    if (e->cause == CAUSE_RANGE_FULL && !e->quiet) {
        out->n_shares = shares_find(e, out->share);
        out->kind = out->share[0].kind;
        choose_for_shares(e, out);
    } else {
        out->kind = e->quiet ? e->kind : kind_of(e);
        choose_remedies(out);
    }
}

const char *conclusion_name(enum conclusion_kind kind) {
    static const char *const names[CONCLUSIONS] = {
        [CONCLUDE_TIME_WAIT] = "time-wait",
        [CONCLUDE_OPEN] = "open-connections",
        [CONCLUDE_FIN_WAIT] = "fin-wait",
        [CONCLUDE_CLOSE_WAIT] = "close-wait",
        [CONCLUDE_OTHERS] = "other-processes",
        [CONCLUDE_EXPLICIT] = "explicit-binds",
        [CONCLUDE_RESERVED] = "reserved-ports",
        [CONCLUDE_ELSEWHERE] = "ports-held-elsewhere",
        [CONCLUDE_ADDRESS] = "address-gone",
        [CONCLUDE_IPV6] = "ipv6-disabled",
        [CONCLUDE_PORT_BUSY] = "port-busy",
        [CONCLUDE_DESCRIPTORS] = "descriptors",
        [CONCLUDE_UNREACHABLE] = "source-unreachable",
        [CONCLUDE_UNANSWERED] = "source-unanswered",
        [CONCLUDE_TW_BUCKETS] = "tw-buckets",
        [CONCLUDE_SLOW_SEARCH] = "slow-search",
        [CONCLUDE_UNKNOWN] = "unknown",
    };
    return kind < CONCLUSIONS ? names[kind] : "unknown";
}

const char *remedy_name(enum remedy remedy) {
    static const char *const names[REMEDIES] = {
        [REMEDY_REUSE_CONNECTIONS] = "reuse-connections",
        [REMEDY_LIMIT_OPEN] = "limit-open-connections",
        [REMEDY_CLOSE_IN_SERVER] = "close-in-server",
        [REMEDY_FIN_TIMEOUT] = "tcp-fin-timeout",
        [REMEDY_CLOSE_IN_CLIENT] = "close-in-client",
        [REMEDY_FIND_OTHERS] = "find-other-processes",
        [REMEDY_RELEASE_BINDS] = "release-binds",
        [REMEDY_RESERVE_PORTS] = "reserve-ports",
        [REMEDY_UNRESERVE_PORTS] = "unreserve-ports",
        [REMEDY_WIDEN_RANGE] = "widen-range",
        [REMEDY_ADD_SOURCES] = "add-sources",
        [REMEDY_ADD_DESTINATIONS] = "add-destinations",
        [REMEDY_TW_REUSE] = "tcp-tw-reuse",
        [REMEDY_RESET_ON_CLOSE] = "reset-on-close",
        [REMEDY_RESTORE_ADDRESS] = "restore-address",
        [REMEDY_CHANGE_SOURCE] = "change-source",
        [REMEDY_ENABLE_IPV6] = "enable-ipv6",
        [REMEDY_USE_IPV4] = "use-ipv4",
        [REMEDY_LET_KERNEL_CHOOSE] = "let-kernel-choose-port",
        [REMEDY_ROUTE_SOURCE] = "route-source",
        [REMEDY_FOLLOW_PACKETS] = "follow-packets",
        [REMEDY_DESCRIPTORS] = "raise-descriptors",
        [REMEDY_LATE_PORT] = "late-port",
        [REMEDY_TW_BUCKETS] = "raise-tw-buckets",
        [REMEDY_SOCKET_RANGE] = "per-socket-range",
        [REMEDY_ASK_DOCTOR] = "ask-doctor",
    };
    return remedy < REMEDIES ? names[remedy] : "unknown";
}
