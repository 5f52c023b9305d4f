/* compare_ends ADDRESS PORT: connections that are shared, handed on, or end with their process; see compare.h. */
#include "compare.h"

#include <spawn.h>
#include <sys/wait.h>

static int connected(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (in(fd, &good) != 0)
        printf("not connected: %s\n", strerrorname_np(errno));
    return fd;
}

/* Runs something in a fork child and says how that ended. */
#define CHILD(what, code)                                                                                              \
    do {                                                                                                               \
        int status_ = 0;                                                                                               \
        (void)fflush(stdout);                                                                                          \
        pid_t pid_ = fork();                                                                                           \
        if (pid_ == 0) {                                                                                               \
            code;                                                                                                      \
            (void)fflush(stdout);                                                                                      \
            _exit(7);                                                                                                  \
        }                                                                                                              \
        errno = MARK;                                                                                                  \
        pid_t found_ = waitpid(pid_, &status_, 0);                                                                     \
        say("child of " what, found_ == pid_, errno);                                                                  \
        printf("   status %#x\n", (unsigned)status_);                                                                  \
    } while (0)

static void shared(void) {
    int fd = connected();
    CHILD("close in both", SAY("close", close(fd)));
    SAY("close", close(fd));
    fd = connected();
    CHILD("shutdown in the child", SAY("shutdown", shutdown(fd, SHUT_WR)));
    wait_end(fd);
    SAY("shutdown", shutdown(fd, SHUT_WR));
    SAY("close", close(fd));
    CHILD("connect in the child", SAY("close", close(connected())));
    CHILD("left open", (void)connected());
    CHILD("exit handlers", (void)connected(); exit(3));
    fd = dup(connected());
    SAY("dup of one", fd >= 0);
    SAY("close range of all", close_range(3, ~0U, 0));
    SAY("closed", close(fd));
    fd = connected();
    int other = connected();
    SAY("dup2 over one", dup2(other, fd) == fd);
    SAY("close", close(other));
    SAY("close", close(fd));
}

static void programs(void) {
    char *argv[] = {(char[]){"true"}, NULL}, *none[] = {NULL};
    int fd = connected(), status = 0;
    pid_t pid;
    CHILD("exec", execv("/bin/true", argv));
    CHILD("exec, no such program", SAY("exec", execv("/nonexistent", argv)); SAY("close", close(fd)));
    SAY("spawn", posix_spawn(&pid, "/bin/true", NULL, NULL, argv, none));
    SAY("wait", waitpid(pid, &status, 0) == pid && status == 0);
    pid = vfork();
    if (pid == 0) {
        (void)close(fd);
        (void)execv("/bin/true", argv);
        _exit(9);
    }
    SAY("vfork", waitpid(pid, &status, 0) == pid && status == 0);
    SAY("send", send(fd, "x", 1, MSG_NOSIGNAL));
    SAY("close", close(fd));
}

static void accepted(void) {
    struct sockaddr_in at = {.sin_family = AF_INET}, from;
    socklen_t n = sizeof at;
    int listener = tcp(), client = tcp(), fd;
    SAY("bind", bind_in(listener, "127.0.0.1", 0));
    SAY("listen", listen(listener, 5));
    SAY("getsockname", getsockname(listener, (struct sockaddr *)&at, &n));
    SAY("connect", in(client, &at));
    SAY("accept", (n = sizeof from, fd = accept(listener, (struct sockaddr *)&from, &n)) >= 0);
    SAY("from", n == sizeof from && from.sin_port != 0);
    SAY("send", send(client, "xy", 2, 0));
    SAY("close with unread data", close(fd));
    SAY("close", close(client));
    client = nonblocking();
    SAY("connect", in(client, &at) == 0 || errno == EINPROGRESS);
    SAY("accept4", (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0);
    FILE *stream = fdopen(fd, "r+");
    SAY("puts", fputs("hello", stream));
    SAY("fclose", fclose(stream));
    SAY("freopen", freopen("/dev/null", "r", fdopen(client, "r")) != NULL);
    SAY("close listener", close(listener));
}

int main(int argc, char **argv) {
    compare_begin(argc, argv);
    shared();
    programs();
    accepted();
    for (int i = 0; i < 3; i++)
        (void)connected();
    puts("end");
    return 0;
}
