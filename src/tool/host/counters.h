/* counters.h - numbers of this host and network namespace that lie in /proc. */
#ifndef CONNSPREAD_TOOL_HOST_COUNTERS_H
#define CONNSPREAD_TOOL_HOST_COUNTERS_H

#include <stdint.h>

/* There is no such number, or it cannot be read. */
enum { COUNTER_UNKNOWN = -1 };

/* The number that a file begins with. */
int64_t number_in(const char *path);

/* net.ipv4.NAME */
int64_t ipv4_sysctl(const char *name);

/* "TcpExt: A B\nTcpExt: 1 2\n" of /proc/net/netstat: a counter of TcpExt. Pure. */
int64_t netstat_counter(const char *netstat, const char *name);

/* /proc/net/stat/nf_conntrack: a line of names, then hexadecimal lines, one a processor: the column's sum. Pure. */
int64_t conntrack_column(const char *table, const char *name);

/* "TCP: inuse 5 orphan 0 tw 3 ..." of /proc/net/sockstat. Pure. */
int64_t sockstat_time_waits(const char *sockstat);

#endif
