/* server.c - the other side. Listens on PORT..PORT+N-1 and lets connections wait in the queue, so that a client is
 * timed alone; takes and closes them when told to, between two measurements.
 *
 * server ADDRESS PORT N, then commands: drain | keep N (N more connections, accepted and held by a child, at most
 * 19,000 a child) | echo (a child that closes each connection as soon as its client has). Each is answered with a
 * number. */
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>

#include "bench.h"

enum { LISTENERS_MAX = 512, BACKLOG = 1 << 20, CHILDREN_MAX = 64 };

static int listener[LISTENERS_MAX];
static unsigned n_listeners;
static pid_t child[CHILDREN_MAX];
static unsigned n_children;

static void start_listening(const char *address, unsigned port, unsigned n) {
    if (n > LISTENERS_MAX)
        n = LISTENERS_MAX;
    for (; n_listeners < n; n_listeners++) {
        struct sockaddr_in at = endpoint(address, port + n_listeners);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, BACKLOG) != 0)
            die("listen");
        listener[n_listeners] = fd;
    }
}

static unsigned drain(void) {
    unsigned n = 0;
    for (unsigned i = 0; i < n_listeners; i++)
        for (int fd; (fd = accept4(listener[i], NULL, NULL, SOCK_CLOEXEC)) >= 0; n++)
            (void)close(fd);
    return n;
}

/* Any of the listeners has something. */
static int wait_and_accept(void) {
    struct pollfd wait[LISTENERS_MAX];
    for (;;) {
        for (unsigned i = 0; i < n_listeners; i++) {
            int fd = accept4(listener[i], NULL, NULL, SOCK_CLOEXEC);
            if (fd >= 0)
                return fd;
            if (errno == EMFILE)
                die("accept");
            wait[i] = (struct pollfd){.fd = listener[i], .events = POLLIN};
        }
        (void)poll(wait, n_listeners, 1000);
    }
}

static bool in_child(void) {
    if (n_children == CHILDREN_MAX)
        return false;
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid > 0) {
        child[n_children++] = pid;
        return false;
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    return true;
}

static void keep(unsigned long n) {
    if (!in_child())
        return;
    while (n--)
        (void)wait_and_accept();
    for (;;)
        (void)pause();
}

static void echo(void) {
    if (!in_child())
        return;
    for (;;) {
        char byte;
        int fd = wait_and_accept();
        while (recv(fd, &byte, 1, 0) > 0) {
        }
        (void)close(fd);
    }
}

int main(int argc, char **argv) {
    struct command c;
    if (argc != 4)
        return 2;
    start_listening(argv[1], (unsigned)atoi(argv[2]), (unsigned)atoi(argv[3]));
    (void)printf("%u", n_listeners);
    answer_end();
    while (next_command(&c)) {
        unsigned done = 0;
        if (strcmp(c.name, "drain") == 0)
            done = drain();
        else if (strcmp(c.name, "keep") == 0)
            keep(c.arg[0]);
        else if (strcmp(c.name, "echo") == 0)
            echo();
        (void)printf("%u", done);
        answer_end();
    }
    for (unsigned i = 0; i < n_children; i++)
        (void)kill(child[i], SIGKILL);
    return 0;
}
