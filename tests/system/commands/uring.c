/* A program that would use liburing. */
#include <unistd.h>

extern int io_uring_queue_init(unsigned entries, void *ring, unsigned flags) __attribute__((weak));

int main(int argc, char **argv) {
    (void)argv;
    if (argc > 1000 && io_uring_queue_init)
        return io_uring_queue_init(8, 0, 0);
    return close(-1) == 0;
}
