/* sequences.h - what random sequences of calls work on: up to SLOTS descriptors, addresses of every fate, and one line
 * for each call with what the client can see of it. What the kernel chooses is not printed: source addresses and ports
 * that the client did not name itself. */
#ifndef CONNSPREAD_TESTS_SEQUENCES_H
#define CONNSPREAD_TESTS_SEQUENCES_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MARK = 4242, SLOTS = 5, FIRST_FREE = 10, SOCKETS = 64, PORT = 9001, OWN_PORT = 20001 };

/* What stands behind a descriptor, and copies of it. */
struct behind {
    int family;
    bool named;    /* by the client's own bind, to an address */
    bool numbered; /* to a port */
    bool mptcp;
    bool shared;    /* two records of it: received, or in a child */
    bool tried;     /* a connect; if it failed, getsockname may show our source */
    bool dissolved; /* connect(AF_UNSPEC): getsockname may differ then, as libconnspread(7) says */
};

struct slot {
    int fd; /* -1: none */
    struct behind *behind;
};

static struct slot slots[SLOTS];
static struct behind sockets[SOCKETS];
static unsigned n_sockets;
static uint64_t state; /* of the generator */
static uint64_t number;
static unsigned step;
static const char *where = ""; /* in a child */

/* splitmix64: each sequence is known from seed and number alone. */
static inline uint64_t next(void) {
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline unsigned below(unsigned n) {
    return (unsigned)(next() % n);
}

static inline bool once_in(unsigned n) {
    return below(n) == 0;
}

/* --- addresses --- */

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_storage room;
    };
    socklen_t length;
    const char *text;
    unsigned port;
};

static inline struct address address_of(const char *text, unsigned port) {
    struct address a = {.text = text, .port = port, .length = sizeof a.v4};
    char plain[64];
    (void)snprintf(plain, sizeof plain, "%s", text);
    char *zone = strchr(plain, '%');
    if (zone)
        *zone++ = 0;
    if (inet_pton(AF_INET, plain, &a.v4.sin_addr) == 1) {
        a.v4.sin_family = AF_INET;
        a.v4.sin_port = htons((uint16_t)port);
    } else if (inet_pton(AF_INET6, plain, &a.v6.sin6_addr) == 1) {
        a.length = sizeof a.v6;
        a.v6.sin6_family = AF_INET6;
        a.v6.sin6_port = htons((uint16_t)port);
        a.v6.sin6_scope_id = zone ? if_nametoindex(zone) : 0;
    }
    return a;
}

/* --- what is printed --- */

/* What any client can see of a descriptor without changing it, asked behind libc's back. */
static inline void print_state(const struct slot *s) {
    struct pollfd p = {.fd = s->fd, .events = POLLIN | POLLOUT | POLLRDHUP | POLLPRI};
    struct timespec none = {0};
    uint8_t tcp = 0;
    socklen_t length = sizeof tcp;
    int protocol = 0;
    socklen_t size = sizeof protocol;
    if (s->fd < 0)
        return;
    (void)syscall(SYS_getsockopt, s->fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size);
    if (protocol == IPPROTO_MPTCP) { /* a worker of the kernel's brings it forward, some time later */
        printf(" %d:mptcp", s->fd);
        return;
    }
    long polled = syscall(SYS_ppoll, &p, 1, &none, NULL, 0);
    long known = syscall(SYS_getsockopt, s->fd, IPPROTO_TCP, TCP_INFO, &tcp, &length);
    if (tcp == TCP_FIN_WAIT2) /* the ACK of our FIN may be delayed, or not */
        tcp = TCP_FIN_WAIT1;
    printf(" %d:%ld/%x/%d", s->fd, polled, (unsigned)p.revents, known == 0 ? tcp : -1);
}

__attribute__((format(printf, 3, 4))) static inline void say(long result, int error, const char *format, ...) {
    va_list list;
    va_start(list, format);
    printf("%llu.%u%s ", (unsigned long long)number, step, where);
    vprintf(format, list);
    va_end(list);
    printf(" = %ld %s |", result, error == MARK ? "-" : strerrorname_np(error) ? strerrorname_np(error) : "0");
    for (unsigned i = 0; i < SLOTS; i++)
        print_state(&slots[i]);
    putchar('\n');
}

/* Evaluates a call and says what came of it; the result stays in r. */
#define SAY(r, call, ...)                                                                                              \
    do {                                                                                                               \
        errno = MARK;                                                                                                  \
        (r) = (long)(call);                                                                                            \
        int error_ = errno;                                                                                            \
        say((r), error_, __VA_ARGS__);                                                                                 \
    } while (0)

/* --- slots --- */

static inline struct slot *free_slot(void) {
    for (unsigned i = 0; i < SLOTS; i++)
        if (slots[i].fd < 0)
            return &slots[i];
    return NULL;
}

static inline struct slot *used_slot(void) {
    unsigned from = below(SLOTS);
    for (unsigned i = 0; i < SLOTS; i++)
        if (slots[(from + i) % SLOTS].fd >= 0)
            return &slots[(from + i) % SLOTS];
    return NULL;
}

static inline struct slot *slot_of(int fd) {
    for (unsigned i = 0; i < SLOTS; i++)
        if (slots[i].fd == fd)
            return &slots[i];
    return NULL;
}

static inline struct behind *new_socket(int family) {
    struct behind *b = &sockets[n_sockets < SOCKETS ? n_sockets++ : SOCKETS - 1];
    *b = (struct behind){.family = family};
    return b;
}

#endif
