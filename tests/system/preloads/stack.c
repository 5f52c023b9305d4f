/* stack PORT COUNT: COUNT times socket, connect to 10.1.0.1:PORT and close, each on a painted stack of its own. Prints
 * how many bytes of it connect and close took at most. Linked with -z now: how the loader looks a function up is none
 * of it. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BYTES = 1 << 16, PAINT = 0xa5 };

static _Alignas(4096) unsigned char stack[BYTES];
static struct sockaddr_in peer = {.sin_family = AF_INET};
static int fd;

static void *do_nothing(void *unused) {
    return unused;
}

static void *do_connect(void *unused) {
    (void)connect(fd, (struct sockaddr *)&peer, sizeof peer);
    return unused;
}

static void *do_close(void *unused) {
    (void)close(fd);
    return unused;
}

/* By a thread that has this stack. */
static int used(void *(*what)(void *)) {
    pthread_attr_t on;
    pthread_t thread;
    int left = 0;
    memset(stack, PAINT, sizeof stack);
    if (pthread_attr_init(&on) != 0 || pthread_attr_setstack(&on, stack, sizeof stack) != 0 ||
        pthread_create(&thread, &on, what, NULL) != 0 || pthread_join(thread, NULL) != 0)
        abort();
    while (left < BYTES && stack[left] == PAINT)
        left++;
    return BYTES - left;
}

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    int own = used(do_nothing), connects = 0, closes = 0;
    peer.sin_port = htons((uint16_t)atoi(argv[1]));
    (void)inet_pton(AF_INET, "10.1.0.1", &peer.sin_addr);
    for (int i = 0; i < atoi(argv[2]); i++) {
        fd = socket(AF_INET, SOCK_STREAM, 0);
        int one = used(do_connect) - own, two = used(do_close) - own;
        connects = one > connects ? one : connects;
        closes = two > closes ? two : closes;
    }
    printf("%d %d\n", connects, closes);
    return 0;
}
