/* threads ADDRESS PORT PORT: eight threads do for the first time at once whatever a wrapper keeps for the process, then
 * go on in pairs on the same descriptors, without a word between them but the kernel's. Exit 0 when each call did what
 * it does without a wrapper. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../expect.h"

enum { THREADS = 8, ROUNDS = 12, SHARED = 24 };

static struct sockaddr_in to[2];
static pthread_barrier_t barrier;
static int shared[SHARED];

static int connected(unsigned n) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT(fd >= 0 && connect(fd, (const struct sockaddr *)&to[n % 2], sizeof to[0]) == 0);
    return fd;
}

static void is_connected_to(int fd, unsigned n) {
    struct sockaddr_in peer = {0};
    socklen_t length = sizeof peer;
    EXPECT(getpeername(fd, (struct sockaddr *)&peer, &length) == 0 && peer.sin_port == to[n % 2].sin_port &&
           peer.sin_addr.s_addr == to[n % 2].sin_addr.s_addr);
}

static void one_alone(unsigned n) {
    int fd = connected(n), copy = dup(fd);
    is_connected_to(fd, n);
    EXPECT(copy >= 0 && close(fd) == 0);
    is_connected_to(copy, n);
    if (n % 3 == 0)
        EXPECT(shutdown(copy, SHUT_WR) == 0);
    EXPECT(close(copy) == 0);
}

/* As libuv does. TSan does not know it for a close, and says nothing of what is the client's own affair: that it closes
 * a number that another thread uses. */
static int close_by_number(int fd) {
    return (int)syscall(SYS_close, fd);
}

/* One thread connects, the other asks all the time how it stands, and closes it as soon as it is connected. */
static void connect_shared(void) {
    for (unsigned n = 0; n < SHARED; n++) {
        int fd = __atomic_load_n(&shared[n], __ATOMIC_RELAXED);
        EXPECT(connect(fd, (const struct sockaddr *)&to[n % 2], sizeof to[0]) == 0);
    }
}

static void close_shared(void) {
    for (unsigned n = 0; n < SHARED; n++) {
        int fd = __atomic_load_n(&shared[n], __ATOMIC_RELAXED);
        struct sockaddr_in peer;
        socklen_t length = sizeof peer;
        while (getpeername(fd, (struct sockaddr *)&peer, &length) != 0)
            EXPECT(errno == ENOTCONN);
        EXPECT(close_by_number(fd) == 0);
    }
}

/* Both close the same: one of them does. */
static void close_both(unsigned *closed) {
    for (unsigned n = 0; n < SHARED; n++)
        *closed += close_by_number(__atomic_load_n(&shared[n], __ATOMIC_RELAXED)) == 0;
}

static void *run(void *number) {
    unsigned own = *(unsigned *)number, *closed = number;
    pthread_barrier_wait(&barrier);
    for (unsigned i = 0; i < ROUNDS; i++)
        one_alone(own + i);
    pthread_barrier_wait(&barrier);
    if (own == 0)
        for (unsigned n = 0; n < SHARED; n++)
            __atomic_store_n(&shared[n], socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), __ATOMIC_RELAXED);
    pthread_barrier_wait(&barrier);
    if (own == 0)
        connect_shared();
    else if (own == 1)
        close_shared();
    pthread_barrier_wait(&barrier);
    if (own == 0)
        for (unsigned n = 0; n < SHARED; n++)
            __atomic_store_n(&shared[n], connected(n), __ATOMIC_RELAXED);
    pthread_barrier_wait(&barrier);
    *closed = 0;
    if (own < 2)
        close_both(closed);
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t thread[THREADS];
    unsigned number[THREADS], closed = 0;
    if (argc != 4)
        return 2;
    for (int i = 0; i < 2; i++) {
        to[i] = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2 + i]))};
        if (inet_pton(AF_INET, argv[1], &to[i].sin_addr) != 1)
            return 2;
    }
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (unsigned i = 0; i < THREADS; i++) {
        number[i] = i;
        EXPECT(pthread_create(&thread[i], NULL, run, &number[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        closed += number[i];
    }
    EXPECT(closed == SHARED);
    return failures != 0;
}
