/* readable.h - may the client's memory be read, or would the kernel say EFAULT?
 *
 * connect, bind and sends are answered with EFAULT when their address cannot be read; a wrapper that looked at it first
 * would die of it. */
#ifndef CONNSPREAD_SHIM_READABLE_H
#define CONNSPREAD_SHIM_READABLE_H

#include <stdbool.h>
#include <stddef.h>

/* May all of these bytes be read? A page that was never asked about costs one system call, rt_sigprocmask, which reads
 * a new mask before it finds that `how` is none (kernel/signal.c); nothing is changed. A page that was readable once is
 * believed to be so ever after: who unmaps one and passes it on dies of it. False for more than 64 KiB.
 * Async-signal-safe, errno untouched. */
bool readable(const void *p, size_t bytes);

#endif
