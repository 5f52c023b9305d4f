#include "close/exec_close.h"

#include <fcntl.h>
#include <limits.h>

#include "base/sys.h"
#include "client/client.h"
#include "client/open_table.h"
#include "client/process.h"
#include "client/track.h"
#include "close/closing.h"
#include "close/located.h"

/* A child of a server with thousands of connections shall not look at each before it execs a helper: the parent holds
 * them, and logs them. */
enum { EXEC_INHERITED_MAX = 64 };

/* Is every descriptor of conn in this process close-on-exec? fd is one of them. */
static bool closes_on_exec(const struct conn *conn) {
    uint32_t closing = 0;
    for (int fd = 0; (fd = fd_next_tcp(fd, INT_MAX)) >= 0; fd++)
        if (fd_is(fd, conn)) {
            long flags = sys_call2(SYS_fcntl, fd, F_GETFD);
            if (flags >= 0 && flags & FD_CLOEXEC)
                closing++;
        }
    return closing == conn_descriptors(conn);
}

static bool may_close_on_exec(struct client *client, int fd, struct conn *conn) {
    long flags = sys_call2(SYS_fcntl, fd, F_GETFD);
    if (flags < 0 || !(flags & FD_CLOEXEC))
        return false;
    conn_catch_up(client, conn, fd, closing_others_may_hold(conn));
    if (conn->phase == CONN_IDLE || conn->phase == CONN_LISTENING)
        return false;
    return conn_descriptors(conn) == 1 || closes_on_exec(conn);
}

void exec_close_all(struct client *client, bool pending) {
    unsigned inherited = 0;
    if (pending)
        track_find(client, 0, INT_MAX);
    for (int fd = 0; (fd = fd_next_tcp(fd, INT_MAX)) >= 0; fd++) {
        struct closing c = {.client = client, .fd = fd, .via = VIA_EXEC, .settings = client_settings(client)};
        if (fd_look(fd, &c.conn) != FD_TCP)
            continue;
        if (c.conn->generation < process_first_generation() && ++inherited > EXEC_INHERITED_MAX)
            continue;
        if (!may_close_on_exec(client, fd, c.conn))
            continue;
        if (!pending) {
            open_table_exec_failed(c.conn);
            continue;
        }
        closing_judge(&c);
        located_complete(c.conn, fd);
        open_table_pending(client, c.conn, OPEN_TO_EXEC, c.facts.phase, c.verdict.fate);
    }
}
