#include "connect/again.h"

#include <errno.h>

#include "base/sys.h"
#include "client/answers.h"
#include "client/client.h"
#include "client/open_table.h"
#include "client/sockinfo.h"
#include "client/track.h"
#include "state/stats.h"

/* It failed; the socket may connect anew. */
static void failed_later(struct client *client, struct conn *c, int why) {
    c->phase = CONN_IDLE;
    if (!(conn_flags(c) & CONN_QUIET))
        stats_outcome(stats_find(&client->state, (enum arm)c->arm, c->rule_id, &c->source), why);
    answers_note(client, c, c->pair, why, c->connected_ns);
    conn_set_flags(c, CONN_TRIED);
    open_table_closed(c);
    conn_uncount(c, false, clock_ns(CLOCK_MONOTONIC));
    conn_clear_flags(c, CONN_COUNTED | CONN_ASKED);
}

void again_look(struct client *client, int fd, struct conn *c) {
    enum tcp_state phase;
    int error;
    if (c->phase != CONN_CONNECTING || sockinfo_state(fd, &phase, NULL) != 0 || phase != TCP_STATE_CLOSED)
        return;
    (void)sockinfo_connect_error(fd, c->so_error, false, &error); /* what is pending is the client's to fetch */
    if (error)
        failed_later(client, c, error);
}

__attribute__((noinline)) ssize_t again_asked(struct client *client, const struct call *call, struct conn *c) {
    uint32_t serial = conn_serial(c);
    conn_release(client, c);
    ssize_t r = call->make(call);
    int error = r < 0 ? errno : 0;
    if (!conn_take(c, serial))
        return r;
    /* After SO_ERROR the kernel says ECONNABORTED. */
    int why = error == ECONNABORTED && c->so_error ? c->so_error : error;
    if (c->phase == CONN_CONNECTING && !call->sends) {
        if (r == 0 || error == EISCONN) {
            c->phase = CONN_CONNECTED;
            answers_note(client, c, c->pair, 0, c->connected_ns);
        } else if (error != EINPROGRESS && error != EALREADY && error != EINTR && error != EFAULT) {
            failed_later(client, c, why);
        }
    }
    conn_release(client, c);
    errno = r < 0 ? error : errno;
    return r;
}
