#include "tool/filters.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/kernel_constants.h"

enum { SECONDS = 2 };

unsigned filters_inherited(void) {
    static const char key[] = "Seccomp_filters:";
    char line[256];
    unsigned n = 0;
    FILE *status = fopen("/proc/self/status", "re");
    if (!status)
        return 0;
    while (fgets(line, sizeof line, status))
        if (strncmp(line, key, sizeof key - 1) == 0)
            n = (unsigned)strtoul(line + sizeof key - 1, NULL, 10);
    (void)fclose(status);
    return n;
}

/* The name goes where the parent reads it before the call is made. */
#define TRY(name, ...) (snprintf(at, FILTERS_CALL, "%s", #name), (void)syscall(SYS_##name, __VA_ARGS__))

static void try_sockets(char *at) {
    struct sockaddr_in nowhere = {.sin_family = AF_INET};
    struct sockaddr_storage name;
    char buffer[256];
    int value = 0, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t length = sizeof buffer;
    static const struct {
        int level, option;
    } asked[] = {
        {IPPROTO_TCP, TCP_INFO},       {SOL_SOCKET, SO_COOKIE},         {SOL_SOCKET, SO_PROTOCOL},
        {SOL_SOCKET, SO_NETNS_COOKIE}, {IPPROTO_TCP, TCP_LINGER2},      {SOL_SOCKET, SO_LINGER},
        {SOL_SOCKET, SO_PEERNAME},     {SOL_SOCKET, SO_DOMAIN},         {SOL_SOCKET, SO_ERROR},
        {SOL_SOCKET, SO_MARK},         {SOL_SOCKET, SO_REUSEADDR},      {SOL_SOCKET, SO_REUSEPORT},
        {SOL_SOCKET, SO_SNDTIMEO},     {SOL_SOCKET, SO_BINDTOIFINDEX},  {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT},
        {IPPROTO_IP, IP_UNICAST_IF},   {IPPROTO_IPV6, IPV6_UNICAST_IF}, {284 /* SOL_MPTCP */, 1 /* MPTCP_INFO */}};
    TRY(socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 4 /* NETLINK_SOCK_DIAG */);
    for (unsigned i = 0; i < sizeof asked / sizeof *asked; i++, length = sizeof buffer)
        TRY(getsockopt, fd, asked[i].level, asked[i].option, buffer, &length);
    TRY(setsockopt, fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &value, sizeof value);
    TRY(setsockopt, fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &value, sizeof value);
    TRY(setsockopt, fd, IPPROTO_IP, IP_FREEBIND, &value, sizeof value);
    TRY(setsockopt, fd, IPPROTO_IPV6, IPV6_V6ONLY, &value, sizeof value);
    TRY(setsockopt, fd, IPPROTO_IPV6, IPV6_FREEBIND, &value, sizeof value);
    TRY(setsockopt, fd, SOL_SOCKET, SO_REUSEADDR, &value, sizeof value);
    TRY(setsockopt, fd, SOL_SOCKET, SO_REUSEPORT, &value, sizeof value);
    TRY(setsockopt, fd, SOL_SOCKET, SO_SNDTIMEO, &value, sizeof value);
    length = sizeof name;
    TRY(getsockname, fd, &name, &length);
    TRY(getpeername, fd, &name, &length);
    TRY(ioctl, fd, FIONREAD, &value);
    TRY(recvfrom, fd, buffer, 1, MSG_PEEK | MSG_DONTWAIT, NULL, NULL);
    TRY(sendto, -1, buffer, 0, MSG_NOSIGNAL, NULL, 0);
    TRY(connect, -1, &nowhere, sizeof nowhere);
    TRY(bind, fd, &nowhere, sizeof nowhere);
    TRY(fcntl, fd, F_GETFL);
    TRY(fcntl, fd, F_GETFD);
    TRY(close, fd);
}

static void try_memory(char *at) {
    char byte[16];
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
#ifdef SYS_mmap2
    TRY(mmap2, NULL, 0, 0, 0, -1, 0);
#else
    TRY(mmap, NULL, 0, 0, 0, -1, 0);
#endif
    TRY(madvise, page, 4096, MADV_WIPEONFORK);
    TRY(madvise, page, 4096, MADV_POPULATE_READ);
    TRY(madvise, page, 4096, MADV_DONTNEED);
    TRY(madvise, page, 4096, MADV_POPULATE_WRITE);
    TRY(mremap, page, 0, 4096, MREMAP_MAYMOVE, 0);
    TRY(munlock, page, 4096);
    TRY(munmap, page, 4096);
    TRY(rt_sigprocmask, -1, byte, NULL, 8);
    TRY(rt_sigaction, -1, NULL, NULL, 8);
    TRY(getrandom, byte, sizeof byte, 0);
}

static void try_files(char *at) {
    char buffer[1024];
    struct rlimit limit;
    TRY(openat, AT_FDCWD, "/proc/self/stat", O_RDONLY | O_CLOEXEC, 0);
#if !defined(__GLIBC__) && defined(SYS_open)
    TRY(open, "/proc/self/stat", O_RDONLY | O_CLOEXEC, 0);
#endif
#ifdef SYS_faccessat
    TRY(faccessat, AT_FDCWD, "/proc/self/stat", F_OK);
#endif
    TRY(read, -1, buffer, 1);
    TRY(write, -1, buffer, 0);
    TRY(flock, -1, 0);
    TRY(fallocate, -1, 0, 0L, 0L);
    TRY(ftruncate, -1, 0L);
#ifdef SYS_fstatfs64
    TRY(fstatfs64, -1, 0L, buffer);
#else
    TRY(fstatfs, -1, buffer);
#endif
    TRY(mkdirat, AT_FDCWD, "", 0700);
    TRY(fchmod, -1, 0600);
    TRY(fchmodat, AT_FDCWD, "", 0600);
    TRY(linkat, -1, "", -1, "", 0);
    TRY(unlinkat, -1, "", 0);
#ifdef SYS_newfstatat
    TRY(newfstatat, AT_FDCWD, "/proc/self/task", buffer, 0);
    TRY(fstat, -1, buffer);
#else
    TRY(fstatat64, AT_FDCWD, "/proc/self/task", buffer, 0);
    TRY(fstat64, -1, buffer);
#endif
    TRY(prlimit64, 0, RLIMIT_AS, NULL, &limit);
}

static void try_rest(char *at) {
    char buffer[1024];
    struct timespec none = {0};
    TRY(getpid, 0);
    TRY(gettid, 0);
    TRY(geteuid, 0);
#ifdef SYS_geteuid32
    TRY(geteuid32, 0);
#endif
    TRY(uname, buffer);
    TRY(sched_yield, 0);
    TRY(nanosleep, &none, NULL);
    TRY(ppoll, NULL, 0, &none, NULL, 0);
    TRY(unshare, CLONE_FILES);
}

static void child(char *at) {
    static const struct rlimit none = {0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)signal(SIGSYS, SIG_DFL);
    (void)signal(SIGALRM, SIG_DFL);
    (void)alarm(SECONDS);
    try_sockets(at);
    try_memory(at);
    try_files(at);
    try_rest(at);
    _exit(0);
}

bool filters_spare(char call[FILTERS_CALL]) {
    int status = -1;
    char *shared = mmap(NULL, FILTERS_CALL, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    snprintf(call, FILTERS_CALL, "fork");
    if (shared == MAP_FAILED)
        return false;
    pid_t pid = fork();
    if (pid == 0)
        child(shared);
    if (pid > 0 && waitpid(pid, &status, 0) == pid && shared[0])
        snprintf(call, FILTERS_CALL, "%s", shared);
    (void)munmap(shared, FILTERS_CALL);
    return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
