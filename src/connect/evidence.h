/* evidence.h - what else is known when an EADDRNOTAVAIL is recorded: how many quadruplets there could be, how many the
 * kernel has, and what this program has been doing.
 *
 * Runs in the client, and only for an event that is written: at most 10 a second for a (program, destination). Opens
 * descriptors for a moment (close-on-exec) and maps 64 KiB of memory of its own for as long. The kernel is asked about
 * sockets only when the failure reaches the client or its own call had to do, once in 5 seconds for a (namespace,
 * destination) over all processes of the instance, by at most 1,024 lookups: 3 ms, however many sockets the host has.
 * Raw system calls, errno untouched, async-signal-safe. */
#ifndef CONNSPREAD_CONNECT_EVIDENCE_H
#define CONNSPREAD_CONNECT_EVIDENCE_H

#include "connect/report.h"

/* Completes r->record: capacity, reserved, bound, recent_*, and each source's kernel counts. now: CLOCK_MONOTONIC, ns.
 */
void evidence_gather(struct report *r, uint64_t now);

/* The address that the kernel would connect from. False: it has none. A UDP connect looks the route and the address up
 * just the same and sends nothing. */
bool evidence_source(const struct endpoint *destination, struct addr *out);

#endif
