#include "tool/supervise/patience.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/sys.h"
#include "tool/supervise/desk.h"
#include "tool/supervise/peer.h"

enum { STEP_MS = 10 };

uint64_t patience_limit(int fd) {
    struct timeval limit = {0};
    socklen_t length = sizeof limit;
    if (getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, &length) != 0)
        return 0;
    return (uint64_t)limit.tv_sec * 1000000000u + (uint64_t)limit.tv_usec * 1000u;
}

static uint64_t set_of_signals(const char *status, const char *name) {
    const char *line = strstr(status, name);
    return line ? strtoull(line + strlen(name), NULL, 16) : 0;
}

/* One that it neither blocks nor ignores; those for the process may be another thread's, which then takes them. */
static bool signal_waits(uint32_t tid) {
    char status[4096];
    if (!peer_status(tid, status, sizeof status))
        return true;
    uint64_t pending = set_of_signals(status, "\nSigPnd:\t") | set_of_signals(status, "\nShdPnd:\t");
    return (pending & ~set_of_signals(status, "\nSigBlk:\t") & ~set_of_signals(status, "\nSigIgn:\t")) != 0;
}

bool patience_ended(int listener, uint64_t call, uint32_t tid, int fd, uint64_t until) {
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    for (uint64_t now; (now = clock_ns(CLOCK_MONOTONIC)) < until;) {
        uint64_t left_ms = (until - now) / 1000000u + 1;
        if (poll(&p, 1, left_ms < STEP_MS ? (int)left_ms : STEP_MS) != 0)
            return false;
        if (!desk_is_valid(listener, call) || signal_waits(tid))
            return false;
    }
    return true;
}
