#include "client/events.h"

#include <string.h>

#include "base/sys.h"
#include "base/text.h"
#include "client/process.h"
#include "state/control.h"
#include "state/ring.h"
#include "client/client.h"

/* Apart: the text has no room on the stack of those that come later. */
__attribute__((noinline)) static void attach(struct client *client, int fd, enum arm arm) {
    if (__atomic_exchange_n(&client->attached, 1, __ATOMIC_RELAXED))
        return;
    char text[128];
    size_t at = 0;
    (void)client_netns(client, fd);
    state_count(&client->state, arm, COUNT_ATTACHED);
    text_add(text, sizeof text, &at, "connspread " VERSION ", policy generation ");
    text_add_number(text, sizeof text, &at, __atomic_load_n(&client->state.header->generation, __ATOMIC_RELAXED));
    (void)event_of_text(client, EVENT_ATTACH, arm, text);
    event_no_room(client, arm);
}

void client_attach(struct client *client, int fd, enum arm arm) {
    if (!__atomic_load_n(&client->attached, __ATOMIC_RELAXED))
        attach(client, fd, arm);
}

void event_begin(struct client *client, struct event_record *r, enum event_kind kind, enum arm arm) {
    bool one_cell = kind == EVENT_TIME_WAIT || kind == EVENT_CLOSE;
    memset(r, 0, one_cell ? sizeof r->e : sizeof *r);
    r->e.kind = (uint8_t)kind;
    r->e.arm = (uint8_t)arm;
    r->e.time_us = clock_ns(CLOCK_REALTIME) / 1000;
    r->e.pid = client->pid ? client->pid : process_pid();
    r->e.tid = client->tid ? client->tid : process_tid();
    r->e.netns = __atomic_load_n(&client->netns, __ATOMIC_RELAXED);
    memcpy(r->e.program, client->program, EVENT_PROGRAM);
}

void event_of_conn(struct client *client, struct event_record *r, enum event_kind kind, const struct conn *c,
                   uint64_t now) {
    event_begin(client, r, kind, c->arm < ARMS ? (enum arm)c->arm : ARM_CONTROL);
    r->e.direction = conn_flags(c) & CONN_INBOUND ? INBOUND : OUTBOUND;
    r->e.local = c->source;
    r->e.local_port = c->local_port;
    r->e.peer = c->peer.addr;
    r->e.peer_port = c->peer.port;
    r->e.rule_id = c->rule_id;
    r->e.pool_id = c->pool_id;
    r->e.age_us = c->connected_ns && now > c->connected_ns ? (now - c->connected_ns) / 1000 : 0;
}

bool event_of_text(struct client *client, enum event_kind kind, enum arm arm, const char *text) {
    struct event_record r;
    size_t at = 0;
    event_begin(client, &r, kind, arm);
    text_add(r.u.text, sizeof r.u.text, &at, text);
    return ring_write(&client->state, &r);
}

__attribute__((noinline)) void event_no_room(struct client *client, enum arm arm) {
    static const char *const text[NO_ROOMS] = {
        [NO_ROOM_DISK] = "the state file cannot grow, its file system is full: what has no room is counted, but "
                         "neither logged nor named; try: make room there",
        [NO_ROOM_SIZE] =
            "the state file cannot grow, it has state.size-max, or a quarter of what was free when it was made: what "
            "has no room is counted, but not named; try: a larger state.size-max, for the next file",
    };
    for (unsigned i = 0; i < NO_ROOMS; i++) {
        uint64_t *word = &client->state.header->no_room[i], met = NO_ROOM_MET;
        if (__atomic_load_n(word, __ATOMIC_RELAXED) == met &&
            __atomic_compare_exchange_n(word, &met, NO_ROOM_SAID, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED) &&
            !event_of_text(client, EVENT_ATTACH, arm, text[i]))
            __atomic_store_n(word, NO_ROOM_MET, __ATOMIC_RELAXED); /* it had none, either */
    }
}

void event_source_down(struct client *client, const struct conn *c, const struct endpoint *source,
                       const struct endpoint *destination, enum cause cause, int error) {
    struct event_record r;
    event_of_conn(client, &r, EVENT_SOURCE_DOWN, c, 0);
    r.e.local = source->addr;
    r.e.local_port = 0;
    r.e.peer = destination ? destination->addr : (struct addr){{0}};
    r.e.peer_port = destination ? destination->port : 0;
    r.u.exhausted.cause = (uint8_t)cause;
    r.u.exhausted.error = (uint16_t)error;
    (void)ring_write(&client->state, &r);
}
