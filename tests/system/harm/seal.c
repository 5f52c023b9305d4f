/* seal ACTION CALL WHEN ADDRESS PORT: does what a client does with its descriptors behind a seccomp filter that answers
 * the system call number CALL (of getsockopt: not at SOL_SOCKET, as Chromium's renderers have it) with ACTION: errno,
 * kill, trap or notify. WHEN: now, in the midst of it, or exec, before another exec. A call that nobody answers ends
 * with SIGALRM after a second. Prints what each of its calls came to. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_in peer = {.sin_family = AF_INET};

static void tell(const char *what, long result) {
    char line[100];
    int error = result < 0 ? errno : 0;
    int n = snprintf(line, sizeof line, "%s %d %s\n", what, result >= 0, error ? strerrorname_np(error) : "");
    if (write(1, line, (size_t)n) != n)
        _exit(3);
}

static void seal(const char *action, unsigned call) {
    unsigned answer = !strcmp(action, "errno")  ? SECCOMP_RET_ERRNO | EPERM
                      : !strcmp(action, "kill") ? SECCOMP_RET_KILL_PROCESS
                      : !strcmp(action, "trap") ? SECCOMP_RET_TRAP
                                                : SECCOMP_RET_USER_NOTIF;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getsockopt, 0, 2),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + 8),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SOL_SOCKET, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, answer),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    (void)alarm(answer == SECCOMP_RET_USER_NOTIF ? 1 : 10); /* there calls are not answered */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        _exit(4);
    if (answer == SECCOMP_RET_USER_NOTIF) {
        if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program) < 0)
            _exit(4);
    } else if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        _exit(4);
    }
}

static int connected(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    tell("connect", connect(fd, (struct sockaddr *)&peer, sizeof peer));
    return fd;
}

static void child(const char *how) {
    int status = 0;
    pid_t pid = fork();
    if (pid == 0 && !strcmp(how, "exec"))
        execl("/bin/true", "true", (char *)NULL);
    if (pid == 0 && !strcmp(how, "close"))
        closefrom(3);
    if (pid == 0)
        _exit(5);
    tell("fork", pid);
    if (pid > 0)
        tell("wait", waitpid(pid, &status, 0));
    tell("status", status);
}

int main(int argc, char **argv) {
    struct sockaddr_in here = {.sin_family = AF_INET}, any = here;
    int pipes[2], pair[2], a, b, c, d, listener, bound, spare, accepted;
    socklen_t length = sizeof here;
    if (argc != 6)
        return 2;
    inet_pton(AF_INET, argv[4], &peer.sin_addr);
    peer.sin_port = htons((uint16_t)atoi(argv[5]));
    inet_pton(AF_INET, "127.0.0.1", &here.sin_addr);
    any.sin_addr = peer.sin_addr;
    if (!strcmp(argv[3], "exec")) {
        seal(argv[1], (unsigned)atoi(argv[2]));
        execl("/proc/self/exe", argv[0], argv[1], argv[2], "go", argv[4], argv[5], (char *)NULL);
        return 6;
    }
    tell("pipe", pipe(pipes));
    tell("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    (void)connected(); /* left open to the end */
    a = connected(), b = connected(), c = connected(), d = connected();
    listener = socket(AF_INET, SOCK_STREAM, 0);
    tell("listen", bind(listener, (struct sockaddr *)&here, sizeof here) | listen(listener, 5));
    tell("getsockname", getsockname(listener, (struct sockaddr *)&here, &length));
    bound = socket(AF_INET, SOCK_STREAM, 0);
    tell("bind", bind(bound, (struct sockaddr *)&any, sizeof any));
    spare = dup(d);
    if (!strcmp(argv[3], "now"))
        seal(argv[1], (unsigned)atoi(argv[2]));
    tell("bound to a port", (getsockname(bound, (struct sockaddr *)&any, &length), any.sin_port != 0) - 1);
    tell("close a file", close(open("/dev/null", O_RDONLY)));
    tell("close a pipe", close(pipes[0]));
    tell("close a local socket", close(pair[0]));
    tell("close", close(a));
    tell("dup2 over", dup2(pipes[1], b));
    tell("shutdown", shutdown(c, SHUT_WR));
    tell("close after shutdown", close(c));
    tell("close a copy", close(spare));
    tell("close by syscall", syscall(SYS_close, d));
    spare = socket(AF_INET, SOCK_STREAM, 0);
    tell("connect to the listener", connect(spare, (struct sockaddr *)&here, sizeof here));
    accepted = accept(listener, NULL, NULL);
    tell("accept", accepted);
    tell("close the accepted", close(accepted));
    tell("close", close(spare));
    tell("connect a bound one", connect(bound, (struct sockaddr *)&peer, sizeof peer));
    spare = connected();
    FILE *stream = fdopen(spare, "r+");
    tell("fclose", stream ? fclose(stream) : -1);
    child("exit"), child("close"), child("exec");
    pid_t pid = vfork();
    if (pid == 0)
        _exit(7);
    tell("vfork", pid);
    tell("close a closed one", close(accepted));
    tell("close_range", close_range((unsigned)bound, (unsigned)bound, 0));
    (void)connected(); /* left to the end */
    return 0;
}
