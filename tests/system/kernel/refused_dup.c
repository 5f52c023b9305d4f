/* refused_dup ADDRESS PORT ROUNDS: connections that are copied, shut down and closed while another thread tries to make
 * their numbers something else, by dup2 and dup3, which fail. Prints how many were made: fewer where 10 s are not
 * enough, for each waits until both threads have had the processor. Exit 0 when each call did what it should. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../expect.h"

enum kind { ALONE, COPY_FIRST, COPY_LAST, THIRD, SHUT, OVER, MEANWHILE, KINDS };

static int number[2];  /* that are tried, until they are closed and beyond; atomic */
static unsigned tried; /* how often; atomic */
static bool over;      /* atomic */

static void publish(int fd, int copy) {
    __atomic_store_n(&number[0], fd, __ATOMIC_RELAXED);
    __atomic_store_n(&number[1], copy, __ATOMIC_RELAXED);
}

static void *tries(void *unused) {
    for (unsigned i = 0; !__atomic_load_n(&over, __ATOMIC_RELAXED); i++) {
        int to = __atomic_load_n(&number[i % 2], __ATOMIC_RELAXED);
        EXPECT(dup2(-1, to) == -1 && errno == EBADF);
        EXPECT(dup3(0, to, 1) == -1 && errno == EINVAL);
        __atomic_store_n(&tried, i, __ATOMIC_RELEASE);
    }
    return unused;
}

/* The numbers may be another connection's now: none that had them is tried any more. */
static void leave_alone(void) {
    publish(-1, -1);
    unsigned seen = __atomic_load_n(&tried, __ATOMIC_ACQUIRE);
    while (__atomic_load_n(&tried, __ATOMIC_ACQUIRE) - seen < 2)
        (void)sched_yield();
}

static void round_of(enum kind kind, const struct sockaddr_in *to) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), copy = -1, third = -1;
    EXPECT(fd >= 0 && connect(fd, (const struct sockaddr *)to, sizeof *to) == 0);
    if (kind != ALONE && kind != MEANWHILE && kind != SHUT)
        EXPECT((copy = dup(fd)) >= 0);
    publish(fd, copy);
    if (kind == THIRD)
        EXPECT((third = dup(fd)) >= 0);
    if (kind == MEANWHILE)
        EXPECT((copy = dup(fd)) >= 0);
    if (kind == SHUT)
        EXPECT(shutdown(fd, SHUT_WR) == 0);
    if (kind == OVER) {
        EXPECT(dup2(0, fd) == fd);
    } else if (kind == COPY_LAST || kind == MEANWHILE) {
        EXPECT(close(fd) == 0);
        fd = -1;
    }
    if (copy >= 0)
        EXPECT(close(copy) == 0);
    if (third >= 0)
        EXPECT(close(third) == 0);
    if (fd >= 0)
        EXPECT(close(fd) == 0);
}

static time_t seconds(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

int main(int argc, char **argv) {
    struct sockaddr_in to = {.sin_family = AF_INET};
    pthread_t thread;
    if (argc != 4 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1)
        return 2;
    to.sin_port = htons((uint16_t)atoi(argv[2]));
    publish(-1, -1);
    if (pthread_create(&thread, NULL, tries, NULL) != 0)
        return 2;
    int made = 0;
    for (time_t began = seconds(); made < atoi(argv[3]) && seconds() - began < 10; made++)
        round_of((enum kind)(made % KINDS), &to), leave_alone();
    __atomic_store_n(&over, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    printf("%d\n", made);
    return failures != 0;
}
