/* growth.c - a client of very many flows, or very many clients: what one more connection costs then.
 *
 * growth BASE [record], then commands. record: it stores one word into a record of its own of the destination before
 * each connect, which is the least that can be kept of a million flows. Destination i is BASE + i, port 1, where
 * nothing listens: each connect is refused at once, and leaves no socket.
 *
 *   touch N     a connect to each of the first N; errors, and ns of processor time for each, socket and close included
 *
 *   among N M   median of M connects to random ones of the first N, ns; errors
 *
 *   crowd P     P children that live at the same time and connect once each: median of the first quarter's, and of the
 *               last one's, at most a hundred of each, ns of processor time; errors */
#include <sys/mman.h>
#include <sys/wait.h>

#include "bench.h"

enum { SAMPLE_MAX = 20000, CROWD_MAX = 10000, ENDS = 100 };

static struct sockaddr_storage base;
static socklen_t length;

/* Of FLOWS flows, as large as what is known of a pair, in memory that could be shared; NULL: not kept. */
enum { FLOWS = 1000000, RECORD = 192 };
static volatile unsigned char *records;

static void parse(const char *text) {
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&base;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&base;
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(1);
        length = sizeof *v4;
    } else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(1);
        length = sizeof *v6;
    } else {
        errno = EINVAL;
        die(text);
    }
}

static struct sockaddr_storage destination(uint32_t i) {
    struct sockaddr_storage at = base;
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&at;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&at;
    if (base.ss_family == AF_INET)
        v4->sin_addr.s_addr = htonl(ntohl(v4->sin_addr.s_addr) + i);
    else
        v6->sin6_addr.s6_addr32[3] = htonl(ntohl(v6->sin6_addr.s6_addr32[3]) + i);
    return at;
}

/* One connect, refused; ns of the call, by this clock. */
static uint32_t one(uint32_t i, uint64_t clock(void), unsigned *errors) {
    struct sockaddr_storage to = destination(i);
    int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    uint64_t began = clock();
    if (records)
        records[(size_t)(i % FLOWS) * RECORD] = 1;
    int r = connect(fd, (const struct sockaddr *)&to, length);
    uint64_t took = clock() - began;
    *errors += r == 0 || errno != ECONNREFUSED;
    (void)close(fd);
    return (uint32_t)took;
}

static uint32_t random_below(uint32_t n) {
    static uint64_t x = 88172645463325252u;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return (uint32_t)((x >> 32) * n >> 32);
}

static void touch(unsigned n) {
    unsigned errors = 0;
    uint64_t began = cpu_ns();
    for (uint32_t i = 0; i < n; i++)
        (void)one(i, now_ns, &errors);
    (void)printf("%u %lu", errors, (unsigned long)((cpu_ns() - began) / (n ? n : 1)));
    answer_end();
}

static void among(unsigned n, unsigned m) {
    static uint32_t sample[SAMPLE_MAX];
    unsigned errors = 0;
    m = m < SAMPLE_MAX ? m : SAMPLE_MAX;
    for (unsigned i = 0; i < m; i++)
        sample[i] = one(random_below(n), now_ns, &errors);
    (void)printf("%u %u", median(sample, m), errors);
    answer_end();
}

/* One after the other, so that none waits for a processor while it is timed; all stay until the last has connected. */
static void crowd(unsigned n) {
    uint32_t *took =
        mmap(NULL, (CROWD_MAX + 1) * sizeof *took, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int end[2], done[2];
    char byte;
    if (took == MAP_FAILED || pipe(end) != 0 || pipe(done) != 0)
        die("crowd");
    n = n < CROWD_MAX ? n : CROWD_MAX;
    for (unsigned i = 0; i < n; i++) {
        pid_t pid = fork();
        if (pid < 0)
            die("fork");
        if (pid == 0) {
            unsigned errors = 0;
            (void)close(end[1]);
            took[i] = one(0, cpu_ns, &errors);
            __atomic_fetch_add(&took[CROWD_MAX], errors, __ATOMIC_RELAXED);
            (void)write(done[1], "x", 1);
            (void)read(end[0], &byte, 1);
            _exit(0);
        }
        if (read(done[0], &byte, 1) != 1)
            die("read");
    }
    (void)close(end[1]);
    while (wait(NULL) > 0)
        ;
    unsigned ends = n < 4 * ENDS ? (n + 3) / 4 : ENDS;
    uint32_t first = median(took, ends);
    (void)printf("%u %u %u", first, median(took + n - ends, ends), took[CROWD_MAX]);
    answer_end();
    (void)close(end[0]);
    (void)close(done[0]);
    (void)close(done[1]);
    (void)munmap(took, (CROWD_MAX + 1) * sizeof *took);
}

int main(int argc, char **argv) {
    struct command c;
    if (argc < 2)
        return 2;
    parse(argv[1]);
    if (argc > 2)
        records = mmap(NULL, (size_t)FLOWS * RECORD, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (records == MAP_FAILED)
        die("records");
    while (next_command(&c)) {
        if (strcmp(c.name, "touch") == 0)
            touch((unsigned)c.arg[0]);
        else if (strcmp(c.name, "among") == 0)
            among((unsigned)c.arg[0], (unsigned)c.arg[1]);
        else if (strcmp(c.name, "crowd") == 0)
            crowd((unsigned)c.arg[0]);
    }
    return 0;
}
