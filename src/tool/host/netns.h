/* netns.h - the network namespace that this process is in, and the way into others. */
#ifndef CONNSPREAD_TOOL_HOST_NETNS_H
#define CONNSPREAD_TOOL_HOST_NETNS_H

#include <stdbool.h>
#include <stdint.h>

/* SO_NETNS_COOKIE, Linux 5.14; 0: an older kernel. */
uint64_t netns_cookie(void);

enum { NETNS_WAY = 256, NETNS_SEARCHES = 16 };

/* The way into the namespace that was asked about last; all zero: none yet. */
struct netns_seen {
    uint64_t own, cookie;
    bool other;
    unsigned searches; /* among the processes: at most NETNS_SEARCHES, whatever another user's file names */
    char way[NETNS_WAY];
};

/* An incident of the namespace with this cookie: is that another one than ours? Then seen->way says how to look there,
 * in words that follow "in another network namespace: ". pid, program: of the incident, for a user who may not look
 * into all processes. The same question again costs nothing. */
bool netns_is_other(struct netns_seen *seen, uint64_t cookie, uint32_t pid, const char *program);

#endif
