/* startup.c - what `true` takes of a processor from its spawn to its end, in turn: bare, with the shim and a current
 * state file, with the shim and no state file, so that the policy is compiled and the file created.
 *
 * startup SHIM STATE-FILE ROUNDS; the shim's variables come with the environment. Answers three lines of times, ns. */
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "bench.h"

enum { VARIANTS = 3, BARE = 0, COMPILES = 2 };

extern char **environ;

static uint64_t ns_of(struct timeval t) {
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_usec * 1000;
}

static uint32_t run_true(void) {
    static char program[] = "/bin/true";
    char *argv[] = {program, NULL};
    pid_t pid;
    int status = -1;
    struct rusage used;
    if (posix_spawn(&pid, program, NULL, NULL, argv, environ) != 0)
        die(program);
    (void)wait4(pid, &status, 0, &used);
    if (status != 0)
        die("true has failed");
    return (uint32_t)(ns_of(used.ru_utime) + ns_of(used.ru_stime));
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    unsigned rounds = (unsigned)atoi(argv[3]);
    uint32_t *sample[VARIANTS];
    for (unsigned v = 0; v < VARIANTS; v++)
        sample[v] = array(rounds, sizeof *sample[v]);
    (void)setenv("LD_PRELOAD", argv[1], 1);
    (void)run_true(); /* leaves a state file */
    for (unsigned i = 0; i < rounds; i++)
        for (unsigned at = 0; at < VARIANTS; at++) {
            unsigned v = (i + at) % VARIANTS;
            if (v == BARE)
                (void)unsetenv("LD_PRELOAD");
            else
                (void)setenv("LD_PRELOAD", argv[1], 1);
            if (v == COMPILES)
                (void)unlink(argv[2]);
            sample[v][i] = run_true();
        }
    for (unsigned v = 0; v < VARIANTS; v++)
        answer_samples(sample[v], rounds);
    return 0;
}
