#include "close/exit_close.h"

#include <errno.h>
#include <limits.h>
#include <sys/socket.h>

#include "client/track.h"
#include "client/arm.h"
#include "client/client.h"
#include "close/closing.h"
#include "client/open_table.h"
#include "client/process.h"
#include "base/sys.h"
#include "client/events.h"

void exit_close_range(struct client *client, unsigned first, unsigned last, enum via via) {
    struct closing c;
    int to = last > INT_MAX ? INT_MAX : (int)last;
    if (first > INT_MAX)
        return;
    for (int fd = (int)first; (fd = fd_next_tcp(fd, to)) >= 0; fd++) {
        closing_begin(&c, client, fd, via, true);
        closing_end(&c, c.silent || sys_call1(SYS_close, fd) != -EBADF); /* silent: left to the client's own call */
    }
}

/* close would wait where the kernel's own close at exit does not (SO_LINGER {1, t}; inet_release, PF_EXITING). */
static bool would_wait(int fd) {
    struct linger linger = {0};
    socklen_t length = sizeof linger;
    (void)sys_call5(SYS_getsockopt, fd, SOL_SOCKET, SO_LINGER, &linger, &length);
    return linger.l_onoff && linger.l_linger > 0;
}

/* A stream's buffer is written after the last exit handler. */
static bool is_buffered(int fd) {
    struct conn *conn;
    if (fd_look(fd, &conn) != FD_TCP)
        return true;
    if (fd <= 2)
        conn_set_flags(conn, CONN_STDIO); /* its copies stay, too */
    return conn_flags(conn) & CONN_STDIO;
}

/* Where another process may hold the connection, only the kernel can tell what becomes of it, and only once it is
 * closed. A socket that has to stay open is left for the tool to record. */
static void close_one(struct client *client, int fd, enum via via, bool may_close) {
    struct closing c;
    bool closes = may_close && !is_buffered(fd) && !would_wait(fd);
    closing_begin(&c, client, fd, via, closes);
    if (c.held && !closes) { /* what does not fail needs not be put back */
        conn_release(client, c.conn);
        c.conn = NULL;
    }
    if (closes) {
        (void)sys_call1(SYS_close, fd);
    } else if (c.conn && c.verdict.ask) {
        open_table_pending(client, c.conn, OPEN_TO_EXIT, c.facts.phase, c.verdict.fate);
        conn_free(c.conn);
        fd_closed(c.word);
        return;
    }
    closing_end(&c, true);
}

void exit_close_all(struct client *client, enum via via, bool last) {
    /* Sealed: what is open stays in the open table, and the tool, which may ask, tells of it. */
    if (!client_active(client) || sys_sealed())
        return;
    bool asks = client_asks(client);
    if ((!asks && fd_next_tcp(0, INT_MAX) < 0 && !__atomic_load_n(&client->attached, __ATOMIC_RELAXED)) ||
        !process_may_record(client))
        return;
    if (asks)
        track_find(client, 0, INT_MAX);
    /* Another thread may still be using them, and would meet an error that it would not have met. */
    bool may_close = asks && last && fd_next_tcp(0, INT_MAX) >= 0 && process_single_threaded();
    for (int fd = 0; (fd = fd_next_tcp(fd, INT_MAX)) >= 0; fd++)
        close_one(client, fd, via, may_close);
    open_table_release(client);
    /* After the first of them (exit handlers run, then _exit) there is nothing left to say. */
    if (__atomic_exchange_n(&client->attached, 0, __ATOMIC_RELAXED) && client_settings(client).mode != MODE_OFF)
        (void)event_of_text(client, EVENT_DETACH, arm_of_process(client), "");
}
