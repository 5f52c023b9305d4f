/* A descriptor whose connect waits for an endpoint of also-to becomes another socket, behind libc's back or through
 * dup2; and one that getpeername is asked of.
 *
 *     swapped ADDRESS PORT OTHER OTHER-PORT [new]
 *
 * ADDRESS PORT has another endpoint each second time, which is silent; OTHER has none. new: a
 * socket that was never connected, behind libc's back. Prints what it finds, one line
 * for each check; exit 1 when something is wrong. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/sys.h"

static struct sockaddr_in own, other;
static int number, wrong;

static void check(int holds, const char *what) {
    printf("%s: %s\n", what, holds ? "yes" : "no");
    wrong |= !holds;
}

static struct sockaddr_in address(const char *text, const char *port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
    if (inet_pton(AF_INET, text, &a.sin_addr) != 1)
        exit(2);
    return a;
}

static int connected(const struct sockaddr_in *to) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof *to) != 0)
        exit(2);
    return fd;
}

static int is_to(int fd, const struct sockaddr_in *to) {
    struct sockaddr_in peer = {0};
    socklen_t length = sizeof peer;
    return getpeername(fd, (struct sockaddr *)&peer, &length) == 0 && peer.sin_addr.s_addr == to->sin_addr.s_addr &&
           peer.sin_port == to->sin_port;
}

static void *connects(void *unused) {
    (void)connect(number, (const struct sockaddr *)&own, sizeof own);
    return unused;
}

/* Until the SYN of the connect on the number has left. */
static void await_connect(void) {
    struct timespec moment = {.tv_nsec = 1000000};
    struct tcp_info info = {0};
    for (int i = 0; i < 15000 && info.tcpi_state != TCP_SYN_SENT; i++) {
        socklen_t length = sizeof info;
        if (getsockopt(number, IPPROTO_TCP, TCP_INFO, &info, &length) != 0)
            exit(2);
        nanosleep(&moment, NULL);
    }
    if (info.tcpi_state != TCP_SYN_SENT)
        exit(3); /* no connect ever waited */
}

/* The number becomes live's while a connect waits on it. */
static void swap(int raw, const char *what) {
    struct timeval limit = {.tv_sec = 50}, after = {0};
    int error = 0;
    socklen_t length = sizeof error;
    pthread_t thread;
    int live = connected(&other), late[2] = {0};
    close(connected(&own)); /* the endpoint's turn is next */
    if (setsockopt(live, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0)
        exit(2);
    (void)getsockopt(live, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &late[0], &length);
    number = socket(AF_INET, SOCK_STREAM, 0);
    if (pthread_create(&thread, NULL, connects, NULL) != 0)
        exit(2);
    await_connect();
    if (raw ? sys_call3(SYS_dup3, live, number, 0) < 0 : dup2(live, number) < 0)
        exit(2);
    pthread_join(thread, NULL);
    length = sizeof after;
    if (getsockopt(number, SOL_SOCKET, SO_SNDTIMEO, &after, &length) != 0)
        exit(2);
    length = sizeof error;
    (void)getsockopt(number, SOL_SOCKET, SO_ERROR, &error, &length);
    (void)getsockopt(number, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &late[1], &length);
    check(is_to(number, &other) && after.tv_sec == limit.tv_sec && error == 0 && late[0] == late[1] &&
              write(number, "x", 1) == 1,
          what);
    close(number);
    close(live);
}

/* It stays as socket() made it. */
static void swap_new(void) {
    struct sockaddr_in name = {0};
    socklen_t length = sizeof name;
    pthread_t thread;
    int made = socket(AF_INET, SOCK_STREAM, 0);
    close(connected(&own));
    number = socket(AF_INET, SOCK_STREAM, 0);
    if (pthread_create(&thread, NULL, connects, NULL) != 0)
        exit(2);
    await_connect();
    if (sys_call3(SYS_dup3, made, number, 0) < 0)
        exit(2);
    puts("swapped");
    (void)fflush(stdout);
    pthread_join(thread, NULL);
    (void)getsockname(number, (struct sockaddr *)&name, &length);
    check(getpeername(number, (struct sockaddr *)&name, &length) != 0 && name.sin_port == 0, "as it was made");
}

int main(int argc, char **argv) {
    if (argc < 5)
        return 2;
    own = address(argv[1], argv[2]);
    other = address(argv[3], argv[4]);
    if (argc > 5) {
        swap_new();
        return wrong;
    }
    swap(0, "as it was after dup2");
    swap(1, "as it was after a dup3 that libc does not see");
    return wrong;
}
