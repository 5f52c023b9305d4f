/* The calls that close a descriptor, or make a second one of it. */
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>

#include "client/track.h"
#include "shim/self.h"
#include "close/closing.h"
#include "client/sockinfo.h"
#include "client/process.h"
#include "shim/real.h"
#include "shim/cancel.h"
#include "base/sys.h"
#include "close/exit_close.h"
#include "close/located.h"
#include "connect/prepare.h"
#include "shim/seal.h"

#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE (1U << 1)
#endif
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

/* A close that failed with EBADF closed nothing; any other result has freed the number (Linux, close(2)). */
static int close_via(int fd, enum via via, int (*next)(int)) {
    struct closing c;
    closing_begin(&c, &client, fd, via, true);
    int r = next(fd);
    closing_end(&c, r == 0 || errno != EBADF);
    return r;
}

/* The same for a call in which the thread may be cancelled. Where it may wait for long it must be reached by a
 * cancellation meanwhile: with SO_LINGER and a time, and in the close of what is no TCP, a file of NFS or a terminal.
 */
static int close_cancellable(int fd) {
    struct closing c;
    int before = cancel_hold();
    closing_begin(&c, &client, fd, VIA_CLOSE, true);
    bool ours = c.conn || c.claimed;
    if (!ours || (c.conn && conn_flags(c.conn) & CONN_LINGER_WAIT))
        cancel_allow(before);
    int r = real_close(fd);
    closing_end(&c, r == 0 || errno != EBADF);
    cancel_allow(before);
    return r;
}

EXPORT int close(int fd) {
    struct conn *c;
    enum fd_kind kind = client_active(&client) ? fd_look(fd, &c) : FD_NOT_TCP;
    if (kind == FD_TCP || kind == FD_UNKNOWN)
        return close_cancellable(fd);
    return close_via(fd, VIA_CLOSE, real_close);
}

/* --- copies --- */

static void name_copy(int from, int to) {
    struct conn *c;
    switch (fd_look(from, &c)) {
    case FD_TCP:
        c = conn_share(from);
        if (c)
            conn_install(&client, to, c);
        else
            fd_set_unknown(to);
        break;
    case FD_NOT_TCP:
        fd_set_not_tcp(to);
        break;
    default:
        fd_set_unknown(to); /* whatever the number was before */
        break;
    }
}

/* to has just become another name for what from is. In a vfork child no record changes: for the parent, whose memory
 * this is, both numbers are what they were. */
static void copied(int from, int to) {
    struct conn *c;
    int saved = errno;
    bool records = fd_look(from, &c) == FD_TCP || fd_look(to, &c) == FD_TCP;
    if (!records || process_may_record(&client))
        name_copy(from, to);
    errno = saved;
}

EXPORT int dup(int fd) {
    int r = real_dup(fd);
    if (r >= 0 && client_active(&client))
        copied(fd, r);
    return r;
}

static void dup_done(struct closing *c, int from, int to, int r) {
    if (r < 0) {
        closing_abort(c);
        return;
    }
    closing_end(c, true);
    if (client_active(&client))
        copied(from, to);
}

static int dup2_via(int from, int to, enum via via) {
    struct closing c;
    if (from == to)
        return real_dup2(from, to);
    closing_begin(&c, &client, to, via, false);
    int r = real_dup2(from, to);
    dup_done(&c, from, to, r);
    return r;
}

static int dup3_via(int from, int to, int flags, enum via via) {
    struct closing c;
    if (from == to)
        return real_dup3(from, to, flags); /* EINVAL */
    closing_begin(&c, &client, to, via, false);
    int r = real_dup3(from, to, flags);
    dup_done(&c, from, to, r);
    return r;
}

EXPORT int dup2(int from, int to) {
    return dup2_via(from, to, VIA_DUP2);
}

EXPORT int dup3(int from, int to, int flags) {
    return dup3_via(from, to, flags, VIA_DUP3);
}

/* fcntl is variadic, and every argument that the kernel knows fits a pointer: passed on as libc itself does. */
static int fcntl_via(int (*next)(int, int, ...), int fd, int command, void *argument) {
    int r = next(fd, command, argument);
    if (r >= 0 && (command == F_DUPFD || command == F_DUPFD_CLOEXEC) && client_active(&client))
        copied(fd, r);
    return r;
}

EXPORT int fcntl(int fd, int command, ...) {
    va_list list;
    va_start(list, command);
    void *argument = va_arg(list, void *);
    va_end(list);
    return fcntl_via(real_fcntl, fd, command, argument);
}

EXPORT int fcntl64(int fd, int command, ...) {
    va_list list;
    va_start(list, command);
    void *argument = va_arg(list, void *);
    va_end(list);
    return fcntl_via(real_fcntl64, fd, command, argument);
}
EXPORT_TWIN(__fcntl_time64, fcntl64)

/* --- ranges --- */

/* Tracked descriptors first, one by one, each with its event; the rest is the real call's. */
static void close_tracked(unsigned first, unsigned last, int flags, enum via via) {
    int saved = errno;
    unsigned known = CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC;
    bool closes = first <= last && first <= INT_MAX && !(flags & (int)(CLOSE_RANGE_CLOEXEC | ~known));
    bool asks = client_asks(&client);
    if (closes && asks && process_may_record(&client))
        track_find(&client, (int)first, last > INT_MAX ? INT_MAX : (int)last);
    /* What CLOSE_RANGE_UNSHARE does, done first, so that only this thread's table loses the descriptors. */
    if (closes && !asks && flags & (int)CLOSE_RANGE_UNSHARE)
        closes = false; /* the other threads go on with theirs */
    else if (closes && flags & (int)CLOSE_RANGE_UNSHARE && fd_next_tcp((int)first, INT_MAX) >= 0) {
        process_shared_now();
        closes = sys_call1(SYS_unshare, 0x400 /* CLONE_FILES */) == 0;
    }
    if (closes && client_active(&client))
        exit_close_range(&client, first, last, via);
    errno = saved;
}

EXPORT int close_range(unsigned int first, unsigned int last, int flags) {
    close_tracked(first, last, flags, VIA_CLOSE_RANGE);
    return real_close_range(first, last, flags);
}

EXPORT void closefrom(int first) {
    close_tracked(first < 0 ? 0 : (unsigned)first, UINT_MAX, 0, VIA_CLOSEFROM);
    real_closefrom(first);
}

/* --- stdio over a socket: libc closes without coming through close --- */

/* What is buffered in a stream goes out after the last exit handler: its socket must not be closed by exit_close_all.
 */
EXPORT FILE *fdopen(int fd, const char *mode) {
    FILE *stream = real_fdopen(fd, mode);
    if (stream && client_active(&client)) {
        int saved = errno;
        struct conn *c = conn_of(&client, fd);
        if (c)
            conn_set_flags(c, CONN_STDIO);
        errno = saved;
    }
    return stream;
}

EXPORT int fclose(FILE *stream) {
    struct closing c = {.client = &client};
    int saved = errno;
    if (client_active(&client))
        closing_begin(&c, &client, fileno(stream), VIA_FCLOSE, true);
    errno = saved;
    int r = real_fclose(stream);
    closing_end(&c, true);
    return r;
}

static FILE *freopen_via(FILE *(*next)(const char *, const char *, FILE *), const char *path, const char *mode,
                         FILE *stream) {
    struct closing c = {.client = &client};
    int saved = errno;
    if (client_active(&client))
        closing_begin(&c, &client, fileno(stream), VIA_FREOPEN, true);
    errno = saved;
    FILE *r = next(path, mode, stream);
    closing_end(&c, true);
    return r;
}

EXPORT FILE *freopen(const char *path, const char *mode, FILE *stream) {
    return freopen_via(real_freopen, path, mode, stream);
}

EXPORT FILE *freopen64(const char *path, const char *mode, FILE *stream) {
    return freopen_via(real_freopen64, path, mode, stream);
}

/* --- shutdown --- */

/* Held: another thread may close it meanwhile. NULL: nothing is known of it. */
static struct conn *hold_to_shut(int fd, bool asks) {
    enum tcp_state phase;
    struct conn *c;
    if (asks && fd_look(fd, &c) == FD_UNKNOWN && fd >= 0 && sockinfo_state(fd, &phase, NULL) == 0 &&
        process_may_record(&client))
        return conn_hold(&client, fd);
    return conn_hold_of(fd);
}

/* Our FIN goes out: what the state was just before says later which end closed first. False: that needs not be known.
 */
static bool look_before_shutdown(struct conn *c, int fd, int how, enum tcp_state *phase) {
    conn_catch_up(&client, c, fd, false);
    if (c->phase != CONN_CONNECTED && c->phase != CONN_CONNECTING)
        return false;
    conn_set_flags(c, CONN_SHUT);
    if (c->shutdown_phase != TCP_STATE_UNKNOWN || sockinfo_state(fd, phase, NULL) != 0)
        return false;
    if (how == SHUT_RD && *phase != TCP_STATE_SYN_SENT)
        return false;
    uint32_t token = located_token(&client, c, fd);
    if (token != 0 && token != MPTCP_UNKNOWN)
        (void)sockinfo_mptcp_phase(token, phase);
    /* From now on its TIME-WAIT may exist before its close: it must be known whose it is. */
    located_complete(c, fd);
    return true;
}

/* NULL: there is nothing to note afterwards. */
static struct conn *before_shutdown(int fd, int how, uint32_t *serial, enum tcp_state *phase) {
    bool asks = client_asks(&client), noted = false;
    struct conn *c = hold_to_shut(fd, asks);
    if (!c)
        return NULL;
    *serial = conn_serial(c);
    if (asks)
        noted = look_before_shutdown(c, fd, how, phase);
    else
        conn_set_flags(c, CONN_SHUT);
    conn_release(&client, c);
    return noted ? c : NULL;
}

/* What is still connecting is dissolved, as by connect(AF_UNSPEC): inet_shutdown(). It may have connected meanwhile. */
static void after_shutdown(struct conn *c, int fd, int how, enum tcp_state before) {
    enum tcp_state now;
    if (before == TCP_STATE_SYN_SENT && sockinfo_state(fd, &now, NULL) == 0 && now == TCP_STATE_CLOSED) {
        prepare_disconnected(fd, c);
    } else if (how != SHUT_RD) {
        c->shutdown_phase = (uint8_t)before;
        c->shutdown_ns = clock_ns(CLOCK_MONOTONIC);
    }
}

EXPORT int shutdown(int fd, int how) {
    struct conn *c = NULL;
    uint32_t serial = 0;
    enum tcp_state phase = TCP_STATE_UNKNOWN;
    int saved = errno;
    if (client_active(&client))
        c = before_shutdown(fd, how, &serial, &phase);
    errno = saved;
    int r = real_shutdown(fd, how);
    if (r == 0 && c && conn_take(c, serial)) {
        after_shutdown(c, fd, how, phase);
        conn_release(&client, c);
        errno = saved;
    }
    return r;
}

/* --- syscall(2): node and libuv close this way. Every other number is passed on untouched. --- */

static int syscall_close(int fd) {
    return (int)real_syscall(SYS_close, fd);
}

EXPORT long syscall(long number, ...) {
    long a[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    switch (number) {
    case SYS_close:
        return close_via((int)a[0], VIA_SYSCALL, syscall_close);
    case SYS_close_range:
        close_tracked((unsigned)a[0], (unsigned)a[1], (int)a[2], VIA_SYSCALL);
        break;
#ifdef SYS_dup2
    case SYS_dup2:
        return dup2_via((int)a[0], (int)a[1], VIA_SYSCALL);
#endif
    case SYS_dup3:
        return dup3_via((int)a[0], (int)a[1], (int)a[2], VIA_SYSCALL);
#ifdef SYS_vfork
    case SYS_vfork:
#endif
#ifdef SYS_clone3
    case SYS_clone3:
#endif
    case SYS_clone:
        process_refresh(&client);
        process_shared_now();
        process_shares_memory();
        break;
#ifdef SYS_fork
    case SYS_fork:
        process_refresh(&client);
        process_shared_now();
        break;
#endif
    case SYS_exit_group:
        exit_close_all(&client, VIA__EXIT, true);
        break;
    default:
        break;
    }
    bool seals = seal_is(number, a);
    if (seals)
        seal_begin();
    long r = real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (seals)
        seal_end(r >= 0);
    return r;
}
