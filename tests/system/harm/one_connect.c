/* one_connect MODE ADDRESS PORT TIMES BYTES PAUSE_MS: an ordinary client; TIMES connections, one after the other.
 *
 * Each is opened, sends BYTES if it could connect, waits up to a second for an answer, and is closed. Before the second
 * one the client waits until PAUSE_MS after its start. One line for each: what came of it, and milliseconds from before
 * socket() to after close(); with threads the results that any had, and the longest time. What came of it is an errno;
 * 0 is followed by "answered" or "unanswered". The last line says how many descriptors are open in the end.
 *
 * MODE: blocking; sndtimeo (SO_SNDTIMEO, 1.2 s); poll; epoll (registered before the connect, edge-triggered); fastopen
 * (sendto with MSG_FASTOPEN); threads (four, each as blocking). */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#ifndef MSG_FASTOPEN
#define MSG_FASTOPEN 0x20000000
#endif

enum mode { BLOCKING, SNDTIMEO, POLL, EPOLL, FASTOPEN, IN_THREADS, MODES };
enum { THREADS = 4, TIMES_MAX = 8, BYTES_MAX = 8192, PATIENCE_MS = 60000, ANSWER_MS = 1000 };

struct result {
    int error;
    bool answered;
    double ms;
};

static const char *const mode_names[MODES] = {"blocking", "sndtimeo", "poll", "epoll", "fastopen", "threads"};
static enum mode mode;
static struct sockaddr_storage peer;
static socklen_t peer_length;
static unsigned times, pause_ms;
static size_t bytes;
static char payload[BYTES_MAX];
static struct result results[THREADS][TIMES_MAX];
static double started;

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* A connect that is under way: its result. */
static int finish(int fd, int epoll) {
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    struct epoll_event e;
    int error = ETIME;
    socklen_t length = sizeof error;
    if ((epoll < 0 ? poll(&p, 1, PATIENCE_MS) : epoll_wait(epoll, &e, 1, PATIENCE_MS)) == 1 &&
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0)
        error = errno;
    return error;
}

static int open_connection(int fd) {
    const struct sockaddr *to = (const struct sockaddr *)&peer;
    struct timeval limit = {.tv_sec = 1, .tv_usec = 200000};
    struct epoll_event e = {.events = EPOLLOUT | EPOLLET};
    int epoll = -1, error;
    if (mode == SNDTIMEO && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0)
        return errno;
    if (mode == FASTOPEN)
        return sendto(fd, payload, bytes, MSG_FASTOPEN, to, peer_length) < 0 ? errno : 0;
    if (mode == EPOLL && ((epoll = epoll_create1(EPOLL_CLOEXEC)) < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) != 0))
        return errno;
    error = connect(fd, to, peer_length) != 0 ? errno : 0;
    if (error == EINPROGRESS && (mode == POLL || mode == EPOLL))
        error = finish(fd, epoll);
    if (epoll >= 0)
        close(epoll);
    return error;
}

static bool is_answered(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char answer;
    if (mode != FASTOPEN && send(fd, payload, bytes, MSG_NOSIGNAL) < 0)
        return false;
    return poll(&p, 1, ANSWER_MS) == 1 && recv(fd, &answer, 1, 0) == 1;
}

static struct result one(void) {
    struct result r = {0};
    double began = now_ms();
    int fd = socket(peer.ss_family, SOCK_STREAM | (mode == POLL || mode == EPOLL ? SOCK_NONBLOCK : 0), 0);
    r.error = fd < 0 ? errno : open_connection(fd);
    r.answered = r.error == 0 && is_answered(fd);
    if (fd >= 0 && close(fd) != 0)
        r.error = errno;
    r.ms = now_ms() - began;
    return r;
}

static void *all(void *argument) {
    struct result *own = argument;
    for (unsigned i = 0; i < times; i++) {
        double wait = i == 1 ? started + pause_ms - now_ms() : 0;
        if (wait > 0)
            (void)poll(NULL, 0, (int)wait + 1);
        own[i] = one();
    }
    return NULL;
}

static bool same(const struct result *a, const struct result *b) {
    return a->error == b->error && a->answered == b->answered;
}

static void print(unsigned i, unsigned threads) {
    double longest = 0;
    for (unsigned t = 0; t < threads; t++) {
        const struct result *r = &results[t][i];
        unsigned before = 0;
        while (before < t && !same(&results[before][i], r))
            before++;
        if (before == t)
            printf("%d%s ", r->error, r->error ? "" : r->answered ? " answered" : " unanswered");
        longest = r->ms > longest ? r->ms : longest;
    }
    printf("%.1f\n", longest);
}

static int parse(char **argv) {
    struct sockaddr_in *v4 = (struct sockaddr_in *)&peer;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&peer;
    while (mode < MODES && strcmp(argv[1], mode_names[mode]) != 0)
        mode++;
    if (inet_pton(AF_INET, argv[2], &v4->sin_addr) == 1) {
        peer.ss_family = AF_INET;
        peer_length = sizeof *v4;
    } else if (inet_pton(AF_INET6, argv[2], &v6->sin6_addr) == 1) {
        peer.ss_family = AF_INET6;
        peer_length = sizeof *v6;
    }
    v4->sin_port = htons((uint16_t)atoi(argv[3])); /* at the same place in both */
    times = (unsigned)atoi(argv[4]);
    bytes = (size_t)atol(argv[5]);
    pause_ms = (unsigned)atoi(argv[6]);
    return mode < MODES && peer_length && times <= TIMES_MAX && bytes <= BYTES_MAX ? 0 : -1;
}

int main(int argc, char **argv) {
    pthread_t threads[THREADS];
    int n_open = 0;
    if (argc != 7 || parse(argv) != 0)
        return 2;
    unsigned n = mode == IN_THREADS ? THREADS : 1;
    started = now_ms();
    for (unsigned t = 1; t < n; t++)
        if (pthread_create(&threads[t], NULL, all, results[t]) != 0)
            return 2;
    all(results[0]);
    for (unsigned t = 1; t < n; t++)
        pthread_join(threads[t], NULL);
    for (unsigned i = 0; i < times; i++)
        print(i, n);
    for (int fd = 0; fd < 1024; fd++)
        n_open += fcntl(fd, F_GETFD) >= 0;
    printf("%d\n", n_open);
    return 0;
}
