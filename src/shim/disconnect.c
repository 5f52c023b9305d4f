#include "shim/disconnect.h"

#include <errno.h>

#include "client/process.h"
#include "client/track.h"
#include "close/closing.h"
#include "connect/prepare.h"
#include "shim/self.h"

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
        prepare_disconnected(call->fd, c);
    conn_release(&client, c);
    errno = saved;
    return r;
}
