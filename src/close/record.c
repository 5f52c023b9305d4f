#include "close/record.h"

#include <errno.h>
#include <string.h>

#include "client/asked.h"
#include "client/client.h"
#include "close/trace.h"
#include "client/history_update.h"
#include "client/answers.h"
#include "state/ring.h"
#include "state/stats.h"
#include "client/events.h"

__attribute__((always_inline)) static inline void write_event(const struct closing *c, enum fate fate,
                                                              enum verified verified, uint64_t now) {
    struct event_record r;
    event_of_conn(c->client, &r, fate == FATE_TIME_WAIT ? EVENT_TIME_WAIT : EVENT_CLOSE, c->conn, now);
    trace_fill(c, &r, fate, verified, now);
    if (c->peer.port) {
        memset(&r.u, 0, CELL_PAYLOAD); /* a second cell, which event_begin has left as the stack was */
        const struct endpoint *other = asked_of(c->conn), *asked = other ? other : &c->conn->peer;
        r.u.asked = (struct event_asked){.address = asked->addr, .port = asked->port};
        r.e.direction |= EVENT_ASKED;
        r.e.peer = c->peer.addr;
        r.e.peer_port = c->peer.port;
    }
    if (!ring_write(&c->client->state, &r))
        event_no_room(c->client, (enum arm)r.e.arm);
}

/* Where its connect was counted; without one, by what is known of it. */
static struct stat_entry *entry_of(struct client *client, const struct conn *conn) {
    struct addr source = conn->source;
    if (conn->stat)
        return stats_of_number(&client->state, conn->stat);
    /* By now the kernel's choice of address is known too, but it was the kernel's. */
    if (!(conn_flags(conn) & (CONN_OUR_BIND | CONN_APP_ADDRESS)))
        source = (struct addr){{0}};
    return stats_find(&client->state, (enum arm)conn->arm, conn->rule_id, &source);
}

static void count(const struct closing *c, enum fate fate) {
    const struct conn *conn = c->conn;
    struct stat_entry *e = entry_of(c->client, conn);
    stats_close(&c->client->state, e, (enum arm)conn->arm, fate);
    if (c->exact)
        stats_outcome(e, c->connect_error);
    else if (c->connect_error == ECONNREFUSED)
        stats_add(e, STAT_REFUSED);
    else if (c->connect_error == ETIMEDOUT || c->facts.phase == TCP_STATE_SYN_SENT)
        stats_add(e, STAT_SYN_TIMEOUT);
}

/* A connect that went on after its call, and whose end was not asked for until now. */
static void note_answer(const struct closing *c) {
    const struct conn *conn = c->conn;
    if (conn->phase != CONN_CONNECTING || c->facts.others)
        return;
    if (c->connect_error)
        answers_note(c->client, conn, conn->pair, c->connect_error, conn->connected_ns);
    else if (c->facts.phase == TCP_STATE_SYN_SENT)
        answers_note(c->client, conn, conn->pair, ETIMEDOUT, conn->connected_ns); /* given up */
    else if (c->facts.phase != TCP_STATE_CLOSED && c->facts.phase != TCP_STATE_UNKNOWN)
        answers_note(c->client, conn, conn->pair, 0, conn->connected_ns);
}

__attribute__((flatten, noinline)) void record_close(const struct closing *c, enum fate fate, enum verified verified,
                                                     uint64_t now) {
    if (conn_flags(c->conn) & CONN_QUIET || c->settings.mode == MODE_OFF)
        return;
    count(c, fate);
    note_answer(c);
    history_update_closed(c->client, c->conn, fate, now);
    if (fate == FATE_TIME_WAIT || c->settings.log_closes == CLOSES_ALL)
        write_event(c, fate, verified, now);
    if (c->client->trace)
        trace_close(c, fate, verified, now);
}
