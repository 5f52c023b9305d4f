/* uring ADDRESS PORT N: N connections, one after the other, held until the end, by io_uring, or by connect where that
 * is not to be had. Prints which, and each connection's source, or "error ERRNO". */
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static struct io_uring ring;

/* 0 or -errno. */
static int connect_by_ring(int fd, const struct sockaddr_in *to) {
    struct io_uring_cqe *done;
    struct io_uring_sqe *asked = io_uring_get_sqe(&ring);
    io_uring_prep_connect(asked, fd, (const struct sockaddr *)to, sizeof *to);
    int r = io_uring_submit_and_wait(&ring, 1);
    if (r < 0 || (r = io_uring_wait_cqe(&ring, &done)) != 0)
        return r;
    r = done->res;
    io_uring_cqe_seen(&ring, done);
    return r;
}

int main(int argc, char **argv) {
    struct sockaddr_in to = {.sin_family = AF_INET}, from;
    if (argc != 4 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1)
        return 2;
    to.sin_port = htons((uint16_t)atoi(argv[2]));
    int r = io_uring_queue_init(8, &ring, 0);
    if (r != 0 && r != -ENOSYS)
        return 3;
    printf("%s\n", r == 0 ? "io_uring" : "connect");
    for (int i = atoi(argv[3]); i > 0; i--) {
        char text[INET_ADDRSTRLEN];
        socklen_t length = sizeof from;
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        int error = r == 0                                                ? -connect_by_ring(fd, &to)
                    : connect(fd, (struct sockaddr *)&to, sizeof to) == 0 ? 0
                                                                          : errno;
        if (error)
            printf("error %d\n", error);
        else if (getsockname(fd, (struct sockaddr *)&from, &length) == 0)
            printf("%s\n", inet_ntop(AF_INET, &from.sin_addr, text, sizeof text));
    }
    return 0;
}
