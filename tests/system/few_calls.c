/* few_calls ADDRESS PORT N [more]: forbids itself, by a seccomp filter that answers EPERM, every system call but those
 * that it makes itself, and a netlink socket; then makes N connections. more: mmap, getpid and gettid are allowed, too.
 * Exit 0 when each call answers what it answers bare. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ALLOWED(number)                                                                                                \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static int forbid(int more) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOWED(SYS_connect),
        ALLOWED(SYS_close),
        ALLOWED(SYS_exit_group),
        ALLOWED(SYS_clock_gettime), /* where there is no vDSO */
        ALLOWED(more ? SYS_mmap : SYS_close),
        ALLOWED(more ? SYS_getpid : SYS_close),
        ALLOWED(more ? SYS_gettid : SYS_close),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int main(int argc, char **argv) {
    struct sockaddr_in to = {.sin_family = AF_INET};
    if (argc < 4 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1)
        return 2;
    to.sin_port = htons((uint16_t)atoi(argv[2]));
    if (forbid(argc > 4))
        return 3;
    for (int i = 0; i < atoi(argv[3]); i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        errno = 4242;
        if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0 || errno != 4242)
            return 4;
        if (close(fd) != 0 || errno != 4242)
            return 5;
    }
    return 0;
}
