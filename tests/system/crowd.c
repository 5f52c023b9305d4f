/* crowd ADDRESS PORT OPEN TIME_WAITS FIN_WAITS CLOSE_WAITS SOURCE...: so many connections of each kind to ADDRESS:PORT,
 * where it listens itself, from the SOURCEs in turn. Says "ready", and ends when its stdin does.
 *
 * An open one and a CLOSE_WAIT keep a descriptor on the client's side, an open one and a FIN_WAIT2 on the server's. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/kernel_constants.h"

enum kind { OPEN, TIME_WAIT, FIN_WAIT, CLOSE_WAIT, KINDS };

static void fail(const char *what) {
    perror(what);
    exit(1);
}

/* Of either family; the length of what it wrote. */
static socklen_t endpoint(struct sockaddr_storage *out, const char *address, int port) {
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        return sizeof *v4;
    }
    if (inet_pton(AF_INET6, address, &v6->sin6_addr) != 1)
        fail(address);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)port);
    return sizeof *v6;
}

static int listen_on(const struct sockaddr_storage *at, socklen_t length) {
    int fd = socket(at->ss_family, SOCK_STREAM, 0), one = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (const struct sockaddr *)at, length) != 0 || listen(fd, 64) != 0)
        fail("listen");
    return fd;
}

static int connect_from(const char *source, const struct sockaddr_storage *to, socklen_t length) {
    struct sockaddr_storage from;
    int fd = socket(to->ss_family, SOCK_STREAM, 0), one = 1;
    socklen_t from_length = endpoint(&from, source, 0);
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&from, from_length) != 0 || connect(fd, (const struct sockaddr *)to, length) != 0)
        fail(source);
    return fd;
}

/* Reads the other end's FIN, so that the states of both ends are final. */
static void close_after(int last, int first) {
    char byte;
    if (close(first) != 0 || read(last, &byte, 1) != 0)
        fail("close");
}

static void one_connection(enum kind kind, int client, int server) {
    switch (kind) {
    case TIME_WAIT:
        close_after(server, client);
        close(server);
        break;
    case FIN_WAIT:
        close_after(server, client);
        break;
    case CLOSE_WAIT:
        close_after(client, server);
        break;
    default:
        break;
    }
}

int main(int argc, char **argv) {
    struct sockaddr_storage at;
    char byte;
    if (argc < 8)
        return 2;
    socklen_t length = endpoint(&at, argv[1], atoi(argv[2]));
    int listener = listen_on(&at, length), next = 0;
    for (int kind = OPEN; kind < KINDS; kind++) {
        for (int i = 0; i < atoi(argv[3 + kind]); i++) {
            int client = connect_from(argv[7 + next++ % (argc - 7)], &at, length);
            int server = accept(listener, NULL, NULL);
            if (server < 0)
                fail("accept");
            one_connection((enum kind)kind, client, server);
        }
    }
    puts("ready");
    (void)fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    return 0;
}
