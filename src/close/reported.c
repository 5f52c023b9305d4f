#include "close/reported.h"

#include <time.h>

#include "base/sys.h"
#include "client/client.h"
#include "client/open_table.h"
#include "client/track.h"
#include "close/record.h"
#include "close/verify.h"

static void tell(struct client *client, struct conn *conn, uint64_t cookie, const struct tuple *where) {
    struct closing c = {
        .client = client,
        .conn = conn,
        .fd = -1,
        .via = VIA_KERNEL,
        .facts = {.phase = TCP_STATE_UNKNOWN, .shutdown_phase = TCP_STATE_UNKNOWN, .connected = true},
        .settings = client_settings(client),
        .verdict = {.fate = FATE_NONE, .decided_by = DECIDED_BY_CLOSE, .ask = true},
        .cookie = cookie,
        .interface = where ? where->interface : 0,
    };
    enum verified verified;
    if (conn->local_port == 0 && where && where->local.port && where->peer.port) {
        conn->source = where->local.addr;
        conn->local_port = where->local.port;
    }
    enum fate fate = verify_fate(&c, &verified);
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    conn_uncount(conn, fate == FATE_TIME_WAIT, now);
    record_close(&c, fate, verified, now);
}

void reported_close(struct client *client, struct conn *conn, uint64_t cookie, const struct tuple *where) {
    bool open = conn->phase == CONN_CONNECTED || conn->phase == CONN_CONNECTING;
    if (open && !(conn_flags(conn) & CONN_QUIET))
        tell(client, conn, cookie, where);
    else
        conn_uncount(conn, false, clock_ns(CLOCK_MONOTONIC));
    open_table_closed(conn);
    conn_free(conn);
}
