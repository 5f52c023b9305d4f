/* raw.c - each wrapped call as the bare system call, for calls that arrive before our constructor (other libraries'
 * constructors, allocators). errno is set as libc would set it. Async-signal-safe but for the few at the end, which are
 * no system calls, have no work to do for us that early, and find libc's definition with dlsym. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define SYS_UNGATED /* these are the client's own calls */
#include "shim/real.h"
#include "base/sys.h"

static long answer(long r) {
    if (r >= 0 || r < -4095)
        return r;
    errno = (int)-r;
    return -1;
}

#define RAW(...)                                  answer(RAW_PICK(__VA_ARGS__, 6, 5, 4, 3, 2, 1, 0)(__VA_ARGS__))
#define RAW_PICK(n, a, b, c, d, e, f, count, ...) RAW_JOIN(sys_call, count)
#define RAW_JOIN(a, b)                            RAW_JOIN2(a, b)
#define RAW_JOIN2(a, b)                           a##b

int raw_connect(int fd, const struct sockaddr *address, socklen_t length) {
    return (int)RAW(SYS_connect, fd, address, length);
}
int raw_bind(int fd, const struct sockaddr *address, socklen_t length) {
    return (int)RAW(SYS_bind, fd, address, length);
}
int raw_listen(int fd, int backlog) {
    return (int)RAW(SYS_listen, fd, backlog);
}
int raw_getpeername(int fd, struct sockaddr *address, socklen_t *length) {
    return (int)RAW(SYS_getpeername, fd, address, length);
}
int raw_getsockname(int fd, struct sockaddr *address, socklen_t *length) {
    return (int)RAW(SYS_getsockname, fd, address, length);
}
int raw_socket(int family, int type, int protocol) {
    return (int)RAW(SYS_socket, family, type, protocol);
}
int raw_setsockopt(int fd, int level, int option, const void *value, socklen_t length) {
    return (int)RAW(SYS_setsockopt, fd, level, option, value, length);
}
int raw_getsockopt(int fd, int level, int option, void *value, socklen_t *length) {
    return (int)RAW(SYS_getsockopt, fd, level, option, value, length);
}
int raw_accept(int fd, struct sockaddr *address, socklen_t *length) {
    return (int)RAW(SYS_accept4, fd, address, length, 0);
}
int raw_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) {
    return (int)RAW(SYS_accept4, fd, address, length, flags);
}
ssize_t raw_sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *address, socklen_t length) {
    return RAW(SYS_sendto, fd, data, size, flags, address, length);
}
ssize_t raw_sendmsg(int fd, const struct msghdr *message, int flags) {
    return RAW(SYS_sendmsg, fd, message, flags);
}
int raw_sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, sendmmsg_flags flags) {
    return (int)RAW(SYS_sendmmsg, fd, messages, count, flags);
}
int raw_shutdown(int fd, int how) {
    return (int)RAW(SYS_shutdown, fd, how);
}
int raw_close(int fd) {
    return (int)RAW(SYS_close, fd);
}
int raw_dup(int fd) {
    return (int)RAW(SYS_dup, fd);
}
int raw_dup2(int old, int new) {
#ifdef SYS_dup2
    return (int)RAW(SYS_dup2, old, new);
#else
    if (old == new) /* dup3 refuses what dup2 allows */
        return RAW(SYS_fcntl, old, F_GETFD) < 0 ? -1 : new;
    return (int)RAW(SYS_dup3, old, new, 0);
#endif
}
int raw_dup3(int old, int new, int flags) {
    return (int)RAW(SYS_dup3, old, new, flags);
}
int raw_fcntl(int fd, int command, ...) {
    va_list list;
    va_start(list, command);
    void *argument = va_arg(list, void *);
    va_end(list);
#ifdef SYS_fcntl64
    return (int)RAW(SYS_fcntl64, fd, command, argument);
#else
    return (int)RAW(SYS_fcntl, fd, command, argument);
#endif
}
int raw_fcntl64(int fd, int command, ...) {
    va_list list;
    va_start(list, command);
    void *argument = va_arg(list, void *);
    va_end(list);
    return raw_fcntl(fd, command, argument);
}
int raw_close_range(unsigned int first, unsigned int last, int flags) {
    return (int)RAW(SYS_close_range, first, last, flags);
}
void raw_closefrom(int first) {
    (void)sys_call3(SYS_close_range, first < 0 ? 0 : first, ~0u, 0);
}
long raw_syscall(long number, ...) {
    long a[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    return answer(sys6(number, a[0], a[1], a[2], a[3], a[4], a[5]));
}
void raw__exit(int status) {
    for (;;)
        (void)sys_call1(SYS_exit_group, status);
}
void raw__Exit(int status) {
    raw__exit(status);
}
int raw_execve(const char *path, char *const argv[], char *const envp[]) {
    return (int)RAW(SYS_execve, path, argv, envp);
}
int raw_execv(const char *path, char *const argv[]) {
    return raw_execve(path, argv, environ);
}
int raw_execveat(int dir, const char *path, char *const argv[], char *const envp[], int flags) {
    return (int)RAW(SYS_execveat, dir, path, argv, envp, flags);
}
int raw_fexecve(int fd, char *const argv[], char *const envp[]) {
    return raw_execveat(fd, "", argv, envp, AT_EMPTY_PATH);
}
int raw_setns(int fd, int type) {
    return (int)RAW(SYS_setns, fd, type);
}
int raw_unshare(int flags) {
    return (int)RAW(SYS_unshare, flags);
}
int raw_prctl(int option, ...) {
    unsigned long a[4];
    va_list list;
    va_start(list, option);
    for (int i = 0; i < 4; i++)
        a[i] = va_arg(list, unsigned long);
    va_end(list);
    return (int)RAW(SYS_prctl, option, a[0], a[1], a[2], a[3]);
}
int raw_mlockall(int flags) {
    return (int)RAW(SYS_mlockall, flags);
}
pid_t raw__Fork(void) {
#ifdef SYS_fork
    return (pid_t)RAW(SYS_fork);
#else
    return (pid_t)RAW(SYS_clone, 17 /* SIGCHLD */, 0, 0, 0, 0);
#endif
}

/* A vfork may be a fork. */
pid_t raw_vfork(void) {
    return raw__Fork();
}

/* --- no system calls: libc's own definition, looked up at the moment of use --- */

#define NEXT_OF(name, failure)                                                                                         \
    __typeof__(&raw_##name) next = (__typeof__(&raw_##name))real_lookup(#name);                                        \
    if (!next) {                                                                                                       \
        errno = ENOSYS;                                                                                                \
        return failure;                                                                                                \
    }

FILE *raw_fdopen(int fd, const char *mode) {
    NEXT_OF(fdopen, NULL)
    return next(fd, mode);
}
int raw_fclose(FILE *stream) {
    NEXT_OF(fclose, EOF)
    return next(stream);
}
FILE *raw_freopen(const char *path, const char *mode, FILE *stream) {
    NEXT_OF(freopen, NULL)
    return next(path, mode, stream);
}
FILE *raw_freopen64(const char *path, const char *mode, FILE *stream) {
    NEXT_OF(freopen64, NULL)
    return next(path, mode, stream);
}
void raw_quick_exit(int status) {
    void (*next)(int) = (void (*)(int))real_lookup("quick_exit");
    if (next)
        next(status);
    raw__exit(status);
}
int raw_execvp(const char *file, char *const argv[]) {
    NEXT_OF(execvp, -1)
    return next(file, argv);
}
int raw_execvpe(const char *file, char *const argv[], char *const envp[]) {
    NEXT_OF(execvpe, -1)
    return next(file, argv, envp);
}
int raw_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                    const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]) {
    NEXT_OF(posix_spawn, ENOSYS)
    return next(pid, path, actions, attributes, argv, envp);
}
int raw_posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                     const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]) {
    NEXT_OF(posix_spawnp, ENOSYS)
    return next(pid, file, actions, attributes, argv, envp);
}
int raw_system(const char *command) {
    NEXT_OF(system, -1)
    return next(command);
}
FILE *raw_popen(const char *command, const char *mode) {
    NEXT_OF(popen, NULL)
    return next(command, mode);
}
int raw_clone(int (*function)(void *), void *stack, int flags, void *argument, ...) {
    NEXT_OF(clone, -1)
    va_list list;
    va_start(list, argument);
    void *parent = va_arg(list, void *), *tls = va_arg(list, void *), *child = va_arg(list, void *);
    va_end(list);
    return next(function, stack, flags, argument, parent, tls, child);
}
/* Never called: our execl, execle and execlp turn their list into an array and go through execve or execvp. */
int raw_execl(const char *path, const char *first, ...) {
    (void)path, (void)first;
    return (int)answer(-ENOSYS);
}
int raw_execle(const char *path, const char *first, ...) {
    return raw_execl(path, first);
}
int raw_execlp(const char *file, const char *first, ...) {
    return raw_execl(file, first);
}
