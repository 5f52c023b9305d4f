/* compare_connects ADDRESS PORT: connect() in every way; see compare.h. */
#include "compare.h"

#include <stddef.h>
#include <sys/mman.h>

static void connect_arguments(void) {
    int fd = tcp(), pipes[2], udp = socket(AF_INET, SOCK_DGRAM, 0), file = open("/dev/null", O_RDWR);
    char big[300] = {0};
    memcpy(big, &good, sizeof good);
    if (pipe(pipes) != 0)
        exit(2);
    SAY("connect -1", in(-1, &good));
    SAY("connect closed fd", in(999, &good));
    SAY("connect fd out of range", in(1 << 30, &good));
    SAY("connect pipe", in(pipes[0], &good));
    SAY("connect file", in(file, &good));
    SAY("connect NULL", connect(fd, NULL, sizeof good));
    SAY("connect bad pointer", connect(fd, (struct sockaddr *)8, sizeof good)); /* NOLINT */
    SAY("connect NULL length 0", connect(fd, NULL, 0));
    SAY("connect length 0", connect(fd, (struct sockaddr *)&good, 0));
    SAY("connect length 1", connect(fd, (struct sockaddr *)&good, 1));
    SAY("connect length 2", connect(fd, (struct sockaddr *)&good, 2));
    SAY("connect length 8", connect(fd, (struct sockaddr *)&good, 8));
    SAY("connect length 15", connect(fd, (struct sockaddr *)&good, 15));
    SAY("connect length 129", connect(fd, (struct sockaddr *)big, 129));
    SAY("connect length 2^31", connect(fd, (struct sockaddr *)big, 0x80000000U));
    SAY("connect length 128", connect(fd, (struct sockaddr *)big, 128));
    names("after length 128", fd);
    SAY("connect UDP", in(udp, &good));
    names("UDP", udp);
    SAY("UDP unspec", unspec(udp));
    SAY("UDP unspec again", unspec(udp));
    close(fd), close(udp), close(file), close(pipes[0]), close(pipes[1]);
    fd = tcp6();
    SAY("AF_INET6 length 23", connect(fd, (struct sockaddr *)&mapped, 23));
    SAY("AF_INET6 length 24", connect(fd, (struct sockaddr *)&mapped, 24));
    names("after length 24", fd);
    close(fd);
}

/* Pointers that could be good ones: into a page without access, across the end of one that has it, into a hole. */
static void unreadable_memory(void) {
    enum { PAGE = 4096 };
    unsigned char *pages = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED || mprotect(pages + PAGE, PAGE, PROT_NONE) != 0 || munmap(pages + 2 * PAGE, PAGE) != 0)
        exit(2);
    unsigned char *across = pages + PAGE - 8, *bad[] = {pages + PAGE, pages + 2 * PAGE, across};
    memcpy(across, &good, 8);
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int fd = tcp();
        struct sockaddr *address = (struct sockaddr *)(void *)bad[i];
        struct msghdr named = {.msg_name = bad[i], .msg_namelen = sizeof good};
        struct msghdr passing = {.msg_control = bad[i], .msg_controllen = CMSG_SPACE(sizeof(int))};
        SAY("unreadable connect", connect(fd, address, sizeof good));
        SAY("unreadable connect again", connect(fd, address, sizeof good));
        SAY("unreadable bind", bind(fd, address, sizeof good));
        SAY("unreadable fast open", sendto(fd, "x", 1, MSG_FASTOPEN, address, sizeof good));
        SAY("unreadable sendmsg", sendmsg(fd, (struct msghdr *)(void *)bad[i], 0));
        SAY("unreadable name", sendmsg(fd, &named, MSG_FASTOPEN));
        SAY("unreadable control", sendmsg(fd, &passing, MSG_NOSIGNAL));
        SAY("unreadable sendmmsg", sendmmsg(fd, (struct mmsghdr *)(void *)bad[i], 1, 0));
        SAY("readable connect after all", in(fd, &good));
        close(fd);
    }
    munmap(pages, 2 * PAGE);
}

static void unix_sockets(void) {
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "/nonexistent/socket"},
                       abstract = {.sun_family = AF_UNIX};
    /* A name of its own: others of us may run beside. */
    socklen_t length = (socklen_t)offsetof(struct sockaddr_un, sun_path) + 1 +
                       (socklen_t)snprintf(abstract.sun_path + 1, 9, "%08x", (unsigned)getpid());
    int s = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0), pair[2];
    SAY("unix no such path", connect(c, (struct sockaddr *)&a, sizeof a));
    SAY("unix bind", bind(s, (struct sockaddr *)&abstract, length));
    SAY("unix refused", connect(c, (struct sockaddr *)&abstract, length));
    SAY("unix listen", listen(s, 1));
    SAY("unix connect", connect(c, (struct sockaddr *)&abstract, length));
    SAY("unix again", connect(c, (struct sockaddr *)&abstract, length));
    SAY("unix unspec", unspec(c));
    SAY("unix to inet", in(c, &good));
    SAY("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    SAY("socketpair shutdown", shutdown(pair[0], SHUT_WR));
    SAY("inet to unix", connect(pair[0], (struct sockaddr *)&good, sizeof good));
    int fd = tcp();
    SAY("tcp socket to unix", connect(fd, (struct sockaddr *)&a, sizeof a));
    close(fd), close(s), close(c), close(pair[0]), close(pair[1]);
}

static void destinations(void) {
    struct sockaddr_in a = good;
    int fd;
#define TRY(what, text)                                                                                                \
    inet_pton(AF_INET, text, &a.sin_addr);                                                                             \
    fd = tcp();                                                                                                        \
    SAY("connect " what, in(fd, &a));                                                                                  \
    SAY("SO_ERROR after " what, so_error(fd));                                                                         \
    names("after " what, fd);                                                                                          \
    SAY(what " then good", in(fd, &good));                                                                             \
    names("after " what " and good", fd);                                                                              \
    close(fd)
    TRY("0.0.0.0", "0.0.0.0");
    TRY("broadcast", "255.255.255.255");
    TRY("multicast", "224.0.0.5");
    TRY("no route", "198.51.100.1");
    a = good;
    a.sin_port = 0;
    fd = tcp();
    SAY("connect port 0", in(fd, &a));
    close(fd);
    fd = tcp();
    SAY("no route, blocking", in(fd, &nowhere));
    names("after no route", fd);
    close(fd);
    fd = tcp6();
    SAY("no route v6", in6(fd, &nowhere6));
    names("after no route v6", fd);
    close(fd);
    fd = tcp6();
    SAY("sockaddr_in on AF_INET6", in(fd, &good));
    SAY("v4-mapped", in6(fd, &mapped));
    names("v4-mapped", fd);
    close(fd);
    fd = tcp6();
    int one = 1;
    SAY("V6ONLY", setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one));
    SAY("v4-mapped with V6ONLY", in6(fd, &mapped));
    names("v4-mapped with V6ONLY", fd);
    close(fd);
    fd = tcp();
    SAY("sockaddr_in6 on AF_INET", in6(fd, &mapped));
    close(fd);
}

static void repeated(void) {
    int fd = tcp();
    SAY("connect good", in(fd, &good));
    SAY("again on connected", in(fd, &good));
    SAY("elsewhere on connected", in(fd, &refused));
    SAY("unspec on connected", unspec(fd));
    names("after unspec", fd);
    SAY("reconnect after unspec", in(fd, &good));
    names("after reconnect", fd);
    SAY("unspec", unspec(fd));
    SAY("bind after unspec", bind_in(fd, "127.0.0.1", 0));
    SAY("listen after unspec", listen(fd, 1));
    close(fd);
    fd = tcp();
    SAY("unspec on a fresh socket", unspec(fd));
    SAY("refused", in(fd, &refused));
    SAY("SO_ERROR", so_error(fd));
    SAY("good after refused", in(fd, &good));
    names("good after refused", fd);
    close(fd);
    fd = tcp6();
    SAY("v6 refused", in6(fd, &mapped_refused));
    SAY("v6 good after refused", in6(fd, &mapped));
    names("v6 good after refused", fd);
    close(fd);
    fd = nonblocking();
    (void)in(fd, &refused);
    wait_writable(fd);
    SAY("non-blocking refused: SO_ERROR", so_error(fd));
    (void)in(fd, &good);
    wait_writable(fd);
    SAY("non-blocking good after refused: SO_ERROR", so_error(fd));
    int r = in(fd, &good);
    SAY("and polled by connect", r == 0 || errno == EISCONN);
    SAY("and once more", in(fd, &good));
    close(fd);
    fd = tcp();
    listen(fd, 1);
    SAY("connect a listener", in(fd, &good));
    SAY("unspec a listener", unspec(fd));
    close(fd);
}

/* PORT 7 of the address is dropped by a packet filter: the socket stays in SYN_SENT. */
static void connecting(void) {
    struct sockaddr_in silent = good;
    silent.sin_port = htons(7);
    int fd = nonblocking();
    SAY("connecting", in(fd, &silent));
    SAY("connecting, second connect", in(fd, &silent));
    SAY("connecting, elsewhere", in(fd, &good));
    SAY("connecting, bind", bind_in(fd, "127.0.0.1", 0));
    SAY("connecting, listen", listen(fd, 1));
    SAY("connecting, SO_ERROR", so_error(fd));
    names("connecting", fd);
    SAY("connecting, shutdown", shutdown(fd, SHUT_WR));
    close(fd);
    fd = nonblocking();
    SAY("connecting", in(fd, &silent));
    SAY("connecting, unspec", unspec(fd));
    names("connecting, unspec", fd);
    SAY("connecting, unspec, good", in(fd, &good) == 0 || errno == EINPROGRESS);
    wait_writable(fd);
    SAY("connecting, unspec, good: SO_ERROR", so_error(fd));
    SAY("close", close(fd));
    fd = tcp();
    struct timeval little = {.tv_usec = 50000};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &little, sizeof little);
    SAY("SO_SNDTIMEO, blocking", in(fd, &silent));
    SAY("SO_SNDTIMEO, again", in(fd, &silent));
    close(fd);
}

int main(int argc, char **argv) {
    compare_begin(argc, argv);
    connect_arguments();
    unreadable_memory();
    unix_sockets();
    destinations();
    repeated();
    connecting();
    return 0;
}
