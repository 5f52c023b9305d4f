#include "tool/events/names.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "tool/events/occupied.h"
#include "state/event.h"
#include "state/control.h"

static const char *const kinds[EVENT_KINDS] = {
    [EVENT_TIME_WAIT] = "time-wait",
    [EVENT_CLOSE] = "close",
    [EVENT_EXHAUSTED] = "exhausted",
    [EVENT_SOURCE_DOWN] = "source-down",
    [EVENT_ATTACH] = "attach",
    [EVENT_DETACH] = "detach",
    [EVENT_RELOAD] = "reload",
    [EVENT_OVERRIDE] = "override",
    [EVENT_TRACE_CONNECT] = "trace-connect",
    [EVENT_TRACE_CLOSE] = "trace-close",
    [EVENT_TIME_WAIT_GONE] = "time-wait-gone",
    [EVENT_HOLDERS] = "holders",
};
static const char *const directions[DIRECTIONS] = {[OUTBOUND] = "outbound", [INBOUND] = "inbound"};
static const char *const vias[VIAS] = {
    [VIA_CLOSE] = "close",         [VIA_DUP2] = "dup2",
    [VIA_DUP3] = "dup3",           [VIA_CLOSE_RANGE] = "close_range",
    [VIA_CLOSEFROM] = "closefrom", [VIA_FCLOSE] = "fclose",
    [VIA_FREOPEN] = "freopen",     [VIA_SYSCALL] = "syscall",
    [VIA_EXIT] = "exit",           [VIA__EXIT] = "_exit",
    [VIA_EXEC] = "exec",           [VIA_KILLED] = "killed",
    [VIA_KERNEL] = "kernel",
};
/* A listener's close is no connection's close: the contract has no word for it, and it stays "unknown". */
static const char *const phases[TCP_STATES] = {
    [TCP_STATE_UNKNOWN] = "unknown",     [TCP_STATE_ESTABLISHED] = "established", [TCP_STATE_SYN_SENT] = "syn_sent",
    [TCP_STATE_SYN_RECV] = "syn_recv",   [TCP_STATE_FIN_WAIT_1] = "fin_wait_1",   [TCP_STATE_FIN_WAIT_2] = "fin_wait_2",
    [TCP_STATE_TIME_WAIT] = "time_wait", [TCP_STATE_CLOSED] = "closed",           [TCP_STATE_CLOSE_WAIT] = "close_wait",
    [TCP_STATE_LAST_ACK] = "last_ack",   [TCP_STATE_CLOSING] = "closing",
};
static const char *const fates[FATES] = {
    [FATE_TIME_WAIT] = "time-wait", [FATE_PASSIVE] = "passive", [FATE_RESET] = "reset",
    [FATE_SHARED] = "shared",       [FATE_NONE] = "none",
};
static const char *const decided_bys[DECIDED_BYS] = {
    [DECIDED_BY_CLOSE] = "close",
    [DECIDED_BY_SHUTDOWN] = "shutdown",
};
static const char *const verifieds[VERIFIEDS] = {
    [VERIFIED_NULL] = "null",
    [VERIFIED_TRUE] = "true",
    [VERIFIED_FALSE] = "false",
};
static const char *const calls[CALLS] = {[CALL_CONNECT] = "connect", [CALL_BIND] = "bind", [CALL_SOCKET] = "socket"};
static const char *const causes[CAUSES] = {
    [CAUSE_UNKNOWN] = "unknown",
    [CAUSE_RANGE_FULL] = "range-full",
    [CAUSE_PORT_BUSY] = "port-busy",
    [CAUSE_ADDRESS_NOT_LOCAL] = "address-not-local",
    [CAUSE_FAMILY_DISABLED] = "family-disabled",
    [CAUSE_UNREACHABLE] = "unreachable",
    [CAUSE_UNANSWERED] = "unanswered",
    [CAUSE_DESCRIPTORS] = "descriptors",
};
static const char *const outcomes[OUTCOMES] = {
    [OUTCOME_RECOVERED] = "recovered",
    [OUTCOME_FALLBACK] = "fallback",
    [OUTCOME_FAILED] = "failed",
};
static const char *const proofs[PROOFS] = {
    [PROOF_NONE] = "none", [PROOF_SEARCH] = "search", [PROOF_HOLD_DOWN] = "hold-down",
    [PROOF_BIND] = "bind", [PROOF_ROUTE] = "route",   [PROOF_BOUND_PORT] = "bound-port",
};
static const char *const gone[GONE_REASONS] = {
    [GONE_UNKNOWN] = "unknown",
    [GONE_RESET] = "reset",
    [GONE_FIN_TIMEOUT] = "fin-timeout",
    [GONE_OVERFLOW] = "overflow",
};
static const char *const occupied[OCCUPIED_BYS] = {
    [OCCUPIED_UNKNOWN] = "unknown",
    [OCCUPIED_INSTANCE] = "instance",
    [OCCUPIED_OTHERS] = "others",
    [OCCUPIED_BOUND] = "bound-ports",
};

static const char *const decisions[DECISIONS] = {
    [DECISION_PASSED] = "passed",       [DECISION_WATCHED] = "watched",   [DECISION_SPREAD] = "spread",
    [DECISION_RECOVERED] = "recovered", [DECISION_FALLBACK] = "fallback", [DECISION_FAILED] = "failed",
};
static const char *const reasons[REASONS] = {
    [REASON_RULE] = "rule",
    [REASON_MODE_OFF] = "mode-off",
    [REASON_NO_RULE] = "no-rule",
    [REASON_IGNORED] = "ignored",
    [REASON_OBSERVE] = "observe",
    [REASON_CONTROL] = "control",
    [REASON_PORT_BOUND] = "port-bound",
    [REASON_ADDRESS_BOUND] = "address-bound",
    [REASON_NO_SOURCE] = "no-source",
    [REASON_CLOSED] = "descriptor-closed",
};
static const char *const saids[SAIDS] = {
    [SAID_CHOSEN] = "chosen",           [SAID_NOT_LOCAL] = "address-not-local",
    [SAID_UNREACHABLE] = "unreachable", [SAID_MARKED_DOWN] = "marked-down",
    [SAID_HELD_DOWN] = "held-down",     [SAID_FULL] = "full",
    [SAID_BIND_FAILED] = "bind-failed", [SAID_OTHER_INTERFACE] = "other-interface",
    [SAID_UNPREPARED] = "unprepared",
};

static const struct {
    const char *const *name;
    unsigned count;
} tables[NAME_TABLES] = {
    [NAMES_KIND] = {kinds, EVENT_KINDS},
    [NAMES_ARM] = {arm_word, ARMS},
    [NAMES_DIRECTION] = {directions, DIRECTIONS},
    [NAMES_VIA] = {vias, VIAS},
    [NAMES_PHASE] = {phases, TCP_STATES},
    [NAMES_FATE] = {fates, FATES},
    [NAMES_DECIDED_BY] = {decided_bys, DECIDED_BYS},
    [NAMES_VERIFIED] = {verifieds, VERIFIEDS},
    [NAMES_CALL] = {calls, CALLS},
    [NAMES_CAUSE] = {causes, CAUSES},
    [NAMES_OUTCOME] = {outcomes, OUTCOMES},
    [NAMES_PROOF] = {proofs, PROOFS},
    [NAMES_GONE] = {gone, GONE_REASONS},
    [NAMES_OCCUPIED] = {occupied, OCCUPIED_BYS},
    [NAMES_DECISION] = {decisions, DECISIONS},
    [NAMES_REASON] = {reasons, REASONS},
    [NAMES_SAID] = {saids, SAIDS},
};

static const struct {
    const char *name;
    uint16_t error;
} errors[] = {
    {"EPERM", EPERM},
    {"EACCES", EACCES},
    {"EINVAL", EINVAL},
    {"EMFILE", EMFILE},
    {"ENFILE", ENFILE},
    {"EADDRINUSE", EADDRINUSE},
    {"EADDRNOTAVAIL", EADDRNOTAVAIL},
    {"EAFNOSUPPORT", EAFNOSUPPORT},
    {"ENETDOWN", ENETDOWN},
    {"ENETUNREACH", ENETUNREACH},
    {"EHOSTDOWN", EHOSTDOWN},
    {"EHOSTUNREACH", EHOSTUNREACH},
    {"ENODEV", ENODEV},
    {"ENXIO", ENXIO},
    {"ENOPROTOOPT", ENOPROTOOPT},
    {"EOPNOTSUPP", EOPNOTSUPP},
    {"ENOBUFS", ENOBUFS},
    {"ENOMEM", ENOMEM},
    {"ETIMEDOUT", ETIMEDOUT},
    {"ECONNREFUSED", ECONNREFUSED},
    {"ECONNRESET", ECONNRESET},
    {"EINPROGRESS", EINPROGRESS},
    {"EAGAIN", EAGAIN},
};
enum { ERRORS = sizeof errors / sizeof errors[0] };

const char *event_name(enum name_table table, unsigned value) {
    if (table >= NAME_TABLES || value >= tables[table].count || !tables[table].name[value])
        return "unknown";
    return tables[table].name[value];
}

bool event_value(enum name_table table, const char *name, uint8_t *out) {
    for (unsigned i = 0; i < tables[table].count; i++) {
        if (tables[table].name[i] && strcmp(tables[table].name[i], name) == 0) {
            *out = (uint8_t)i;
            return true;
        }
    }
    return false;
}

const char *error_name(unsigned error) {
    for (unsigned i = 0; i < ERRORS; i++)
        if (errors[i].error == error)
            return errors[i].name;
    return NULL;
}

uint16_t error_value(const char *name) {
    for (unsigned i = 0; i < ERRORS; i++)
        if (strcmp(errors[i].name, name) == 0)
            return errors[i].error;
    return 0;
}
