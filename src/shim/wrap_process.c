/* The calls that end a process image, start another, or move to another namespace. */
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "shim/self.h"
#include "close/exec_close.h"
#include "connect/prepare.h"
#include "client/process.h"
#include "shim/real.h"
#include "close/exit_close.h"
#include "shim/seal.h"

/* For vfork.S: returns the vfork to go on with. Refreshed first: in a fork child that was not noticed yet, a vfork
 * child of its would take itself for that. */
void *process_before_vfork(void);
__attribute__((used)) void *process_before_vfork(void) {
    process_refresh(&client);
    process_shares_memory();
    return (void *)real_vfork;
}

#ifndef CLONE_NEWNET
#define CLONE_NEWNET 0x40000000
#endif

/* --- the end --- */

EXPORT void _exit(int status) {
    exit_close_all(&client, VIA__EXIT, true);
    real__exit(status);
    for (;;) /* the declaration in unistd.h says that this does not return */
        raw__exit(status);
}

EXPORT void _Exit(int status) {
    exit_close_all(&client, VIA__EXIT, true);
    real__Exit(status);
    for (;;)
        raw__exit(status);
}

/* libc runs the at_quick_exit handlers and ends in an _exit of its own that is no call of ours: so close before them.
 */
EXPORT void quick_exit(int status) {
    exit_close_all(&client, VIA__EXIT, false);
    real_quick_exit(status);
    for (;;)
        raw__exit(status);
}

/* --- another program --- */

/* A vfork child runs in its parent's memory: from its exec on, descriptors without close-on-exec live on in the new
 * program, so the parent's connections may be shared from now on. Other close-on-exec connections end here. */
static bool before_exec(void) {
    if (!client_active(&client))
        return false;
    int saved = errno;
    bool marked = client_asks(&client) && process_may_record(&client);
    if (marked) {
        prepare_hand_over_to_exec();
        exec_close_all(&client, true);
    } else {
        process_shared_now();
    }
    errno = saved;
    return marked;
}

/* Only reached when the exec failed. */
static int after_exec(bool marked, int r) {
    int saved = errno;
    if (marked)
        exec_close_all(&client, false);
    errno = saved;
    return r;
}

EXPORT int execve(const char *path, char *const argv[], char *const envp[]) {
    bool marked = before_exec();
    return after_exec(marked, real_execve(path, argv, envp));
}

EXPORT int execv(const char *path, char *const argv[]) {
    bool marked = before_exec();
    return after_exec(marked, real_execv(path, argv));
}

EXPORT int execvp(const char *file, char *const argv[]) {
    bool marked = before_exec();
    return after_exec(marked, real_execvp(file, argv));
}

EXPORT int execvpe(const char *file, char *const argv[], char *const envp[]) {
    bool marked = before_exec();
    return after_exec(marked, real_execvpe(file, argv, envp));
}

EXPORT int fexecve(int fd, char *const argv[], char *const envp[]) {
    bool marked = before_exec();
    return after_exec(marked, real_fexecve(fd, argv, envp));
}

EXPORT int execveat(int dir, const char *path, char *const argv[], char *const envp[], int flags) {
    bool marked = before_exec();
    return after_exec(marked, real_execveat(dir, path, argv, envp, flags));
}

/* The list forms become arrays on the stack, as in libc itself: exec may be called from a signal handler or a vfork
 * child, where there is no malloc. */
#define COUNT_LIST(n, first)                                                                                           \
    size_t n = 0;                                                                                                      \
    va_list counting;                                                                                                  \
    va_start(counting, first);                                                                                         \
    for (const char *p = first; p; p = va_arg(counting, const char *))                                                 \
        n++;                                                                                                           \
    va_end(counting);

#define FILL_LIST(argv, n, first)                                                                                      \
    char *argv[n + 1];                                                                                                 \
    va_list list;                                                                                                      \
    va_start(list, first);                                                                                             \
    argv[0] = (char *)(unsigned long)first;                                                                            \
    for (size_t i = 1; i <= n; i++)                                                                                    \
        argv[i] = va_arg(list, char *);

EXPORT int execl(const char *path, const char *first, ...) {
    COUNT_LIST(n, first)
    FILL_LIST(argv, n, first)
    va_end(list);
    return execve(path, argv, environ);
}

EXPORT int execlp(const char *file, const char *first, ...) {
    COUNT_LIST(n, first)
    FILL_LIST(argv, n, first)
    va_end(list);
    return execvp(file, argv);
}

EXPORT int execle(const char *path, const char *first, ...) {
    COUNT_LIST(n, first)
    FILL_LIST(argv, n, first)
    char *const *envp = va_arg(list, char *const *);
    va_end(list);
    return execve(path, argv, envp);
}

/* --- children --- */

/* posix_spawn and what is built on it make children without fork's handlers. */
static void before_spawn(void) {
    if (client_active(&client))
        process_shared_now();
}

EXPORT int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]) {
    before_spawn();
    return real_posix_spawn(pid, path, actions, attributes, argv, envp);
}

EXPORT int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                        const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]) {
    before_spawn();
    return real_posix_spawnp(pid, file, actions, attributes, argv, envp);
}

EXPORT int system(const char *command) {
    before_spawn();
    return real_system(command);
}

EXPORT FILE *popen(const char *command, const char *mode) {
    before_spawn();
    return real_popen(command, mode);
}

EXPORT pid_t _Fork(void) {
    bool active = client_active(&client);
    if (active)
        process_fork_begins();
    pid_t pid = real__Fork();
    if (active && pid != 0)
        process_fork_ends();
    else if (active)
        process_forked(&client);
    return pid;
}

/* Variadic, and passed on as libc itself does. A child that shares memory without being a thread is as a vfork's. */
EXPORT int clone(int (*function)(void *), void *stack, int flags, void *argument, ...) {
    va_list list;
    va_start(list, argument);
    void *parent = va_arg(list, void *), *tls = va_arg(list, void *), *child = va_arg(list, void *);
    va_end(list);
    if ((flags & (CLONE_VM | CLONE_THREAD)) == CLONE_VM) {
        process_refresh(&client);
        process_shares_memory();
    }
    process_shared_now();
    return real_clone(function, stack, flags, argument, parent, tls, child);
}

/* --- namespaces --- */

EXPORT int setns(int fd, int type) {
    int r = real_setns(fd, type);
    if (r == 0 && (type == 0 || type & CLONE_NEWNET))
        __atomic_store_n(&client.netns_varies, true, __ATOMIC_RELAXED);
    return r;
}

EXPORT int unshare(int flags) {
    int r = real_unshare(flags);
    if (r == 0 && flags & CLONE_NEWNET)
        __atomic_store_n(&client.netns_varies, true, __ATOMIC_RELAXED);
    return r;
}

/* --- behind a filter --- */

EXPORT int prctl(int option, ...) {
    unsigned long a[4];
    va_list list;
    va_start(list, option);
    for (int i = 0; i < 4; i++)
        a[i] = va_arg(list, unsigned long);
    va_end(list);
    bool seals = option == PR_SET_SECCOMP;
    if (seals)
        seal_begin();
    int r = real_prctl(option, a[0], a[1], a[2], a[3]);
    if (seals)
        seal_end(r == 0);
    return r;
}

EXPORT_TWIN(__prctl_time64, prctl)
