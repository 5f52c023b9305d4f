/* storm: many processes that make and close connections while somebody kills them.
 *
 * storm serve ADDRESS PORT... accepts, and closes what its client has closed, until it is killed.
 *
 * storm run ADDRESS PORT N WORKERS EVERY SEED makes N connections by WORKERS processes at a time; for every EVERY of
 * them one process, chosen at random, gets SIGKILL and is replaced. Prints "N connections K kills E exits". */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS_MAX = 256, AT_ONCE = 8, SERVERS = 2 };

static _Noreturn void die(const char *what) {
    perror(what);
    _exit(1);
}

static struct sockaddr_in endpoint(const char *address, const char *port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    if (inet_pton(AF_INET, address, &at.sin_addr) != 1)
        die(address);
    return at;
}

/* --- server --- */

static void watch(int epoll, int fd, uint32_t events, bool is_listener) {
    struct epoll_event e = {.events = events, .data.u64 = (uint64_t)fd << 1 | is_listener};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) != 0)
        die("epoll_ctl");
}

static void parse_all(int epoll, int listener) {
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;)
        watch(epoll, fd, EPOLLIN, false);
}

static void serve(int argc, char **argv) {
    struct epoll_event e[256];
    char byte;
    int listener[16], n = 0, on = 1;
    for (int i = 3; i < argc && n < 16; i++, n++) {
        struct sockaddr_in at = endpoint(argv[2], argv[i]);
        listener[n] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)setsockopt(listener[n], SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(listener[n], (struct sockaddr *)&at, sizeof at) != 0 || listen(listener[n], 65535) != 0)
            die("listen");
    }
    for (int i = 1; i < SERVERS && fork() != 0; i++) {
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < n; i++)
        watch(epoll, listener[i], EPOLLIN | EPOLLEXCLUSIVE, true);
    for (;;) {
        int ready = epoll_wait(epoll, e, 256, -1);
        for (int i = 0; i < ready; i++) {
            int fd = (int)(e[i].data.u64 >> 1);
            if (e[i].data.u64 & 1)
                parse_all(epoll, fd);
            else if (recv(fd, &byte, 1, 0) <= 0)
                close(fd);
        }
    }
}

/* --- workers --- */

struct shared {
    uint64_t taken, goal;
};

static struct shared *shared;

static uint32_t next(uint32_t *random, uint32_t below) {
    *random = *random * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)(*random >> 8) * below >> 24);
}

static void close_one(int fd, uint32_t how) {
    int other;
    switch (how) {
    case 0:
        (void)shutdown(fd, SHUT_WR);
        (void)close(fd);
        break;
    case 1:
        other = socket(AF_INET, SOCK_STREAM, 0);
        (void)dup2(other, fd);
        (void)close(other);
        (void)close(fd);
        break;
    case 2:
        other = dup(fd);
        (void)close(fd);
        (void)close(other);
        break;
    default:
        (void)close(fd);
        break;
    }
}

static bool take(void) {
    return __atomic_fetch_add(&shared->taken, 1, __ATOMIC_RELAXED) < shared->goal;
}

/* Some at a time, closed in one way or another; now and then it just ends. */
static int work(const struct sockaddr_in *to, uint32_t random) {
    int fds[AT_ONCE];
    bool more = true;
    while (more) {
        int n = 0, wanted = 1 + (int)next(&random, AT_ONCE);
        for (; n < wanted && (more = take()); n++) {
            fds[n] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            if (fds[n] < 0 || connect(fds[n], (const struct sockaddr *)to, sizeof *to) != 0)
                die("connect");
        }
        if (more && next(&random, 1000) == 0)
            return 0;
        for (int i = 0; i < n; i++)
            close_one(fds[i], next(&random, 20));
    }
    return 0;
}

/* --- master --- */

static pid_t worker[WORKERS_MAX];
static unsigned workers, kills, exits;

/* Every other one is a new program rather than a fork. */
static pid_t start(char **argv, const struct sockaddr_in *to, int memory, uint32_t random) {
    char number[16], seed[16];
    (void)snprintf(number, sizeof number, "%d", memory);
    (void)snprintf(seed, sizeof seed, "%u", random);
    char *own[] = {argv[0], (char[]){"work"}, argv[2], argv[3], number, seed, NULL};
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid > 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (random % 2)
        exit(work(to, random));
    (void)execv("/proc/self/exe", own);
    die("exec");
}

static bool over(void) {
    return __atomic_load_n(&shared->taken, __ATOMIC_RELAXED) >= shared->goal;
}

/* Whatever has ended is replaced while there is something to do. */
static void collect(char **argv, const struct sockaddr_in *to, int memory, uint32_t *random, bool wait) {
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, wait ? 0 : WNOHANG)) > 0;) {
        bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        if (!killed && status != 0) {
            (void)fprintf(stderr, "a worker ended with status %#x\n", (unsigned)status);
            exit(1);
        }
        kills += killed;
        exits += !killed;
        for (unsigned i = 0; i < workers; i++)
            if (worker[i] == pid)
                worker[i] = over() ? 0 : start(argv, to, memory, next(random, 1u << 24));
    }
}

static int run(char **argv) {
    struct sockaddr_in to = endpoint(argv[2], argv[3]);
    int memory = (int)syscall(SYS_memfd_create, "storm", 0);
    uint32_t random = (uint32_t)strtoul(argv[7], NULL, 10);
    uint64_t every = strtoull(argv[6], NULL, 10), shot = 0;
    if (memory < 0 || ftruncate(memory, sizeof *shared) != 0)
        die("memfd");
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    if (shared == MAP_FAILED)
        die("mmap");
    shared->goal = strtoull(argv[4], NULL, 10);
    workers = (unsigned)atoi(argv[5]);
    workers = workers < WORKERS_MAX ? workers : WORKERS_MAX;
    for (unsigned i = 0; i < workers; i++)
        worker[i] = start(argv, &to, memory, next(&random, 1u << 24));
    while (!over()) {
        const struct timespec pause = {.tv_nsec = 200000};
        (void)nanosleep(&pause, NULL);
        for (; (shot + 1) * every < __atomic_load_n(&shared->taken, __ATOMIC_RELAXED) && !over(); shot++) {
            pid_t victim = worker[next(&random, workers)];
            if (victim > 0)
                (void)kill(victim, SIGKILL);
        }
        collect(argv, &to, memory, &random, false);
    }
    collect(argv, &to, memory, &random, true);
    printf("%llu connections %u kills %u exits\n", (unsigned long long)shared->goal, kills, exits);
    return 0;
}

int main(int argc, char **argv) {
    if (argc > 3 && strcmp(argv[1], "serve") == 0)
        serve(argc, argv);
    if (argc == 8 && strcmp(argv[1], "run") == 0)
        return run(argv);
    if (argc != 6 || strcmp(argv[1], "work") != 0)
        return 2;
    struct sockaddr_in to = endpoint(argv[2], argv[3]);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, atoi(argv[4]), 0);
    return shared == MAP_FAILED ? 1 : work(&to, (uint32_t)strtoul(argv[5], NULL, 10));
}
