#include "tool/report/conclude.h"

#include "state/event.h"

/* A TIME-WAIT lasts 60 s and up to one step of the kernel's timer wheel more. */
static const double time_wait_seconds = 62;

enum { WIDEST_PORTS = 65535 - 1024 + 1, RANGE_SELDOM_SMALLER = 4096 };

static uint64_t taken_by_us(const struct evidence *e) {
    return e->open + e->waits;
}

/* What the kernel counted cannot be less than what we know to be there. */
static uint64_t taken_by_all(const struct evidence *e) {
    uint64_t all = e->kernel_open + e->kernel_waits + e->kernel_closing + e->kernel_other, us = taken_by_us(e);
    return e->counted && all > us ? all : us;
}

static enum conclusion_kind ours(const struct evidence *e) {
    return e->waits >= e->open ? CONCLUDE_TIME_WAIT : CONCLUDE_OPEN;
}

/* connect() had no port left. The event's own verdict knows only the connections that a rule covered; the log knows
 * all closes. */
static enum conclusion_kind why_full(const struct evidence *e, uint64_t capacity) {
    uint64_t us = taken_by_us(e);
    switch (e->occupied) {
    case OCCUPIED_INSTANCE:
        return ours(e);
    case OCCUPIED_BOUND:
        return CONCLUDE_EXPLICIT;
    case OCCUPIED_OTHERS:
        return us >= taken_by_all(e) / 2 ? ours(e) : CONCLUDE_OTHERS;
    default:
        break;
    }
    if (e->ports_from == PORTS_ASSUMED)
        return us >= RANGE_SELDOM_SMALLER ? ours(e) : CONCLUDE_ELSEWHERE;
    return us >= capacity - capacity / 4 ? ours(e) : CONCLUDE_ELSEWHERE;
}

static enum conclusion_kind kind_of(const struct evidence *e, uint64_t capacity) {
    switch (e->cause) {
    case CAUSE_RANGE_FULL:
        return why_full(e, capacity);
    case CAUSE_ADDRESS_NOT_LOCAL:
        return CONCLUDE_ADDRESS;
    case CAUSE_FAMILY_DISABLED:
        return CONCLUDE_IPV6;
    case CAUSE_PORT_BUSY:
        return CONCLUDE_PORT_BUSY;
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
    out->sources_needed = at_least(e->ports ? round_up(room / e->ports) : 0, e->sources + 1);
    out->targets_needed = at_least(out->capacity ? round_up(room / (double)out->capacity) : 0, 2);
}

static void add(struct conclusion *out, enum remedy remedy) {
    if (out->n_remedies < REMEDIES_MAX)
        out->remedy[out->n_remedies++] = remedy;
}

static void add_room(const struct evidence *e, struct conclusion *out) {
    if (e->ports < WIDEST_PORTS - WIDEST_PORTS / 10)
        add(out, REMEDY_WIDEN_RANGE);
    add(out, REMEDY_ADD_SOURCES);
    add(out, REMEDY_ADD_DESTINATIONS);
}

static void choose_remedies(const struct evidence *e, struct conclusion *out) {
    switch (out->kind) {
    case CONCLUDE_TIME_WAIT:
        add(out, REMEDY_REUSE_CONNECTIONS);
        add_room(e, out);
        add(out, REMEDY_TW_REUSE);
        add(out, REMEDY_RESET_ON_CLOSE);
        break;
    case CONCLUDE_OPEN:
        add(out, REMEDY_LIMIT_OPEN);
        add_room(e, out);
        break;
    case CONCLUDE_OTHERS:
        add(out, REMEDY_FIND_OTHERS);
        add_room(e, out);
        break;
    case CONCLUDE_EXPLICIT:
    case CONCLUDE_ELSEWHERE:
        add(out, REMEDY_RELEASE_BINDS);
        if (out->kind == CONCLUDE_ELSEWHERE)
            add(out, REMEDY_FIND_OTHERS);
        add(out, REMEDY_RESERVE_PORTS);
        if (e->ports < WIDEST_PORTS - WIDEST_PORTS / 10)
            add(out, REMEDY_WIDEN_RANGE);
        break;
    case CONCLUDE_ADDRESS:
        add(out, REMEDY_RESTORE_ADDRESS);
        add(out, REMEDY_CHANGE_SOURCE);
        break;
    case CONCLUDE_IPV6:
        add(out, REMEDY_ENABLE_IPV6);
        add(out, REMEDY_USE_IPV4);
        break;
    case CONCLUDE_PORT_BUSY:
        add(out, REMEDY_LET_KERNEL_CHOOSE);
        add(out, REMEDY_REUSE_CONNECTIONS);
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
    *out = (struct conclusion){.capacity = (uint64_t)e->ports * e->sources, .taken = taken_by_all(e)};
    out->kind = kind_of(e, out->capacity);
    compute_demand(e, out);
    choose_remedies(e, out);
}

const char *conclusion_name(enum conclusion_kind kind) {
    static const char *const names[CONCLUSIONS] = {
        [CONCLUDE_TIME_WAIT] = "time-wait",
        [CONCLUDE_OPEN] = "open-connections",
        [CONCLUDE_OTHERS] = "other-processes",
        [CONCLUDE_EXPLICIT] = "explicit-binds",
        [CONCLUDE_ELSEWHERE] = "ports-held-elsewhere",
        [CONCLUDE_ADDRESS] = "address-gone",
        [CONCLUDE_IPV6] = "ipv6-disabled",
        [CONCLUDE_PORT_BUSY] = "port-busy",
        [CONCLUDE_UNREACHABLE] = "source-unreachable",
        [CONCLUDE_UNANSWERED] = "source-unanswered",
        [CONCLUDE_UNKNOWN] = "unknown",
    };
    return kind < CONCLUSIONS ? names[kind] : "unknown";
}

const char *remedy_name(enum remedy remedy) {
    static const char *const names[REMEDIES] = {
        [REMEDY_REUSE_CONNECTIONS] = "reuse-connections",
        [REMEDY_LIMIT_OPEN] = "limit-open-connections",
        [REMEDY_FIND_OTHERS] = "find-other-processes",
        [REMEDY_RELEASE_BINDS] = "release-binds",
        [REMEDY_RESERVE_PORTS] = "reserve-ports",
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
        [REMEDY_ASK_DOCTOR] = "ask-doctor",
    };
    return remedy < REMEDIES ? names[remedy] : "unknown";
}
