/* floor.c - the least that a supervisor can do: floor continue COMMAND... runs it, and lets the kernel make each of its
 * connects. What a connect costs under it is what seccomp's notification alone costs: two threads that take turns.
 *
 * floor hand=SOURCES COMMAND... spreads, and does nothing else: it asks nothing, believes everything, and records
 * nothing. The command has one thread, and connects to IPv4 addresses only. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "bench.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS      SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_open  434
#define SYS_pidfd_getfd 438
#endif

enum { ROOM = 256 };

static int filter(void) {
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_connect, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog all = {.len = sizeof program / sizeof program[0], .filter = program};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                        SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &all);
}

/* The table of descriptors is shared until the exec, as vfork has it: the listener is there for both. */
static int start(char **command, int *listener) {
    int *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child = (pid_t)syscall(SYS_clone, 0x400 /* CLONE_FILES */ | 17 /* SIGCHLD */, NULL, NULL, NULL, NULL);
    if (child == 0) {
        int fd = filter();
        __atomic_store_n(shared, fd < 0 ? -1 : fd + 1, __ATOMIC_RELEASE);
        (void)execvp(command[0], command);
        _exit(127);
    }
    while (child > 0 && !(*listener = __atomic_load_n(shared, __ATOMIC_ACQUIRE)))
        (void)usleep(1000);
    *listener -= 1;
    return child;
}

/* What the connect returns, on a duplicate of the client's own socket. */
static int connect_by_hand(struct dialer *d, int pidfd, const struct seccomp_notif *call) {
    struct sockaddr_in to = {0};
    struct iovec here = {&to, sizeof to}, there = {(void *)(uintptr_t)call->data.args[1], sizeof to};
    int fd = (int)syscall(SYS_pidfd_getfd, pidfd, (int)call->data.args[0], 0);
    if (fd < 0 || process_vm_readv((pid_t)call->pid, &here, 1, &there, 1, 0) != (ssize_t)sizeof to)
        die("the client's socket");
    int r = override(d, fd, &to) == 0 ? 0 : -errno;
    (void)close(fd);
    return r;
}

static void over(int number) {
    (void)number;
    _exit(0);
}

static void serve(struct dialer *d, int listener, int child) {
    union {
        struct seccomp_notif call;
        char room[ROOM];
    } in;
    int pidfd = (int)syscall(SYS_pidfd_open, child, 0);
    for (;;) {
        memset(&in, 0, sizeof in);
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &in) != 0)
            continue;
        struct seccomp_notif_resp out = {.id = in.call.id};
        if (d->by_hand)
            out.error = connect_by_hand(d, pidfd, &in.call);
        else
            out.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
        (void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &out);
    }
}

int main(int argc, char **argv) {
    struct dialer dialer = {0};
    int listener = -1, child = argc > 2 ? start(argv + 2, &listener) : -1;
    if (child < 0 || listener < 0)
        die("filter");
    (void)signal(SIGCHLD, over);
    dialer_parse(&dialer, argv[1]);
    (void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
    serve(&dialer, listener, child);
    return 0;
}
