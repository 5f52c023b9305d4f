/* hold.c - a client that keeps its connections: to fill a table, and to be timed on a full one.
 *
 * hold ADDRESS [hand[=SOURCES]], then commands:
 *   hold N PORT            N more connections: errors, errno of the last one
 *   probe N PORT           the same, answered with the time of each connect, ns (0: it failed), then the
 *                          processor time of each
 *   refused N PORT         N connects that shall fail with EADDRNOTAVAIL: the time of each, ns (0: it did not)
 *   drop N                 reset the N latest: how many
 *   until PORT             connect again and again until it works: ns since the first failure, tries
 *   pace N RATE PORT       N cycles, RATE in 1000 s: errors, errno of the last one, ns late at most */
#include "bench.h"

enum { HELD_MAX = 19000 };

static struct dialer me;
static const char *address;
static int held[HELD_MAX];
static unsigned n_held;

/* A new connection, held; the time of its connect (and in *cpu the processor's), or 0 and errno. */
static uint32_t hold_one(const struct sockaddr_in *to, uint32_t *cpu) {
    int fd = n_held < HELD_MAX ? socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
    if (fd < 0)
        return 0;
    uint64_t cpu_began = cpu ? cpu_ns() : 0, began = now_ns();
    if (override(&me, fd, to) != 0) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return 0;
    }
    uint64_t took = now_ns() - began;
    if (cpu)
        *cpu = (uint32_t)(cpu_ns() - cpu_began);
    held[n_held++] = fd;
    return (uint32_t)took;
}

static void hold(unsigned long n, const struct sockaddr_in *to) {
    unsigned errors = 0;
    int error = 0;
    while (n--)
        if (hold_one(to, NULL) == 0) {
            errors++;
            error = errno;
        }
    (void)printf("%u %d", errors, error);
    answer_end();
}

static void probe(unsigned n, const struct sockaddr_in *to) {
    uint32_t *sample = array(2 * (size_t)n, sizeof *sample);
    for (unsigned i = 0; i < n; i++)
        sample[i] = hold_one(to, &sample[n + i]);
    answer_samples(sample, 2 * n);
    free(sample);
}

static void refused(unsigned n, const struct sockaddr_in *to) {
    uint32_t *sample = array(n, sizeof *sample);
    for (unsigned i = 0; i < n; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        uint64_t began = now_ns();
        int r = override(&me, fd, to);
        uint64_t took = now_ns() - began;
        sample[i] = r != 0 && errno == EADDRNOTAVAIL ? (uint32_t)took : 0;
        if (r == 0)
            reset(fd);
        else
            (void)close(fd);
    }
    answer_samples(sample, n);
    free(sample);
}

static void drop(unsigned long n) {
    unsigned done = 0;
    for (; n-- && n_held; done++)
        reset(held[--n_held]);
    (void)printf("%u", done);
    answer_end();
}

static void until(const struct sockaddr_in *to) {
    uint64_t began = now_ns(), tries = 1;
    while (hold_one(to, NULL) == 0 && now_ns() - began < 2000000000u) {
        struct timespec pause = {.tv_nsec = 200000};
        (void)nanosleep(&pause, NULL);
        tries++;
    }
    (void)printf("%llu %llu", (unsigned long long)(now_ns() - began), (unsigned long long)tries);
    answer_end();
}

static void pace(unsigned long n, unsigned long rate, const struct sockaddr_in *to) {
    uint64_t began = now_ns(), late = 0;
    unsigned errors = 0;
    int error = 0;
    for (unsigned long i = 0; i < n; i++) {
        uint64_t due = began + i * 1000000000000u / rate, now = now_ns();
        if (now < due) {
            struct timespec pause = {.tv_sec = (time_t)((due - now) / 1000000000u),
                                     .tv_nsec = (long)((due - now) % 1000000000u)};
            (void)nanosleep(&pause, NULL);
        } else if (now - due > late) {
            late = now - due;
        }
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || override(&me, fd, to) != 0) {
            error = errno;
            errors++;
        }
        (void)hang_up(&me, fd);
    }
    (void)printf("%u %d %llu", errors, error, (unsigned long long)late);
    answer_end();
}

int main(int argc, char **argv) {
    struct command c;
    if (argc < 2)
        return 2;
    address = argv[1];
    dialer_parse(&me, argv[2]);
    while (next_command(&c)) {
        if (strcmp(c.name, "drop") == 0) {
            drop(c.arg[0]);
            continue;
        }
        bool alone = strcmp(c.name, "until") == 0, paced = strcmp(c.name, "pace") == 0;
        struct sockaddr_in to = endpoint(address, (unsigned)c.arg[alone ? 0 : paced ? 2 : 1]);
        if (alone)
            until(&to);
        else if (paced)
            pace(c.arg[0], c.arg[1], &to);
        else if (strcmp(c.name, "hold") == 0)
            hold(c.arg[0], &to);
        else if (strcmp(c.name, "probe") == 0)
            probe((unsigned)c.arg[0], &to);
        else
            refused((unsigned)c.arg[0], &to);
    }
    return 0;
}
