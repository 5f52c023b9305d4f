/* lifecycles_close.h - every way in which a process gives a connection up, and ends. Part of lifecycles.c. */
#ifndef LIFECYCLES_CLOSE_H
#define LIFECYCLES_CLOSE_H

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lifecycles_orders.h"

static void *close_in_thread(void *fd) {
    (void)close(*(int *)fd);
    return NULL;
}

/* Two threads for each descriptor: one of the two closes it. */
static int close_together(const struct order *o, int threads_each) {
    pthread_t thread[2 * FDS_MAX];
    struct order mine = *o;
    int n = 0;
    for (int i = 0; i < o->n; i++)
        for (int j = 0; j < threads_each; j++)
            n += pthread_create(&thread[n], NULL, close_in_thread, &mine.fds[i]) == 0;
    for (int i = 0; i < n; i++)
        (void)pthread_join(thread[i], NULL);
    return n == threads_each * o->n ? 0 : -1;
}

static int close_stream(int fd, bool again) {
    FILE *f = fdopen(fd, "r+");
    if (!f)
        return -1;
    if (again && !(f = freopen("/dev/null", "r", f)))
        return -1;
    return fclose(f);
}

/* Something else is under its number now; that goes too. */
static int replaced(int r, int fd) {
    return r < 0 ? r : (int)syscall(SYS_close, fd);
}

static int do_close(const struct order *o) {
    struct order one = {.n = 1, .fds = {o->fd}};
    int fd = o->fd;
    switch ((enum close_how)o->how) {
    case CLOSE_SYSCALL:
        return (int)syscall(SYS_close, fd);
    case CLOSE_DUP2:
        return replaced(dup2(NOTHING, fd), fd);
    case CLOSE_DUP3:
        return replaced(dup3(NOTHING, fd, O_CLOEXEC), fd);
    case CLOSE_SYSCALL_DUP3:
        return replaced((int)syscall(SYS_dup3, NOTHING, fd, 0), fd);
    case CLOSE_RANGE_ONE:
        return close_range((unsigned)fd, (unsigned)fd, 0);
    case CLOSE_RANGE_UNSHARED:
        return close_range((unsigned)fd, (unsigned)fd, CLOSE_RANGE_UNSHARE);
    case CLOSE_SYSCALL_RANGE:
        return (int)syscall(SYS_close_range, fd, fd, 0);
    case CLOSE_FCLOSE:
    case CLOSE_FREOPEN:
        return close_stream(fd, o->how == CLOSE_FREOPEN);
    case CLOSE_THREAD:
        return close_together(&one, 1);
    case CLOSE_FROM:
        closefrom(fd);
        return 0;
    default:
        return close(fd);
    }
}

/* No join: in a child of a bare clone, libc waits for ever for a thread id that the kernel was never told. Whichever of
 * the two threads ends last ends the process. */
static void *end_here(void *unused) {
    (void)poll(NULL, 0, 2);
    return unused;
}

static void do_end(int how) {
    pthread_t last;
    switch ((enum end_how)how) {
    case END__EXIT:
        _exit(0);
    case END_QUICK_EXIT:
        quick_exit(0);
    case END_SYSCALL:
        (void)syscall(SYS_exit_group, 0);
        break;
    case END_THREAD: /* the last thread's end is an exit(0) */
        if (pthread_create(&last, NULL, end_here, NULL) == 0)
            pthread_exit(NULL);
        break;
    default:
        exit(0);
    }
}

#endif
