#include "connect/prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>

#include "base/kernel_constants.h"
#include "client/client.h"
#include "client/open_table.h"
#include "client/sockinfo.h"
#include "client/track.h"
#include "base/sys.h"

/* Asked of the first socket of the process alone. Threads that race ask twice, and find the same. */
__attribute__((noinline)) static bool no_port_took(struct client *client, int fd) {
    int value = 0;
    if (__atomic_load_n(&client->no_port_works, __ATOMIC_RELAXED))
        return true;
    int r = get_option(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &value);
    /* Once more before the whole process goes without: another thread may have put another socket in its place. */
    if (r == 0 && value == 0 && set_option(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1) == 0)
        r = get_option(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &value);
    bool took = r == 0 && value == 1;
    /* EBADF and the like say something of this socket, EPERM of a filter. */
    bool known = took || (r == 0 && value == 0) || r == -ENOPROTOOPT || r == -EOPNOTSUPP || r == -EPROTO;
    if (known)
        __atomic_store_n(took ? &client->no_port_works : &client->no_port_fails, true, __ATOMIC_RELAXED);
    return took || !known;
}

int prepare_no_port(struct client *client, int fd, struct conn *c) {
    if (conn_flags(c) & (CONN_OUR_NO_PORT | CONN_APP_NO_PORT))
        return 0;
    if (__atomic_load_n(&client->no_port_fails, __ATOMIC_RELAXED))
        return -ENOPROTOOPT;
    int r = set_option(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    if (r == 0 && !no_port_took(client, fd)) {
        (void)set_option(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 0); /* in case it did something all the same */
        return -ENOPROTOOPT;
    }
    if (r == 0)
        conn_set_flags(c, CONN_OUR_NO_PORT);
    return r;
}

int prepare_bind(int fd, struct conn *c, const struct endpoint *source) {
    struct sockaddr_storage name;
    struct endpoint at = {.addr = source->addr, .scope = source->scope};
    socklen_t length = endpoint_to_sockaddr(&name, &at, c->family);
    if (length == 0)
        return -EAFNOSUPPORT;
    int r = (int)sys_call3(SYS_bind, fd, &name, length);
    if (r == 0) {
        bool v6 = !addr_is_v4(&source->addr);
        c->source = source->addr;
        conn_set_flags(c, CONN_OUR_BIND | CONN_OUR_LOCK | (v6 ? CONN_OUR_V6ONLY : 0));
    }
    return r;
}

int prepare_range(struct client *client, int fd, struct conn *c, struct port_range range) {
    if (conn_flags(c) & CONN_APP_RANGE || __atomic_load_n(&client->no_port_range, __ATOMIC_RELAXED))
        return 0;
    uint32_t low = range.low, high = range.high;
    if (high == 0) {
        low = 1;
        high = 65535;
    }
    int r = set_option(fd, SOL_IP, IP_LOCAL_PORT_RANGE, (int)(high << 16 | low));
    if (r == -ENOPROTOOPT) {
        __atomic_store_n(&client->no_port_range, true, __ATOMIC_RELAXED);
        return 0;
    }
    if (r == 0)
        conn_set_flags(c, CONN_OUR_RANGE);
    return r;
}

int prepare_freebind(int fd, struct conn *c, bool v6) {
    if (conn_flags(c) & (CONN_OUR_FREEBIND | CONN_APP_FREEBIND))
        return 0;
    int r = v6 ? set_option(fd, SOL_IPV6, IPV6_FREEBIND, 1) : set_option(fd, SOL_IP, IP_FREEBIND, 1);
    if (r == 0)
        conn_set_flags(c, CONN_OUR_FREEBIND);
    return r;
}

enum { OURS = CONN_OUR_BIND | CONN_OUR_V6ONLY | CONN_OUR_RANGE | CONN_OUR_FREEBIND | CONN_OUR_NO_PORT };

/* Where the client would see that it failed: once more. */
static bool bind_again(int fd, const struct sockaddr_storage *name, socklen_t length) {
    return sys_call3(SYS_bind, fd, name, length) == 0 || sys_call3(SYS_bind, fd, name, length) == 0;
}

/* What a new AF_INET6 socket starts with. Read only when an undo needs it and the client never said. */
static int v6only_default(void) {
    char c = '0';
    int fd = (int)sys_call4(SYS_openat, AT_FDCWD, "/proc/sys/net/ipv6/bindv6only", O_RDONLY | O_CLOEXEC, 0);
    if (fd >= 0) {
        (void)sys_call3(SYS_read, fd, &c, 1);
        (void)sys_call1(SYS_close, fd);
    }
    return c == '1';
}

/* What it has of a source is neither ours nor the client's, but what the kernel chose for an earlier destination. */
static bool keeps_old_source(uint32_t flags) {
    return flags & CONN_OUR_LOCK && !(flags & (CONN_OUR_BIND | CONN_OUR_PORT | CONN_APP_ADDRESS | CONN_APP_PORT));
}

/* Apart: few sockets come here. */
__attribute__((noinline)) static void undo(int fd, struct conn *c, uint32_t flags) {
    struct sockaddr_storage name;
    struct endpoint before = {0}; /* the wildcard */
    bool old_source = keeps_old_source(flags);
    if (old_source && !(flags & (CONN_OUR_NO_PORT | CONN_APP_NO_PORT)) &&
        set_option(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1) == 0)
        flags |= CONN_OUR_NO_PORT;
    if (flags & CONN_OUR_BIND || (old_source && flags & (CONN_OUR_NO_PORT | CONN_APP_NO_PORT))) {
        if (flags & CONN_APP_ADDRESS)
            before.addr = c->app;
        socklen_t length = endpoint_to_sockaddr(&name, &before, c->family);
        (void)bind_again(fd, &name, length);
        c->source = before.addr;
        c->local_port = 0;
    }
    if (flags & CONN_OUR_V6ONLY) {
        int value = flags & CONN_APP_V6ONLY ? 1 : flags & CONN_APP_V6DUAL ? 0 : v6only_default();
        if (value == 0)
            (void)set_option(fd, SOL_IPV6, IPV6_V6ONLY, 0);
    }
    if (flags & CONN_OUR_RANGE)
        (void)set_option(fd, SOL_IP, IP_LOCAL_PORT_RANGE, 0);
    if (flags & CONN_OUR_FREEBIND) /* one flag of the socket behind both options */
        (void)set_option(fd, SOL_IP, IP_FREEBIND, 0);
    if (flags & CONN_OUR_NO_PORT && !(flags & CONN_APP_ADDRESS))
        (void)set_option(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 0);
    conn_clear_flags(c, flags & CONN_APP_ADDRESS ? OURS & ~(uint32_t)CONN_OUR_NO_PORT : OURS);
}

void prepare_undo(int fd, struct conn *c) {
    uint32_t flags = conn_flags(c);
    if (flags & (OURS | CONN_OUR_LOCK))
        undo(fd, c, flags);
}

/* The client was told that it has the address, and expects a port there. */
void prepare_settle_port(int fd, struct conn *c) {
    struct sockaddr_storage name;
    struct endpoint at = {.addr = c->app};
    if (!(conn_flags(c) & CONN_OUR_NO_PORT))
        return; /* the client asked for a late port itself */
    (void)sockinfo_local(fd, &at);
    at.port = 0;
    socklen_t length = endpoint_to_sockaddr(&name, &at, c->family);
    if (length == 0 || (set_option(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 0) != 0 &&
                        set_option(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 0) != 0))
        return;
    conn_clear_flags(c, CONN_OUR_NO_PORT | CONN_APP_ADDRESS);
    if (bind_again(fd, &name, length))
        conn_set_flags(c, CONN_APP_PORT);
}

bool prepare_lost_port(int fd) {
    struct endpoint name;
    return sockinfo_local(fd, &name) && name.port != 0;
}

void prepare_settle_bound(int fd, struct conn *c) {
    int saved = errno;
    if (conn_flags(c) & CONN_APP_ADDRESS && !prepare_lost_port(fd))
        prepare_settle_port(fd, c);
    errno = saved;
}

static bool is_prepared(const struct conn *c) {
    return c->phase == CONN_IDLE && conn_flags(c) & (CONN_TRIED | CONN_APP_ADDRESS);
}

void prepare_hand_over(int fd, struct conn *c) {
    if (!is_prepared(c))
        return;
    prepare_undo(fd, c);
    if (conn_flags(c) & CONN_APP_ADDRESS)
        prepare_settle_port(fd, c);
}

void prepare_hand_over_to_exec(void) {
    struct conn *c;
    for (int fd = 0; (fd = fd_next_tcp(fd, INT_MAX)) >= 0; fd++)
        if (fd_look(fd, &c) == FD_TCP && is_prepared(c) && sys_call2(SYS_fcntl, fd, F_GETFD) == 0)
            prepare_hand_over(fd, c);
}

void prepare_disconnected(int fd, struct conn *c) {
    c->phase = CONN_IDLE;
    c->shutdown_phase = TCP_STATE_UNKNOWN;
    c->local_port = 0;
    open_table_closed(c);
    conn_uncount(c, false, clock_ns(CLOCK_MONOTONIC));
    conn_clear_flags(c, CONN_COUNTED | CONN_SHUT | CONN_PEER_ASK | CONN_ASKED);
    if (fd_is(fd, c))
        prepare_undo(fd, c);
}
