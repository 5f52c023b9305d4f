/* netns.h - the network namespace that this process is in. */
#ifndef CONNSPREAD_TOOL_HOST_NETNS_H
#define CONNSPREAD_TOOL_HOST_NETNS_H

#include <stdint.h>

/* SO_NETNS_COOKIE, Linux 5.14; 0: an older kernel. */
uint64_t netns_cookie(void);

#endif
