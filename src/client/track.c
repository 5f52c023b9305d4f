#include "client/track.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include "client/client.h"
#include "client/open_table.h"
#include "client/sockinfo.h"
#include "client/process.h"
#include "base/sys.h"
#include "state/control.h"

struct conn *conn_made(struct client *client, int family, bool mptcp, uint32_t generation) {
    struct conn *c = conn_new();
    if (!c) {
        state_count(&client->state, ARM_CONTROL, COUNT_UNTRACKED);
        return NULL;
    }
    c->family = (uint8_t)family;
    c->generation = generation;
    c->arm = ARM_CONTROL;
    if (mptcp) {
        conn_set_flags(c, CONN_MPTCP);
        c->token = MPTCP_UNKNOWN;
    }
    return c;
}

/* What the client, or an earlier image of it, set before we came. */
static uint32_t options_of(int fd) {
    struct linger linger = {0};
    socklen_t length = sizeof linger;
    (void)sys_call5(SYS_getsockopt, fd, SOL_SOCKET, SO_LINGER, &linger, &length);
    return (linger.l_onoff ? linger.l_linger == 0 ? CONN_LINGER_RESET : CONN_LINGER_WAIT : 0) |
           (sockinfo_linger2_off(fd) ? CONN_LINGER2_OFF : 0);
}

__attribute__((noinline)) struct conn *track_adopt(struct client *client, int fd) {
    struct endpoint local = {0}, peer = {0};
    enum tcp_state phase = TCP_STATE_UNKNOWN;
    int family;
    bool mptcp;
    if (!sockinfo_is_tcp(fd, &family, &mptcp))
        return NULL;
    struct conn *c = conn_made(client, family, mptcp, process_generation());
    if (!c)
        return NULL;
    conn_set_flags(c, CONN_ADOPTED | CONN_PINNED | (client->ends_told ? 0 : options_of(fd)));
    (void)client_netns(client, fd);
    bool named = sockinfo_local(fd, &local);
    if (named && local.port == 0) { /* whatever was connected, or listens, has a port */
        if (!addr_is_any(&local.addr)) {
            c->source = c->app = local.addr;
            conn_set_flags(c, CONN_APP_ADDRESS | CONN_APP_NO_PORT);
        }
        return c;
    }
    (void)sockinfo_state(fd, &phase, NULL);
    if (named) {
        c->source = local.addr;
        c->local_port = local.port;
    }
    if (phase == TCP_STATE_LISTEN) {
        c->phase = CONN_LISTENING;
    } else if (sockinfo_peer(fd, &peer) || (phase == TCP_STATE_CLOSED && sockinfo_late_peer(fd, family, &peer))) {
        c->peer = peer;
        c->phase = CONN_CONNECTED;
    } else if (phase == TCP_STATE_SYN_SENT) {
        c->phase = CONN_CONNECTING;
        conn_set_flags(c, CONN_PEER_ASK);
    } else if (named) {
        conn_set_flags(c, CONN_APP_PORT);
    }
    return c;
}

/* SO_PEERNAME names a peer in every state but that of a socket that was never connected, or is so no more; of MPTCP's
 * it does even then, so there getpeername has to do. */
static bool find_peer(const struct conn *c, int fd, struct endpoint *peer) {
    return conn_flags(c) & CONN_MPTCP ? sockinfo_peer(fd, peer) : sockinfo_late_peer(fd, c->family, peer);
}

__attribute__((noinline)) void conn_catch_up(struct client *client, struct conn *c, int fd, bool shared) {
    struct endpoint peer;
    enum tcp_state phase = TCP_STATE_UNKNOWN;
    if (c->phase != CONN_IDLE || !find_peer(c, fd, &peer))
        return;
    (void)sockinfo_state(fd, &phase, NULL);
    (void)client_netns(client, fd);
    c->peer = peer;
    c->phase = phase == TCP_STATE_SYN_SENT || phase == TCP_STATE_SYN_RECV ? CONN_CONNECTING : CONN_CONNECTED;
    if (shared)
        conn_set_flags(c, CONN_ADOPTED);
}

void conn_uncount(const struct conn *c, bool time_wait, uint64_t now) {
    if (conn_flags(c) & CONN_COUNTED && c->generation >= process_first_generation())
        open_table_uncount(c, time_wait, now);
}

__attribute__((noinline)) static void install_over(struct client *client, struct conn *conn, struct conn *stale,
                                                   bool kept) {
    if (!kept) {
        state_count(&client->state, ARM_CONTROL, COUNT_UNTRACKED);
        stale = conn;
    } else if (stale) {
        state_count(&client->state, ARM_CONTROL, COUNT_UNSEEN_CLOSE);
    }
    if (stale && conn_unref(stale)) {
        conn_uncount(stale, false, clock_ns(CLOCK_MONOTONIC));
        conn_free(stale);
    }
}

void conn_install(struct client *client, int fd, struct conn *conn) {
    bool kept;
    struct conn *stale = fd_assign(fd, conn, &kept);
    if (!kept || stale)
        install_over(client, conn, stale, kept);
}

__attribute__((noinline)) struct conn *conn_of(struct client *client, int fd) {
    struct conn *conn;
    switch (fd_look(fd, &conn)) {
    case FD_TCP:
        return conn;
    case FD_NOT_TCP:
    case FD_CLOSING:
        return NULL;
    default:
        break;
    }
    if (fd < 0 || !client_asks(client))
        return NULL;
    conn = track_adopt(client, fd);
    if (!conn) {
        return NULL;
    }
    conn_install(client, fd, conn);
    /* Beyond the table's reach the record has been given back. */
    return fd_look(fd, &conn) == FD_TCP ? conn : NULL;
}

struct conn *conn_hold(struct client *client, int fd) {
    struct conn *c = conn_hold_of(fd);
    return c || !conn_of(client, fd) ? c : conn_hold_of(fd);
}

__attribute__((noinline)) static void give_back(struct client *client, struct conn *c) {
    bool open = c->phase == CONN_CONNECTED || c->phase == CONN_CONNECTING;
    if (open && !(conn_flags(c) & CONN_QUIET))
        state_count(&client->state, (enum arm)c->arm, COUNT_UNSEEN_CLOSE);
    conn_uncount(c, false, clock_ns(CLOCK_MONOTONIC));
    open_table_closed(c);
    conn_free(c);
}

void conn_release(struct client *client, struct conn *c) {
    if (conn_unhold(c))
        give_back(client, c);
}

enum { INHERITED_LOOK = 256 };

void track_find(struct client *client, int first, int last) {
    struct pollfd fds[INHERITED_LOOK];
    struct timespec now = {0};
    struct conn *conn;
    int n = last - first < INHERITED_LOOK - 1 ? last - first + 1 : INHERITED_LOOK;
    for (int i = 0; i < n; i++)
        fds[i] = (struct pollfd){.fd = first + i};
    if (sys_call5(SYS_ppoll, fds, n, &now, 0, 0) < 0)
        return;
    for (int i = 0; i < n; i++) {
        enum tcp_state phase;
        int fd = first + i;
        if (!(fds[i].revents & POLLNVAL) && fd_look(fd, &conn) == FD_UNKNOWN && sockinfo_state(fd, &phase, NULL) == 0)
            (void)conn_of(client, fd);
    }
}
