/* flows - very many connections, or very many clients.
 *
 * flows to ADDRESS PORT N
 *   N connects that are refused: of IPv4 to ADDRESS and those that follow it, of IPv6 to random ones of its /64. Exit 1
 *   when one is not.
 *
 * flows killed ADDRESS PORT PORTS PROCESSES EACH
 *   So many processes with EACH connections, in turn to PORTS ports from PORT on; when all have them, all are killed at
 *   once. Exit 1 when one lacks any.
 *
 * flows idle ADDRESS PORT
 *   One connection; says "ready", and ends when its stdin does. PORT 0: none. */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "system/xorshift.h"

static struct sockaddr_storage base;
static socklen_t length;

static struct sockaddr_in *v4(struct sockaddr_storage *at) {
    return (struct sockaddr_in *)(void *)at;
}

static struct sockaddr_in6 *v6(struct sockaddr_storage *at) {
    return (struct sockaddr_in6 *)(void *)at;
}

static void fail(const char *what) {
    perror(what);
    _exit(1);
}

static void parse(const char *address, const char *port) {
    if (inet_pton(AF_INET, address, &v4(&base)->sin_addr) == 1) {
        base.ss_family = AF_INET;
        length = sizeof(struct sockaddr_in);
    } else if (inet_pton(AF_INET6, address, &v6(&base)->sin6_addr) == 1) {
        base.ss_family = AF_INET6;
        length = sizeof(struct sockaddr_in6);
    } else {
        fail(address);
    }
    v4(&base)->sin_port = htons((uint16_t)atoi(port)); /* the same place in both */
}

static struct sockaddr_storage destination(uint32_t i) {
    struct sockaddr_storage at = base;
    uint64_t suffix = random_next();
    if (base.ss_family == AF_INET)
        v4(&at)->sin_addr.s_addr = htonl(ntohl(v4(&at)->sin_addr.s_addr) + i);
    else
        memcpy(&v6(&at)->sin6_addr.s6_addr[8], &suffix, sizeof suffix);
    return at;
}

static void to_many(uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        struct sockaddr_storage to = destination(i);
        int fd = socket(to.ss_family, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)&to, length) == 0 || errno != ECONNREFUSED)
            fail("connect was not refused");
        close(fd);
    }
}

static void connect_to(unsigned port) {
    struct sockaddr_storage to = base;
    v4(&to)->sin_port = htons((uint16_t)port);
    int fd = socket(to.ss_family, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, length) != 0)
        fail("connect");
}

/* A process that lacks one says nothing; then its parent reads the end of the pipe once all others are gone. */
static void be_killed(unsigned first, unsigned ports, unsigned i, unsigned each, int ready, const int go[2]) {
    char byte;
    close(go[1]);
    for (unsigned j = 0; j < each; j++)
        connect_to(first + (i + j) % ports);
    if (write(ready, "x", 1) != 1)
        fail("write");
    (void)read(go[0], &byte, 1);
    (void)raise(SIGKILL);
}

static void killed(unsigned ports, unsigned processes, unsigned each) {
    unsigned first = ntohs(v4(&base)->sin_port), n = 0, dead = 0;
    int ready[2], go[2], status;
    char byte;
    if (pipe(ready) != 0 || pipe(go) != 0)
        fail("pipe");
    for (unsigned i = 0; i < processes; i++) {
        pid_t pid = fork();
        if (pid < 0)
            fail("fork");
        if (pid == 0)
            be_killed(first, ports, i, each, ready[1], go);
    }
    close(ready[1]);
    while (n < processes && read(ready[0], &byte, 1) == 1)
        n++;
    close(go[1]);
    while (wait(&status) > 0)
        dead += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    if (n != processes || dead != processes) {
        fprintf(stderr, "%u of %u had their connections, %u were killed\n", n, processes, dead);
        exit(1);
    }
}

static void idle(void) {
    char byte;
    if (v4(&base)->sin_port != 0)
        connect_to(ntohs(v4(&base)->sin_port));
    if (write(STDOUT_FILENO, "ready\n", 6) != 6)
        fail("write");
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
}

int main(int argc, char **argv) {
    if (argc < 4)
        return 2;
    parse(argv[2], argv[3]);
    if (strcmp(argv[1], "to") == 0 && argc == 5)
        to_many((uint32_t)atoi(argv[4]));
    else if (strcmp(argv[1], "killed") == 0 && argc == 7)
        killed((unsigned)atoi(argv[4]), (unsigned)atoi(argv[5]), (unsigned)atoi(argv[6]));
    else if (strcmp(argv[1], "idle") == 0)
        idle();
    else
        return 2;
    return 0;
}
