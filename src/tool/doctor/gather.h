/* gather.h - What doctor reads: sysctls, counters, connection tracking, sockets. */
#ifndef CONNSPREAD_TOOL_DOCTOR_GATHER_H
#define CONNSPREAD_TOOL_DOCTOR_GATHER_H

#include <stdint.h>

#include "tool/doctor/facts.h"

struct host_facts;

void doctor_read_sysctls(struct host_facts *f);

void doctor_read_conntrack(struct host_facts *f);

void doctor_look_at_sockets(struct host_facts *f);

/* "TcpExt: A B\nTcpExt: 1 2\n" of /proc/net/netstat: a counter of TcpExt; FACT_UNKNOWN: it is not there. Pure. */
int64_t netstat_counter(const char *netstat, const char *name);

/* /proc/net/stat/nf_conntrack: a line of names, then hexadecimal lines, one a processor: the column's sum. Pure. */
int64_t conntrack_column(const char *table, const char *name);

/* "TCP: inuse 5 orphan 0 tw 3 ..." of /proc/net/sockstat. Pure. */
int64_t sockstat_time_waits(const char *sockstat);

#endif
