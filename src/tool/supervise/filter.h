/* filter.h - the seccomp filter of a supervised program: its connects wait for the supervisor's answer. */
#ifndef CONNSPREAD_TOOL_SUPERVISE_FILTER_H
#define CONNSPREAD_TOOL_SUPERVISE_FILTER_H

#include <stdbool.h>

/* Installs it in this thread, for ever, for it and all that it executes: connect, and sends with MSG_FASTOPEN, become
 * notifications; io_uring_setup is ENOSYS unless it is kept. Also no_new_privs. Returns the listener, close-on-exec, or
 * -errno: EBUSY where there is one already, EINVAL on a kernel without (before Linux 5.0). */
int filter_install(bool keep_io_uring);

/* Is this a notification of a 32-bit program, or of its one call for all of them? */
bool filter_is_compat(unsigned arch);
bool filter_is_socketcall(unsigned arch, int nr);

#endif
