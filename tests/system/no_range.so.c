/* no_range.so.c - an older kernel, as a preload behind ours: IP_LOCAL_PORT_RANGE is ENOPROTOOPT, as before 6.3.
 *
 * The shim sets its options by raw system calls, which no preload can answer for: so the answer comes from a seccomp
 * filter that this library installs in its constructor. CHAIN_NO_PORT=1 refuses IP_BIND_ADDRESS_NO_PORT too
 * (before 4.2). */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NO_PORT = 24, PORT_RANGE = 51 };
#define ARGUMENT(n) (offsetof(struct seccomp_data, args) + 8 * (n))

__attribute__((constructor)) static void become_old(void) {
    unsigned second = getenv("CHAIN_NO_PORT") ? NO_PORT : PORT_RANGE;
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setsockopt, 0, 6),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARGUMENT(1)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0 /* SOL_IP */, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARGUMENT(2)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PORT_RANGE, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, second, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOPROTOOPT),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(99);
}
