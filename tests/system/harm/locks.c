/* locks ADDRESS PORT: a client that locks its memory, present and future, connects, and maps more. Each call's errno.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    inet_pton(AF_INET, argv[1], &to.sin_addr);
    printf("mlockall now %d\n", mlockall(MCL_CURRENT) == 0 ? 0 : errno);
    printf("munlockall %d\n", munlockall() == 0 ? 0 : errno);
    printf("mlockall now and later %d\n", mlockall(MCL_CURRENT | MCL_FUTURE) == 0 ? 0 : errno);
    for (int i = 0; i < 3; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        printf("connect %d\n", connect(fd, (struct sockaddr *)&to, sizeof to) == 0 ? 0 : errno);
        printf("close %d\n", close(fd) == 0 ? 0 : errno);
    }
    void *more = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("mmap of 1 MiB %d\n", more != MAP_FAILED ? 0 : errno);
    return 0;
}
