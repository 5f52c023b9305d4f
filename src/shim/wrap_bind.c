/* The client's own bind, and getsockname, which tells the port that it took. */
#include <errno.h>
#include <netinet/in.h>

#include "client/arm.h"
#include "client/client.h"
#include "client/events.h"
#include "client/history_update.h"
#include "close/closing.h"
#include "connect/again.h"
#include "connect/diagnosis.h"
#include "connect/prepare.h"
#include "shim/readable.h"
#include "shim/real.h"
#include "shim/self.h"
#include "base/sys.h"
#include "state/control.h"
#include "state/stats.h"

/* A rule of this program wants bind(address, 0) to leave the port to connect, and may have it so. */
static bool wants_late_port(const struct conn *c, enum rule_client_bind *client_bind) {
    struct settings now = client_settings(&client);
    *client_bind = arm_may_enforce(&client, &now) ? state_client_bind(&client.state, client.names) : CLIENT_BIND_KEEP;
    if (closing_others_may_hold(c)) /* another process knows nothing of a port that is to come */
        return false;
    return *client_bind != CLIENT_BIND_KEEP && !(conn_flags(c) & (CONN_APP_NO_PORT | CONN_APP_PORT | CONN_APP_ADDRESS));
}

/* What would have become a connection of this arm. */
static void count_bind(struct conn *c, const struct endpoint *at, const struct settings *settings, int error) {
    c->arm = (uint8_t)arm_now(&client, settings);
    if (at->port == 0)
        stats_add(stats_find(&client.state, (enum arm)c->arm, 0, &at->addr),
                  error == EADDRINUSE ? STAT_BIND_IN_USE : STAT_BIND_NOT_LOCAL);
}

/* It has nothing to do with connections. Asked only where something is recorded at all. */
static bool is_second_server(const struct endpoint *at) {
    return at->port != 0 && diagnosis_is_listened_to(at);
}

static void bind_failed(int fd, struct conn *c, const struct endpoint *at, int error, enum outcome outcome) {
    struct report report;
    struct endpoint nowhere = {0};
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    struct settings settings = client_settings(&client);
    if (settings.mode == MODE_OFF || (error == EADDRINUSE && is_second_server(at)))
        return;
    if (outcome == OUTCOME_FAILED)
        count_bind(c, at, &settings, error);
    else
        c->arm = (uint8_t)arm_of_process(&client);
    client_attach(&client, fd, (enum arm)c->arm);
    report_begin(&report, &client, fd, c, &nowhere, now);
    report.error = error;
    report_record(&report)->e.local = at->addr;
    report_record(&report)->e.local_port = at->port;
    state_count(&client.state, (enum arm)c->arm, outcome == OUTCOME_FAILED ? COUNT_FAILED : COUNT_RECOVERED);
    enum cause cause = diagnosis_of_bind(&report, at);
    history_update_bind_failed(&client, client_netns(&client, fd), &at->addr, outcome, cause, now);
    report_exhausted(&report, c, CALL_BIND, outcome, cause, 1);
}

/* ::ffff:0.0.0.0 keeps a socket to IPv4, and so does no wildcard of ours. */
static bool is_mapped_wildcard(const struct conn *c, const struct endpoint *at) {
    return c->family == AF_INET6 && addr_is_v4(&at->addr) && addr_is_any(&at->addr);
}

static int bind_tcp(int fd, struct conn *c, const struct endpoint *at, const struct sockaddr *address,
                    socklen_t length) {
    enum rule_client_bind client_bind = CLIENT_BIND_KEEP;
    int saved = errno;
    bool again = conn_flags(c) & CONN_APP_ADDRESS && prepare_lost_port(fd);
    prepare_undo(fd, c);
    /* A second bind is EINVAL without us, because the first took a port; so let it have taken one. */
    if (conn_flags(c) & CONN_APP_ADDRESS && !again)
        prepare_settle_port(fd, c);
    bool late = at->port == 0 &&
                (wants_late_port(c, &client_bind) ? !is_mapped_wildcard(c, at) && prepare_no_port(&client, fd, c) == 0
                                                  : again && conn_flags(c) & CONN_OUR_NO_PORT);
    errno = saved;
    int r = real_bind(fd, address, length);
    saved = errno;
    if (r == 0 && (late || (at->port == 0 && conn_flags(c) & CONN_APP_NO_PORT))) {
        c->source = c->app = at->addr;
        conn_set_flags(c, CONN_APP_ADDRESS);
    } else if (r == 0) {
        conn_clear_flags(c, CONN_APP_ADDRESS);
        conn_set_flags(c, CONN_APP_PORT);
    } else if (late && saved == EADDRNOTAVAIL && client_bind == CLIENT_BIND_OVERRIDE) {
        /* The rule replaces the address at connect anyway: the client goes on, unbound, to a source of the pool. */
        bind_failed(fd, c, at, saved, OUTCOME_RECOVERED);
        conn_set_flags(c, CONN_APP_ADDRESS);
        r = 0;
    } else {
        prepare_undo(fd, c);
        if (saved == EADDRNOTAVAIL || saved == EADDRINUSE)
            bind_failed(fd, c, at, saved, OUTCOME_FAILED);
    }
    errno = saved;
    return r;
}

/* A connect may have failed since, and leaves a socket that may be bound. */
static bool may_bind(int fd, struct conn *c) {
    if (c->phase == CONN_CONNECTING && client_asks(&client)) {
        int saved = errno;
        again_look(&client, fd, c);
        errno = saved;
    }
    return c->phase == CONN_IDLE;
}

EXPORT int bind(int fd, const struct sockaddr *address, socklen_t length) {
    struct endpoint at;
    struct conn *c;
    if (!client_active(&client) || length > sizeof(struct sockaddr_storage) || fd_look(fd, &c) != FD_TCP ||
        !may_bind(fd, c))
        return real_bind(fd, address, length);
    if (readable(address, length) && endpoint_from_sockaddr(&at, address, length))
        return bind_tcp(fd, c, &at, address, length);
    prepare_settle_bound(fd, c); /* AF_UNSPEC may be the wildcard */
    return real_bind(fd, address, length);
}

EXPORT int getsockname(int fd, struct sockaddr *address, socklen_t *length) {
    struct conn *c;
    if (client_active(&client) && fd_look(fd, &c) == FD_TCP && c->phase == CONN_IDLE &&
        conn_flags(c) & CONN_APP_ADDRESS) {
        int saved = errno;
        prepare_settle_port(fd, c);
        errno = saved;
    }
    return real_getsockname(fd, address, length);
}
