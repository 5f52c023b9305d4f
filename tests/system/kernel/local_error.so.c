/* local_error.so: errors of this host's own, errno LOCAL_ERROR. A connect to the address LOCAL_ERROR_AT fails, and
 * nothing is sent. Without that each bind fails: the shim's are raw system calls, so the answer comes from a seccomp
 * filter. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *at;
static unsigned error;

__attribute__((constructor)) static void begin(void) {
    const char *text = getenv("LOCAL_ERROR");
    at = getenv("LOCAL_ERROR_AT");
    error = text ? (unsigned)atoi(text) : 0;
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bind, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    if (at || error == 0)
        return;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(99);
}

int connect(int fd, const struct sockaddr *address, socklen_t length) {
    const struct sockaddr_in *to = (const struct sockaddr_in *)(const void *)address;
    if (at && length >= sizeof *to && to->sin_family == AF_INET && to->sin_addr.s_addr == inet_addr(at)) {
        errno = (int)error;
        return -1;
    }
    return (int)syscall(SYS_connect, fd, address, length);
}
