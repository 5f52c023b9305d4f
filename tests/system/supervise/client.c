/* client ADDRESS PORT N [OPTION...]: a client that no library can be preloaded into (it is linked statically).
 *
 * Makes N connections, one after the other, and prints for each its source address, or the errno, and at the end the
 * longest call in ms: lines "10.0.0.11 1234", "error 99", "longest 3".
 *
 * hold: keeps them all open until the end; wait: and the end is when its standard input ends; blocking, poll
 * (non-blocking, the default); signals, signals-restart: an alarm every millisecond, whose handler interrupts calls or
 * does not; threads: four at once, N each; pause: 1 ms after each; close-first, rst, shutdown, peer-first: how each
 * ends; tries: connects again, on the same socket, until it works, at most 200 times; fork: in a child. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 4, PATIENCE_MS = 30000 };

static struct sockaddr_storage peer;
static socklen_t peer_length;
static int count, option_count;
static char **options;
static double longest;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool option(const char *name) {
    for (int i = 0; i < option_count; i++)
        if (strcmp(options[i], name) == 0)
            return true;
    return false;
}

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void on_alarm(int number) {
    (void)number;
}

static void alarms(bool restart) {
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = restart ? SA_RESTART : 0};
    struct itimerval every = {{0, 1000}, {0, 1000}};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &every, NULL);
}

/* What became of a connect that went on after its call. */
static int finish(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int error = 0;
    socklen_t length = sizeof error;
    double until = now_ms() + PATIENCE_MS;
    while (poll(&p, 1, 100) != 1)
        if (now_ms() > until)
            return ETIME;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

static int one(int fd) {
    double began = now_ms();
    int error = connect(fd, (struct sockaddr *)&peer, peer_length) == 0 ? 0 : errno;
    double took = now_ms() - began;
    pthread_mutex_lock(&lock);
    longest = took > longest ? took : longest;
    pthread_mutex_unlock(&lock);
    return error == EINPROGRESS || error == EINTR ? finish(fd) : error;
}

static void end(int fd) {
    struct linger reset = {1, 0};
    char byte;
    if (option("rst"))
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (option("shutdown"))
        shutdown(fd, SHUT_WR);
    if (option("peer-first")) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        (void)poll(&p, 1, 1000);
        (void)!read(fd, &byte, 1);
    }
    if (!option("hold"))
        close(fd);
}

static void say(int fd, int error) {
    struct sockaddr_storage name;
    socklen_t length = sizeof name;
    char text[INET6_ADDRSTRLEN] = "?";
    unsigned port = 0;
    if (error) {
        printf("error %d\n", error);
    } else if (getsockname(fd, (struct sockaddr *)&name, &length) == 0) {
        bool v6 = name.ss_family == AF_INET6;
        const struct sockaddr_in *in = (const void *)&name;
        const struct sockaddr_in6 *in6 = (const void *)&name;
        inet_ntop(name.ss_family, v6 ? (const void *)&in6->sin6_addr : (const void *)&in->sin_addr, text, sizeof text);
        port = ntohs(v6 ? in6->sin6_port : in->sin_port);
        printf("%s %u\n", text, port);
    }
}

static void *many(void *unused) {
    for (int i = 0; i < count; i++) {
        int fd = socket(peer.ss_family, SOCK_STREAM, 0), error;
        if (fd < 0) {
            printf("error %d\n", errno);
            continue;
        }
        if (!option("blocking"))
            fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        int left = option("tries") ? 200 : 1;
        do
            error = one(fd);
        while (error && --left > 0 && poll(NULL, 0, 10) == 0);
        say(fd, error);
        end(fd);
        if (option("pause"))
            (void)poll(NULL, 0, 1);
    }
    return unused;
}

int main(int argc, char **argv) {
    struct sockaddr_in *in = (void *)&peer;
    struct sockaddr_in6 *in6 = (void *)&peer;
    if (argc < 4)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    options = argv + 4;
    option_count = argc - 4;
    count = atoi(argv[3]);
    if (inet_pton(AF_INET, argv[1], &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons((uint16_t)atoi(argv[2]));
        peer_length = sizeof *in;
    } else if (inet_pton(AF_INET6, argv[1], &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t)atoi(argv[2]));
        peer_length = sizeof *in6;
    }
    int status = 0;
    if (option("fork") && fork() != 0) {
        wait(&status);
        return WEXITSTATUS(status);
    }
    if (option("signals") || option("signals-restart"))
        alarms(option("signals-restart"));
    pthread_t thread[THREADS];
    unsigned threads = option("threads") ? THREADS : 0;
    for (unsigned i = 0; i < threads; i++)
        pthread_create(&thread[i], NULL, many, NULL);
    for (unsigned i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
    if (!threads)
        many(NULL);
    printf("longest %d\n", (int)longest);
    while (option("wait") && getchar() != EOF)
        ;
    return 0;
}
