/* both_close ADDRESS PORT N: N connections whose two ends, in two processes, are closed in the same microseconds. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SPINS = 20000 };

static void fail(const char *what) {
    perror(what);
    exit(1);
}

/* Both are here. The other may have lost its processor: not for ever without giving up ours. */
static void meet(atomic_int *mine, const atomic_int *other, int round) {
    atomic_store(mine, round);
    for (int spins = 0; atomic_load(other) < round; spins++)
        if (spins > SPINS)
            (void)sched_yield();
}

int main(int argc, char **argv) {
    struct sockaddr_in to = {.sin_family = AF_INET};
    int on = 1, status;
    if (argc != 4 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1)
        return 2;
    to.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
    long n = strtol(argv[3], NULL, 10);
    atomic_int *here = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    (void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (here == MAP_FAILED || bind(listener, (struct sockaddr *)&to, sizeof to) != 0 || listen(listener, 64) != 0)
        fail("listen");
    pid_t child = fork();
    for (int i = 1; i <= n; i++) {
        int fd = child == 0 ? accept(listener, NULL, NULL) : socket(AF_INET, SOCK_STREAM, 0);
        if (fd < 0 || (child != 0 && connect(fd, (struct sockaddr *)&to, sizeof to) != 0))
            fail("connect");
        meet(&here[child == 0 ? 0 : 64], &here[child == 0 ? 64 : 0], i);
        (void)close(fd);
    }
    if (child == 0)
        return 0;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
