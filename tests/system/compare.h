/* compare.h - for the programs that print one line for each call that a client may make, right or wrong: its result and
 * errno. Run bare and with the shim, the output must be the same.
 *
 * errno is set to a mark before each call, so that "unchanged" is seen as well. What the kernel chooses (ports,
 * descriptors) is not printed. */
#ifndef CONNSPREAD_TESTS_COMPARE_H
#define CONNSPREAD_TESTS_COMPARE_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum { MARK = 4242 };

/* Accepts connections; refuses them; has no route. */
static struct sockaddr_in good, refused, nowhere;
static struct sockaddr_in6 mapped, mapped_refused, nowhere6;

static inline void say(const char *what, long result, int error) {
    if (error == MARK)
        printf("%s: %ld, errno unchanged\n", what, result);
    else
        printf("%s: %ld, errno %s\n", what, result, strerrorname_np(error) ? strerrorname_np(error) : "0");
}

/* Evaluates an expression and prints its value and errno. */
#define SAY(what, call)                                                                                                \
    do {                                                                                                               \
        errno = MARK;                                                                                                  \
        long r_ = (long)(call);                                                                                        \
        say(what, r_, errno);                                                                                          \
    } while (0)

static inline int tcp(void) {
    return socket(AF_INET, SOCK_STREAM, 0);
}

static inline int tcp6(void) {
    return socket(AF_INET6, SOCK_STREAM, 0);
}

static inline int nonblocking(void) {
    return socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
}

static inline int in(int fd, const struct sockaddr_in *a) {
    return connect(fd, (const struct sockaddr *)a, sizeof *a);
}

static inline int in6(int fd, const struct sockaddr_in6 *a) {
    return connect(fd, (const struct sockaddr *)a, sizeof *a);
}

static inline int unspec(int fd) {
    struct sockaddr a = {.sa_family = AF_UNSPEC};
    return connect(fd, &a, sizeof a);
}

static inline int bind_in(int fd, const char *address, unsigned port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, address, &a.sin_addr);
    return bind(fd, (struct sockaddr *)&a, sizeof a);
}

static inline int bind_in6(int fd, const char *address, unsigned port) {
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    inet_pton(AF_INET6, address, &a.sin6_addr);
    return bind(fd, (struct sockaddr *)&a, sizeof a);
}

static inline int so_error(int fd) {
    int e = 0;
    socklen_t n = sizeof e;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &n);
    return e;
}

/* What the socket says of itself: is it bound to an address, to a port; is there a peer. */
static inline void names(const char *what, int fd) {
    struct sockaddr_storage s = {0};
    socklen_t n = sizeof s;
    errno = MARK;
    int r = getsockname(fd, (struct sockaddr *)&s, &n);
    int e = errno;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&s;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&s;
    bool six = s.ss_family == AF_INET6;
    bool any = six ? IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr) : v4->sin_addr.s_addr == 0;
    bool port = (six ? v6->sin6_port : v4->sin_port) != 0;
    printf("%s: family %d, length %u, %s address, %s port", what, s.ss_family, (unsigned)n, any ? "no" : "an",
           port ? "a" : "no");
    n = sizeof s;
    printf(", peer %d\n", getpeername(fd, (struct sockaddr *)&s, &n) == 0);
    say("   getsockname", r, e);
}

static inline void wait_writable(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    poll(&p, 1, 3000);
}

/* Until the peer has closed, too. */
static inline void wait_end(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};
    poll(&p, 1, 3000);
}

/* compare ADDRESS PORT */
static inline void compare_begin(int argc, char **argv) {
    if (argc != 3)
        exit(2);
    alarm(30);
    good.sin_family = AF_INET;
    good.sin_port = htons((uint16_t)atoi(argv[2]));
    inet_pton(AF_INET, argv[1], &good.sin_addr);
    refused = good;
    refused.sin_port = htons(9);
    nowhere = good;
    inet_pton(AF_INET, "203.0.113.1", &nowhere.sin_addr);
    mapped.sin6_family = AF_INET6;
    mapped.sin6_port = good.sin_port;
    memset(mapped.sin6_addr.s6_addr + 10, 0xff, 2);
    memcpy(mapped.sin6_addr.s6_addr + 12, &good.sin_addr, 4);
    mapped_refused = mapped;
    mapped_refused.sin6_port = htons(9);
    nowhere6 = mapped;
    inet_pton(AF_INET6, "2001:db8::1", &nowhere6.sin6_addr);
}

#endif
