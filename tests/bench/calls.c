/* calls.c - the calls that the shim wraps and that are none of its business.
 *
 * calls [ADDRESS], then commands, each answered with ns per call:
 *   close-file N       close of N descriptors of /dev/null
 *   close-unix N       close of N AF_UNIX sockets that socket() made
 *   close-accepted N   close of N AF_UNIX sockets that accept4() made
 *   connect-unix N     connect of a datagram socket of AF_UNIX
 *   trace N PORT       N cycles between marks that strace shows: mark("connect"), ..., mark("close"), ... */
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "bench.h"

enum { N_MAX = 4000 };

static int fds[N_MAX];

static struct sockaddr_un name_of(int fd, socklen_t *length) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    *length = sizeof name.sun_family; /* autobind: an abstract name of the kernel's choice */
    if (bind(fd, (struct sockaddr *)&name, *length) != 0)
        die("bind");
    *length = sizeof name;
    if (getsockname(fd, (struct sockaddr *)&name, length) != 0)
        die("getsockname");
    return name;
}

static uint64_t time_closes(unsigned n) {
    uint64_t began = now_ns();
    for (unsigned i = 0; i < n; i++)
        (void)close(fds[i]);
    return now_ns() - began;
}

static uint64_t close_files(unsigned n) {
    for (unsigned i = 0; i < n; i++)
        if ((fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0)
            die("open");
    return time_closes(n);
}

static uint64_t close_unix(unsigned n) {
    for (unsigned i = 0; i < n; i++)
        if ((fds[i] = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0)
            die("socket");
    return time_closes(n);
}

static uint64_t close_accepted(unsigned n) {
    static int peer[N_MAX];
    socklen_t length;
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un name = name_of(listener, &length);
    if (listen(listener, N_MAX) != 0)
        die("listen");
    for (unsigned i = 0; i < n; i++) {
        peer[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(peer[i], (struct sockaddr *)&name, length) != 0)
            die("connect");
        fds[i] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    }
    uint64_t took = time_closes(n);
    for (unsigned i = 0; i < n; i++)
        (void)close(peer[i]);
    (void)close(listener);
    return took;
}

static uint64_t connect_unix(unsigned n) {
    socklen_t length;
    int to = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un name = name_of(to, &length);
    uint64_t began = now_ns();
    for (unsigned i = 0; i < n; i++)
        if (connect(fd, (struct sockaddr *)&name, length) != 0)
            die("connect");
    uint64_t took = now_ns() - began;
    (void)close(fd);
    (void)close(to);
    return took;
}

/* A system call that nothing else makes: strace prints the word. */
static void mark(const char *word) {
    (void)syscall(SYS_write, -1, word, strlen(word));
}

static uint64_t trace(unsigned n, const char *address, unsigned port) {
    struct sockaddr_in to = endpoint(address, port);
    socklen_t length;
    int un = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un name = name_of(un, &length);
    for (unsigned i = 0; i < n; i++) {
        mark("socket");
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        mark("connect");
        if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
            die("connect");
        mark("close");
        (void)close(fd);
        mark("end");
        int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
        mark("close-file");
        (void)close(file);
        mark("end");
        int other = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        mark("connect-unix");
        (void)connect(other, (struct sockaddr *)&name, length);
        mark("close-unix");
        (void)close(other);
        mark("end");
    }
    (void)close(un);
    return 0;
}

int main(int argc, char **argv) {
    struct command c;
    while (next_command(&c)) {
        unsigned n = c.arg[0] < N_MAX ? (unsigned)c.arg[0] : N_MAX;
        uint64_t took = 0;
        if (strcmp(c.name, "close-file") == 0)
            took = close_files(n);
        else if (strcmp(c.name, "close-unix") == 0)
            took = close_unix(n);
        else if (strcmp(c.name, "close-accepted") == 0)
            took = close_accepted(n);
        else if (strcmp(c.name, "connect-unix") == 0)
            took = connect_unix(n);
        else if (argc > 1)
            took = trace(n, argv[1], (unsigned)c.arg[1]);
        (void)printf("%.1f", n ? (double)took / n : 0.0);
        answer_end();
    }
    return 0;
}
