/* sequences SEED FROM COUNT: random sequences of calls on TCP sockets, right and wrong; each depends on seed and number
 * alone. One line for each call: its result, its errno, and what all descriptors are then. Run bare and with the shim,
 * the output must be the same. The destinations are those of test_sequences.py. */
#include "sequences.h"

#include <signal.h>
#include <spawn.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

enum { STEPS = 24, LISTENERS = 2, MPTCP = 262, TIMEO_US = 20000, PATIENCE_US = 60000 };

static int listeners[LISTENERS]; /* IPv4 and IPv6, on PORT of every address */

/* {destination, port}; those at SILENT ports never answer. */
static const struct {
    const char *text;
    unsigned port;
    unsigned weight;
} destinations[] = {
    {"10.1.0.1", PORT, 30},
    {"fd00:2::1", PORT, 16},
    {"::ffff:10.1.0.1", PORT, 12},
    {"10.1.0.1", 9, 6},
    {"fd00:2::1", 9, 4},
    {"::ffff:10.1.0.1", 9, 3},
    {"10.1.0.1", 7, 3},
    {"fd00:2::1", 7, 2},
    {"203.0.113.1", PORT, 3},
    {"2001:db8::1", PORT, 3},
    {"192.0.2.1", PORT, 3},
    {"192.0.2.2", PORT, 3},
    {"192.0.2.3", PORT, 3},
    {"fd77::1", PORT, 2},
    {"fd77::2", PORT, 2},
    {"10.1.0.2", PORT, 6},
    {"10.1.0.3", PORT, 6},
    {"127.0.0.1", PORT, 5},
    {"::1", PORT, 4},
    {"0.0.0.0", PORT, 2},
    {"::", PORT, 2},
    {"::ffff:0.0.0.0", PORT, 2},
    {"fe80::1%up0", PORT, 3},
    {"fe80::1", PORT, 2},
    {"10.1.0.1", 0, 1},
    {"255.255.255.255", PORT, 1},
    {"224.0.0.5", PORT, 1},
    {"ff02::1%up0", PORT, 1},
    {"10.1.0.4", PORT, 4},
    {"10.1.0.5", PORT, 4},
    {"10.0.0.11", PORT, 3},
    {"fd00:1::11", PORT, 3},
    {"::ffff:127.0.0.1", PORT, 2},
    {"::ffff:10.1.0.3", PORT, 2},
    {"10.1.0.6", PORT, 4},
    {"fd00:2::6", PORT, 4},
    {"10.1.0.1", OWN_PORT, 3},
    {"fd00:2::1", OWN_PORT + 1, 3},
};
enum { DESTINATIONS = sizeof destinations / sizeof destinations[0] };

static struct address destination(const struct slot *s) {
    unsigned sum = 0, pick;
    if (s->behind->mptcp) /* it keeps more from one connect to the next, also of other sockets */
        return address_of(s->behind->family == AF_INET ? "10.1.0.1" : "fd00:2::1", once_in(4) ? 9 : PORT);
    for (unsigned i = 0; i < DESTINATIONS; i++)
        sum += destinations[i].weight;
    pick = below(sum);
    for (unsigned i = 0;; i++) {
        if (pick < destinations[i].weight)
            return address_of(destinations[i].text, destinations[i].port);
        pick -= destinations[i].weight;
    }
}

static const char *const own[] = {
    "10.0.0.11",       "10.1.0.1",    "0.0.0.0",     "198.51.100.7", "127.0.0.1",        "fd00:1::11",
    "fd00:2::1",       "::",          "2001:db8::7", "::1",          "::ffff:10.0.0.12", "::ffff:0.0.0.0",
    "::ffff:10.1.0.1", "fe80::1%up0", "fe80::1",     "10.0.0.12"};

/* --- calls --- */

static void do_socket(void) {
    struct slot *s = free_slot();
    static const int families[] = {AF_INET, AF_INET, AF_INET6, AF_INET6, AF_INET, AF_UNIX};
    int family = families[below(6)], type = once_in(12) ? SOCK_DGRAM : SOCK_STREAM, protocol = 0;
    int flags = (once_in(3) ? SOCK_NONBLOCK : 0) | (once_in(3) ? SOCK_CLOEXEC : 0);
    long r;
    if (family == AF_UNIX && !once_in(4))
        family = AF_INET;
    if (family != AF_UNIX && type == SOCK_STREAM && once_in(6))
        protocol = once_in(3) ? IPPROTO_TCP : MPTCP;
    if (!s)
        return;
    SAY(r, s->fd = socket(family, type | flags, protocol), "socket(%d, %d, %d)", family, type | flags, protocol);
    if (r >= 0)
        s->behind = new_socket(family);
    if (r >= 0 && protocol == MPTCP)
        s->behind->mptcp = true;
}

static void do_bind(void) {
    struct slot *s = used_slot();
    static const unsigned ports[] = {0, 0, 0, 0, 0, OWN_PORT, OWN_PORT + 1, 40100, 80};
    if (!s || (s->behind->mptcp && s->behind->tried)) /* see destination() */
        return;
    struct address a = address_of(own[below(sizeof own / sizeof own[0])], ports[below(9)]);
    long r;
    if (once_in(20))
        a.any.sa_family = AF_UNSPEC; /* with the wildcard, IPv4 takes it */
    if (once_in(20))
        a.length -= 1 + below(8);
    SAY(r, bind(s->fd, &a.any, a.length), "bind(%d, %s %d:%u, %u)", s->fd, a.text, a.any.sa_family, a.port, a.length);
    if (r == 0 && a.port != 0)
        s->behind->numbered = true;
    if (r == 0 && strcmp(a.text, "::") != 0 && !strstr(a.text, "0.0.0.0"))
        s->behind->named = true;
}

static void on_signal(int signal) {
    (void)signal;
}

/* Nothing blocks for ever: after so long a signal ends it. */
static void patience(unsigned us, bool restart) {
    struct itimerval soon = {.it_value.tv_usec = us};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = restart ? SA_RESTART : 0};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
}

/* Of MPTCP sockets that two processes connect, the second is told another reason (tests/README.md). */
static bool is_left_out(const struct slot *s) {
    return s->behind->mptcp && s->behind->shared;
}

static void do_connect(void) {
    struct slot *s = used_slot();
    if (!s || is_left_out(s))
        return;
    struct address a = destination(s);
    long r;
    if (once_in(25))
        a.length -= 1 + below(8);
    patience(PATIENCE_US, false);
    s->behind->tried = true;
    SAY(r, connect(s->fd, &a.any, a.length), "connect(%d, %s:%u, %u)", s->fd, a.text, a.port, a.length);
}

/* To a destination of the socket's own family. */
static void do_connect_well(void) {
    struct slot *s = used_slot();
    if (!s || s->behind->family == AF_UNIX || is_left_out(s))
        return;
    struct address a = destination(s);
    for (int i = 0; i < 20 && a.any.sa_family != s->behind->family; i++)
        a = destination(s);
    long r;
    patience(PATIENCE_US, false);
    s->behind->tried = true;
    SAY(r, connect(s->fd, &a.any, a.length), "connect(%d, %s:%u)", s->fd, a.text, a.port);
}

static void do_unspec(void) {
    struct slot *s = used_slot();
    static const socklen_t lengths[] = {sizeof(struct sockaddr), 2, 1, 8, 128, sizeof(struct sockaddr_in6)};
    struct sockaddr_storage a = {.ss_family = AF_UNSPEC};
    socklen_t length = lengths[once_in(3) ? below(6) : 0];
    long r;
    if (!s || s->behind->shared)
        return;
    SAY(r, connect(s->fd, (struct sockaddr *)&a, length), "connect(%d, AF_UNSPEC, %u)", s->fd, length);
    if (r == 0)
        s->behind->dissolved = true;
}

static void do_fastopen(void) {
    struct slot *s = used_slot();
    if (!s || s->behind->family == AF_UNIX || is_left_out(s))
        return;
    struct address a = destination(s);
    int flags = MSG_FASTOPEN | MSG_NOSIGNAL;
    struct iovec io = {(char[]){"fast"}, 4};
    struct mmsghdr m = {.msg_hdr = {.msg_name = &a.room, .msg_namelen = a.length, .msg_iov = &io, .msg_iovlen = 1}};
    long r;
    patience(PATIENCE_US, false);
    s->behind->tried = true;
    switch (below(3)) {
    case 0:
        SAY(r, sendto(s->fd, "fast", 4, flags, &a.any, a.length), "sendto(%d, %s:%u)", s->fd, a.text, a.port);
        break;
    case 1:
        SAY(r, sendmsg(s->fd, &m.msg_hdr, flags), "sendmsg(%d, %s:%u)", s->fd, a.text, a.port);
        break;
    default:
        SAY(r, sendmmsg(s->fd, &m, 1, flags), "sendmmsg(%d, %s:%u)", s->fd, a.text, a.port);
    }
}

static void print_name(const char *what, const struct slot *s, long r, const struct sockaddr_storage *name, bool all) {
    char text[INET6_ADDRSTRLEN] = "";
    const struct sockaddr_in *v4 = (const void *)name;
    const struct sockaddr_in6 *v6 = (const void *)name;
    bool six = name->ss_family == AF_INET6;
    unsigned port = ntohs(six ? v6->sin6_port : v4->sin_port);
    if (r != 0 || s->behind->family == AF_UNIX)
        return;
    inet_ntop(name->ss_family, six ? (const void *)&v6->sin6_addr : &v4->sin_addr, text, sizeof text);
    bool any = !strcmp(text, "::") || !strcmp(text, "0.0.0.0");
    printf("  %s family %d, %s, port %d\n", what, name->ss_family,
           all || s->behind->named ? text
           : any                   ? "any"
                                   : "some",
           all || s->behind->numbered ? (int)port : port != 0);
}

static void do_names(void) {
    struct slot *s = used_slot();
    struct sockaddr_storage name = {0};
    socklen_t length = once_in(10) ? below(20) : sizeof name, room = length;
    long r;
    if (!s)
        return;
    SAY(r, getpeername(s->fd, (struct sockaddr *)&name, &length), "getpeername(%d, %u)", s->fd, room);
    printf("  length %u\n", length);
    if (room == sizeof name && r == 0)
        print_name("peer", s, r, &name, ntohs(((struct sockaddr_in *)&name)->sin_port) < 32768);
    bool connected = r == 0;
    length = room;
    memset(&name, 0, sizeof name);
    SAY(r, getsockname(s->fd, (struct sockaddr *)&name, &length), "getsockname(%d, %u)", s->fd, room);
    printf("  length %u\n", length);
    if (room == sizeof name && !s->behind->dissolved && (s->behind->named || connected || !s->behind->tried))
        print_name("name", s, r, &name, false);
}

static const struct {
    const char *name;
    int level, option;
    int values[3];
} options[] = {
    {"SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR, {0, 1, 1}},
    {"SO_REUSEPORT", SOL_SOCKET, SO_REUSEPORT, {0, 1, 1}},
    {"IPV6_V6ONLY", IPPROTO_IPV6, IPV6_V6ONLY, {0, 1, 1}},
    {"NO_PORT", IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, {0, 1, 1}},
    {"RANGE", IPPROTO_IP, IP_LOCAL_PORT_RANGE, {0, 40200 << 16 | 40100, 40000 << 16 | 40000}},
    {"FREEBIND", IPPROTO_IP, IP_FREEBIND, {0, 1, 1}},
    {"TRANSPARENT", IPPROTO_IP, IP_TRANSPARENT, {0, 1, 1}},
    {"IPV6_FREEBIND", IPPROTO_IPV6, IPV6_FREEBIND, {0, 1, 1}},
    {"IPV6_ADDRFORM", IPPROTO_IPV6, IPV6_ADDRFORM, {AF_INET, AF_INET, AF_INET6}},
    {"SO_MARK", SOL_SOCKET, SO_MARK, {0, 7, 8}},
    {"UNICAST_IF", IPPROTO_IP, IP_UNICAST_IF, {0, 1 << 24, 1}},
    {"FASTOPEN_CONNECT", IPPROTO_TCP, TCP_FASTOPEN_CONNECT, {0, 1, 1}},
    {"FASTOPEN_NO_COOKIE", IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, {0, 1, 1}},
    {"TCP_FASTOPEN", IPPROTO_TCP, TCP_FASTOPEN, {0, 5, 5}},
    {"DEFER_ACCEPT", IPPROTO_TCP, TCP_DEFER_ACCEPT, {0, 1, 1}},
    {"NODELAY", IPPROTO_TCP, TCP_NODELAY, {0, 1, 1}},
    {"LINGER2", IPPROTO_TCP, TCP_LINGER2, {0, -1, 5}},
    {"REPAIR", IPPROTO_TCP, TCP_REPAIR, {0, 1, -1}},
    {"KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, {0, 1, 1}},
    {"TOS", IPPROTO_IP, IP_TOS, {0, 16, 8}},
    {"RCVBUF", SOL_SOCKET, SO_RCVBUF, {1000, 65536, 1 << 20}},
    {"DONTROUTE", SOL_SOCKET, SO_DONTROUTE, {0, 1, 1}},
};
enum { OPTIONS = sizeof options / sizeof options[0] };

static void do_option(void) {
    struct slot *s = used_slot();
    unsigned o = below(OPTIONS);
    int value = options[o].values[below(3)];
    long r;
    if (!s)
        return;
    SAY(r, setsockopt(s->fd, options[o].level, options[o].option, &value, sizeof value), "setsockopt(%d, %s, %d)",
        s->fd, options[o].name, value);
    if (r == 0 && options[o].option == IPV6_ADDRFORM && options[o].level == IPPROTO_IPV6)
        s->behind->family = AF_INET;
}

/* Of those that the shim may set, what the client sees is no promise, unless it set them itself. */
static void do_look(void) {
    struct slot *s = used_slot();
    unsigned o = below(OPTIONS);
    int value = -1;
    socklen_t length = sizeof value;
    long r;
    if (!s || options[o].option == IP_BIND_ADDRESS_NO_PORT || options[o].option == IP_LOCAL_PORT_RANGE ||
        (options[o].option == IPV6_V6ONLY && s->behind->tried))
        return;
    SAY(r, getsockopt(s->fd, options[o].level, options[o].option, &value, &length), "getsockopt(%d, %s)", s->fd,
        options[o].name);
    printf("  value %d, length %u\n", value, length);
}

static void do_other_option(void) {
    struct slot *s = used_slot();
    static const struct linger lingers[] = {{0, 0}, {1, 0}, {1, 1}};
    static const char *const devices[] = {"lo", "up0", "", "nothing"};
    struct timeval limit = {.tv_usec = once_in(2) ? TIMEO_US : 0};
    unsigned i;
    long r;
    if (!s)
        return;
    switch (below(4)) {
    case 0:
        i = below(3);
        SAY(r, setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &lingers[i], sizeof lingers[i]),
            "setsockopt(%d, SO_LINGER, %u)", s->fd, i);
        break;
    case 1:
        i = below(4);
        SAY(r, setsockopt(s->fd, SOL_SOCKET, SO_BINDTODEVICE, devices[i], (socklen_t)strlen(devices[i])),
            "setsockopt(%d, SO_BINDTODEVICE, %s)", s->fd, devices[i]);
        break;
    case 2:
        SAY(r, setsockopt(s->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit), "setsockopt(%d, SO_SNDTIMEO, %d)",
            s->fd, (int)limit.tv_usec);
        break;
    default:
        i = sizeof limit;
        memset(&limit, 0, sizeof limit);
        SAY(r, getsockopt(s->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, (socklen_t *)&i), "getsockopt(%d, SO_SNDTIMEO)",
            s->fd);
        printf("  %d\n", (int)limit.tv_usec);
    }
}

static void do_error(void) {
    struct slot *s = used_slot();
    int value = -1;
    socklen_t length = sizeof value;
    long r;
    if (!s)
        return;
    SAY(r, getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &value, &length), "SO_ERROR(%d)", s->fd);
    printf("  %s\n", value == 0 ? "0" : strerrorname_np(value));
}

static void do_shutdown(void) {
    struct slot *s = used_slot();
    int how = (int)below(4);
    long r;
    if (s)
        SAY(r, shutdown(s->fd, how), "shutdown(%d, %d)", s->fd, how);
}

static void do_listen(void) {
    struct slot *s = used_slot();
    long r;
    if (s)
        SAY(r, listen(s->fd, 8), "listen(%d)", s->fd);
}

static void do_accept(void) {
    struct slot *to = free_slot(), *s = used_slot();
    struct sockaddr_storage name = {0};
    socklen_t length = sizeof name;
    int i = (int)below(LISTENERS), fd = s && once_in(3) ? s->fd : listeners[i];
    bool flagged = once_in(2);
    long r;
    if (!to)
        return;
    if (fd != listeners[i])
        (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    if (flagged)
        SAY(r, accept4(fd, (struct sockaddr *)&name, &length, SOCK_CLOEXEC), "accept4(%d)", fd);
    else
        SAY(r, accept(fd, once_in(3) ? NULL : (struct sockaddr *)&name, &length), "accept(%d)", fd);
    if (r >= 0) {
        to->fd = (int)r;
        to->behind = new_socket(fd == listeners[0] ? AF_INET : AF_INET6);
    }
}

static void do_data(void) {
    struct slot *s = used_slot();
    char bytes[8] = "data";
    long r;
    if (!s)
        return;
    if (once_in(2))
        SAY(r, send(s->fd, bytes, 4, MSG_NOSIGNAL | MSG_DONTWAIT), "send(%d)", s->fd);
    else
        SAY(r, recv(s->fd, bytes, sizeof bytes, MSG_DONTWAIT), "recv(%d)", s->fd);
}

static void forget(int fd) {
    struct slot *s = slot_of(fd);
    if (s)
        s->fd = -1;
}

static void do_close(void) {
    struct slot *s = used_slot();
    long r;
    int fd;
    if (!s)
        return;
    fd = s->fd;
    forget(fd);
    switch (below(4)) {
    case 0:
        SAY(r, syscall(SYS_close, fd), "SYS_close(%d)", fd);
        break;
    case 1:
        SAY(r, close_range((unsigned)fd, (unsigned)fd, 0), "close_range(%d)", fd);
        break;
    case 2: {
        FILE *f = fdopen(fd, "r+");
        if (f) {
            SAY(r, fclose(f), "fclose(%d)", fd);
            break;
        }
    } /* fall through */
    default:
        SAY(r, close(fd), "close(%d)", fd);
    }
}

static void do_copy(void) {
    struct slot *s = used_slot(), *to = free_slot(), *over = used_slot();
    long r;
    unsigned how = below(5);
    int fd;
    if (!s)
        return;
    if (how < 2 && over) { /* over a live one */
        fd = over->fd;
        struct behind *b = s->behind;
        if (how == 0)
            SAY(r, dup2(s->fd, fd), "dup2(%d, %d)", s->fd, fd);
        else
            SAY(r, dup3(s->fd, fd, O_CLOEXEC), "dup3(%d, %d)", s->fd, fd);
        if (r >= 0)
            over->behind = b;
        return;
    }
    if (!to)
        return;
    fd = s->fd;
    if (how == 2)
        SAY(r, to->fd = dup(fd), "dup(%d)", fd);
    else if (how == 3)
        SAY(r, to->fd = fcntl(fd, F_DUPFD, FIRST_FREE + 20), "F_DUPFD(%d)", fd);
    else
        SAY(r, to->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3), "F_DUPFD_CLOEXEC(%d)", fd);
    to->behind = s->behind;
}

static void do_blocking(void) {
    struct slot *s = used_slot();
    bool on = once_in(2);
    long r;
    if (s)
        SAY(r, fcntl(s->fd, F_SETFL, on ? O_NONBLOCK : 0), "F_SETFL(%d, %d)", s->fd, on);
}

/* Through a socket pair to ourselves. */
static void do_pass(void) {
    struct slot *s = used_slot(), *to = free_slot();
    int pair[2];
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr header;
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    char byte = 0;
    struct iovec io = {&byte, 1};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    long r;
    if (!s || !to || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
        return;
    memcpy(CMSG_DATA(&control.header), &s->fd, sizeof s->fd);
    SAY(r, sendmsg(pair[0], &m, 0), "pass(%d)", s->fd);
    SAY(r, recvmsg(pair[1], &m, 0), "receive");
    if (r == 1 && m.msg_controllen >= CMSG_LEN(sizeof(int))) {
        memcpy(&to->fd, CMSG_DATA(&control.header), sizeof to->fd);
        to->behind = s->behind;
        s->behind->shared = true;
    }
    close(pair[0]);
    close(pair[1]);
}

static void do_child(void);

static void do_spawn(void) {
    struct slot *s = used_slot();
    char *const argv[] = {"true", NULL};
    extern char **environ;
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status = -1;
    long r;
    if (!s || !once_in(4))
        return;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addclose(&actions, s->fd);
    SAY(r, posix_spawn(&pid, "/bin/true", &actions, NULL, argv, environ), "posix_spawn");
    posix_spawn_file_actions_destroy(&actions);
    if (r == 0)
        SAY(r, waitpid(pid, &status, 0) == pid ? status : -1, "wait");
}

/* --- sequences --- */

static const struct {
    void (*make)(void);
    unsigned weight;
} calls[] = {
    {do_socket, 16}, {do_bind, 8},    {do_connect, 6}, {do_connect_well, 24}, {do_unspec, 8}, {do_fastopen, 4},
    {do_names, 10},  {do_option, 12}, {do_look, 5},    {do_other_option, 7},  {do_error, 6},  {do_shutdown, 4},
    {do_listen, 3},  {do_accept, 6},  {do_data, 8},    {do_close, 7},         {do_copy, 6},   {do_blocking, 3},
    {do_pass, 2},    {do_child, 2},   {do_spawn, 1},
};
enum { CALLS = sizeof calls / sizeof calls[0] };

static void one_call(void) {
    unsigned sum = 0, i = 0;
    for (unsigned j = 0; j < CALLS; j++)
        sum += calls[j].weight;
    for (unsigned pick = below(sum); pick >= calls[i].weight; i++)
        pick -= calls[i].weight;
    step++;
    calls[i].make();
}

/* A child goes on with what it has inherited, and ends in one of the ways. */
static void do_child(void) {
    long r;
    int status = 0;
    if (*where)
        return;
    for (unsigned i = 0; i < n_sockets; i++)
        sockets[i].shared = true;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        where = "c";
        state = ~state;
        for (unsigned n = 1 + below(6); n > 0; n--)
            one_call();
        fflush(stdout);
        if (once_in(2))
            _exit(3);
        exit(3);
    }
    SAY(r, waitpid(pid, &status, 0) == pid ? status : -1, "child");
}

static void sequence(uint64_t seed) {
    long r;
    state = (seed << 40) ^ number;
    (void)next();
    n_sockets = step = 0;
    for (unsigned i = 0; i < SLOTS; i++)
        slots[i] = (struct slot){.fd = -1};
    do_socket();
    for (unsigned n = 6 + below(STEPS); n > 0; n--)
        one_call();
    for (unsigned i = 0; i < SLOTS; i++)
        if (slots[i].fd >= 0) {
            int fd = slots[i].fd;
            slots[i].fd = -1;
            SAY(r, close(fd), "last close(%d)", fd);
        }
    for (unsigned i = 0; i < LISTENERS; i++) {
        unsigned n = 0;
        for (int fd; (fd = accept(listeners[i], NULL, NULL)) >= 0; n++)
            close(fd);
        printf("  %u were left at listener %u\n", n, i);
    }
    int fd = dup(0);
    printf("  first free descriptor %d\n", fd);
    close(fd);
}

static int listen_at(const char *text) {
    struct address a = address_of(text, PORT);
    int on = 1, fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &(int){8}, sizeof(int));
    if (bind(fd, &a.any, a.length) != 0 || listen(fd, 64) != 0) {
        perror("listen");
        exit(2);
    }
    return fd;
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    listeners[0] = listen_at("0.0.0.0");
    listeners[1] = listen_at("::");
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    uint64_t seed = strtoull(argv[1], NULL, 10), first = strtoull(argv[2], NULL, 10),
             count = strtoull(argv[3], NULL, 10);
    for (number = first; number < first + count; number++) {
        sequence(seed);
        fflush(stdout);
    }
    return 0;
}
