/* steady ADDRESS PORT: connects, exchanges a few bytes with an echo server and closes, until SIGTERM, with other
 * descriptors open all the while: files, pipes, a listener, connections. After each round all of them must be what
 * they were, and no further one may be open. Exit 1 with a word on stderr when something is wrong; at the end prints
 * how many rounds went well, and how many connects said EADDRNOTAVAIL (as a policy may want it). */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MARKERS = 24, LOOK = 128 };

static volatile sig_atomic_t over;
static struct sockaddr_in to;
static struct stat was[LOOK];
static int open_now[LOOK];

static void stop(int signal) {
    (void)signal;
    over = 1;
}

static _Noreturn void wrong(const char *what, int fd) {
    fprintf(stderr, "%s: descriptor %d, errno %s\n", what, fd, strerrorname_np(errno));
    exit(1);
}

static void note(void) {
    for (int fd = 0; fd < LOOK; fd++)
        open_now[fd] = fstat(fd, &was[fd]) == 0;
}

static void compare(void) {
    struct stat s;
    char text[16], wanted[16];
    for (int fd = 0; fd < LOOK; fd++) {
        int there = fstat(fd, &s) == 0;
        if (there != open_now[fd])
            wrong(there ? "opened by somebody" : "closed by somebody", fd);
        if (there && (s.st_ino != was[fd].st_ino || s.st_dev != was[fd].st_dev))
            wrong("replaced", fd);
        if (!there || !S_ISREG(s.st_mode) || s.st_size != 8)
            continue;
        (void)snprintf(wanted, sizeof wanted, "file %03d", fd);
        if (pread(fd, text, 8, 0) != 8 || memcmp(text, wanted, 8) != 0)
            wrong("written to", fd);
    }
}

/* 1: refused for want of an address. */
static int exchange(int keep) {
    char text[8] = "hello";
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        wrong("socket", fd);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        if (errno != EADDRNOTAVAIL)
            wrong("connect", fd);
        return close(fd) == 0;
    }
    if (keep)
        return 0;
    if (send(fd, text, sizeof text, MSG_NOSIGNAL) != sizeof text ||
        recv(fd, text, sizeof text, MSG_WAITALL) != sizeof text)
        wrong("exchange", fd);
    if (memcmp(text, "hello\0\0", sizeof text) != 0)
        wrong("bytes", fd);
    if (close(fd) != 0)
        wrong("close", fd);
    return 0;
}

/* Both ends are ours. */
static void inbound(int listener, const struct sockaddr_in *at) {
    int client = socket(AF_INET, SOCK_STREAM, 0), copy;
    if (connect(client, (const struct sockaddr *)at, sizeof *at) != 0) {
        if (errno != EADDRNOTAVAIL)
            wrong("connect to the listener", client);
        (void)close(client);
        return;
    }
    int server = accept(listener, NULL, NULL);
    if (server < 0 || (copy = dup(client)) < 0)
        wrong("accept", server);
    if (dup2(server, copy) != copy || close(server) != 0 || close(client) != 0 || close(copy) != 0)
        wrong("close of accepted", server);
}

int main(int argc, char **argv) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int pipes[2];
    unsigned long rounds = 0, refused = 0;
    if (argc != 3)
        return 2;
    to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10))};
    inet_pton(AF_INET, argv[1], &to.sin_addr);
    (void)signal(SIGTERM, stop);
    for (int i = 0; i < MARKERS; i++) {
        int fd = memfd_create("marker", i % 2 ? MFD_CLOEXEC : 0);
        if (dprintf(fd, "file %03d", fd) != 8)
            return 2;
    }
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (pipe(pipes) != 0 || bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 8) != 0 ||
        getsockname(listener, (struct sockaddr *)&at, &n) != 0)
        return 2;
    for (int i = 0; i < 4; i++)
        (void)exchange(1);
    note();
    while (!over) {
        refused += (unsigned long)exchange(0);
        inbound(listener, &at);
        compare();
        alarm(20); /* a round that hangs kills */
        rounds++;
    }
    printf("%lu rounds, %lu without an address\n", rounds, refused);
    return 0;
}
