/* compare_calls ADDRESS PORT: every other wrapped call; see compare.h. */
#include "compare.h"

static void binds(void) {
    struct sockaddr_in any = {.sin_family = AF_INET};
    struct sockaddr_storage own;
    socklen_t n = sizeof own;
    int fd = tcp(), other = tcp();
    SAY("bind -1", bind_in(-1, "127.0.0.1", 0));
    SAY("bind NULL", bind(fd, NULL, sizeof any));
    SAY("bind length 8", bind(fd, (struct sockaddr *)&any, 8));
    SAY("bind length 0", bind(fd, (struct sockaddr *)&any, 0));
    SAY("bind not ours", bind_in(fd, "192.0.2.1", 0));
    SAY("bind not ours with port", bind_in(fd, "192.0.2.1", 5000));
    SAY("bind v6 on v4", bind_in6(fd, "::1", 0));
    SAY("bind address", bind_in(fd, "127.0.0.1", 0));
    SAY("bind address again", bind_in(fd, "127.0.0.1", 0));
    SAY("bind other address", bind_in(fd, "127.0.0.2", 0));
    close(fd);
    fd = tcp();
    SAY("bind address", bind_in(fd, "127.0.0.1", 0));
    names("bound", fd);
    SAY("bind after getsockname", bind_in(fd, "127.0.0.1", 0));
    getsockname(fd, (struct sockaddr *)&own, &n);
    SAY("second socket, same port", bind(other, (struct sockaddr *)&own, n));
    SAY("listen", listen(fd, 5));
    SAY("connect to it", connect(other, (struct sockaddr *)&own, n));
    SAY("accept", fcntl(accept(fd, NULL, NULL), F_GETFD));
    close(fd), close(other);
    fd = tcp();
    SAY("bind wildcard", bind(fd, (struct sockaddr *)&any, sizeof any));
    SAY("listen", listen(fd, 5));
    names("wildcard listener", fd);
    SAY("accept4 bad flags", accept4(fd, NULL, NULL, 0x7fffffff));
    SAY("bind a listener", bind_in(fd, "127.0.0.1", 0));
    close(fd);
    fd = tcp();
    SAY("listen unbound", listen(fd, 5));
    names("listen unbound", fd);
    close(fd);
    fd = tcp6();
    SAY("bind v6 address", bind_in6(fd, "::1", 0));
    names("bound v6", fd);
    close(fd);
    fd = tcp6();
    SAY("bind v4-mapped", bind_in6(fd, "::ffff:127.0.0.1", 0));
    names("bound v4-mapped", fd);
    SAY("listen v4-mapped", listen(fd, 1));
    close(fd);
    fd = tcp();
    SAY("connect", in(fd, &good));
    SAY("bind connected", bind_in(fd, "127.0.0.1", 0));
    SAY("listen connected", listen(fd, 1));
    close(fd);
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    SAY("bind UDP", bind_in(fd, "127.0.0.1", 0));
    names("bound UDP", fd);
    SAY("bind UDP again", bind_in(fd, "127.0.0.1", 0));
    SAY("listen UDP", listen(fd, 1));
    close(fd);
    fd = tcp();
    SAY("bind port 1", bind_in(fd, "127.0.0.1", 0) || bind_in(fd, "127.0.0.1", 9999));
    close(fd);
}

static void descriptors(void) {
    struct stat st;
    int fd = tcp(), file = open("/dev/null", O_RDONLY), n = 77;
    in(fd, &good);
    SAY("close -1", close(-1));
    SAY("close 999", close(999));
    SAY("close INT_MAX", close(0x7fffffff));
    SAY("dup 999", dup(999));
    SAY("dup2 same", dup2(fd, fd) == fd);
    SAY("dup2 999", dup2(999, fd));
    SAY("dup2 to -1", dup2(fd, -1));
    SAY("dup2 out of range", dup2(fd, 0x7fffffff));
    SAY("dup3 same", dup3(fd, fd, 0));
    SAY("dup3 bad flags", dup3(fd, 300, 12345));
    SAY("dup3", dup3(fd, 300, O_CLOEXEC));
    SAY("F_GETFD", fcntl(300, F_GETFD));
    SAY("F_SETFD", fcntl(300, F_SETFD, 0));
    SAY("F_GETFD", fcntl(300, F_GETFD));
    SAY("F_DUPFD", fcntl(fd, F_DUPFD, 400));
    SAY("F_DUPFD_CLOEXEC", fcntl(fd, F_DUPFD_CLOEXEC, 400));
    SAY("F_DUPFD bad", fcntl(fd, F_DUPFD, -1));
    SAY("F_GETFL", fcntl(fd, F_GETFL));
    SAY("F_SETFL", fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK));
    SAY("F_GETFL", fcntl(fd, F_GETFL));
    SAY("fcntl 12345", fcntl(fd, 12345, 0));
    SAY("fcntl 999", fcntl(999, F_GETFD));
    SAY("F_SETOWN", fcntl(fd, F_SETOWN, getpid()));
    SAY("F_GETOWN", fcntl(fd, F_GETOWN) == getpid());
    struct f_owner_ex owner = {0};
    SAY("F_GETOWN_EX", fcntl(fd, F_GETOWN_EX, &owner));
    SAY("owner", owner.type == F_OWNER_PID && owner.pid == getpid());
    SAY("close_range bad flags", close_range(500, 600, 12345));
    SAY("close_range reversed", close_range(600, 500, 0));
    SAY("close_range empty", close_range(500, 600, 0));
    SAY("close_range", close_range(400, 401, 0));
    SAY("closed by it", fcntl(400, F_GETFD));
    SAY("shutdown bad how", shutdown(fd, 9));
    SAY("shutdown 999", shutdown(999, SHUT_WR));
    SAY("shutdown file", shutdown(file, SHUT_WR));
    SAY("shutdown", shutdown(fd, SHUT_WR));
    wait_end(fd);
    SAY("shutdown again", shutdown(fd, SHUT_WR));
    SAY("close", close(fd));
    SAY("close again", close(fd));
    SAY("the copy lives", fstat(300, &st));
    SAY("closefrom", (closefrom(300), 0));
    SAY("closed by it", fcntl(300, F_GETFD));
    SAY("fclose", fclose(fdopen(file, "r")));
    fd = tcp();
    SAY("shutdown unconnected", shutdown(fd, SHUT_WR));
    SAY("getsockopt", getsockopt(fd, SOL_SOCKET, SO_TYPE, &n, &(socklen_t){sizeof n}));
    SAY("SO_TYPE", n);
    SAY("setsockopt bad", setsockopt(fd, SOL_SOCKET, 12345, &n, sizeof n));
    SAY("setsockopt 999", setsockopt(999, SOL_SOCKET, SO_KEEPALIVE, &n, sizeof n));
    SAY("setsockopt NULL", setsockopt(fd, SOL_SOCKET, SO_LINGER, NULL, sizeof(struct linger)));
    close(fd);
}

static void names_arguments(void) {
    struct sockaddr_in a;
    socklen_t n = 4;
    int fd = tcp(), file = open("/dev/null", O_RDONLY);
    SAY("getsockname -1", getsockname(-1, (struct sockaddr *)&a, &n));
    SAY("getsockname file", getsockname(file, (struct sockaddr *)&a, &n));
    SAY("getsockname NULL length", getsockname(fd, (struct sockaddr *)&a, NULL));
    SAY("getsockname NULL address", (n = sizeof a, getsockname(fd, NULL, &n)));
    SAY("getsockname short", (n = 4, getsockname(fd, (struct sockaddr *)&a, &n)));
    SAY("getsockname short says", n);
    SAY("getsockname 0", (n = 0, getsockname(fd, NULL, &n)));
    SAY("getsockname negative", (n = (socklen_t)-1, getsockname(fd, (struct sockaddr *)&a, &n)));
    SAY("bind", bind_in(fd, "127.0.0.1", 0));
    SAY("getsockname NULL length, bound", getsockname(fd, (struct sockaddr *)&a, NULL));
    SAY("getsockname NULL address, bound", (n = sizeof a, getsockname(fd, NULL, &n)));
    SAY("getsockname short, bound", (n = 4, getsockname(fd, (struct sockaddr *)&a, &n)));
    SAY("a port", a.sin_port != 0);
    close(fd), close(file);
    SAY("socket bad family", socket(9999, SOCK_STREAM, 0));
    SAY("socket bad type", socket(AF_INET, 999, 0));
    SAY("socket bad protocol", socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
    SAY("socket flags", fcntl(fd, F_GETFD));
    close(fd);
}

static void sends(void) {
    char byte = 'x';
    struct iovec v = {&byte, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    struct mmsghdr mm = {.msg_hdr = m};
    int fd = tcp();
    SAY("send unconnected", send(fd, &byte, 1, MSG_NOSIGNAL));
    SAY("sendto unconnected", sendto(fd, &byte, 1, MSG_NOSIGNAL, (struct sockaddr *)&good, sizeof good));
    SAY("sendmsg unconnected", sendmsg(fd, &m, MSG_NOSIGNAL));
    SAY("sendmsg NULL", sendmsg(fd, NULL, MSG_FASTOPEN));
    SAY("sendmmsg NULL", sendmmsg(fd, NULL, 1, MSG_FASTOPEN));
    SAY("FASTOPEN without address", sendto(fd, &byte, 1, MSG_FASTOPEN | MSG_NOSIGNAL, NULL, 0));
    SAY("FASTOPEN short address", sendto(fd, &byte, 1, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *)&good, 5));
    SAY("FASTOPEN refused",
        sendto(fd, &byte, 1, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *)&refused, sizeof refused));
    SAY("FASTOPEN", sendto(fd, &byte, 1, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *)&good, sizeof good));
    names("FASTOPEN", fd);
    SAY("FASTOPEN again", sendto(fd, &byte, 1, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *)&good, sizeof good));
    close(fd);
    fd = tcp();
    m.msg_name = &good;
    m.msg_namelen = sizeof good;
    SAY("sendmsg FASTOPEN", sendmsg(fd, &m, MSG_FASTOPEN | MSG_NOSIGNAL));
    close(fd);
    fd = tcp();
    mm.msg_hdr = m;
    SAY("sendmmsg FASTOPEN", sendmmsg(fd, &mm, 1, MSG_FASTOPEN | MSG_NOSIGNAL));
    close(fd);
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    SAY("UDP sendto", sendto(fd, &byte, 1, 0, (struct sockaddr *)&good, sizeof good));
    close(fd);
}

static void system_calls(void) {
    int fd = tcp();
    SAY("syscall -1", syscall(-1));
    SAY("syscall 100000", syscall(100000, 1, 2, 3, 4, 5, 6));
    SAY("getpid", syscall(SYS_getpid) == getpid());
    SAY("six arguments", syscall(SYS_mmap, 0, 4096, 3, 0x22, -1, 0) > 0);
    SAY("SYS_close -1", syscall(SYS_close, -1));
    SAY("SYS_connect", syscall(SYS_connect, fd, &good, sizeof good));
    SAY("SYS_close", syscall(SYS_close, fd));
    /* Never connected: nothing is asked after it, so no socket of a question has the number. (Where the injected fault
     * is a close that closes nothing, which no kernel has, that one stays.) */
    fd = tcp();
    SAY("SYS_close unconnected", syscall(SYS_close, fd));
    SAY("SYS_close again", syscall(SYS_close, fd));
    SAY("SYS_close_range", syscall(SYS_close_range, 500, 600, 0));
}

/* With no descriptor left, an open socket still connects. */
static void no_descriptors(void) {
    struct rlimit old, none;
    int fd = tcp();
    getrlimit(RLIMIT_NOFILE, &old);
    none = old;
    none.rlim_cur = (rlim_t)fd;
    setrlimit(RLIMIT_NOFILE, &none);
    SAY("EMFILE socket", tcp());
    SAY("EMFILE connect", in(fd, &good));
    SAY("EMFILE dup", dup(fd));
    SAY("EMFILE shutdown", shutdown(fd, SHUT_WR));
    SAY("EMFILE close", close(fd));
    setrlimit(RLIMIT_NOFILE, &old);
}

int main(int argc, char **argv) {
    compare_begin(argc, argv);
    binds();
    descriptors();
    names_arguments();
    sends();
    system_calls();
    no_descriptors();
    return 0;
}
