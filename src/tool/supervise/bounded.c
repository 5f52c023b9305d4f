#include "tool/supervise/bounded.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum { PATIENCE_NS = 2000000 };

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
static void set_timer(struct bounded *b, long ns) {
    const struct itimerspec when = {.it_value = {.tv_nsec = ns}, .it_interval = {.tv_nsec = ns}};
    b->runs = syscall(SYS_timer_settime, b->timer, 0, &when, NULL) == 0 && ns != 0;
}

int bounded_connect(struct bounded *b, int fd, const struct sockaddr *address, socklen_t length) {
    if (!b->runs)
        set_timer(b, PATIENCE_NS);
    if (b->runs)
        return connect(fd, address, length);
    errno = EINTR;
    return -1;
}

void bounded_rest(struct bounded *b) {
    if (b->runs)
        set_timer(b, 0);
}
