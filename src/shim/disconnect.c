#include "shim/disconnect.h"

#include <errno.h>

#include "base/sys.h"
#include "client/open_table.h"
#include "client/process.h"
#include "client/track.h"
#include "close/closing.h"
#include "connect/prepare.h"
#include "shim/self.h"

void disconnected(int fd, struct conn *c) {
    c->phase = CONN_IDLE;
    c->shutdown_phase = TCP_STATE_UNKNOWN;
    c->local_port = 0;
    open_table_closed(&client, c);
    conn_uncount(&client, c, false, clock_ns(CLOCK_MONOTONIC));
    conn_clear_flags(c, CONN_COUNTED | CONN_SHUT | CONN_PEER_ASK);
    struct conn *now;
    if (fd_look(fd, &now) == FD_TCP && now == c)
        prepare_undo(fd, c);
}

ssize_t disconnect(const struct call *call) {
    int saved = errno;
    process_refresh(&client);
    struct conn *c = conn_hold(&client, call->fd);
    errno = saved;
    if (!c)
        return call->make(call);
    closing_disconnect(&client, call->fd, c);
    uint32_t serial = conn_serial(c);
    conn_release(&client, c);
    ssize_t r = call->make(call);
    saved = errno;
    if (!conn_take(c, serial))
        return r;
    if (r == 0)
        disconnected(call->fd, c);
    conn_release(&client, c);
    errno = saved;
    return r;
}
