#include "tool/supervise/letter.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STANDARD = 3 };

/* Not one of the standard ones, where those were closed. */
static int move_up(int fd) {
    if (fd < 0 || fd >= STANDARD)
        return fd;
    int higher = fcntl(fd, F_DUPFD_CLOEXEC, STANDARD);
    close(fd);
    return higher;
}

bool letter_pair(int ends[2]) {
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return false;
    ends[0] = move_up(ends[0]);
    ends[1] = move_up(ends[1]);
    return ends[0] >= 0 && ends[1] >= 0;
}

/* Room for one descriptor. */
union control {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
};

void letter_send(int end, enum letter_kind kind, int value, int descriptor) {
    struct letter letter = {kind, value};
    union control control = {.room = {0}};
    struct iovec data = {&letter, sizeof letter};
    struct msghdr m = {.msg_iov = &data, .msg_iovlen = 1};
    if (descriptor >= 0) {
        m.msg_control = &control;
        m.msg_controllen = sizeof control.room;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof descriptor);
        memcpy(CMSG_DATA(c), &descriptor, sizeof descriptor);
    }
    (void)sendmsg(end, &m, MSG_NOSIGNAL);
}

struct letter letter_receive(int end, int *descriptor) {
    struct letter letter = {LETTER_NONE, 0};
    union control control;
    struct iovec data = {&letter, sizeof letter};
    struct msghdr m = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.room};
    ssize_t n;
    *descriptor = -1;
    do
        n = recvmsg(end, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof letter)
        return (struct letter){LETTER_NONE, 0};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(descriptor, CMSG_DATA(c), sizeof *descriptor);
    return letter;
}
