/* tally.h - how many sockets each of some sources has to one destination, by state; and who sits on ports of a range.
 *
 * Two sock_diag(7) dumps that the kernel filters by bytecode (INET_DIAG_REQ_BYTECODE), so that it sends no other
 * sockets; asked in the old form (TCPDIAG_GETSOCK), which takes both families at once. Unprivileged. Each opens a
 * netlink descriptor for the moment (close-on-exec), never blocks, and ends when its time is up or the caller's buffer
 * has been filled often enough. Raw system calls, errno untouched, async-signal-safe. */
#ifndef CONNSPREAD_NET_TALLY_H
#define CONNSPREAD_NET_TALLY_H

#include "state/event.h"

struct tally {
    struct addr source;
    uint32_t count[KERNEL_GROUPS];
};

/* The group of a state as the kernel numbers it. */
enum kernel_group tally_group(unsigned state);

/* Counts the sockets from each of n sources to destination in the caller's network namespace; adds to t[].count.
 * buffer: at least 4096 bytes, aligned to 8, for what the kernel sends; larger is faster. cpu_ns: processor time of
 * this thread that it may take (what others take from it meanwhile is not its doing). COUNTED_AT_LEAST: the time was
 * up; COUNTED_NO: it could not be asked. */
enum counted tally_destination(const struct endpoint *destination, struct tally *t, unsigned n, void *buffer,
                               size_t size, uint64_t cpu_ns);

/* Counts the sockets that have a port in [low, high] and no connection: listening, or merely bound (those since Linux
 * 6.8). A connect that looks for a port skips theirs. Ports in host byte order. */
enum counted tally_bound(uint16_t low, uint16_t high, uint32_t *count, void *buffer, size_t size, uint64_t cpu_ns);

#endif
