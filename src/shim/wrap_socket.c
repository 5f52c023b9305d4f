/* The calls that make, name and configure a socket: what they teach need not be asked again at connect and close. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "base/kernel_constants.h"
#include "client/track.h"
#include "client/arm.h"
#include "shim/self.h"
#include "connect/diagnosis.h"
#include "client/events.h"
#include "client/open_table.h"
#include "client/sockinfo.h"
#include "connect/prepare.h"
#include "client/process.h"
#include "shim/real.h"
#include "base/sys.h"
#include "state/control.h"

/* Mode off keeps no new records: they need memory, and so a system call. A sealed process has what it has had. */
static bool may_record(void) {
    return client_asks(&client) || (client_active(&client) && sys_sealed());
}

static bool names_tcp(int family, int type, int protocol) {
    return (family == AF_INET || family == AF_INET6) && (type & 0xf) == SOCK_STREAM &&
           (protocol == 0 || protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP);
}

/* Another library's socket() behind ours may make MPTCP of what is to be TCP (mptcpize), in all of the process: the
 * first such socket says whether the others must be asked, too. Threads that race ask twice, and find the same. */
static bool is_mptcp(int fd, int asked_for) {
    int protocol = asked_for;
    if (asked_for == IPPROTO_MPTCP || __atomic_load_n(&client.protocol_kept, __ATOMIC_RELAXED))
        return asked_for == IPPROTO_MPTCP;
    if (get_option(fd, SOL_SOCKET, SO_PROTOCOL, &protocol) == 0 && protocol == IPPROTO_TCP)
        __atomic_store_n(&client.protocol_kept, true, __ATOMIC_RELAXED);
    return protocol == IPPROTO_MPTCP;
}

__attribute__((noinline)) static void socket_failed(bool tcp) {
    int saved = errno;
    if (!tcp || (saved != EMFILE && saved != ENFILE) || client_settings(&client).mode == MODE_OFF)
        return;
    state_count(&client.state, arm_of_process(&client), saved == EMFILE ? COUNT_EMFILE : COUNT_ENFILE);
    diagnosis_no_descriptor(&client, arm_of_process(&client), saved);
    errno = saved;
}

__attribute__((flatten)) EXPORT int socket(int family, int type, int protocol) {
    bool records = may_record(), tcp = names_tcp(family, type, protocol);
    uint32_t generation = records ? process_generation_now(&client) : 0;
    int fd = real_socket(family, type, protocol);
    if (!client_active(&client))
        return fd;
    if (fd < 0) {
        socket_failed(tcp && records);
        return fd;
    }
    if (!records) {
        fd_set_unknown(fd); /* whatever the number was before */
        return fd;
    }
    int saved = errno;
    struct conn *c = tcp ? conn_made(&client, family, is_mptcp(fd, protocol), generation) : NULL;
    if (c)
        conn_install(&client, fd, c);
    else if (!tcp)
        fd_set_not_tcp(fd);
    errno = saved;
    return fd;
}

/* --- accepted connections --- */

/* What the number of the listener stands for, before a call in which the thread may sleep. */
struct listener {
    int fd;
    enum fd_kind kind;
    struct conn *conn;
    uint32_t serial, generation, flags;
    uint8_t family; /* 0: no TCP, as far as is known */
};

static struct listener look_listener(int fd) {
    struct listener l = {.fd = fd};
    if (!may_record())
        return l;
    l.generation = process_generation_now(&client);
    l.kind = fd_look(fd, &l.conn);
    if (l.kind == FD_TCP) {
        l.serial = conn_serial(l.conn);
        l.flags = conn_flags(l.conn);
        l.family = l.conn->family;
    }
    return l;
}

/* What is known of it now, unless its record has become another's. One never seen is looked at. */
static void look_listener_again(struct listener *l) {
    struct conn *c = l->conn;
    if (l->kind == FD_TCP ? !conn_take(c, l->serial) : !(c = conn_hold(&client, l->fd)))
        return;
    l->flags = conn_flags(c);
    l->family = c->family;
    conn_release(&client, c);
}

/* Nothing may be asked: known to its close, if there is memory for it. */
static void accepted_sealed(const struct listener *l, int fd) {
    struct conn *c = NULL;
    if (l->kind == FD_TCP)
        c = conn_made(&client, l->family, l->flags & CONN_MPTCP, l->generation);
    if (!c) {
        fd_set_unknown(fd);
        return;
    }
    conn_set_flags(c, CONN_INBOUND);
    c->phase = CONN_CONNECTED;
    conn_install(&client, fd, c);
}

static void accepted(struct listener *listener, int fd, const struct sockaddr *address, const socklen_t *length) {
    struct settings now = client_settings(&client);
    if (!settings_ask(now)) {
        if (sys_sealed())
            accepted_sealed(listener, fd);
        else
            fd_set_unknown(fd);
        return;
    }
    if (listener->kind == FD_NOT_TCP) {
        fd_set_not_tcp(fd);
        return;
    }
    look_listener_again(listener);
    int family;
    bool mptcp = listener->flags & CONN_MPTCP;
    if (mptcp && !sockinfo_is_tcp(fd, &family, &mptcp)) /* a peer without MPTCP comes in as plain TCP */
        mptcp = false;
    struct conn *c = listener->family ? conn_made(&client, listener->family, mptcp, listener->generation) : NULL;
    if (!c) { /* no memory; or the listener is not TCP, or closed by now: its close will look */
        fd_set_unknown(fd);
        return;
    }
    /* The listener's SO_LINGER and TCP_LINGER2 come with the connection (inet_csk_clone_lock). */
    uint32_t inherited = listener->flags & (CONN_LINGER_RESET | CONN_LINGER_WAIT | CONN_LINGER2_OFF);
    conn_set_flags(c, CONN_INBOUND | inherited | (now.log_inbound ? 0 : CONN_QUIET));
    c->phase = CONN_CONNECTED;
    c->connected_ns = clock_ns(CLOCK_MONOTONIC);
    c->arm = (uint8_t)arm_now(&client, &now);
    if (!address || !length || !endpoint_from_sockaddr(&c->peer, address, *length))
        conn_set_flags(c, sockinfo_peer(fd, &c->peer) ? 0 : CONN_PEER_ASK);
    client_attach(&client, fd, (enum arm)c->arm);
    open_table_opened(&client, c);
    conn_install(&client, fd, c);
}

EXPORT int accept(int fd, struct sockaddr *address, socklen_t *length) {
    socklen_t room = address && length ? *length : 0;
    struct listener listener = look_listener(fd);
    int r = real_accept(fd, address, length);
    if (r >= 0 && client_active(&client)) {
        int saved = errno;
        accepted(&listener, r, room >= sizeof(struct sockaddr_in) ? address : NULL,
                 length && *length <= room ? length : NULL);
        errno = saved;
    }
    return r;
}

EXPORT int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) {
    socklen_t room = address && length ? *length : 0;
    struct listener listener = look_listener(fd);
    int r = real_accept4(fd, address, length, flags);
    if (r >= 0 && client_active(&client)) {
        int saved = errno;
        accepted(&listener, r, room >= sizeof(struct sockaddr_in) ? address : NULL,
                 length && *length <= room ? length : NULL);
        errno = saved;
    }
    return r;
}

EXPORT int listen(int fd, int backlog) {
    struct conn *c;
    /* What an earlier connect, which failed, left prepared is not for a listener. */
    if (client_active(&client) && fd_look(fd, &c) == FD_TCP && c->phase == CONN_IDLE && conn_flags(c) & CONN_TRIED)
        prepare_undo(fd, c);
    int r = real_listen(fd, backlog);
    if (r == 0 && client_active(&client) && fd_look(fd, &c) == FD_TCP)
        c->phase = CONN_LISTENING;
    return r;
}

/* --- options that matter at connect or close --- */

static void set_or_clear(struct conn *c, bool on, uint32_t flag) {
    if (on)
        conn_set_flags(c, flag);
    else
        conn_clear_flags(c, flag);
}

static bool pins(int level, int option) {
    return (level == SOL_SOCKET && (option == SO_BINDTODEVICE || option == SO_BINDTOIFINDEX || option == SO_MARK)) ||
           (level == IPPROTO_IP && option == IP_UNICAST_IF) || (level == IPPROTO_IPV6 && option == IPV6_UNICAST_IF);
}

/* Where the client bound before, it has its port: we had the option on, and took it from the kernel for later. */
static void note_no_port(int fd, struct conn *c, int number) {
    bool late = c->phase == CONN_IDLE && conn_flags(c) & CONN_APP_ADDRESS && conn_flags(c) & CONN_OUR_NO_PORT;
    if (late) {
        prepare_settle_port(fd, c);
        (void)set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, number != 0);
    }
    set_or_clear(c, number != 0, CONN_APP_NO_PORT);
    conn_clear_flags(c, CONN_OUR_NO_PORT);
}

static void note_option(int fd, struct conn *c, int level, int option, const void *value, socklen_t length) {
    int number = 0;
    struct linger linger;
    /* The kernel has accepted it, so it could be read; a one-byte value is allowed for IP options. */
    if (length >= sizeof number)
        memcpy(&number, value, sizeof number);
    else if (length >= 1)
        number = *(const unsigned char *)value;
    if (level == SOL_SOCKET && option == SO_LINGER && length >= sizeof linger) {
        memcpy(&linger, value, sizeof linger);
        set_or_clear(c, linger.l_onoff && linger.l_linger == 0, CONN_LINGER_RESET);
        set_or_clear(c, linger.l_onoff && linger.l_linger != 0, CONN_LINGER_WAIT);
    } else if (pins(level, option)) {
        conn_set_flags(c, CONN_PINNED); /* also when it is taken back: the next connect asks */
    } else if (level == IPPROTO_TCP && option == TCP_LINGER2) {
        set_or_clear(c, number < 0, CONN_LINGER2_OFF);
    } else if (level == IPPROTO_TCP && option == TCP_REPAIR) {
        set_or_clear(c, number > 0, CONN_REPAIR);
    } else if (level == IPPROTO_TCP && option == TCP_ULP) {
        conn_set_flags(c, CONN_ULP);
    } else if (level == IPPROTO_TCP && option == TCP_FASTOPEN_CONNECT) {
        set_or_clear(c, number != 0, CONN_FASTOPEN);
    } else if (level == IPPROTO_IP && option == IP_BIND_ADDRESS_NO_PORT) {
        note_no_port(fd, c, number);
    } else if (level == IPPROTO_IP && option == IP_LOCAL_PORT_RANGE) {
        set_or_clear(c, number != 0, CONN_APP_RANGE);
        conn_clear_flags(c, CONN_OUR_RANGE);
    } else if ((level == IPPROTO_IP && option == IP_FREEBIND) || (level == IPPROTO_IPV6 && option == IPV6_FREEBIND)) {
        set_or_clear(c, number != 0, CONN_APP_FREEBIND);
    } else if (level == IPPROTO_IPV6 && option == IPV6_V6ONLY) {
        conn_clear_flags(c, CONN_APP_V6ONLY | CONN_APP_V6DUAL);
        conn_set_flags(c, number ? CONN_APP_V6ONLY : CONN_APP_V6DUAL);
    } else if (level == IPPROTO_IPV6 && option == IPV6_ADDRFORM) {
        c->family = (uint8_t)number;
    }
}

EXPORT int setsockopt(int fd, int level, int option, const void *value, socklen_t length) {
    struct conn *c;
    if (level == IPPROTO_IPV6 && option == IPV6_V6ONLY && client_active(&client) && fd_look(fd, &c) == FD_TCP &&
        c->phase == CONN_IDLE)
        prepare_settle_bound(fd, c); /* the kernel refuses it once there is a port */
    int r = real_setsockopt(fd, level, option, value, length);
    if (r == 0 && value && client_active(&client) && fd_look(fd, &c) == FD_TCP)
        note_option(fd, c, level, option, value, length);
    return r;
}

/* How a connect that went on has failed: told once, and the kernel remembers it no longer. The kernel has just written
 * the value, so it can be read. */
static void note_error(struct conn *c, const void *value, socklen_t length) {
    int error = 0;
    if (length >= sizeof error)
        memcpy(&error, value, sizeof error);
    if (error > 0 && error <= UINT16_MAX && c->phase == CONN_CONNECTING)
        c->so_error = (uint16_t)error;
}

EXPORT int getsockopt(int fd, int level, int option, void *value, socklen_t *length) {
    struct conn *c;
    int r = real_getsockopt(fd, level, option, value, length);
    if (option == SO_ERROR && level == SOL_SOCKET && r == 0 && client_active(&client) && fd_look(fd, &c) == FD_TCP)
        note_error(c, value, *length);
    return r;
}

EXPORT_TWIN(__setsockopt64, setsockopt)
EXPORT_TWIN(__getsockopt64, getsockopt)
