/* hard_places WHAT ADDRESS PORT [N]: clients that are hard on a wrapper. Exit 0 when each call did what it does without
 * one.
 *
 *   careless    N connections, and nobody looks at what their close answers
 *   constant    the address lies in read-only memory, right before a page that may not be touched
 *   altstack    connects in a SIGALRM handler on the smallest alternate stack that the system names
 *   full        threads with the smallest stack connect until EADDRNOTAVAIL, many times
 *   interrupted blocking connects that a signal interrupts (no SA_RESTART); prints each errno. PORT is silent
 *   cancelled   a thread that blocks in connect, and one that blocks in close, are cancelled. PORT is silent, N answers
 *   forks       three threads connect and close while main forks N children that do, too
 *   reuse       four threads connect and close while four others open, duplicate and close files on the same numbers
 *   crowd       N children at once that hold a connection each, then all close
 *   killed      N children at once that hold two connections each, then all are killed
 *   many        N connections at once, then all closed
 *   locked      mlockall(MCL_CURRENT | MCL_FUTURE), connections, threads; prints VmLck in kB
 *   spawns      vfork, posix_spawn, system and popen between connections that stay open */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "expect.h"

static struct sockaddr_in to = {.sin_family = AF_INET};
static int number;
static volatile sig_atomic_t signals;

static int tcp(void) {
    return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int connected(const struct sockaddr_in *at) {
    int fd = tcp();
    EXPECT(fd >= 0 && connect(fd, (const struct sockaddr *)at, sizeof *at) == 0);
    return fd;
}

static void *one(void *unused) {
    int fd = connected(&to);
    (void)unused;
    EXPECT(close(fd) == 0);
    return NULL;
}

static void start(pthread_t *thread, void *(*what)(void *), size_t stack) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    if ((stack && pthread_attr_setstacksize(&attributes, stack) != 0) ||
        pthread_create(thread, &attributes, what, NULL) != 0)
        exit(4);
    pthread_attr_destroy(&attributes);
}

static void careless_case(void) {
    for (int i = 0; i < number; i++)
        (void)close(connected(&to));
}

static void constant_case(void) {
    long page = sysconf(_SC_PAGESIZE);
    char *memory = mmap(NULL, (size_t)page * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), byte = 'x';
    struct sockaddr_in *at = (struct sockaddr_in *)(void *)(memory + page - sizeof to);
    *at = to;
    EXPECT(mprotect(memory, (size_t)page, PROT_READ) == 0 && mprotect(memory + page, (size_t)page, PROT_NONE) == 0);
    for (int i = 0; i < 8; i++)
        EXPECT(close(connected(at)) == 0);
    struct iovec data = {.iov_base = &byte, .iov_len = 1};
    struct msghdr m = {.msg_name = at, .msg_namelen = sizeof *at, .msg_iov = &data, .msg_iovlen = 1};
    struct mmsghdr mm = {.msg_hdr = m};
    int a = tcp(), b = tcp(), c = tcp();
    EXPECT(sendto(a, &byte, 1, MSG_FASTOPEN, (struct sockaddr *)at, sizeof *at) == 1);
    EXPECT(sendmsg(b, &m, MSG_FASTOPEN) == 1);
    EXPECT(sendmmsg(c, &mm, 1, MSG_FASTOPEN) == 1);
    EXPECT(memcmp(at, &to, sizeof to) == 0);
    EXPECT(close(a) == 0 && close(b) == 0 && close(c) == 0);
}

static void in_handler(int signal_number) {
    int saved = errno;
    (void)signal_number;
    (void)one(NULL);
    signals++;
    errno = saved;
}

static void ticks(int every_us) {
    struct itimerval tick = {{0, every_us}, {0, every_us}};
    setitimer(ITIMER_REAL, &tick, NULL);
}

static void altstack_case(void) {
    struct sigaction a = {.sa_handler = in_handler, .sa_flags = SA_RESTART | SA_ONSTACK};
    size_t size = (size_t)sysconf(_SC_SIGSTKSZ);
    /* A page that may not be touched lies below: who needs more dies of it. */
    char *memory = mmap(NULL, size + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack_t stack = {.ss_sp = memory + 4096, .ss_size = size};
    EXPECT(mprotect(memory, 4096, PROT_NONE) == 0 && sigaltstack(&stack, NULL) == 0);
    sigaction(SIGALRM, &a, NULL);
    ticks(2000);
    while (signals < 100)
        pause();
    ticks(0);
}

static void *until_full(void *unused) {
    (void)unused;
    for (int i = 0; i < number; i++) {
        int fd = tcp();
        EXPECT(connect(fd, (struct sockaddr *)&to, sizeof to) == 0 || errno == EADDRNOTAVAIL);
        EXPECT(close(fd) == 0);
    }
    return NULL;
}

static void full_case(void) {
    pthread_t thread[4];
    for (int i = 0; i < 4; i++)
        start(&thread[i], until_full, (size_t)PTHREAD_STACK_MIN);
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
}

static void wake(int signal_number) {
    (void)signal_number;
    signals++;
}

static void interrupted_case(void) {
    struct sigaction a = {.sa_handler = wake};
    sigaction(SIGALRM, &a, NULL);
    int fd = tcp();
    ticks(50000);
    for (int i = 0; i < 4; i++)
        printf("%d ", connect(fd, (struct sockaddr *)&to, sizeof to) ? errno : 0);
    ticks(0);
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    printf("%d\n", poll(&p, 1, 0));
    EXPECT(signals > 0 && close(fd) == 0);
}

static void *blocks_in_connect(void *unused) {
    int fd = tcp();
    (void)unused;
    (void)connect(fd, (struct sockaddr *)&to, sizeof to);
    return NULL;
}

/* SO_LINGER with a time: close waits for the peer, which reads nothing. */
static void *blocks_in_close(void *unused) {
    struct sockaddr_in answers = to;
    struct linger linger = {1, 30};
    static char data[1 << 20];
    (void)unused;
    answers.sin_port = htons((uint16_t)number);
    int fd = connected(&answers);
    EXPECT(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0);
    while (send(fd, data, sizeof data, MSG_DONTWAIT) > 0)
        ;
    (void)close(fd);
    return NULL;
}

static void cancelled_case(void) {
    void *(*const what[])(void *) = {blocks_in_connect, blocks_in_close};
    for (int i = 0; i < 2; i++) {
        pthread_t thread;
        void *result = NULL;
        struct timespec end;
        start(&thread, what[i], 0);
        usleep(300000);
        EXPECT(pthread_cancel(thread) == 0);
        clock_gettime(CLOCK_REALTIME, &end);
        end.tv_sec += 3;
        int joined = pthread_timedjoin_np(thread, &result, &end);
        printf("%s: %s\n", i ? "close" : "connect",
               joined                       ? "not joined"
               : result == PTHREAD_CANCELED ? "cancelled"
                                            : "returned");
    }
}

static bool over; /* atomic */

/* As fast as can be for 5,000 connections; then slowly, so that the log has room for all however long it takes. */
static void *endless(void *unused) {
    (void)unused;
    for (int i = 0; !__atomic_load_n(&over, __ATOMIC_RELAXED); i++) {
        (void)one(NULL);
        if (i >= 5000)
            (void)usleep(2000);
    }
    return NULL;
}

static void forks_case(void) {
    pthread_t thread[3];
    for (int i = 0; i < 3; i++)
        start(&thread[i], endless, 0);
    for (int i = 0; i < number; i++) {
        int status = -1;
        pid_t pid = fork();
        if (pid == 0) {
            (void)one(NULL);
            _exit(failures != 0);
        }
        EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
    }
    __atomic_store_n(&over, true, __ATOMIC_RELAXED);
    for (int i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
}

static void *files(void *unused) {
    (void)unused;
    while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
        int fd = open("/dev/null", O_RDWR | O_CLOEXEC), copy = dup(fd), third = socket(AF_UNIX, SOCK_DGRAM, 0);
        EXPECT(fd >= 0 && copy >= 0 && dup2(fd, copy) == copy && third >= 0);
        EXPECT(write(fd, "x", 1) == 1 && write(copy, "x", 1) == 1);
        EXPECT(close(fd) == 0 && close(third) == 0 && close(copy) == 0);
    }
    return NULL;
}

static void *some(void *unused) {
    for (int i = 0; i < number; i++)
        (void)one(unused);
    return NULL;
}

static void reuse_case(void) {
    pthread_t thread[8];
    for (int i = 0; i < 8; i++)
        start(&thread[i], i < 4 ? some : files, 0);
    for (int i = 0; i < 8; i++) {
        __atomic_store_n(&over, i >= 4, __ATOMIC_RELAXED);
        pthread_join(thread[i], NULL);
    }
}

static void many_case(void) {
    int *fd = calloc((size_t)number, sizeof *fd);
    struct rlimit files_limit;
    getrlimit(RLIMIT_NOFILE, &files_limit);
    files_limit.rlim_cur = files_limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files_limit);
    for (int i = 0; fd && i < number; i++)
        fd[i] = connected(&to);
    for (int i = 0; fd && i < number; i++)
        EXPECT(close(fd[i]) == 0);
    free(fd);
}

static void crowd(int each, bool killed) {
    int ready[2], go[2], status, fd = -1;
    char byte;
    EXPECT(pipe2(ready, O_CLOEXEC) == 0 && pipe2(go, O_CLOEXEC) == 0);
    for (int i = 0; i < number; i++)
        if (fork() == 0) {
            for (int j = 0; j < each; j++)
                fd = connected(&to);
            close(go[1]);
            EXPECT(write(ready[1], "x", 1) == 1 && read(go[0], &byte, 1) == 0);
            if (killed)
                (void)raise(SIGKILL);
            EXPECT(close(fd) == 0);
            _exit(failures != 0);
        }
    for (int i = 0; i < number; i++)
        EXPECT(read(ready[0], &byte, 1) == 1);
    close(go[1]);
    while (wait(&status) > 0)
        EXPECT(status == (killed ? SIGKILL : 0));
}

static void crowd_case(void) {
    crowd(1, false);
}

static void killed_case(void) {
    crowd(2, true);
}

static void locked_case(void) {
    char line[200];
    EXPECT(mlockall(MCL_CURRENT | MCL_FUTURE) == 0);
    int fd[40];
    for (int i = 0; i < 40; i++)
        fd[i] = connected(&to);
    pthread_t thread;
    start(&thread, one, (size_t)PTHREAD_STACK_MIN);
    pthread_join(thread, NULL);
    FILE *status = fopen("/proc/self/status", "re");
    while (status && fgets(line, sizeof line, status))
        if (strncmp(line, "VmLck:", 6) == 0)
            printf("%ld\n", strtol(line + 6, NULL, 10));
    if (status)
        fclose(status);
    for (int i = 0; i < 40; i++)
        EXPECT(close(fd[i]) == 0);
}

static void spawns_case(void) {
    int fd[5], status;
    char *const nothing[] = {NULL}, *const argv[] = {(char *)(unsigned long)"true", NULL};
    for (int i = 0; i < 5; i++)
        fd[i] = connected(&to);
    pid_t pid = vfork(); // NOLINT: vfork is what is tested
    if (pid == 0) {
        close(fd[0]); // NOLINT
        execve("/bin/true", argv, nothing);
        _exit(1);
    }
    EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
    EXPECT(posix_spawn(&pid, "/bin/true", NULL, NULL, argv, nothing) == 0 && waitpid(pid, &status, 0) == pid);
    EXPECT(posix_spawnp(&pid, "true", NULL, NULL, argv, nothing) == 0 && waitpid(pid, &status, 0) == pid);
    EXPECT(system("true") == 0);
    FILE *pipe_stream = popen("true", "r");
    EXPECT(pipe_stream && pclose(pipe_stream) == 0);
    pid = _Fork();
    if (pid == 0)
        _exit(0);
    EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
    for (int i = 0; i < 5; i++)
        EXPECT(close(fd[i]) == 0);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*run)(void);
    } cases[] = {{"careless", careless_case},
                 {"constant", constant_case},
                 {"altstack", altstack_case},
                 {"full", full_case},
                 {"interrupted", interrupted_case},
                 {"cancelled", cancelled_case},
                 {"forks", forks_case},
                 {"reuse", reuse_case},
                 {"crowd", crowd_case},
                 {"killed", killed_case},
                 {"many", many_case},
                 {"locked", locked_case},
                 {"spawns", spawns_case}};
    if (argc < 4)
        return 2;
    to.sin_port = htons((uint16_t)atoi(argv[3]));
    number = argc > 4 ? atoi(argv[4]) : 0;
    if (inet_pton(AF_INET, argv[2], &to.sin_addr) != 1)
        return 2;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (strcmp(argv[1], cases[i].name) == 0) {
            cases[i].run();
            return failures != 0;
        }
    return 2;
}
