#include "tool/host/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* /proc says in ticks of 10 ms when a process started, the client in nanoseconds when it noted itself. */
static const uint64_t tolerance_ns = 20000000;

uint64_t owner_namespace(void) {
    struct stat s;
    return stat("/proc/self/ns/pid", &s) == 0 ? (uint64_t)s.st_ino : 0;
}

bool owner_stat_lives(const char *stat, long ticks_per_second, uint64_t noted_ns) {
    const char *at = strrchr(stat, ')'); /* the name may hold anything, parentheses too */
    char state = 0;
    long threads = 0;
    unsigned long long start = 0;
    /* The kernel wrote these numbers. */
    if (!at || ticks_per_second <= 0 || // NOLINTNEXTLINE(cert-err34-c)
        sscanf(at, ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %ld %*d %llu", &state,
               &threads, &start) != 3)
        return true;
    /* A leader that ended before its threads is a zombie too, and they hold the descriptors. */
    if ((state == 'Z' || state == 'X') && threads <= 1)
        return false;
    uint64_t started_ns = start * (1000000000u / (unsigned long)ticks_per_second);
    return noted_ns == 0 || started_ns <= noted_ns + tolerance_ns;
}

bool owner_lives(uint32_t pid, uint64_t noted_ns) {
    char path[32], text[1024];
    if (pid == 0 || pid > INT32_MAX)
        return false;
    if (kill((pid_t)pid, 0) != 0 && errno == ESRCH)
        return false;
    snprintf(path, sizeof path, "/proc/%u/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        (void)close(fd);
    if (n <= 0)
        return !(kill((pid_t)pid, 0) != 0 && errno == ESRCH);
    text[n] = 0;
    return owner_stat_lives(text, sysconf(_SC_CLK_TCK), noted_ns);
}
