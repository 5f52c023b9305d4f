/* A module that a client opens and closes: connects to $MODULE_ADDRESS:$MODULE_PORT in its constructor, closes in its
 * destructor. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int fd = -1;

__attribute__((constructor)) static void begin(void) {
    const char *address = getenv("MODULE_ADDRESS"), *port = getenv("MODULE_PORT");
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(port ? atoi(port) : 0))};
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || !address || inet_pton(AF_INET, address, &to.sin_addr) != 1 ||
        connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        abort();
}

__attribute__((destructor)) static void end(void) {
    if (close(fd) != 0)
        abort();
}
