/* close_storm ADDRESS PORT FROM TO: one connection at descriptor 700, then close() of every number from FROM to TO - 1,
 * as daemons do. Prints how many of the closes succeeded and the processor time that all of it took, in ms. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc != 5)
        return 2;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    struct rlimit files;
    struct timespec a, b;
    int first = atoi(argv[3]), last = atoi(argv[4]), closed = 0, fd = socket(AF_INET, SOCK_STREAM, 0);
    alarm(60);
    inet_pton(AF_INET, argv[1], &to.sin_addr);
    getrlimit(RLIMIT_NOFILE, &files);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0 || dup2(fd, 700) != 700 || close(fd) != 0)
        return 1;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    for (int i = first; i < last; i++)
        closed += close(i) == 0;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    printf("%d %ld\n", closed, (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000);
    return 0;
}
