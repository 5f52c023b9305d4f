/* dump_filter.h - which sockets a sock_diag dump shall leave out, as a program for the kernel (INET_DIAG_REQ_BYTECODE,
 * net/ipv4/inet_diag.c). What it leaves out costs a tenth of what it shows. Pure. */
#ifndef CONNSPREAD_TOOL_HOST_DUMP_FILTER_H
#define CONNSPREAD_TOOL_HOST_DUMP_FILTER_H

#include "policy/policy.h"

enum { DUMP_WITHOUT = 32 };

/* What a listener takes: sockets that have its port and address, or its port and any address. */
struct dump_local {
    struct addr address; /* 0.0.0.0 or :: for any of the family, :: without v6_only for any of both */
    uint16_t port;       /* host byte order */
    bool v6_only;
};

/* A v4-mapped prefix takes IPv4 connections of AF_INET6 sockets as well. */
struct dump_filter {
    const struct policy_target *peer, *local; /* each end's address and port must lie in this; NULL: any */
    const struct dump_local *without;         /* none of these; only the first DUMP_WITHOUT are looked at */
    unsigned n_without;                       /* and not v6_only ones: what those took is shown */
};

struct dump_op {
    uint8_t code, yes;
    uint16_t no;
};

/* Room for two ends, and the listeners. */
enum { DUMP_PROGRAM = 2 * (7 + 4) + DUMP_WITHOUT * 8 };
struct dump_program {
    struct dump_op op[DUMP_PROGRAM];
    unsigned n; /* 0: no program is needed */
};

void dump_filter_compile(struct dump_program *out, const struct dump_filter *filter);

#endif
