#include "tool/stat/names.h"

#include "state/event.h"

struct name {
    const char *name, *help;
};

static const struct name stats[STAT_COUNTERS] = {
    [STAT_CONNECTS] = {"connects", "TCP connects."},
    [STAT_IMMEDIATE] = {"connects_immediate", "Connects that were done when the call returned."},
    [STAT_IN_PROGRESS] = {"connects_in_progress", "Connects that went on after the call (EINPROGRESS, EINTR)."},
    [STAT_RECOVERED] = {"connects_recovered",
                        "Connects that met EADDRNOTAVAIL and left through another source or port range."},
    [STAT_FALLBACK] = {"connects_fallback",
                       "Connects that were made as the client asked after every source had failed."},
    [STAT_FAILED] = {"connects_failed", "Connects for which the client saw EADDRNOTAVAIL."},
    [STAT_REFUSED] = {"connects_refused", "Connects that failed with ECONNREFUSED."},
    [STAT_TIMED_OUT] = {"connects_timed_out", "Connects that failed with ETIMEDOUT."},
    [STAT_UNREACHABLE] = {"connects_unreachable", "Connects that failed with ENETUNREACH, EHOSTUNREACH or ENETDOWN."},
    [STAT_DENIED] = {"connects_denied", "Connects that failed with EACCES or EPERM."},
    [STAT_OTHER_ERROR] = {"connects_other_error", "Connects that failed with another error."},
    [STAT_SYN_TIMEOUT] =
        {"syn_timeouts",
         "Connects without an answer: closed in SYN_SENT, failed since the call returned, or ETIMEDOUT."},
    [STAT_SPREAD] = {"connects_spread", "Connects that left through a source or port range of the pool."},
    [STAT_CLOSED + FATE_TIME_WAIT] = {"closes_time_wait", "Closes that left a TIME-WAIT socket on this host."},
    [STAT_CLOSED + FATE_PASSIVE] = {"closes_passive", "Closes after the peer had closed."},
    [STAT_CLOSED + FATE_RESET] = {"closes_reset", "Closes with a reset."},
    [STAT_CLOSED + FATE_SHARED] = {"closes_shared", "Closes of a connection that others still held."},
    [STAT_CLOSED + FATE_NONE] = {"closes_none", "Closes of what was no connection any more, or not yet."},
    [STAT_BIND_IN_USE] = {"binds_in_use", "Binds of a client to an address and port 0 that failed with EADDRINUSE: "
                                          "no port was left. They have no rule."},
    [STAT_BIND_NOT_LOCAL] = {"binds_not_local", "Binds of a client to an address and port 0 that failed with "
                                                "EADDRNOTAVAIL. They have no rule."},
    [STAT_LATE_FAILED] = {"connects_late_failed", "Connects without a rule that failed with EADDRNOTAVAIL, where "
                                                  "bind would have failed if connspread had not put its port off."},
};

static const struct name counters[COUNTERS] = {
    [COUNT_CONNECTS] = {"connects_seen", "TCP connects seen, also those that no room was left to account for by rule."},
    [COUNT_SPREAD] = {"connects_seen_spread", "Connects that left through a source or port range of the pool."},
    [COUNT_RECOVERED] = {"connects_seen_recovered", "Connects that met EADDRNOTAVAIL and left all the same."},
    [COUNT_FALLBACK] = {"connects_seen_fallback", "Connects made as the client asked after every source had failed."},
    [COUNT_FAILED] = {"calls_failed", "Calls that failed for want of a quadruplet: EADDRNOTAVAIL of connect or bind, "
                                      "EADDRINUSE of bind with port 0."},
    [COUNT_HELD_DOWN] = {"sources_held_down", "Sources skipped because they were known to be full."},
    [COUNT_TIME_WAIT] = {"closes_seen_time_wait",
                         "Closes that left a TIME-WAIT socket, accepted connections included."},
    [COUNT_PASSIVE] = {"closes_seen_passive", "Closes after the peer had closed, accepted connections included."},
    [COUNT_RESET] = {"closes_seen_reset", "Closes with a reset, accepted connections included."},
    [COUNT_SHARED] = {"closes_seen_shared", "Closes of what others still held, accepted connections included."},
    [COUNT_NONE] = {"closes_seen_none", "Closes of what was no connection any more, accepted ones included."},
    [COUNT_VERIFIED] = {"closes_verified", "Closes after which the kernel was asked what became of the socket."},
    [COUNT_MISMATCH] = {"closes_mismatched", "Closes of which the kernel said something else than had been expected."},
    [COUNT_EVENTS_DROPPED] = {"events_dropped", "Events dropped by their writers."},
    [COUNT_UNSEEN_CLOSE] = {"closes_unseen", "Descriptors that came back though no close had been seen."},
    [COUNT_UNTRACKED] = {"connections_untracked", "Connections for which there was no record."},
    [COUNT_PAIRS_FULL] = {"pairs_full", "Times that the accounting had no room for a source and destination."},
    [COUNT_OPEN_TABLE_FULL] = {"open_table_full",
                               "Connections for which there was no room in the table that survives SIGKILL."},
    [COUNT_POLICY_BUSY] = {"calls_policy_busy", "Calls passed through because the policy kept changing under them."},
    [COUNT_CONFIG_ERROR] = {"config_errors", "Attaches with a config that was refused."},
    [COUNT_ATTACHED] = {"processes_attached", "Processes that made or accepted a TCP connection."},
    [COUNT_SEALED_CLOSE] = {"closes_sealed", "Connections closed by clients behind a seccomp filter of their own."},
    [COUNT_BIND_DENIED] = {"connects_bind_denied",
                           "Connects made as the client asked, because its process may not bind."},
    [COUNT_MARKED_DOWN] = {"sources_marked_down",
                           "Times that a source was marked down: not answered by a destination that answered others."},
    [COUNT_EMFILE] = {"sockets_failed_emfile",
                      "TCP sockets that failed with EMFILE: a process had no descriptor left."},
    [COUNT_TIME_WAIT_GONE] =
        {"time_waits_gone",
         "TIME-WAITs that were logged and that the kernel, asked again by a recorder, did not have."},
    [COUNT_ELSEWHERE] = {"connects_elsewhere", "Connects that went to another endpoint of their rule (also-to)."},
    [COUNT_ENDPOINT_OUT] = {"endpoints_left_out",
                            "Times that another endpoint of a rule (also-to) did not answer and was left out."},
    [COUNT_ENFILE] = {"sockets_failed_enfile", "TCP sockets that failed with ENFILE: the host had no file left."},
};

const char *stat_counter_name(unsigned counter) {
    return counter < STAT_COUNTERS ? stats[counter].name : NULL;
}

const char *stat_counter_help(unsigned counter) {
    return counter < STAT_COUNTERS ? stats[counter].help : NULL;
}

const char *counter_name(unsigned counter) {
    return counter < COUNTERS ? counters[counter].name : NULL;
}

const char *counter_help(unsigned counter) {
    return counter < COUNTERS ? counters[counter].help : NULL;
}
