#include "connect/limit.h"

#include <signal.h>
#include <stddef.h>

#include "base/sys.h"
#include "client/sockinfo.h"

enum { MICROSECOND = 1000, SIGNALS = 64, MASK_BYTES = 8, LIBC_FIRST = 32, LIBC_LAST = 33 };

bool limit_look(struct connecting *k) {
    if (k->limit_known)
        return true;
    if (!sockinfo_blocking(k->call->fd) || !sockinfo_send_limit(k->call->fd, &k->limit))
        return false;
    k->cookie = sockinfo_cookie(k->call->fd);
    k->limit_known = true;
    return true;
}

uint64_t limit_left(const struct connecting *k) {
    uint64_t spent = clock_ns(CLOCK_MONOTONIC) - k->began;
    if (k->limit == 0)
        return 0;
    return spent + MICROSECOND < k->limit ? k->limit - spent : MICROSECOND; /* 0 would mean without end */
}

bool limit_is_same(const struct connecting *k) {
    return k->number == NUMBER_OURS && sockinfo_cookie(k->call->fd) == k->cookie;
}

/* The thread was cancelled in the connect, or jumps out of it from a signal handler. */
static void put_back(void *context) {
    limit_over(context);
}

void limit_set(struct connecting *k, uint64_t ns) {
    if (!limit_is_same(k))
        return;
    k->limited = true;
    k->call->unwound = put_back;
    k->call->context = k;
    sockinfo_set_send_limit(k->call->fd, ns);
}

void limit_set_left(struct connecting *k) {
    if (k->limit)
        limit_set(k, limit_left(k));
    else
        limit_over(k);
}

__attribute__((noinline)) void limit_over(struct connecting *k) {
    if (k->limited && limit_is_same(k))
        sockinfo_set_send_limit(k->call->fd, k->limit);
    k->limited = false;
    k->call->unwound = NULL;
}

/* The kernel's: handler and flags are the first of it (asm-generic/signal.h, and x86's). */
struct action {
    unsigned long handler, flags, rest[8];
};

bool limit_restarts(const struct connecting *k) {
    if (k->limit)
        return false;
    for (int i = 1; i <= SIGNALS; i++) {
        struct action a = {0};
        if (i >= LIBC_FIRST && i <= LIBC_LAST)
            continue; /* glibc's own, for setuid and cancellation: they restart calls */
        if (sys_call4(SYS_rt_sigaction, i, 0, &a, MASK_BYTES) != 0)
            return false;
        if (a.handler != (unsigned long)SIG_DFL && a.handler != (unsigned long)SIG_IGN && !(a.flags & SA_RESTART))
            return false;
    }
    return true;
}
