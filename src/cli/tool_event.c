#include "cli/tool_event.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/cli_time.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71 /* Linux 5.14 */
#endif

/* 0: an older kernel. */
static uint64_t netns_cookie(void) {
    uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) != 0)
        cookie = 0;
    (void)close(fd);
    return cookie;
}

bool tool_event(const struct state *s, enum event_kind kind, const char *text) {
    struct event_record r = {.e = {.kind = (uint8_t)kind, .program = "connspread"}};
    r.e.time_us = time_now_us();
    r.e.netns = netns_cookie();
    r.e.pid = r.e.tid = (uint32_t)getpid();
    memcpy(r.u.text, text, strnlen(text, sizeof r.u.text - 1));
    return ring_write(s, &r);
}
