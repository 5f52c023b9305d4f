/* patience.h - a blocking connect with a SO_SNDTIMEO of its own, waited for outside the client.
 *
 * Continued in the kernel it would end as it should but for its errno: what has timed out would be EALREADY there,
 * since the SYN was sent before, and must be EINPROGRESS. */
#ifndef CONNSPREAD_TOOL_SUPERVISE_PATIENCE_H
#define CONNSPREAD_TOOL_SUPERVISE_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

/* The socket's SO_SNDTIMEO in ns; 0: none. */
uint64_t patience_limit(int fd);

/* Waits until fd is connected or has failed, a signal waits for the thread, or its call is gone: false, the kernel
 * knows what to say. True: the time (CLOCK_MONOTONIC, ns) has come. */
bool patience_ended(int listener, uint64_t call, uint32_t tid, int fd, uint64_t until);

#endif
