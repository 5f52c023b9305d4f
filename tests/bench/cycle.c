/* cycle.c - a client that connects and closes: alone, in threads, in processes.
 *
 * cycle ADDRESS [hand[=SOURCES]|watch], then commands:
 *   cycle N PORT           medians, ns: whole cycle, socket, connect, close; errors
 *   threads T N PORT       T threads of N cycles, each to 16 ports of its own in turn: wall time and processor time of
 * all, ns; errors processes P N PORT     the same with children of fork */
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "bench.h"

enum { CYCLES_MAX = 20000, TEAM_MAX = 16, PORTS_EACH = 16 };

static struct dialer me;
static const char *address;

static bool one_cycle(struct dialer *d, const struct sockaddr_in *to) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool ok = override(d, fd, to) == 0;
    return hang_up(d, fd) == 0 && ok;
}

static void cycles(unsigned n, unsigned port) {
    static uint32_t whole[CYCLES_MAX], made[CYCLES_MAX], connected[CYCLES_MAX], closed[CYCLES_MAX];
    struct sockaddr_in to = endpoint(address, port);
    unsigned errors = 0;
    n = n < CYCLES_MAX ? n : CYCLES_MAX;
    for (unsigned i = 0; i < n; i++) {
        uint64_t t0 = now_ns();
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        uint64_t t1 = now_ns();
        errors += override(&me, fd, &to) != 0;
        uint64_t t2 = now_ns();
        errors += hang_up(&me, fd) != 0;
        uint64_t t3 = now_ns();
        whole[i] = (uint32_t)(t3 - t0);
        made[i] = (uint32_t)(t1 - t0);
        connected[i] = (uint32_t)(t2 - t1);
        closed[i] = (uint32_t)(t3 - t2);
    }
    (void)printf("%u %u %u %u %u", median(whole, n), median(made, n), median(connected, n), median(closed, n), errors);
    answer_end();
}

/* Shared with children of fork. Everybody waits until all are there, spinning: a wake-up would be in the figure. */
struct team {
    unsigned size, there, go;
    struct member {
        struct team *team;
        unsigned cycles, port, errors;
        uint64_t began, ended, cpu;
    } member[TEAM_MAX];
};

static void *play(void *argument) {
    struct member *m = argument;
    struct dialer d = me;
    struct sockaddr_in to[PORTS_EACH];
    for (unsigned i = 0; i < PORTS_EACH; i++)
        to[i] = endpoint(address, m->port + i);
    m->errors = !one_cycle(&d, &to[0]); /* what only a first connection costs is not of interest here */
    __atomic_fetch_add(&m->team->there, 1, __ATOMIC_ACQ_REL);
    while (!__atomic_load_n(&m->team->go, __ATOMIC_ACQUIRE))
        (void)sched_yield();
    m->began = now_ns();
    uint64_t cpu = cpu_ns();
    for (unsigned i = 0; i < m->cycles; i++)
        m->errors += !one_cycle(&d, &to[i % PORTS_EACH]);
    m->cpu = cpu_ns() - cpu;
    m->ended = now_ns();
    return NULL;
}

static void start(struct team *t) {
    while (__atomic_load_n(&t->there, __ATOMIC_ACQUIRE) < t->size)
        (void)sched_yield();
    __atomic_store_n(&t->go, 1, __ATOMIC_RELEASE);
}

static void run_threads(struct team *t) {
    pthread_t thread[TEAM_MAX];
    for (unsigned i = 0; i < t->size; i++)
        if (pthread_create(&thread[i], NULL, play, &t->member[i]) != 0)
            die("pthread_create");
    start(t);
    for (unsigned i = 0; i < t->size; i++)
        (void)pthread_join(thread[i], NULL);
}

static void run_processes(struct team *t) {
    pid_t pid[TEAM_MAX];
    for (unsigned i = 0; i < t->size; i++) {
        pid[i] = fork();
        if (pid[i] < 0)
            die("fork");
        if (pid[i] == 0) {
            (void)play(&t->member[i]);
            _exit(0);
        }
    }
    start(t);
    for (unsigned i = 0; i < t->size; i++)
        (void)waitpid(pid[i], NULL, 0);
}

static void team(unsigned size, unsigned n, unsigned port, void (*run)(struct team *)) {
    struct team *t = mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (t == MAP_FAILED)
        die("mmap");
    t->size = size < TEAM_MAX ? size : TEAM_MAX;
    for (unsigned i = 0; i < t->size; i++)
        t->member[i] = (struct member){.team = t, .cycles = n, .port = port + i * PORTS_EACH};
    run(t);
    uint64_t began = UINT64_MAX, ended = 0, cpu = 0;
    unsigned errors = 0;
    for (unsigned i = 0; i < t->size; i++) {
        began = t->member[i].began < began ? t->member[i].began : began;
        ended = t->member[i].ended > ended ? t->member[i].ended : ended;
        errors += t->member[i].errors;
        cpu += t->member[i].cpu;
    }
    (void)munmap(t, sizeof *t);
    (void)printf("%llu %llu %u", (unsigned long long)(ended - began), (unsigned long long)cpu, errors);
    answer_end();
}

int main(int argc, char **argv) {
    struct command c;
    if (argc < 2)
        return 2;
    address = argv[1];
    dialer_parse(&me, argv[2]);
    while (next_command(&c)) {
        if (strcmp(c.name, "cycle") == 0)
            cycles((unsigned)c.arg[0], (unsigned)c.arg[1]);
        else if (strcmp(c.name, "threads") == 0)
            team((unsigned)c.arg[0], (unsigned)c.arg[1], (unsigned)c.arg[2], run_threads);
        else
            team((unsigned)c.arg[0], (unsigned)c.arg[1], (unsigned)c.arg[2], run_processes);
    }
    return 0;
}
