/* calls.c - the calls that the shim wraps, one of each kind between two marks that strace shows, N times over:
 *
 *   calls ADDRESS PORT N */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_in peer;
static struct sockaddr_un name;
static socklen_t name_length = sizeof name;
static int listener;

static _Noreturn void die(const char *what) {
    perror(what);
    exit(1);
}

/* A write that fails, and that nothing else makes: what follows it in the trace belongs to word. */
static void mark(const char *word) {
    (void)!write(-1, word, strlen(word));
}

static int made(int family, int type) {
    int fd = socket(family, type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    return fd;
}

static void marked_close(const char *word, int fd) {
    mark(word);
    (void)close(fd);
    mark("-");
}

static void marked_connect(const char *word, int fd, const void *address, socklen_t length) {
    mark(word);
    int error = connect(fd, address, length) == 0 ? 0 : errno;
    mark("-");
    errno = error;
    if (error != 0 && error != EINPROGRESS)
        die(word);
}

static int connected(const char *word, int flags) {
    struct pollfd p = {.fd = made(AF_INET, SOCK_STREAM | flags), .events = POLLOUT};
    marked_connect(word, p.fd, &peer, sizeof peer);
    if (poll(&p, 1, 5000) != 1)
        die("poll");
    return p.fd;
}

static void not_tcp(void) {
    marked_close("close-file", open("/dev/null", O_RDONLY | O_CLOEXEC));
    int un = made(AF_UNIX, SOCK_STREAM), udp = made(AF_INET, SOCK_DGRAM);
    marked_connect("connect-unix", un, &name, name_length);
    marked_close("close-accepted-unix", accept(listener, NULL, NULL));
    marked_close("close-unix", un);
    marked_connect("connect-udp", udp, &peer, sizeof peer);
    marked_close("close-udp", udp);
}

/* A server that only listens accepts nothing, so that nothing comes back: these closes are first. */
static void tcp(void) {
    char byte = 'x';
    marked_close("close-unconnected", made(AF_INET, SOCK_STREAM));
    marked_close("close-tcp", connected("connect-tcp", 0));
    marked_close("close-nonblocking", connected("connect-nonblocking", SOCK_NONBLOCK));
    int fd = connected("connect-shut", 0);
    mark("shutdown");
    (void)shutdown(fd, SHUT_WR);
    mark("-");
    marked_close("close-shut", fd);
    fd = connected("connect-passive", 0);
    if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 0) /* the peer closes when it has read something */
        die("peer");
    marked_close("close-passive", fd);
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    peer = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    if (inet_pton(AF_INET, argv[1], &peer.sin_addr) != 1)
        return 2;
    listener = made(AF_UNIX, SOCK_STREAM);
    name.sun_family = AF_UNIX;
    if (bind(listener, (struct sockaddr *)&name, sizeof name.sun_family) != 0 || listen(listener, 8) != 0 ||
        getsockname(listener, (struct sockaddr *)&name, &name_length) != 0)
        die("listener");
    for (int i = 0; i < atoi(argv[3]); i++) {
        mark("round");
        not_tcp();
        tcp();
    }
    mark("end");
    return 0;
}
