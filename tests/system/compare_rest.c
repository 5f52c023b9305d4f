/* compare_rest ADDRESS PORT: the calls that compare_connects and compare_calls leave out, among them every way to
 * another program and to the end; see compare.h.
 *
 * COMPARE_EARLY=1: all of it before any constructor has run (.preinit_array), where the wrappers have the bare system
 * calls only. */
#include <linux/close_range.h>
#include <netinet/ip.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "compare.h"
#include "base/kernel_constants.h"

extern char **environ;

/* What a child did: its exit status, or 1000 + the signal that ended it. */
static int waited(pid_t pid) {
    int status = -1;
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* In a child: a call that does not return, or says with what errno it does. */
#define CHILD(what, call)                                                                                              \
    do {                                                                                                               \
        fflush(stdout);                                                                                                \
        pid_t pid_ = fork();                                                                                           \
        if (pid_ == 0) {                                                                                               \
            errno = MARK;                                                                                              \
            call;                                                                                                      \
            say(what ", failed", -1, errno);                                                                           \
            fflush(stdout);                                                                                            \
            _exit(99);                                                                                                 \
        }                                                                                                              \
        printf("%s: child %d\n", what, waited(pid_));                                                                  \
    } while (0)

static void ends(void) {
    CHILD("_exit", _exit(3));
    CHILD("_Exit", _Exit(4));
    CHILD("quick_exit", quick_exit(5));
    CHILD("exit_group", syscall(SYS_exit_group, 6));
    CHILD("_Fork", _exit(waited(_Fork())));
}

static void programs(void) {
    char *const seven[] = {(char *)(unsigned long)"sh", (char *)(unsigned long)"-c", (char *)(unsigned long)"exit 7",
                           NULL},
                *const variables[] = {(char *)(unsigned long)"X=8", NULL};
    int sh = open("/bin/sh", O_RDONLY | O_CLOEXEC), root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    pid_t pid = 0;
    CHILD("execl", execl("/bin/sh", "sh", "-c", "exit 7", NULL));
    CHILD("execlp", execlp("sh", "sh", "-c", "exit 7", NULL));
    CHILD("execle", execle("/bin/sh", "sh", "-c", "exit $X", NULL, variables));
    CHILD("execv", execv("/bin/sh", seven));
    CHILD("execve", execve("/bin/sh", seven, variables));
    CHILD("execvp", execvp("sh", seven));
    CHILD("execvpe", execvpe("sh", seven, variables));
    CHILD("fexecve", fexecve(sh, seven, environ));
    CHILD("execveat", execveat(root, "bin/sh", seven, environ, 0));
    CHILD("execl nothing", execl("/nonexistent", "x", NULL));
    CHILD("execlp nothing", execlp("nonexistent-program", "x", NULL));
    CHILD("execle nothing", execle("/nonexistent", "x", NULL, variables));
    CHILD("execv nothing", execv("/nonexistent", seven));
    CHILD("execvp nothing", execvp("nonexistent-program", seven));
    CHILD("execvpe nothing", execvpe("nonexistent-program", seven, variables));
    CHILD("fexecve nothing", fexecve(999, seven, environ));
    CHILD("execveat nothing", execveat(root, "nonexistent", seven, environ, 0));
    SAY("posix_spawn", posix_spawn(&pid, "/bin/sh", NULL, NULL, seven, environ));
    SAY("its child", waited(pid));
    SAY("posix_spawnp", posix_spawnp(&pid, "sh", NULL, NULL, seven, environ));
    SAY("its child", waited(pid));
    SAY("posix_spawn nothing", posix_spawn(&pid, "/nonexistent", NULL, NULL, seven, environ));
    SAY("system", WEXITSTATUS(system("exit 7")));
    FILE *stream = popen("exit 7", "r");
    SAY("popen and pclose", stream ? WEXITSTATUS(pclose(stream)) : -1);
    SAY("popen bad mode", popen("true", "nonsense") == NULL);
    close(sh), close(root);
}

static void options(void) {
    unsigned char byte = 1, nothing = 0;
    unsigned range = 61234U << 16 | 61230U;
    int one = 1, seconds = -1, got = 0, fd = tcp();
    socklen_t n = sizeof got;
    struct sockaddr_in own = {0};
    SAY("NO_PORT in a byte", setsockopt(fd, SOL_IP, 24, &byte, 1));
    SAY("reads back", (getsockopt(fd, SOL_IP, 24, &got, &n), got));
    SAY("and off", setsockopt(fd, SOL_IP, 24, &nothing, 1));
    SAY("reads back", (n = sizeof got, getsockopt(fd, SOL_IP, 24, &got, &n), got));
    SAY("FREEBIND", setsockopt(fd, SOL_IP, IP_FREEBIND, &one, sizeof one));
    SAY("LINGER2", setsockopt(fd, IPPROTO_TCP, TCP_LINGER2, &seconds, sizeof seconds));
    SAY("own range", setsockopt(fd, SOL_IP, IP_LOCAL_PORT_RANGE, &range, sizeof range));
    SAY("connect", in(fd, &good));
    SAY("own range is kept",
        (n = sizeof got, getsockopt(fd, SOL_IP, IP_LOCAL_PORT_RANGE, &got, &n), (unsigned)got == range));
    SAY("getsockname", (n = sizeof own, getsockname(fd, (struct sockaddr *)&own, &n)));
    SAY("TCP_ULP nonsense", setsockopt(fd, IPPROTO_TCP, TCP_ULP, "nonsense", 8));
    SAY("close", close(fd));
    fd = tcp();
    SAY("FASTOPEN_CONNECT", setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof one));
    SAY("connect", in(fd, &good));
    SAY("send", send(fd, "x", 1, MSG_NOSIGNAL));
    wait_writable(fd);
    SAY("again", in(fd, &good));
    SAY("close", close(fd));
    fd = tcp6();
    SAY("V6ONLY", setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one));
    SAY("listen", listen(fd, 1));
    SAY("connect to nobody", in6(fd, &mapped_refused));
    SAY("close", close(fd));
}

static void messages(void) {
    int pair[2], fd = tcp(), udp = socket(AF_INET, SOCK_DGRAM, 0);
    char byte = 'x';
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec data = {&byte, 1};
    struct msghdr m = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};
    struct mmsghdr mm[2] = {{.msg_hdr = m}, {.msg_hdr = {.msg_iov = &data, .msg_iovlen = 1}}};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    SAY("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    SAY("connect", in(fd, &good));
    c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_RIGHTS, c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    SAY("sendmsg with a descriptor", sendmsg(pair[0], &m, 0));
    SAY("sendmmsg with a descriptor", sendmmsg(pair[0], mm, 2, 0));
    SAY("sendmmsg of none", sendmmsg(pair[0], mm, 0, 0));
    c->cmsg_type = 12345;
    SAY("sendmsg of another kind", sendmsg(pair[0], &m, 0));
    m.msg_controllen = 5;
    SAY("sendmsg with too little control", sendmsg(pair[0], &m, 0));
    SAY("sendto", sendto(pair[0], &byte, 1, 0, NULL, 0));
    SAY("sendto UDP", sendto(udp, &byte, 1, 0, (struct sockaddr *)&good, sizeof good));
    SAY("setsockopt NULL on UDP", setsockopt(udp, SOL_SOCKET, SO_LINGER, NULL, 4));
    SAY("close", close(fd) + close(pair[0]) + close(pair[1]) + close(udp));
}

static void copies(void) {
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0compare-rest"};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0), fd = tcp();
    SAY("bind", bind(listener, (struct sockaddr *)&name, 20));
    SAY("listen", listen(listener, 2));
    SAY("connect", connect(c, (struct sockaddr *)&name, 20));
    int a = accept(listener, NULL, NULL);
    SAY("accept", a >= 0);
    SAY("connect", connect(fd, (struct sockaddr *)&good, sizeof good));
    SAY("dup", dup(a) >= 0);
    SAY("F_DUPFD 64", fcntl64(a, F_DUPFD, 500));
    SAY("dup2 over", dup2(fd, 500));
    SAY("dup3 over", dup3(a, 500, 0));
    SAY("dup2", dup2(fd, 501));
    SAY("dup2 of nothing", dup2(999, 501));
    SAY("shutdown", shutdown(501, SHUT_WR));
    SAY("close", close(fd));
    SAY("close_range CLOEXEC", close_range(501, 501, CLOSE_RANGE_CLOEXEC));
    SAY("F_GETFD", fcntl(501, F_GETFD));
    SAY("close_range", close_range(500, 500, 0));
    SAY("closefrom", (closefrom(400), 0));
    SAY("closed", fcntl(501, F_GETFD));
    FILE *stream = fdopen(c, "r+");
    SAY("fdopen", stream != NULL);
    SAY("freopen", freopen("/dev/null", "r", stream) != NULL);
    SAY("freopen64", freopen64("/dev/null", "r", stream) != NULL);
    SAY("fclose", fclose(stream));
    SAY("fdopen nothing", fdopen(999, "r") == NULL);
    SAY("close", close(a) + close(listener));
}

static void half_closed(void) {
    int listener = tcp();
    struct sockaddr_in own = good;
    socklen_t n = sizeof own;
    char byte;
    own.sin_port = 0;
    SAY("bind", bind(listener, (struct sockaddr *)&own, sizeof own));
    SAY("getsockname", getsockname(listener, (struct sockaddr *)&own, &n));
    SAY("listen", listen(listener, 4));
    int c = tcp();
    SAY("connect", in(c, &own));
    int a = accept4(listener, (struct sockaddr *)&own, &n, SOCK_CLOEXEC);
    SAY("accept4", a >= 0);
    SAY("shutdown", shutdown(c, SHUT_WR));
    SAY("its end", recv(a, &byte, 1, 0));
    SAY("close", close(a));
    wait_end(c);
    SAY("the other's end", recv(c, &byte, 1, 0));
    SAY("unspec in TIME_WAIT", unspec(c));
    SAY("connect anew", in(c, &good));
    SAY("close", close(c) + close(listener));
}

static void namespaces(void) {
    SAY("setns 999", setns(999, 0));
    SAY("unshare nothing", unshare(0));
    SAY("unshare nonsense", unshare(1));
}

static void everything(int argc, char **argv) {
    compare_begin(argc, argv);
    ends();
    programs();
    options();
    messages();
    copies();
    half_closed();
    namespaces();
    fflush(stdout);
}

/* libc does not know the environment yet. */
static void early(int argc, char **argv, char **environment) {
    for (char **e = environment; *e; e++)
        if (strcmp(*e, "COMPARE_EARLY=1") == 0) {
            environ = environment;
            everything(argc, argv);
        }
}

__attribute__((section(".preinit_array"), used)) static void (*const before)(int, char **, char **) = early;

int main(int argc, char **argv) {
    if (!getenv("COMPARE_EARLY"))
        everything(argc, argv);
    return 0;
}
