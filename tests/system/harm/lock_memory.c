/* lock_memory ADDRESS PORT FLAGS [threads]: connects and closes, locks its memory (FLAGS: MCL_CURRENT 1, MCL_FUTURE 2),
 * maps 2 MiB more, connects, closes, forks; says what each came to, and how much is locked. */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void once(const char *address, const char *port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    inet_pton(AF_INET, address, &to.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0), r = connect(fd, (struct sockaddr *)&to, sizeof to);
    printf("connect %d", r);
    printf(", close %d\n", close(fd));
}

static void *wait_for_ever(void *p) {
    (void)pause();
    return p;
}

int main(int argc, char **argv) {
    char line[256];
    pthread_t thread;
    if (argc < 4)
        return 2;
    once(argv[1], argv[2]);
    if (argc > 4 && pthread_create(&thread, NULL, wait_for_ever, NULL) != 0)
        return 3;
    int r = mlockall(atoi(argv[3]));
    printf("mlockall %d %s\n", r, r ? strerror(errno) : "");
    void *more = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("mmap %d\n", more != MAP_FAILED);
    once(argv[1], argv[2]);
    fflush(stdout);
    if (fork() == 0) {
        once(argv[1], argv[2]);
        return 0;
    }
    (void)wait(NULL);
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (strncmp(line, "VmLck:", 6) == 0)
            fprintf(stderr, "%d\n", atoi(line + 6) / 1024); /* MiB */
    return 0;
}
