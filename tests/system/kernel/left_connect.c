/* A thread leaves its connect otherwise than by its return, while that waits for an endpoint of also-to.
 *
 *     left_connect ADDRESS PORT cancel|jump
 *
 * ADDRESS PORT has another endpoint each second time, which is silent. cancel: pthread_cancel; jump: a signal handler
 * jumps out. Prints SO_SNDTIMEO of the socket before and after, in milliseconds. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static struct sockaddr_in to = {.sin_family = AF_INET};
static sigjmp_buf back;
static int number, jumps, returned;

static void jump(int signal) {
    (void)signal;
    siglongjmp(back, 1);
}

static void *connects(void *unused) {
    if (!jumps || sigsetjmp(back, 1) == 0) {
        (void)connect(number, (const struct sockaddr *)&to, sizeof to);
        __atomic_store_n(&returned, 1, __ATOMIC_RELEASE);
    }
    return unused;
}

/* Until its SYN has left, or it has returned. */
static int waits(void) {
    struct timespec moment = {.tv_nsec = 1000000};
    for (int i = 0; i < 15000 && !__atomic_load_n(&returned, __ATOMIC_ACQUIRE); i++) {
        struct tcp_info info = {0};
        socklen_t length = sizeof info;
        if (getsockopt(number, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 && info.tcpi_state == TCP_SYN_SENT)
            return 1;
        nanosleep(&moment, NULL);
    }
    return 0;
}

static long limit_of(void) {
    struct timeval limit = {.tv_sec = -1};
    socklen_t length = sizeof limit;
    (void)getsockopt(number, SOL_SOCKET, SO_SNDTIMEO, &limit, &length);
    return limit.tv_sec * 1000 + limit.tv_usec / 1000;
}

/* False: it had not to wait, for it was the turn of the other one. */
static int leave(long seconds) {
    struct timeval limit = {.tv_sec = seconds};
    pthread_t thread;
    void *result = NULL;
    number = socket(AF_INET, SOCK_STREAM, 0);
    returned = 0;
    (void)setsockopt(number, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (pthread_create(&thread, NULL, connects, NULL) != 0)
        exit(2);
    int left = waits();
    if (left && (jumps ? pthread_kill(thread, SIGUSR1) : pthread_cancel(thread)) != 0)
        exit(3);
    pthread_join(thread, &result);
    left = left && !returned;
    if (left)
        printf("%s: %ld %ld\n", result == PTHREAD_CANCELED ? "cancelled" : "back", seconds * 1000, limit_of());
    close(number);
    return left;
}

int main(int argc, char **argv) {
    if (argc < 4 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1)
        return 2;
    to.sin_port = htons((unsigned short)atoi(argv[2]));
    jumps = strcmp(argv[3], "jump") == 0;
    signal(SIGUSR1, jump);
    for (int i = 0; i < 8 && !leave(0); i++)
        ;
    for (int i = 0; i < 8 && !leave(50); i++)
        ;
    return 0;
}
