#include "tool/supervise/bounded.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum { PATIENCE_NS = 1000000 };

static void nothing(int number) {
    (void)number;
}

void bounded_signal(void) {
    struct sigaction action = {.sa_handler = nothing}; /* no SA_RESTART */
    sigaction(SIGRTMIN, &action, NULL);
}

void bounded_begin(struct bounded *b) {
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN};
    sigset_t set;
    event.sigev_notify_thread_id = (int)syscall(SYS_gettid);
    b->usable = syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &b->timer) == 0;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* Again and again: the first may come before the connect does. */
static void set_timer(const struct bounded *b, long ns) {
    const struct itimerspec when = {.it_value = {.tv_nsec = ns}, .it_interval = {.tv_nsec = ns}};
    (void)syscall(SYS_timer_settime, b->timer, 0, &when, NULL);
}

int bounded_connect(const struct bounded *b, int fd, const struct sockaddr *address, socklen_t length, bool blocking) {
    if (blocking)
        set_timer(b, PATIENCE_NS);
    int r = (int)syscall(SYS_connect, fd, address, length);
    int error = errno;
    if (blocking)
        set_timer(b, 0);
    errno = error;
    return r;
}
