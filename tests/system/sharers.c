/* sharers KIND ADDRESS PORT N: N connections, which a child that shares this memory closes before it ends; then a line
 * from stdin is waited for, and they are closed here.
 *
 *   vfork     a vfork child
 *   clone     clone(CLONE_VM | CLONE_VFORK), on a stack of its own
 *   forked    a vfork child of a fork child that has called nothing before
 *
 * With -DOWN_VFORK the program has a vfork of its own, as those built with AddressSanitizer have. */
#include <arpa/inet.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 64 };
static int fd[MOST], n;

#ifdef OWN_VFORK
#ifdef __aarch64__
#define JUMP "b __vfork"
#else
#define JUMP "jmp __vfork@PLT"
#endif
__asm__(".globl vfork\n.type vfork, %function\nvfork: " JUMP "\n.size vfork, . - vfork");
#endif

static void close_all(void) {
    for (int i = 0; i < n; i++)
        (void)close(fd[i]);
}

static int in_clone(void *unused) {
    (void)unused;
    close_all();
    return 0;
}

static pid_t by_vfork(void) {
    pid_t pid = vfork(); // NOLINT: vfork is what is tested
    if (pid == 0) {
        close_all(); // NOLINT
        _exit(0);
    }
    return pid;
}

static pid_t by_clone(void) {
    static _Alignas(16) char stack[1 << 16];
    return clone(in_clone, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
}

static pid_t by_fork(void) {
    pid_t pid = fork();
    if (pid == 0) {
        pid_t child = by_vfork();
        bool done = child > 0 && waitpid(child, NULL, 0) == child;
        close_all(); /* the fork child has descriptors of its own: known as shared, told by nobody */
        _exit(!done);
    }
    return pid;
}

int main(int argc, char **argv) {
    if (argc != 5 || (n = atoi(argv[4])) > MOST)
        return 2;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[3]))};
    if (inet_pton(AF_INET, argv[2], &to.sin_addr) != 1)
        return 2;
    for (int i = 0; i < n; i++) {
        fd[i] = socket(AF_INET, SOCK_STREAM, 0);
        if (fd[i] < 0 || connect(fd[i], (const struct sockaddr *)&to, sizeof to) != 0) {
            perror("connect");
            return 1;
        }
    }
    pid_t pid = strcmp(argv[1], "vfork") == 0 ? by_vfork() : strcmp(argv[1], "clone") == 0 ? by_clone() : by_fork();
    int status = -1;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
        perror(argv[1]);
        return 1;
    }
    (void)puts("open");
    (void)fflush(stdout);
    (void)getchar();
    close_all();
    return 0;
}
