/* rate ADDRESS PORT PER_SECOND: so many connects a second, paced by the millisecond, whatever comes of them, until
 * SIGTERM; then prints how many there were. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t over;

static void stop(int signal) {
    (void)signal;
    over = 1;
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    inet_pton(AF_INET, argv[1], &to.sin_addr);
    long per_ms = atol(argv[3]) / 1000, made = 0;
    struct timespec next;
    signal(SIGTERM, stop);
    clock_gettime(CLOCK_MONOTONIC, &next);
    while (!over) {
        for (long i = 0; i < per_ms; i++, made++) {
            int fd = socket(AF_INET, SOCK_STREAM, 0);
            (void)!connect(fd, (struct sockaddr *)&to, sizeof to);
            close(fd);
        }
        next.tv_nsec += 1000000;
        next.tv_sec += next.tv_nsec / 1000000000;
        next.tv_nsec %= 1000000000;
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
    printf("%ld\n", made);
    return 0;
}
