#include "close/located.h"

#include "client/client.h"
#include "client/open_table.h"
#include "client/sockinfo.h"

void located_complete(struct conn *c, int fd) {
    struct endpoint local, peer;
    if (c->local_port == 0 && sockinfo_local(fd, &local)) {
        c->source = local.addr;
        __atomic_store_n(&c->local_port, local.port, __ATOMIC_RELAXED);
    }
    if (conn_flags(c) & CONN_PEER_ASK && sockinfo_peer(fd, &peer))
        c->peer = peer;
    open_table_located(c);
}

/* MPTCP_UNKNOWN: no answer. */
__attribute__((noinline)) static uint32_t ask_token(struct client *client, int fd) {
    uint32_t token;
    return sockinfo_mptcp_token(fd, &token) && (token || client->mptcp_info) ? token : MPTCP_UNKNOWN;
}

uint32_t located_token(struct client *client, struct conn *c, int fd) {
    if (c->token == MPTCP_UNKNOWN)
        __atomic_store_n(&c->token, ask_token(client, fd), __ATOMIC_RELAXED);
    return c->token;
}

void located_fill(struct located *p, struct client *client, const struct conn *conn, int fd) {
    if (p->local.port == 0 && __atomic_load_n(&conn->local_port, __ATOMIC_RELAXED) == 0)
        (void)sockinfo_local(fd, &p->local);
    if (p->token == MPTCP_UNKNOWN)
        p->token = ask_token(client, fd);
}

struct located located_look(struct client *client, const struct conn *conn, int fd) {
    struct located p = {.token = __atomic_load_n(&conn->token, __ATOMIC_RELAXED),
                        .connected_ns = __atomic_load_n(&conn->connected_ns, __ATOMIC_RELAXED)};
    if (conn_phase_is_worth(conn, __atomic_load_n(&conn->phase, __ATOMIC_RELAXED)))
        located_fill(&p, client, conn, fd);
    return p;
}

bool located_is_of(const struct located *p, const struct conn *conn) {
    return __atomic_load_n(&conn->connected_ns, __ATOMIC_RELAXED) == p->connected_ns;
}

void located_settle(const struct located *p, struct conn *conn) {
    if (conn->local_port == 0 && p->local.port != 0) {
        conn->source = p->local.addr;
        __atomic_store_n(&conn->local_port, p->local.port, __ATOMIC_RELAXED);
    }
    if (conn->token == MPTCP_UNKNOWN)
        __atomic_store_n(&conn->token, p->token, __ATOMIC_RELAXED);
}
