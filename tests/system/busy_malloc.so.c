/* An allocator that uses descriptors: every 10th malloc opens, duplicates and closes some, and every 100th connects
 * to $BUSY_ADDRESS:$BUSY_PORT and closes. All of it through libc, so through every preloaded wrapper. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *malloc(size_t size);

static __thread int inside, count;

static void use_a_socket(void) {
    const char *address = getenv("BUSY_ADDRESS"), *port = getenv("BUSY_PORT");
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(port ? atoi(port) : 0))};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (address && inet_pton(AF_INET, address, &to.sin_addr) == 1 &&
        connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        abort();
    if (close(fd) != 0)
        abort();
}

static void use_a_file(void) {
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC), copy = fd < 0 ? -1 : dup(fd);
    if (copy >= 0)
        close(copy);
    if (fd >= 0)
        close(fd);
}

void *malloc(size_t size) {
    int saved = errno;
    if (!inside++) {
        count++;
        if (count % 10 == 0)
            use_a_file();
        if (count % 100 == 0)
            use_a_socket();
    }
    inside--;
    errno = saved;
    return __libc_malloc(size);
}
