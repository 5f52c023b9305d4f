/* deny_bind HOW COMMAND...: runs a command to which bind() of a TCP socket is denied: by "landlock" (EACCES), or by a
 * seccomp filter that answers "EPERM" or "EACCES". */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_restrict_self  446
#endif

/* struct landlock_ruleset_attr of ABI 4 (Linux 6.7): no rule, so that what it handles is denied. */
static int landlock(void) {
    const struct { uint64_t files, net; } handled = {.net = 1 /* LANDLOCK_ACCESS_NET_BIND_TCP */};
    long ruleset = syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0);
    return ruleset < 0 ? -1 : (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
}

static int filter(unsigned error) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bind, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof code / sizeof *code, code};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int main(int argc, char **argv) {
    if (argc < 3 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return 9;
    int error = strcmp(argv[1], "EPERM") == 0 ? EPERM : EACCES;
    if ((strcmp(argv[1], "landlock") == 0 ? landlock() : filter((unsigned)error)) != 0) {
        perror(argv[1]);
        return 9;
    }
    execvp(argv[2], argv + 2);
    perror(argv[2]);
    return 9;
}
