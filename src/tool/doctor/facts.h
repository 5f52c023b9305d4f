/* facts.h - what doctor found on this host, in this network namespace: facts only. What they mean is
 * doctor_judge's matter. */
#ifndef CONNSPREAD_TOOL_DOCTOR_FACTS_H
#define CONNSPREAD_TOOL_DOCTOR_FACTS_H

#include "tool/host/capacity.h"
#include "tool/host/counters.h"
#include "tool/host/holders.h"
#include "tool/host/preloadable.h"
#include "tool/host/socket_users.h"
#include "tool/host/tw_reuse.h"
#include "tool/supervise/trial.h"
#include "text/parse.h"

enum { FACT_UNKNOWN = COUNTER_UNKNOWN, PRELOADS = 600 };

/* Tried, not read off a version. */
enum feature {
    FEATURE_NO_PORT,    /* IP_BIND_ADDRESS_NO_PORT, 4.2 */
    FEATURE_PORT_RANGE, /* IP_LOCAL_PORT_RANGE, 6.3 */
    FEATURE_NETNS,      /* SO_NETNS_COOKIE, 5.14 */
    FEATURE_WIPE,       /* MADV_WIPEONFORK, 4.14 */
    FEATURE_SOCK_DIAG,  /* SOCK_DIAG_BY_FAMILY for TCP, 3.3 and its module */
    FEATURES
};

enum ipv6 { IPV6_UNKNOWN, IPV6_WORKS, IPV6_DISABLED, IPV6_ABSENT };

/* Of the config: addresses of pools that cannot be used now, or soon. */
enum { POOL_FAULTS = 4, POOL_FAULT_TEXT = 144 };
struct pool_facts {
    bool looked_at; /* there is a config */
    bool refused;
    char config[256];
    unsigned addresses, faults;
    unsigned lost; /* of the faults: nothing can be sent from there now */
    char fault[POOL_FAULTS][POOL_FAULT_TEXT];
};

struct host_facts {
    /* Sysctls and counters: FACT_UNKNOWN where there is no such file, or it cannot be read. */
    bool ports_known;
    struct host_ports ports;
    struct tw_reuse reuse;
    int64_t max_tw_buckets, fin_timeout, rfc1337;
    int64_t tw_recycle; /* unknown from 4.12 on */
    int64_t time_waits; /* now */
    int64_t counter_tw, counter_recycled, counter_overflow;
    int64_t abort_data, abort_close, abort_memory, abort_timeout, abort_linger, abort_failed;
    int64_t conntrack_count, conntrack_max, conntrack_time_wait_s; /* unknown: not loaded */
    int64_t conntrack_insert_failed, conntrack_drop, conntrack_early_drop;
    /* The fullest (source, destination). */
    bool pairs_known;
    uint32_t fullest_taken, fullest_time_waits, fullest_fin_waits, fullest_close_waits, capacity;
    uint32_t fullest_reusable; /* of the TIME-WAITs, those that a connect may take over now */
    bool fullest_loopback;
    char fullest_users[SOCKET_USERS_TEXT]; /* whose they are; empty: not found out */
    double fullest_percent;
    char fullest_source[ADDR_TEXT], fullest_destination[ENDPOINT_TEXT];

    struct pool_facts pools;
    bool feature[FEATURES];
    enum ipv6 ipv6;
    struct held_ports held;
    /* Of a program that was asked about. */
    bool has_program;
    char program[PRELOADABLE_PATH];
    enum preloadable preloadable; /* with whichever shim it would get */
    bool overwrites;              /* it puts a library of its own in the place of LD_PRELOAD */
    /* "/a.so, /b.so": what is preloaded into any program started from here, in its order; those that cannot be read. */
    char preloads[PRELOADS], missing_preloads[PRELOADS];
    unsigned n_preloads; /* other than shims */
    unsigned conduct;    /* bits of enum conduct */
    /* Tried if it cannot be preloaded. */
    struct trial supervising;
    int64_t yama; /* kernel.yama.ptrace_scope */
};

#endif
