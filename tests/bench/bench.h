/* bench.h - what the bench's clients share: time, medians, one line per command, and the hand-written client. */
#ifndef CONNSPREAD_BENCH_H
#define CONNSPREAD_BENCH_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/kernel_constants.h"

enum { SOURCES_MAX = 8 };

/* How this client connects. by_hand: it does itself what the shim would do, and knows at the close what the shim asks.
 */
struct dialer {
    bool by_hand;
    bool watches; /* asks what the shim cannot do without when it observes, and does nothing with the answers */
    uint64_t clock;
    unsigned n_sources, turn;
    struct sockaddr_in source[SOURCES_MAX];
    struct sockaddr_in seen; /* of the latest close */
};

static inline uint64_t now_ns(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Of this thread: what other programs take of a busy machine is not in it. */
static inline uint64_t cpu_ns(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void die(const char *what) {
    (void)fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

static inline int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static inline uint32_t median(uint32_t *sample, unsigned n) {
    qsort(sample, n, sizeof *sample, by_value);
    return n ? sample[n / 2] : 0;
}

static inline void *array(size_t n, size_t size) {
    void *p = calloc(n ? n : 1, size);
    if (!p)
        die("memory");
    return p;
}

static inline struct sockaddr_in endpoint(const char *address, unsigned port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, address, &at.sin_addr) != 1) {
        errno = EINVAL;
        die(address);
    }
    return at;
}

/* "hand" or "hand=ADDRESS,ADDRESS": by hand, with the whole range alone or from these addresses in turn. "watch": only
 * asks. Else: as any client. */
static inline void dialer_parse(struct dialer *d, const char *text) {
    d->watches = text && strcmp(text, "watch") == 0;
    if (!text || strncmp(text, "hand", 4) != 0)
        return;
    d->by_hand = true;
    if (text[4] != '=')
        return;
    char list[256], *rest = NULL;
    (void)snprintf(list, sizeof list, "%s", text + 5);
    for (char *one = strtok_r(list, ",", &rest); one && d->n_sources < SOURCES_MAX; one = strtok_r(NULL, ",", &rest))
        d->source[d->n_sources++] = endpoint(one, 0);
}

static inline int prepare_by_hand(struct dialer *d, int fd) {
    int on = 1;
    uint32_t range = 65535u << 16 | 1u;
    if (d->n_sources) {
        const struct sockaddr_in *source = &d->source[d->turn++ % d->n_sources];
        if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) != 0 ||
            bind(fd, (const struct sockaddr *)source, sizeof *source) != 0)
            return -1;
    }
    return setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &range, sizeof range);
}

/* What the shim's connect() stands for: binds included. 0, or -1 and errno. */
static inline int override(struct dialer *d, int fd, const struct sockaddr_in *to) {
    if (d->by_hand && prepare_by_hand(d, fd) != 0)
        return -1;
    if (!d->watches)
        return connect(fd, (const struct sockaddr *)to, sizeof *to);
    uint64_t began = now_ns();
    int r = connect(fd, (const struct sockaddr *)to, sizeof *to);
    d->clock += now_ns() - began;
    return r;
}

/* What the shim's close() stands for: state, receive queue and own address, then the close; and when that was, by the
 * clock that ages are told by and by that of the log. */
static inline int hang_up(struct dialer *d, int fd) {
    struct timespec wall;
    if (d->by_hand || d->watches) {
        char byte;
        socklen_t length = sizeof d->seen;
        (void)recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        (void)getsockname(fd, (struct sockaddr *)&d->seen, &length);
    }
    int r = close(fd);
    if (d->watches) {
        (void)clock_gettime(CLOCK_REALTIME, &wall);
        d->clock += now_ns() + (uint64_t)wall.tv_nsec;
    }
    return r;
}

/* Ends a connection without a TIME-WAIT. */
static inline void reset(int fd) {
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    (void)close(fd);
}

/* One command a line: a word and up to seven numbers. False at the end of the input. */
struct command {
    char name[16];
    unsigned long arg[7];
};

static inline bool next_command(struct command *c) {
    char line[256];
    memset(c, 0, sizeof *c);
    if (!fgets(line, sizeof line, stdin))
        return false;
    (void)sscanf(line, "%15s %lu %lu %lu %lu %lu %lu %lu", c->name, &c->arg[0], &c->arg[1], &c->arg[2], &c->arg[3],
                 &c->arg[4], &c->arg[5], &c->arg[6]);
    return true;
}

static inline void answer_end(void) {
    (void)putchar('\n');
    (void)fflush(stdout);
}

static inline void answer_samples(const uint32_t *sample, unsigned n) {
    for (unsigned i = 0; i < n; i++)
        (void)printf("%s%u", i ? " " : "", sample[i]);
    answer_end();
}

#endif
