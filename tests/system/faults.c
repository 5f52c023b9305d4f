/* faults LIST 0 0 COMMAND...          runs COMMAND, which has faults.so preloaded, and appends a line to the file LIST
 *                                     for each system call of the shim's: its kind.
 * faults - #N ERRNO COMMAND...        lets the N-th of them (from 1) fail with ERRNO.
 * faults - KIND ERRNO COMMAND...      lets all of that kind fail.
 *
 * A kind is the call's number, or for getsockopt and setsockopt NUMBER:LEVEL:OPTION. Exits as COMMAND does; when the
 * fault was never met, with 98. x86-64 only; elsewhere it exits with 97. */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __x86_64__

static FILE *list;
static const char *wanted;
static unsigned long nth, seen, met;
static long error;

static void kind_of(const struct user_regs_struct *r, char out[64]) {
    if (r->orig_rax == SYS_getsockopt || r->orig_rax == SYS_setsockopt)
        (void)snprintf(out, 64, "%llu:%llu:%llu", r->orig_rax, r->rsi, r->rdx);
    else
        (void)snprintf(out, 64, "%llu", r->orig_rax);
}

/* A call of the shim's is about to be made. */
static void fault(pid_t pid) {
    struct user_regs_struct r;
    char kind[64];
    if (ptrace(PTRACE_GETREGS, pid, NULL, &r) != 0)
        return;
    kind_of(&r, kind);
    seen++;
    if (list)
        (void)fprintf(list, "%s\n", kind);
    if (error == 0 || !(nth ? seen == nth : strcmp(kind, wanted) == 0))
        return;
    met++;
    r.orig_rax = (unsigned long long)-1;
    r.rax = (unsigned long long)-error;
    (void)ptrace(PTRACE_SETREGS, pid, NULL, &r);
}

static int follow(pid_t first) {
    int status, exit_status = 96;
    for (pid_t pid; (pid = waitpid(-1, &status, __WALL)) > 0;) {
        long give = 0;
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (pid == first)
                exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            continue;
        }
        unsigned event = (unsigned)status >> 16;
        if (event == PTRACE_EVENT_SECCOMP)
            fault(pid);
        else if (event == 0 && WSTOPSIG(status) != SIGSTOP) /* a new child's first stop is not for it */
            give = WSTOPSIG(status);
        (void)ptrace(PTRACE_CONT, pid, NULL, give);
    }
    return exit_status;
}

int main(int argc, char **argv) {
    static const long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
                                PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    int status;
    if (argc < 5)
        return 2;
    list = strcmp(argv[1], "-") != 0 ? fopen(argv[1], "ae") : NULL;
    wanted = argv[2];
    nth = argv[2][0] == '#' ? strtoul(argv[2] + 1, NULL, 10) : 0;
    error = atol(argv[3]);
    pid_t child = fork();
    if (child == 0) {
        const char *preload = getenv("FAULTS_PRELOAD");
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0 || raise(SIGSTOP) != 0)
            _exit(95);
        if (preload)
            (void)setenv("LD_PRELOAD", preload, 1);
        (void)unsetenv("FAULTS_PRELOAD");
        (void)execv(argv[4], argv + 4);
        _exit(95);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFSTOPPED(status) ||
        ptrace(PTRACE_SETOPTIONS, child, NULL, options) != 0)
        return 95;
    (void)ptrace(PTRACE_CONT, child, NULL, 0);
    status = follow(child);
    if (list)
        (void)fclose(list);
    return error && !met ? 98 : status;
}

#else

int main(void) {
    return 97;
}

#endif
