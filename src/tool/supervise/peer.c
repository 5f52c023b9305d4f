#include "tool/supervise/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/sys.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

enum { PIDFD_OF_THREAD = O_EXCL /* PIDFD_THREAD of linux/pidfd.h */, PATH = 64 };
#define PROGRAM_NS 100000000u /* an exec in between is noticed so late */

void peers_init(struct peers *p) {
    memset(p, 0, sizeof *p);
    for (unsigned i = 0; i < PEERS; i++) {
        pthread_mutex_init(&p->slot[i].lock, NULL);
        p->slot[i].pidfd = -1;
    }
}

static ssize_t read_file(uint32_t tid, const char *name, char *out, size_t size) {
    char path[PATH];
    snprintf(path, sizeof path, "/proc/%u/%s", tid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);
    if (fd >= 0)
        close(fd);
    out[n > 0 ? n : 0] = 0;
    return n;
}

/* The n-th number (from 0) in a line of its status; 0: it has none. */
static uint32_t status_number(uint32_t tid, const char *key, unsigned n) {
    char text[512]; /* they are among the first ten lines */
    if (read_file(tid, "status", text, sizeof text) <= 0)
        return 0;
    char *at = strstr(text, key);
    unsigned long number = 0;
    at = at ? at + strlen(key) : NULL;
    for (unsigned i = 0; at && i <= n; i++)
        number = strtoul(at, &at, 10);
    return (uint32_t)number;
}

/* As program_invocation_short_name would say in the program itself, and what rules may call it besides; and its user.
 */
static void name_program(struct peer *peer) {
    char arguments[4096], executed[PATH_MAX], first[PATH], path[PATH];
    ssize_t length = read_file(peer->tid, "cmdline", arguments, sizeof arguments);
    if (length <= 0)
        (void)read_file(peer->tid, "comm", arguments, sizeof arguments); /* a line */
    peer->user = status_number(peer->tid, "\nUid:", 1);
    snprintf(path, sizeof path, "/proc/%u/exe", peer->tid);
    ssize_t n = readlink(path, executed, sizeof executed - 1);
    executed[n > 0 ? n : 0] = 0;
    const char *slash = strrchr(arguments, '/');
    const char *name = slash ? slash + 1 : arguments;
    snprintf(first, sizeof first, "%.*s", (int)strcspn(name, "\n"), name);
    memset(peer->program, 0, sizeof peer->program);
    memcpy(peer->program, first, strnlen(first, sizeof peer->program - 1));
    program_names(peer->names, peer->program, executed, arguments, length > 0 ? (size_t)length : 0);
}

static void forget(struct peer_slot *s) {
    if (s->pidfd >= 0)
        close(s->pidfd);
    s->pidfd = -1;
    s->peer.tid = 0;
}

void peers_forget(struct peers *p) {
    for (unsigned i = 0; i < PEERS; i++)
        forget(&p->slot[i]);
}

/* A pidfd of the process, asked by the number of another thread, may be another process's tomorrow. */
static bool may_be_kept(const struct peer_slot *s) {
    return s->peer.tid == s->peer.pid || fcntl(s->pidfd, F_GETFL) & PIDFD_OF_THREAD;
}

/* 0 or -errno. */
static int learn(struct peer_slot *s, uint32_t tid) {
    forget(s);
    s->peer.pid = status_number(tid, "\nTgid:", 0);
    s->pidfd = (int)syscall(SYS_pidfd_open, tid, PIDFD_OF_THREAD);
    if (s->pidfd < 0 && errno == EINVAL && s->peer.pid)
        s->pidfd = (int)syscall(SYS_pidfd_open, s->peer.pid, 0);
    if (s->pidfd < 0)
        return -errno;
    s->peer.tid = tid;
    s->lasts = may_be_kept(s);
    name_program(&s->peer);
    s->read_ns = clock_ns(CLOCK_MONOTONIC);
    return 0;
}

static int take(const struct peer_slot *s, int fd) {
    int copy = (int)syscall(SYS_pidfd_getfd, s->pidfd, fd, 0);
    return copy < 0 ? -errno : copy;
}

static int take_from(struct peer_slot *s, uint32_t tid, int fd) {
    int copy = s->peer.tid == tid ? take(s, fd) : -ESRCH;
    if (copy != -ESRCH)
        return copy;
    int error = learn(s, tid);
    return error ? error : take(s, fd);
}

int peer_descriptor(struct peers *p, uint32_t tid, int fd, struct peer *out) {
    struct peer_slot *s = &p->slot[tid % PEERS];
    pthread_mutex_lock(&s->lock);
    int copy = take_from(s, tid, fd);
    if (copy >= 0) {
        uint64_t now = clock_ns(CLOCK_MONOTONIC);
        if (now - s->read_ns > PROGRAM_NS) {
            s->read_ns = now;
            name_program(&s->peer);
        }
        *out = s->peer;
    }
    if (s->pidfd >= 0 && !s->lasts)
        forget(s);
    pthread_mutex_unlock(&s->lock);
    return copy;
}

bool peer_status(uint32_t tid, char *out, size_t size) {
    return read_file(tid, "status", out, size) > 0;
}

bool peer_read(uint32_t tid, uint64_t from, void *to, size_t size) {
    struct iovec local = {to, size}, remote = {(void *)(uintptr_t)from, size};
    return size == 0 || process_vm_readv((pid_t)tid, &local, 1, &remote, 1, 0) == (ssize_t)size;
}

bool peer_write(uint32_t tid, uint64_t to, const void *from, size_t size) {
    struct iovec local = {(void *)(uintptr_t)from, size}, remote = {(void *)(uintptr_t)to, size};
    return process_vm_writev((pid_t)tid, &local, 1, &remote, 1, 0) == (ssize_t)size;
}

int peer_may(int pid, int fd) {
    char byte;
    struct iovec local = {&byte, 1}, remote = {(void *)(uintptr_t)&peer_may, 1};
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    int copy = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
    int error = copy < 0 ? -errno : 0;
    if (pidfd >= 0)
        close(pidfd);
    if (copy >= 0)
        close(copy);
    if (!error && process_vm_readv(pid, &local, 1, &remote, 1, 0) != 1)
        error = -errno;
    return error;
}
