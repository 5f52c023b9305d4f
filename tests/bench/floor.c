/* floor.c - the least that a supervisor can do: floor COMMAND... runs it, and lets the kernel make each of its
 * connects.
 *
 * What a connect costs under it is what seccomp's notification alone costs: two threads that take turns. It sets the
 * same flags as connspread does. */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "bench.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS      SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

enum { ROOM = 256, LISTENER = 1000 };

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

int main(int argc, char **argv) {
    union {
        struct seccomp_notif call;
        char room[ROOM];
    } in;
    int listener = -1, status = 0, child = argc > 1 ? start(argv + 1, &listener) : -1;
    if (child < 0 || listener < 0)
        die("filter");
    (void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
    for (;;) {
        memset(&in, 0, sizeof in);
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &in) != 0) {
            if (errno == EINTR || (errno == ENOENT && waitpid(child, &status, WNOHANG) == 0))
                continue;
            break;
        }
        struct seccomp_notif_resp out = {.id = in.call.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
        (void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &out);
    }
    return 0;
}
