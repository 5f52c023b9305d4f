/* stack PORT COUNT: COUNT times socket, connect to 10.1.0.1:PORT and close, each on a painted stack of its own. Prints
 * how many bytes of it connect and close took at most. Linked with -z now: how the loader looks a function up is none
 * of it. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <ucontext.h>
#include <unistd.h>

enum { BYTES = 1 << 16, PAINT = 0xa5 };

static ucontext_t back;
static unsigned char stack[BYTES];
static struct sockaddr_in peer = {.sin_family = AF_INET};
static int fd;

static void do_nothing(void) {}

static void do_connect(void) {
    (void)connect(fd, (struct sockaddr *)&peer, sizeof peer);
}

static void do_close(void) {
    (void)close(fd);
}

static int used(void (*what)(void)) {
    ucontext_t on;
    int free = 0;
    memset(stack, PAINT, sizeof stack);
    (void)getcontext(&on);
    on.uc_stack.ss_sp = stack;
    on.uc_stack.ss_size = sizeof stack;
    on.uc_link = &back;
    makecontext(&on, what, 0);
    (void)swapcontext(&back, &on);
    while (free < BYTES && stack[free] == PAINT)
        free++;
    return BYTES - free;
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
