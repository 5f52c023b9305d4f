/* lifecycles_actor.h - a process that does what it is told, one order at a time. Part of lifecycles.c. */
#ifndef LIFECYCLES_ACTOR_H
#define LIFECYCLES_ACTOR_H

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lifecycles_close.h"
#include "base/kernel_constants.h"

#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE 2
#endif

extern char **environ;

enum { PATIENCE_MS = 5000, BYTES = 4096 };
static char bytes[BYTES];

/* --- the actor's channel and mailbox --- */

static socklen_t mailbox(struct sockaddr_un *out, const char *name) {
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    (void)snprintf(out->sun_path + 1, sizeof out->sun_path - 1, "%s", name);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
}

/* With a descriptor, unless passed is negative. */
static ssize_t send_with(int to, const struct sockaddr_un *address, socklen_t length, const void *data, size_t size,
                         int passed) {
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {{0}};
    struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    struct msghdr m = {
        .msg_name = (void *)(uintptr_t)address, .msg_namelen = length, .msg_iov = &part, .msg_iovlen = 1};
    if (passed >= 0) {
        control.header = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), &passed, sizeof passed);
        m.msg_control = &control;
        m.msg_controllen = sizeof control.room;
    }
    return sendmsg(to, &m, MSG_NOSIGNAL);
}

static ssize_t receive_with(int from, void *data, size_t size, int *passed) {
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {{0}};
    struct iovec part = {.iov_base = data, .iov_len = size};
    struct msghdr m = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.room};
    ssize_t n = recvmsg(from, &m, 0);
    *passed = -1;
    if (n >= 0 && m.msg_controllen >= CMSG_LEN(sizeof(int)))
        memcpy(passed, CMSG_DATA(&control.header), sizeof *passed);
    return n;
}

static void reply(int result) {
    struct answer a = {.result = result, .error = result < 0 ? errno : 0, .pid = getpid()};
    if (send(CONTROL, &a, sizeof a, MSG_NOSIGNAL) != sizeof a)
        _exit(3);
}

/* --- making and using a connection --- */

static int finish_connect(int fd, const struct order *o) {
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int error = 0;
    socklen_t length = sizeof error;
    if (errno != EINPROGRESS || poll(&p, 1, PATIENCE_MS) != 1)
        return -1;
    if (o->how & CONNECT_ASK && (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0 || error))
        return -1;
    if (o->how & CONNECT_AGAIN && connect(fd, (const void *)&o->address, o->length) != 0 && errno != EISCONN)
        return -1;
    return 0;
}

static int connect_it(int fd, const struct order *o) {
    const struct sockaddr *to = (const void *)&o->address;
    int on = 1;
    if (o->how & CONNECT_BIND) {
        struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a00000b)}; /* 10.0.0.11 */
        if (bind(fd, (struct sockaddr *)&any, sizeof any) != 0)
            return -1;
    }
    if (o->how & CONNECT_FASTOPEN)
        return sendto(fd, bytes, (size_t)o->n, MSG_FASTOPEN | MSG_NOSIGNAL, to, o->length) == o->n ? 0 : -1;
    if (o->how & CONNECT_FASTOPEN2)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on);
    if (connect(fd, to, o->length) != 0 && finish_connect(fd, o) != 0)
        return -1;
    return o->how & CONNECT_FASTOPEN2 && send(fd, bytes, (size_t)o->n, MSG_NOSIGNAL) != o->n ? -1 : 0;
}

static void do_connect(const struct order *o) {
    struct answer a = {.pid = getpid(), .result = -1};
    socklen_t length = sizeof a.local;
    int type =
        SOCK_STREAM | (o->how & CONNECT_CLOEXEC ? SOCK_CLOEXEC : 0) | (o->how & CONNECT_NONBLOCK ? SOCK_NONBLOCK : 0);
    int fd = socket(o->address.sin6_family, type, o->how & CONNECT_MPTCP ? IPPROTO_MPTCP : 0);
    if (fd >= 0 && connect_it(fd, o) == 0 && getsockname(fd, (struct sockaddr *)&a.local, &length) == 0)
        a.result = fd;
    a.error = a.result < 0 ? errno : 0;
    length = sizeof a.peer;
    (void)getpeername(fd, (struct sockaddr *)&a.peer, &length);
    (void)send(CONTROL, &a, sizeof a, MSG_NOSIGNAL);
}

static int do_accept(const struct order *o) {
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    struct pollfd p = {.fd = o->fd, .events = POLLIN};
    if (poll(&p, 1, PATIENCE_MS) != 1)
        return -1;
    if (o->how == ACCEPT_CLOEXEC)
        return accept4(o->fd, (struct sockaddr *)&address, &length, SOCK_CLOEXEC);
    return o->how == ACCEPT_ADDRESS ? accept(o->fd, (struct sockaddr *)&address, &length) : accept(o->fd, NULL, NULL);
}

static int do_read(int fd, int n) {
    int got = 0;
    while (got < n) {
        ssize_t more = recv(fd, bytes, (size_t)(n - got < BYTES ? n - got : BYTES), MSG_DONTWAIT);
        if (more <= 0)
            break;
        got += (int)more;
    }
    return got;
}

/* Until n bytes are there, or the end. MPTCP shows that nowhere else. */
static int do_await(const struct order *o) {
    for (int i = 0; i < PATIENCE_MS * 10; i++) {
        struct pollfd p = {.fd = o->fd};
        int queued = 0;
        (void)poll(&p, 1, 0);
        (void)ioctl(o->fd, FIONREAD, &queued);
        if (p.revents & (POLLHUP | POLLERR) || queued >= o->n)
            return 0;
        (void)usleep(100);
    }
    return -1;
}

static void do_token(int fd) {
    struct answer a = {.pid = getpid()};
    uint32_t info[4] = {0}; /* struct mptcp_info: 8 bytes, flags, token */
    socklen_t length = sizeof info;
    if (getsockopt(fd, 284 /* SOL_MPTCP */, 1 /* MPTCP_INFO */, info, &length) == 0)
        a.token = info[3];
    (void)send(CONTROL, &a, sizeof a, MSG_NOSIGNAL);
}

static int do_linger(const struct order *o) {
    struct linger linger = {.l_onoff = o->how, .l_linger = o->n};
    return setsockopt(o->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

static int do_disconnect(int fd) {
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    return connect(fd, &none, sizeof none);
}

static int do_dup(const struct order *o) {
    int to = o->n; /* free, above all others */
    switch ((enum dup_how)o->how) {
    case DUP_DUP2:
        return dup2(o->fd, to);
    case DUP_DUP3:
        return dup3(o->fd, to, 0);
    case DUP_DUP3_CLOEXEC:
        return dup3(o->fd, to, O_CLOEXEC);
    case DUP_FCNTL:
        return fcntl(o->fd, F_DUPFD, to);
    case DUP_FCNTL_CLOEXEC:
        return fcntl(o->fd, F_DUPFD_CLOEXEC, to);
    default:
        return dup(o->fd);
    }
}

/* --- other processes --- */

static void send_channel(int channel) {
    struct answer a = {.result = channel < 0 ? -1 : 0, .error = errno, .pid = getpid()};
    (void)send_with(CONTROL, NULL, 0, &a, sizeof a, channel);
    (void)close(channel);
}

static void do_fork(const struct order *o) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        _exit(4);
    pid_t pid = o->how == FORK_BARE    ? _Fork()
                : o->how == FORK_CLONE ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)
                                       : fork();
    if (pid == 0) {
        (void)dup2(pair[1], CONTROL);
        (void)close(pair[0]);
        (void)close(pair[1]);
        actor(o->name);
    }
    (void)close(pair[1]);
    send_channel(pair[0]);
}

static char **actor_argv(const char *name) {
    static char self[] = "/proc/self/exe", option[] = "--actor", copy[32];
    static char *argv[] = {self, option, copy, NULL};
    (void)snprintf(copy, sizeof copy, "%s", name);
    return argv;
}

static void do_spawn(const struct order *o) {
    int pair[2];
    pid_t pid;
    static char *bare[] = {NULL};
    posix_spawn_file_actions_t actions;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        _exit(4);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, pair[1], CONTROL);
    int r = posix_spawn(&pid, "/proc/self/exe", &actions, NULL, actor_argv(o->name),
                        o->how == SPAWN_UNWATCHED ? bare : environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(pair[1]);
    if (r != 0) {
        (void)close(pair[0]);
        pair[0] = -1;
    }
    send_channel(pair[0]);
}

static int do_vfork(const struct order *o) {
    static char program[] = "true", *argv[] = {program, NULL};
    pid_t pid = vfork();
    if (pid == 0) {
        if (o->how == VFORK_CLOSES)
            for (int fd = FIRST_FREE; fd < FIRST_FREE + 64; fd++)
                (void)close(fd);
        if (o->how == VFORK_CLOSES_RANGE)
            (void)close_range(FIRST_FREE, ~0u, 0);
        if (o->how == VFORK_EXECS)
            (void)execvp(program, argv);
        _exit(0);
    }
    (void)waitpid(pid, NULL, 0);
    return pid > 0 ? 0 : -1;
}

static int do_send_fd(const struct order *o) {
    struct sockaddr_un to;
    socklen_t length = mailbox(&to, o->name);
    return (int)send_with(MAIL, &to, length, "x", 1, o->fd);
}

static int do_receive_fd(void) {
    char byte;
    int fd;
    return receive_with(MAIL, &byte, 1, &fd) < 0 ? -1 : fd;
}

/* --- the loop --- */

static void obey(const struct order *o) {
    switch (o->op) {
    case OP_CONNECT:
        do_connect(o);
        return;
    case OP_FORK:
        do_fork(o);
        return;
    case OP_SPAWN:
        do_spawn(o);
        return;
    case OP_EXEC: /* the next image answers */
        (void)execv("/proc/self/exe", actor_argv(o->name));
        break;
    case OP_TOKEN:
        do_token(o->fd);
        return;
    case OP_END:
        do_end(o->how);
        break;
    default:
        break;
    }
    errno = 0;
    reply(o->op == OP_ACCEPT           ? do_accept(o)
          : o->op == OP_WRITE          ? (int)send(o->fd, bytes, (size_t)o->n, MSG_NOSIGNAL | MSG_DONTWAIT)
          : o->op == OP_READ           ? do_read(o->fd, o->n)
          : o->op == OP_PEEK           ? (int)recv(o->fd, bytes, BYTES, MSG_PEEK | MSG_DONTWAIT)
          : o->op == OP_SHUTDOWN       ? shutdown(o->fd, o->how)
          : o->op == OP_LINGER         ? do_linger(o)
          : o->op == OP_LINGER2        ? setsockopt(o->fd, IPPROTO_TCP, TCP_LINGER2, &o->n, sizeof o->n)
          : o->op == OP_DUP            ? do_dup(o)
          : o->op == OP_VFORK          ? do_vfork(o)
          : o->op == OP_SYSTEM         ? (system("exit 0") == 0 || errno == ECHILD ? 0 : -1)
          : o->op == OP_SEND_FD        ? do_send_fd(o)
          : o->op == OP_RECEIVE_FD     ? do_receive_fd()
          : o->op == OP_DISCONNECT     ? do_disconnect(o->fd)
          : o->op == OP_CLOSE          ? do_close(o)
          : o->op == OP_CLOSE_TOGETHER ? close_together(o, 2)
          : o->op == OP_AWAIT          ? do_await(o)
                                       : -1);
}

/* An exec'ed image has its mailbox already, with what may be in it. */
static void open_mailbox(const char *name) {
    struct sockaddr_un own, found = {0};
    socklen_t length = mailbox(&own, name), found_length = sizeof found;
    if (getsockname(MAIL, (struct sockaddr *)&found, &found_length) == 0 && found_length == length &&
        memcmp(&found, &own, length) == 0)
        return;
    int mail = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (bind(mail, (struct sockaddr *)&own, length) != 0 || dup2(mail, MAIL) != MAIL || close(mail) != 0)
        _exit(5);
}

static void actor(const char *name) {
    struct order o;
    (void)signal(SIGCHLD, SIG_IGN);
    open_mailbox(name);
    reply(0);
    while (recv(CONTROL, &o, sizeof o, 0) == sizeof o)
        obey(&o);
    exit(0);
}

#endif
