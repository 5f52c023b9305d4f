/* stop.h - a signal that ends a command in good order. */
#ifndef CONNSPREAD_TOOL_COMMON_STOP_H
#define CONNSPREAD_TOOL_COMMON_STOP_H

#include <signal.h>

/* Set to the signal by SIGINT and SIGTERM, and to 1 by a write that failed: loops that read events end soon after. */
extern volatile sig_atomic_t stop_signal;

/* From now on SIGINT and SIGTERM set it; a write that fails says so by its errno, not by SIGPIPE or SIGXFSZ. */
void stop_catch(void);

#endif
