/* readable.h - may the client's memory be read, or would the kernel say EFAULT?
 *
 * connect, bind and sends are answered with EFAULT when their address cannot be read; a wrapper that looked at it first
 * would die of it. */
#ifndef CONNSPREAD_SHIM_READABLE_H
#define CONNSPREAD_SHIM_READABLE_H

#include <stdbool.h>
#include <stddef.h>

/* May all of these bytes be read? A page that was never asked about costs one system call, madvise(MADV_POPULATE_READ)
 * of Linux 5.14 or else rt_sigprocmask; the first of a process, two or four more. In doubt, false: then the call goes
 * to the kernel as it came. A page that was readable once is believed to be so ever after: a client that unmaps one and
 * passes it on dies of it. False for more than 64 KiB. Async-signal-safe, errno untouched. */
bool readable(const void *p, size_t bytes);

/* The kernel has read all of these bytes: a system call that needs them worked. Async-signal-safe, errno untouched. */
void readable_shown(const void *p, size_t bytes);

#endif
